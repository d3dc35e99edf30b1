"""Worlds: who and what there is, and the logs that go in and out."""
