"""From the state of a user to logits of the codes of an item."""
