"""Ray RLlib on our environments: `recsim-env train --library rllib`; ray is imported when it runs."""

from recsim_env.experiments.rllib.training import NAME, Settings, draw, run, title

__all__ = ["NAME", "Settings", "draw", "run", "title"]
