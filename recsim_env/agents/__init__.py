"""Agents: they learn and act from observations and logs only."""
