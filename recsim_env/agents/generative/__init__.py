"""Recommenders that write the identifier of an item, code by code; they need the extra `torch`."""
