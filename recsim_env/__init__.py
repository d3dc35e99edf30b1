"""recsim-env."""
