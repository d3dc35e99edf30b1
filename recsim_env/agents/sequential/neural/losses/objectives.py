"""What a sequence encoder is trained for: losses of states s (M, D) whose next items t (M,) are known.

With the score of item i after state s, f(i) = s . c(i), N items, n negatives drawn uniformly:

    full_softmax     log sum_i exp f(i) - f(t)
    sampled_softmax  log(exp f(t) + (N - 1) / n' sum_j exp f(j)) - f(t), over the n' negatives j != t, which
                     the whole batch shares; the factor is the correction by the proposal's density (logQ):
                     the sum estimates that of the full softmax without bias
    bce              -log sigma(f(t)) - 1/n sum_j log sigma(-f(j)), n negatives j != t of every state
    gbce             -beta log sigma(f(t)) - sum_j log sigma(-f(j)), where beta = a (c (1 - 1/a) + 1/a), with
                     a = n / (N - 1) and calibration c: for c = 1 the sigmoids are probabilities, in spite of
                     the sampling; for c = 0 it is bce with the sum in place of the mean
    cloze            full_softmax at items that are hidden, whatever comes after them (see `Sequences`)

Sources: Kang, McAuley 2018 (bce); Petrov, Macdonald, "gSASRec: reducing overconfidence in sequential
recommendation trained with negative sampling", RecSys 2023 (gbce); Bengio, Senecal, "Adaptive importance
sampling to accelerate training of a neural probabilistic language model", 2008 (sampled_softmax); Sun and
others, "BERT4Rec", CIKM 2019 (cloze).
"""

from collections.abc import Callable

from recsim_env.agents.sequential.neural.losses.softmax_loss import softmax_loss
from recsim_env.errors import InputError, require, unknown_name

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402
from torch.nn.functional import logsigmoid  # noqa: E402

OBJECTIVES = ("full_softmax", "sampled_softmax", "bce", "gbce", "cloze")


def loss(
    objective: str,
    states: Tensor,
    targets: Tensor,
    candidates: Callable[[Tensor | None], Tensor],
    num_items: int,
    generator: torch.Generator,
    *,
    negatives: int = 256,
    calibration: float = 0.75,
    importance: Tensor | None = None,
) -> Tensor:
    """The mean of an objective over M states.

    Args:
        objective: one of `OBJECTIVES`.
        states: (M, D).
        targets: (M,) the items that came next.
        candidates: items (...) -> their vectors c (..., D); None -> those of all items, (N, D).
        num_items: N.
        generator: of the negatives; on the processor, wherever the states are.
        negatives: n, 1 or more; of those that sample.
        calibration: c of gbce, from 0 to 1.
        importance: (M,) what the objective of every state is multiplied with before the mean; None = 1.

    Raises:
        InputError: an unknown objective, or a number out of range.
    """
    check_objective(objective, negatives, calibration)
    if objective in ("full_softmax", "cloze"):
        every, row = candidates(None), torch.arange(len(targets), device=targets.device)
        log_weight = torch.zeros(len(targets), device=targets.device)
        return softmax_loss(states, every[targets], every, (row, targets), log_weight, importance)
    if objective == "sampled_softmax":
        return _sampled_softmax(states, targets, candidates, num_items, generator, negatives, importance)
    f_target = (states * candidates(targets)).sum(dim=1)
    drawn = torch.randint(num_items - 1, (len(targets), negatives), generator=generator).to(targets.device)
    drawn += drawn >= targets[:, None]  # so that none is the target
    f_drawn = torch.einsum("md,mnd->mn", states, candidates(drawn))
    if objective == "bce":
        value = logsigmoid(f_target) + logsigmoid(-f_drawn).mean(dim=1)
    else:
        share = negatives / (num_items - 1)
        beta = share * (calibration * (1.0 - 1.0 / share) + 1.0 / share)
        value = beta * logsigmoid(f_target) + logsigmoid(-f_drawn).sum(dim=1)
    return -(value if importance is None else importance * value).mean()


def _sampled_softmax(
    states: Tensor,
    targets: Tensor,
    candidates: Callable[[Tensor | None], Tensor],
    num_items: int,
    generator: torch.Generator,
    negatives: int,
    importance: Tensor | None,
) -> Tensor:
    """See `loss`."""
    drawn = torch.randint(num_items, (negatives,), generator=generator).to(targets.device)
    of_targets, others = candidates(torch.cat([targets, drawn])).split([len(targets), negatives])
    met = torch.isin(targets, drawn).nonzero()[:, 0]  # few: rows whose target was drawn
    row, place = (drawn == targets[met, None]).nonzero(as_tuple=True)
    left = torch.full((len(targets),), float(negatives), device=targets.device)
    left[met] -= torch.bincount(row, minlength=len(met))
    log_weight = torch.log((num_items - 1) / left.clamp(min=1.0))
    return softmax_loss(states, of_targets, others, (met[row], place), log_weight, importance)


def check_objective(objective: str, negatives: int, calibration: float) -> None:
    """Refuse what `loss` cannot take.

    Raises:
        InputError: the first of it.
    """
    if objective not in OBJECTIVES:
        raise unknown_name("objective", objective, OBJECTIVES)
    if negatives < 1:
        raise InputError(f"negatives must be at least 1, got {negatives}")
    if not 0 <= calibration <= 1:
        raise InputError(f"calibration must be from 0 to 1, got {calibration}")
