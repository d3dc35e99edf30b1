"""Defences of recommenders against logs with fake users: who is suspicious, and what they then count."""
