"""The vectors of items at the input of a sequence encoder, made of their codes."""
