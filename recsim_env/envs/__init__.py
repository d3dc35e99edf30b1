"""The Gymnasium faces of the worlds."""
