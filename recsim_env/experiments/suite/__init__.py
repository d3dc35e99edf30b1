"""The experiments: one question, one file."""
