"""What users remember of what they played, bought or read."""

from recsim_env.user_models.memory.actr import (
    TwoStageMemory,
    activation_noise,
    base_level_activation,
    cooccurrence,
    partial_matching,
    retrieval_probability,
    spreading_activation,
)

__all__ = [
    "TwoStageMemory",
    "activation_noise",
    "base_level_activation",
    "cooccurrence",
    "partial_matching",
    "retrieval_probability",
    "spreading_activation",
]
