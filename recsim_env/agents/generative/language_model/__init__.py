"""Causal language models of the transformers library as policies, and under TRL's trainers."""
