"""Recommenders that are networks reading a sequence of items; they need the extra `torch`."""
