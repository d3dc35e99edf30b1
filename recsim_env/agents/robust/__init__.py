"""Defences against attackers: who or what is suspicious, and how much it then counts."""
