"""What a policy would earn, estimated from the log of another: weights are one job, averaging another."""

from recsim_env.evaluation.off_policy.adaptive_ips import aips, choose_behavior, relevant_slots, snaips
from recsim_env.evaluation.off_policy.cascade_doubly_robust import cascade_dr, q_of_log
from recsim_env.evaluation.off_policy.cascade_q import fit_cascade_q
from recsim_env.evaluation.off_policy.clipped_ips import clipped_ips
from recsim_env.evaluation.off_policy.cross_fitting import ModelValues, cross_fit, draw_folds, model_values
from recsim_env.evaluation.off_policy.direct_method import direct_method
from recsim_env.evaluation.off_policy.doubly_robust import doubly_robust
from recsim_env.evaluation.off_policy.fqe_linear import fqe_linear
from recsim_env.evaluation.off_policy.fqe_tabular import fqe_tabular
from recsim_env.evaluation.off_policy.fqe_torch import fqe_torch
from recsim_env.evaluation.off_policy.independent_ips import iips, sniips
from recsim_env.evaluation.off_policy.ips import ips
from recsim_env.evaluation.off_policy.marginalised_ips import (
    estimate_embedding_table,
    marginal_weights,
    marginalised_ips,
)
from recsim_env.evaluation.off_policy.optimistic_shrinkage import doubly_robust_optimistic_shrinkage
from recsim_env.evaluation.off_policy.per_decision_ips import per_decision_ips, weighted_per_decision_ips
from recsim_env.evaluation.off_policy.plackett_luce_marginals import (
    plackett_luce_log_joint,
    plackett_luce_marginals,
    plackett_luce_marginals_sampled,
    plackett_luce_pair_marginals,
    plackett_luce_slot_prob,
)
from recsim_env.evaluation.off_policy.policy_selection import PolicySelection, policy_selection
from recsim_env.evaluation.off_policy.pseudo_inverse import (
    pseudo_inverse,
    pseudo_inverse_weights,
    sn_pseudo_inverse,
    uniform_pseudo_inverse_weights,
)
from recsim_env.evaluation.off_policy.replay import replay
from recsim_env.evaluation.off_policy.reward_interaction_ips import rips, snrips
from recsim_env.evaluation.off_policy.self_normalised_doubly_robust import self_normalised_doubly_robust
from recsim_env.evaluation.off_policy.sequence_weights import (
    StepDiagnostics,
    cumulative_weights,
    diagnose_steps,
)
from recsim_env.evaluation.off_policy.sequential_doubly_robust import sequential_doubly_robust
from recsim_env.evaluation.off_policy.slate_weights import (
    position_weights,
    prefix_weights,
    slate_weights,
    slot_diagnostics,
)
from recsim_env.evaluation.off_policy.slope import believable_slope, candidate_cuts, slope
from recsim_env.evaluation.off_policy.snips import snips
from recsim_env.evaluation.off_policy.standard_ips import sips, snsips
from recsim_env.evaluation.off_policy.support import check_support
from recsim_env.evaluation.off_policy.switch import switch
from recsim_env.evaluation.off_policy.switch_doubly_robust import switch_doubly_robust
from recsim_env.evaluation.off_policy.trajectory_ips import trajectory_ips, weighted_trajectory_ips
from recsim_env.evaluation.off_policy.weighted_doubly_robust import weighted_doubly_robust
from recsim_env.evaluation.off_policy.weights import (
    WeightDiagnostics,
    diagnose,
    importance_weights,
    weights_from_probabilities,
)

__all__ = [
    "ModelValues",
    "PolicySelection",
    "StepDiagnostics",
    "WeightDiagnostics",
    "aips",
    "believable_slope",
    "candidate_cuts",
    "cascade_dr",
    "check_support",
    "choose_behavior",
    "clipped_ips",
    "cross_fit",
    "cumulative_weights",
    "diagnose",
    "diagnose_steps",
    "direct_method",
    "doubly_robust",
    "doubly_robust_optimistic_shrinkage",
    "draw_folds",
    "estimate_embedding_table",
    "fit_cascade_q",
    "fqe_linear",
    "fqe_tabular",
    "fqe_torch",
    "iips",
    "importance_weights",
    "ips",
    "marginal_weights",
    "marginalised_ips",
    "model_values",
    "per_decision_ips",
    "plackett_luce_log_joint",
    "plackett_luce_marginals",
    "plackett_luce_marginals_sampled",
    "plackett_luce_pair_marginals",
    "plackett_luce_slot_prob",
    "policy_selection",
    "position_weights",
    "prefix_weights",
    "pseudo_inverse",
    "pseudo_inverse_weights",
    "q_of_log",
    "relevant_slots",
    "replay",
    "rips",
    "self_normalised_doubly_robust",
    "sequential_doubly_robust",
    "sips",
    "slate_weights",
    "slope",
    "slot_diagnostics",
    "sn_pseudo_inverse",
    "snaips",
    "sniips",
    "snips",
    "snrips",
    "snsips",
    "switch",
    "switch_doubly_robust",
    "trajectory_ips",
    "uniform_pseudo_inverse_weights",
    "weighted_doubly_robust",
    "weighted_per_decision_ips",
    "weighted_trajectory_ips",
    "weights_from_probabilities",
]
