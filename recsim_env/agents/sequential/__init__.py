"""Recommenders that read the order of a history."""
