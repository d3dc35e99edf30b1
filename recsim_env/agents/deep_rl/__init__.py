"""Agents with networks, one algorithm a file; they need the extra `torch`."""
