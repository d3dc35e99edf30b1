"""Worlds of users and items, as pure functions over arrays: one world, one file."""
