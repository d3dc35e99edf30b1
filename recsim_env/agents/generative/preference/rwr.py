"""Reward-weighted regression: imitate what was drawn, the more the better it was.

    loss = - sum of w log pi(i|h) / sum of w,     w = min(exp(A / temperature), largest),     A = r - baseline

over items i drawn from any policy, with baseline the mean reward of the user's group (or, of one item a user,
of the batch). A small temperature keeps those above the mean, a large one imitates all alike.

Source: Peters, Schaal, "Reinforcement learning by reward-weighted regression for operational space control",
ICML 2007; Peng and others, "Advantage-weighted regression", 2019 (the baseline and the largest weight).
"""

from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402


def rwr_loss(log_prob: Tensor, rewards: Tensor, *, temperature: float = 1.0, largest: float = 20.0) -> Tensor:
    """The weighted mean over all items.

    Args:
        log_prob: (B, G) with gradients.
        rewards: (B, G).
        temperature: above 0, in units of the reward.
        largest: weight, 1 or more.

    Raises:
        InputError: a number out of range, tensors of other shapes, rewards that are not finite.
    """
    check_rwr(temperature, largest)
    alike = log_prob.ndim == 2 and log_prob.numel() > 0 and log_prob.shape == rewards.shape
    if not alike or not torch.isfinite(rewards).all():
        raise InputError(
            f"log_prob and rewards must be (users, group), rewards finite, got {tuple(log_prob.shape)} and "
            f"{tuple(rewards.shape)}"
        )
    rewards = rewards.to(log_prob)
    baseline = rewards.mean(dim=1, keepdim=True) if rewards.shape[1] > 1 else rewards.mean()
    weight = ((rewards - baseline) / temperature).exp().clamp(max=largest)
    return -(weight * log_prob).sum() / weight.sum()


def check_rwr(temperature: float, largest: float) -> None:
    """Refuse numbers out of range."""
    if not 0.0 < temperature < float("inf"):
        raise InputError(f"temperature must be above 0 and finite, got {temperature}")
    if not 1.0 <= largest < float("inf"):
        raise InputError(f"largest must be 1 or more, got {largest}")
