"""What the notebooks share: predictions, pictures, and the checks of their exercises, a file a notebook."""
