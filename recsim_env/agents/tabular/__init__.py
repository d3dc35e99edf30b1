"""Agents that plan in a table of states."""
