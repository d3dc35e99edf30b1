"""Group relative policy optimisation: of G items drawn for one user, the better ones become likelier.

Rewards r_g of items g of one user, log-probabilities under the policy that is trained, the one that drew the
items, and a reference:

    A_g  = (r_g - mean r) / (std r + 1e-4)                        advantage; see `scale_rewards`
    rho  = exp(log pi - log pi_old)
    d    = log pi_ref - log pi
    loss = mean of  -min(rho A, clip(rho, 1 - low, 1 + high) A)  +  beta (e^d - d - 1)

`scale_rewards` says by what A is divided: `group`, the deviation within the user's group; `batch`, that of
all rewards; `none`, nothing (Dr. GRPO). A, and with it the first term's gradient, is 0 where all rewards are
equal.

Log-probabilities are of items (B, G), as in GSPO, or of each of their codes (B, G, L), as GRPO has tokens.
All items have L codes, so the ways to weight tokens by length that TRL knows (grpo, dapo, bnpo) are the same.

Logarithms of ratios are cut off at 20. Groups that a beam search found are no draws from pi, and the gradient
is biased; take `sample`.

Source: Shao and others, "DeepSeekMath", 2024; Liu and others, "Understanding R1-Zero-like training" (Dr.
GRPO), 2025; Zheng and others, "Group sequence policy optimization", 2025. Names and defaults as in TRL.
"""

from recsim_env.errors import InputError, require, unknown_name

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402

SCALES = ("group", "batch", "none")
SMALLEST = 1e-4
LARGEST_LOG = 20.0  # of a ratio of probabilities, so that its exponential is a number, and so its gradient


def advantages(rewards: Tensor, scale_rewards: str = "group") -> Tensor:
    """(B, G) of rewards (B, G).

    Raises:
        InputError: no such scale, or rewards that are not (B, G), G of 2 or more, all finite.
    """
    if scale_rewards not in SCALES:
        raise unknown_name("scale_rewards", scale_rewards, SCALES)
    if rewards.ndim != 2 or rewards.shape[1] < 2 or not torch.isfinite(rewards).all():
        raise InputError(
            f"rewards must be (users, group), a group of 2 or more, all finite, got {tuple(rewards.shape)}"
        )
    rewards = rewards if rewards.is_floating_point() else rewards.float()
    apart = rewards - rewards[:, :1]  # exactly 0 where all are equal, which a mean is not
    centred = apart - apart.mean(dim=1, keepdim=True)
    if scale_rewards == "none":
        return centred
    spread = rewards.std(dim=1, keepdim=True) if scale_rewards == "group" else rewards.std()
    return centred / (spread + SMALLEST)


def grpo_loss(
    log_prob: Tensor,
    old_log_prob: Tensor,
    advantage: Tensor,
    ref_log_prob: Tensor | None = None,
    *,
    beta: float = 0.0,
    epsilon: float = 0.2,
    epsilon_high: float | None = None,
) -> Tensor:
    """The mean over users, items, and codes if there are any.

    Args:
        log_prob: (B, G) or (B, G, L), with gradients.
        old_log_prob: of the same shape, of who drew the items.
        advantage: (B, G).
        ref_log_prob: of the same shape; needed where beta > 0.
        beta: weight of the distance from the reference, 0 or more.
        epsilon: low, from 0 to below 1.
        epsilon_high: high; None = epsilon.

    Raises:
        InputError: a number out of range, tensors of other shapes, no reference where one is needed.
    """
    check_grpo(beta, epsilon, epsilon_high)
    shapes = log_prob.shape == old_log_prob.shape and log_prob.shape[:2] == advantage.shape
    if not shapes or advantage.ndim != 2 or log_prob.ndim not in (2, 3):
        raise InputError(
            f"log_prob and old_log_prob must be of one shape, (B, G) or (B, G, L), and advantage (B, G), got "
            f"{tuple(log_prob.shape)}, {tuple(old_log_prob.shape)} and {tuple(advantage.shape)}"
        )
    A = advantage if log_prob.ndim == 2 else advantage.unsqueeze(-1)
    ratio = (log_prob - old_log_prob.detach()).clamp(max=LARGEST_LOG).exp()
    high = epsilon if epsilon_high is None else epsilon_high
    value = -torch.minimum(ratio * A, ratio.clamp(1.0 - epsilon, 1.0 + high) * A)
    if beta:
        if ref_log_prob is None or ref_log_prob.shape != log_prob.shape:
            found = None if ref_log_prob is None else tuple(ref_log_prob.shape)
            raise InputError(f"ref_log_prob must be {tuple(log_prob.shape)} where beta > 0, got {found}")
        d = ref_log_prob.detach() - log_prob
        value = value + beta * (d.clamp(max=LARGEST_LOG).exp() - d - 1.0)
    return value.mean()


def check_grpo(beta: float, epsilon: float, epsilon_high: float | None) -> None:
    """Refuse what `grpo_loss` refuses of numbers."""
    if not 0.0 <= beta < float("inf"):
        raise InputError(f"beta must be 0 or more, got {beta}")
    if not 0.0 <= epsilon < 1.0:
        raise InputError(f"epsilon must be from 0 to below 1, got {epsilon}")
    if epsilon_high is not None and not 0.0 <= epsilon_high < float("inf"):
        raise InputError(f"epsilon_high must be 0 or more, got {epsilon_high}")
