"""Sequence encoders: items in, states out; one file each."""
