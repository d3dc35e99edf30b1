"""The loss of a softmax over many candidates, and its gradient, without ever writing all scores down.

For states s (M, D), their targets' vectors c_t (M, D) and the vectors of n other candidates c_j (n, D), with
f(t) = s . c_t, f(j) = s . c_j, a weight w of the others and an importance a, numbers for each state:

    loss = mean over states of a (log(exp f(t) + w sum_j exp f(j)) - f(t))

    d loss / d f(t) = a (p(t) - 1) / M,    d loss / d f(j) = a w p(j) / M,
    p(i) = exp f(i) / (exp f(t) + w sum_j exp f(j))

The M x n scores of a batch are tens of megabytes, which are read and written over and over by a chain of
operations. Here blocks of rows stay in the cache while all is done with them, the products that give the
gradients of s and c included, so that the way back has nothing left to do.

Source: the order of the work is that of Hsu and others, "Liger kernel: efficient Triton kernels for LLM
training", 2024 (fused linear cross entropy).
"""

from typing import Any

from recsim_env.errors import require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402

BLOCK_CELLS = 2**17  # scores that are in hand at a time: half a megabyte


def softmax_loss(
    states: Tensor,
    of_targets: Tensor,
    others: Tensor,
    left_out: tuple[Tensor, Tensor],
    log_weight: Tensor,
    importance: Tensor | None = None,
) -> Tensor:
    """The loss above.

    Args:
        states: (M, D).
        of_targets: (M, D) vectors of their targets.
        others: (n, D) vectors of the other candidates.
        left_out: rows, rising, and places among the others, (C,) each, that are no candidates.
        log_weight: (M,) log w.
        importance: (M,) a; None = 1.
    """
    with torch.autocast(states.device.type, enabled=False):  # a sum over thousands needs more than 8 bits
        exact = torch.promote_types(states.dtype, torch.float32)
        parts = (part.to(exact) for part in (states, of_targets, others))
        counted = None if importance is None else importance.to(exact)
        value: Tensor = _SoftmaxLoss.apply(*parts, *left_out, log_weight.to(exact), counted)
    return value


class _SoftmaxLoss(torch.autograd.Function):
    """Works out the gradients along with the value."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        of_targets: Tensor,
        others: Tensor,
        row: Tensor,
        place: Tensor,
        log_weight: Tensor,
        importance: Tensor | None,
    ) -> Tensor:
        """See `softmax_loss`."""
        M, step = len(states), max(1, BLOCK_CELLS // len(others))
        f_target = (states * of_targets).sum(dim=1)
        to_states, to_others = torch.empty_like(states), torch.zeros_like(others)
        whole = torch.empty_like(f_target)
        borders = torch.searchsorted(row, torch.arange(0, M + step, step, device=row.device)).tolist()
        for block, start in enumerate(range(0, M, step)):
            rows, hits = slice(start, start + step), slice(borders[block], borders[block + 1])
            f = states[rows] @ others.T
            f[row[hits] - start, place[hits]] = -torch.inf
            highest = f.amax(dim=1).clamp(min=torch.finfo(f.dtype).min)  # of a row without others, too
            f.sub_(highest[:, None]).exp_()
            of_others = highest + f.sum(dim=1).log() + log_weight[rows]
            whole[rows] = torch.logaddexp(f_target[rows], of_others)
            f.mul_((highest + log_weight[rows] - whole[rows]).exp()[:, None])
            if importance is not None:
                f.mul_(importance[rows, None])
            torch.mm(f, others, out=to_states[rows])
            to_others.addmm_(f.T, states[rows])
        too_much, value = (f_target - whole).exp()[:, None] - 1.0, whole - f_target
        if importance is not None:
            too_much, value = importance[:, None] * too_much, importance * value
        ctx.save_for_backward(to_states + too_much * of_targets, too_much * states, to_others)
        return value.mean()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Of states and vectors."""
        to_states, to_targets, to_others = ctx.saved_tensors
        share = gradients[0] / len(to_states)
        return share * to_states, share * to_targets, share * to_others, None, None, None, None
