"""What users remember of what they played, bought or read."""
