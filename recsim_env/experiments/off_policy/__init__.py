"""Logs whose truth is known: what another policy is worth exactly, and what every estimator makes of it."""
