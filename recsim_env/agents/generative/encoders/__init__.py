"""Sequence encoders that read codes of items."""
