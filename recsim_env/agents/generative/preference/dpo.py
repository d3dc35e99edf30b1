"""Direct preference optimisation: what was preferred becomes likelier than what was not, from a reference on.

s(i) = log pi(i|h) - log pi_ref(i|h), beta > 0 how far pi is held to the reference, w preferred to l:

    sigmoid     -log sigma(beta (s_w - s_l))
    robust      (-(1 - e) log sigma(beta (s_w - s_l)) + e log sigma(-beta (s_w - s_l))) / (1 - 2 e),
                unbiased where preferences are turned round with probability e
    ipo         (s_w - s_l - 1 / (2 beta))^2
    softmax     -log sigma(-log sum over l of exp(beta (s_l - s_w)))      of several l (S-DPO)

At the reference, where all s are 0, sigmoid is ln 2. Sums of exponentials are taken by logsumexp, so that
losses of any margin are finite.

Source: Rafailov and others, "Direct preference optimization", NeurIPS 2023; Chowdhury, Kini, Natarajan,
"Provably robust DPO", ICML 2024; Azar and others, "A general theoretical paradigm to understand learning from
human preferences", AISTATS 2024 (IPO); Chen and others, "On softmax direct preference optimization for
recommendation" (S-DPO), NeurIPS 2024. Names and defaults as in TRL.
"""

from recsim_env.errors import InputError, require, unknown_name

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402
from torch.nn.functional import logsigmoid  # noqa: E402

LOSS_TYPES = ("sigmoid", "robust", "ipo", "softmax")


def dpo_loss(
    preferred: Tensor,
    others: Tensor,
    *,
    beta: float = 0.1,
    loss_type: str = "sigmoid",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The mean over users.

    Args:
        preferred: (B,) s of what was preferred.
        others: (B, J) s of what was not; of several, all but `softmax` take the mean over pairs.
        beta: above 0.
        loss_type: one of `LOSS_TYPES`.
        label_smoothing: e of `robust`, from 0 to below 1/2.

    Raises:
        InputError: no such loss, a number out of range, or tensors of other shapes.
    """
    check_dpo(beta, loss_type, label_smoothing)
    if preferred.ndim != 1 or others.ndim != 2 or len(others) != len(preferred) or not others.numel():
        raise InputError(
            f"preferred must be (B,) and others (B, J), J of 1 or more, got {tuple(preferred.shape)} and "
            f"{tuple(others.shape)}"
        )
    margin = preferred[:, None] - others
    if loss_type == "softmax":
        return -logsigmoid(-torch.logsumexp(-beta * margin, dim=1)).mean()
    if loss_type == "ipo":
        return (margin - 1.0 / (2.0 * beta)).square().mean()
    right = -logsigmoid(beta * margin)
    if not label_smoothing:
        return right.mean()
    e, wrong = label_smoothing, -logsigmoid(-beta * margin)
    return (((1.0 - e) * right - e * wrong) / (1.0 - 2.0 * e)).mean()


def check_dpo(beta: float, loss_type: str, label_smoothing: float) -> None:
    """Refuse what `dpo_loss` refuses."""
    if loss_type not in LOSS_TYPES:
        raise unknown_name("loss_type", loss_type, LOSS_TYPES)
    if not 0.0 < beta < float("inf"):
        raise InputError(f"beta must be above 0 and finite, got {beta}")
    if not 0.0 <= label_smoothing < 0.5:
        raise InputError(f"label_smoothing must be from 0 to below 0.5, got {label_smoothing}")
    if label_smoothing and loss_type != "robust":
        raise InputError(
            f"label_smoothing is of loss_type = 'robust', got {label_smoothing} with {loss_type!r}"
        )


def best_and_worst(rewards: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which of a group to compare, of rewards (B, G).

    Returns:
        (B,) the place of the largest and of the smallest, the first of equals, and whether they differ: users
        whose rewards are all equal say nothing.

    Raises:
        InputError: rewards of another shape, or not finite.
    """
    if rewards.ndim != 2 or not rewards.numel() or not torch.isfinite(rewards).all():
        raise InputError(f"rewards must be (users, group), all finite, got {tuple(rewards.shape)}")
    best, worst = rewards.argmax(dim=1), rewards.argmin(dim=1)
    return best, worst, rewards.amax(dim=1) > rewards.amin(dim=1)
