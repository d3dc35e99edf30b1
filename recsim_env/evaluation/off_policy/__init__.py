"""What a policy would earn, estimated from the log of another: weights are one job, averaging another."""

from recsim_env.evaluation.off_policy.adaptive_ips import aips, choose_behavior, relevant_slots, snaips
from recsim_env.evaluation.off_policy.cascade_doubly_robust import cascade_dr, q_of_log
from recsim_env.evaluation.off_policy.cascade_q import fit_cascade_q
from recsim_env.evaluation.off_policy.independent_ips import iips, sniips
from recsim_env.evaluation.off_policy.plackett_luce_marginals import (
    plackett_luce_log_joint,
    plackett_luce_marginals,
    plackett_luce_marginals_sampled,
    plackett_luce_pair_marginals,
    plackett_luce_slot_prob,
)
from recsim_env.evaluation.off_policy.pseudo_inverse import (
    pseudo_inverse,
    pseudo_inverse_weights,
    sn_pseudo_inverse,
    uniform_pseudo_inverse_weights,
)
from recsim_env.evaluation.off_policy.reward_interaction_ips import rips, snrips
from recsim_env.evaluation.off_policy.slate_weights import (
    position_weights,
    prefix_weights,
    slate_weights,
    slot_diagnostics,
)
from recsim_env.evaluation.off_policy.standard_ips import sips, snsips
from recsim_env.evaluation.off_policy.weights import WeightDiagnostics, diagnose, importance_weights

__all__ = [
    "WeightDiagnostics",
    "aips",
    "cascade_dr",
    "choose_behavior",
    "diagnose",
    "fit_cascade_q",
    "iips",
    "importance_weights",
    "plackett_luce_log_joint",
    "plackett_luce_marginals",
    "plackett_luce_marginals_sampled",
    "plackett_luce_pair_marginals",
    "plackett_luce_slot_prob",
    "position_weights",
    "prefix_weights",
    "pseudo_inverse",
    "pseudo_inverse_weights",
    "q_of_log",
    "relevant_slots",
    "rips",
    "sips",
    "slate_weights",
    "slot_diagnostics",
    "sn_pseudo_inverse",
    "snaips",
    "sniips",
    "snrips",
    "snsips",
    "uniform_pseudo_inverse_weights",
]
