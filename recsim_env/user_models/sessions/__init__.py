"""When users come, and when they leave."""

from recsim_env.user_models.sessions.gaps import GammaGaps
from recsim_env.user_models.sessions.leaving import GeometricLeaving, LeavingAfterBadSlates, PatienceBudget
from recsim_env.user_models.sessions.returns import LogNormalReturns

__all__ = ["GammaGaps", "GeometricLeaving", "LeavingAfterBadSlates", "LogNormalReturns", "PatienceBudget"]
