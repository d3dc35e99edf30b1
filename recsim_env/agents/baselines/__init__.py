"""Agents and recommenders to compare with: random, popular, myopic and optimal."""
