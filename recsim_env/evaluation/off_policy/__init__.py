"""What a policy would earn, estimated from the log of another: weights are one job, averaging another."""

from recsim_env.evaluation.off_policy.clipped_ips import clipped_ips
from recsim_env.evaluation.off_policy.cross_fitting import ModelValues, cross_fit, draw_folds, model_values
from recsim_env.evaluation.off_policy.direct_method import direct_method
from recsim_env.evaluation.off_policy.doubly_robust import doubly_robust
from recsim_env.evaluation.off_policy.ips import ips
from recsim_env.evaluation.off_policy.marginalised_ips import (
    estimate_embedding_table,
    marginal_weights,
    marginalised_ips,
)
from recsim_env.evaluation.off_policy.optimistic_shrinkage import doubly_robust_optimistic_shrinkage
from recsim_env.evaluation.off_policy.policy_selection import PolicySelection, policy_selection
from recsim_env.evaluation.off_policy.replay import replay
from recsim_env.evaluation.off_policy.self_normalised_doubly_robust import self_normalised_doubly_robust
from recsim_env.evaluation.off_policy.slope import believable_slope, candidate_cuts, slope
from recsim_env.evaluation.off_policy.snips import snips
from recsim_env.evaluation.off_policy.support import check_support
from recsim_env.evaluation.off_policy.switch import switch
from recsim_env.evaluation.off_policy.switch_doubly_robust import switch_doubly_robust
from recsim_env.evaluation.off_policy.weights import (
    WeightDiagnostics,
    diagnose,
    importance_weights,
    weights_from_probabilities,
)

__all__ = [
    "ModelValues",
    "PolicySelection",
    "WeightDiagnostics",
    "believable_slope",
    "candidate_cuts",
    "check_support",
    "clipped_ips",
    "cross_fit",
    "diagnose",
    "direct_method",
    "doubly_robust",
    "doubly_robust_optimistic_shrinkage",
    "draw_folds",
    "estimate_embedding_table",
    "importance_weights",
    "ips",
    "marginal_weights",
    "marginalised_ips",
    "model_values",
    "policy_selection",
    "replay",
    "self_normalised_doubly_robust",
    "slope",
    "snips",
    "switch",
    "switch_doubly_robust",
    "weights_from_probabilities",
]
