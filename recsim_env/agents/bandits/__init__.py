"""Agents that learn what a slate earns now and do not plan ahead."""
