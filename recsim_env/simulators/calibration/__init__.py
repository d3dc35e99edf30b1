"""`Log` -> parameters of a world."""

from recsim_env.simulators.calibration.actr import ActrFit, StandardErrors, fit_actr
from recsim_env.simulators.calibration.cascade_mdp import FittedCascadeMDP, fit_cascade_mdp
from recsim_env.simulators.calibration.discovery import Discovery, fit_discovery
from recsim_env.simulators.calibration.held_out import HeldOutGain, held_out_gain
from recsim_env.simulators.calibration.histories import Histories, histories_of, in_visits
from recsim_env.simulators.calibration.repeat_curve import RepeatCurve, log_log_slope, repeat_by_gap
from recsim_env.simulators.calibration.repeat_simulation import simulate_repeats
from recsim_env.simulators.calibration.user_gaps import UserGapFit, fit_user_gaps

__all__ = [
    "ActrFit",
    "Discovery",
    "FittedCascadeMDP",
    "HeldOutGain",
    "Histories",
    "RepeatCurve",
    "StandardErrors",
    "UserGapFit",
    "fit_actr",
    "fit_cascade_mdp",
    "fit_discovery",
    "fit_user_gaps",
    "held_out_gain",
    "histories_of",
    "in_visits",
    "log_log_slope",
    "repeat_by_gap",
    "simulate_repeats",
]
