"""Ray RLlib on our environments: `recsim-env train --library rllib`."""
