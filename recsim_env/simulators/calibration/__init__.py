"""`Log` -> parameters of a world."""

from recsim_env.simulators.calibration.actr import ActrFit, StandardErrors, fit_actr
from recsim_env.simulators.calibration.cascade_mdp import FittedCascadeMDP, fit_cascade_mdp
from recsim_env.simulators.calibration.held_out import HeldOutGain, held_out_gain
from recsim_env.simulators.calibration.histories import Histories, histories_of
from recsim_env.simulators.calibration.repeat_curve import RepeatCurve, log_log_slope, repeat_by_gap
from recsim_env.simulators.calibration.repeat_simulation import simulate_repeats

__all__ = [
    "ActrFit",
    "FittedCascadeMDP",
    "HeldOutGain",
    "Histories",
    "RepeatCurve",
    "StandardErrors",
    "fit_actr",
    "fit_cascade_mdp",
    "held_out_gain",
    "histories_of",
    "log_log_slope",
    "repeat_by_gap",
    "simulate_repeats",
]
