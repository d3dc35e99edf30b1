"""Train a policy with Ray RLlib: PPO, DQN, IMPALA, APPO, or from a log BC and MARWIL.

`recsim-env train --library rllib`; ray is imported when it runs.
"""

from recsim_env.experiments.rllib.training import NAME, Settings, draw, run, title

__all__ = ["NAME", "Settings", "draw", "run", "title"]
