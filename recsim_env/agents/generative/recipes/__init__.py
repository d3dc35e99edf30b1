"""Generative recommenders of papers, each a short file of named parts: see `recipe.py`."""
