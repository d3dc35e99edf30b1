"""`Log` -> parameters of a world."""

from recsim_env.simulators.calibration.cascade_mdp import FittedCascadeMDP, fit_cascade_mdp
from recsim_env.simulators.calibration.held_out import HeldOutGain, held_out_gain

__all__ = ["FittedCascadeMDP", "HeldOutGain", "fit_cascade_mdp", "held_out_gain"]
