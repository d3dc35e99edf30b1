"""What one user does, as small pure functions of arrays."""
