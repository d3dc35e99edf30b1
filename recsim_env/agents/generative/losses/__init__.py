"""Further losses of policies that write codes, beside the cross-entropy of the next item."""
