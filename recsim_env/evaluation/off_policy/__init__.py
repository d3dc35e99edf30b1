"""What a policy would earn, estimated from the log of another: weights are one job, averaging another."""

from recsim_env.evaluation.off_policy.weights import WeightDiagnostics, diagnose, importance_weights

__all__ = ["WeightDiagnostics", "diagnose", "importance_weights"]
