"""What a policy would earn, estimated from the log of another: weights are one job, averaging another."""

from recsim_env.evaluation.off_policy.fqe_linear import fqe_linear
from recsim_env.evaluation.off_policy.fqe_tabular import fqe_tabular
from recsim_env.evaluation.off_policy.fqe_torch import fqe_torch
from recsim_env.evaluation.off_policy.per_decision_ips import per_decision_ips, weighted_per_decision_ips
from recsim_env.evaluation.off_policy.sequence_weights import (
    StepDiagnostics,
    cumulative_weights,
    diagnose_steps,
)
from recsim_env.evaluation.off_policy.sequential_doubly_robust import sequential_doubly_robust
from recsim_env.evaluation.off_policy.trajectory_ips import trajectory_ips, weighted_trajectory_ips
from recsim_env.evaluation.off_policy.weighted_doubly_robust import weighted_doubly_robust
from recsim_env.evaluation.off_policy.weights import WeightDiagnostics, diagnose, importance_weights

__all__ = [
    "StepDiagnostics",
    "WeightDiagnostics",
    "cumulative_weights",
    "diagnose",
    "diagnose_steps",
    "fqe_linear",
    "fqe_tabular",
    "fqe_torch",
    "importance_weights",
    "per_decision_ips",
    "sequential_doubly_robust",
    "trajectory_ips",
    "weighted_doubly_robust",
    "weighted_per_decision_ips",
    "weighted_trajectory_ips",
]
