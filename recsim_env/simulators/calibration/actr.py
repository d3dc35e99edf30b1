"""Memory fitted to a log: how likely users repeat, how fast they forget, how sharply they choose.

    P(a repeat | M items known) = rho(M),       rho / (1 - rho) = rho_0 / (1 - rho_0) (M / M_0)^g
    P(item i | a repeat) ~ s_i^(1/T) p_i^c,     s_i = sum_j (t - t_j)^-d

with p_i how readily users discover i (`discovery`): people repeat what others take up, too. M_0, where
the repeat probability is rho_0, is the geometric mean over the events of how many items their users knew. The
two lines share no parameter and are maximised apart, over (logit rho_0, g) and (d, ln T, c), by L-BFGS-B with
the exact gradients of `actr_likelihood`, where the likelihood of baskets is.

Standard errors: with H the observed information (central differences of the gradient) and g_u the gradient of
user u, H^-1 (sum_u g_u g_u') H^-1 U / (U - 1), which holds though the choices of one user are alike; the
delta method for T and rho_0. The weights p are taken as known, though they are fitted to the same log: with
100 users and an exponent of 1, where they matter most, c is off by up to five of its standard errors, and T
and d are as their errors say (`pytest tests/test_actr_fit.py -m slow -k taken_as_known -s`).

The unit of time does not matter: it multiplies all s_i alike. The clock does: `in_visits` (histories) counts
visits in place of seconds.

Sources: Anderson et al., "An integrated theory of the mind", Psychological Review 111, 2004 (s_i); Tran et
al., "Transformers Meet ACT-R", RecSys 2024 (repeated listening). The growth g and the exponent c are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from recsim_env.arrays import Bools, Floats
from recsim_env.errors import InputError
from recsim_env.simulators.calibration.actr_likelihood import (
    choice_log_likelihood,
    gate_counts,
    gate_log_likelihood,
)
from recsim_env.simulators.calibration.discovery import Discovery, fit_discovery
from recsim_env.simulators.calibration.histories import Histories, histories_of
from recsim_env.simulators.log import Log
from recsim_env.user_models.memory import TwoStageMemory

DECAYS = (0.0, 3.0)
"""Where d is looked for; 0 is a memory of counts alone."""
TEMPERATURES = (0.05, 20.0)
"""Where T is looked for."""
POPULARITIES = (-3.0, 3.0)
"""Where c is looked for."""
LOGITS = (-12.0, 12.0)
"""Where logit rho_0 is looked for."""
GROWTHS = (-5.0, 5.0)
"""Where g is looked for."""
STEP = 1e-4  # of the differences that make the information


class StandardErrors(NamedTuple):
    """Of each parameter; nan for one on its bound, or one that the log does not tell from another."""

    repeat: float
    repeat_growth: float
    temperature: float
    decay: float
    popularity_exponent: float


@dataclass(frozen=True)
class ActrFit:
    """A memory of maximum likelihood."""

    memory: TwoStageMemory
    popularity_exponent: float  # c, of how readily an item is discovered in the choice among known items
    std_errors: StandardErrors
    log_likelihood: Floats  # (iterations + 1,) of the choices of known items, in nats, from start to end
    converged: bool  # all searches ended by themselves
    on_bound: tuple[str, ...]  # parameters that lie on the bound of the search: no maximum was found inside
    num_repeats: int  # choices of known items
    discovery: Discovery  # p, of every item of the log


def fit_actr(log: Log) -> ActrFit:
    """Fit a `TwoStageMemory` to what users consumed; the formulas are at the top of this file.

    Args:
        log: interactions, such as `read_interactions` gives: what is clicked was consumed.

    Raises:
        InputError: nothing is clicked, there is one user alone, nobody repeats, or nobody who repeats had two
            items to choose from.
    """
    histories = histories_of(log)
    counts = gate_counts(histories)
    _, size, taken, known = counts
    _refuse_what_cannot_be_fitted(histories, taken.sum(), taken[known > 1].sum())
    reference = float(np.exp(np.average(np.log(known), weights=size)))
    share = min(taken.sum() / size.sum(), 1.0 - 1e-6)
    gate = _maximise(
        lambda x: gate_log_likelihood(counts, x[0], x[1], reference),
        {"repeat": LOGITS, "repeat_growth": GROWTHS},
        np.array([np.log(share / (1.0 - share)), 0.0]),
    )
    discovery = fit_discovery(histories)
    log_popularity = np.log(discovery.relative(histories.item_id))
    coldest, hottest = np.log(TEMPERATURES)
    choice = _maximise(
        lambda x: choice_log_likelihood(histories, log_popularity, x[0], np.exp(x[1]), x[2]),
        {"decay": DECAYS, "temperature": (coldest, hottest), "popularity_exponent": POPULARITIES},
        np.array([0.5, 0.0, 0.0]),
    )
    repeat, temperature = float(expit(gate.best[0])), float(np.exp(choice.best[1]))
    return ActrFit(
        memory=TwoStageMemory(repeat, temperature, float(choice.best[0]), float(gate.best[1]), reference),
        popularity_exponent=float(choice.best[2]),
        std_errors=StandardErrors(
            repeat=float(gate.std_error[0]) * repeat * (1.0 - repeat),
            repeat_growth=float(gate.std_error[1]),
            temperature=float(choice.std_error[1]) * temperature,
            decay=float(choice.std_error[0]),
            popularity_exponent=float(choice.std_error[2]),
        ),
        log_likelihood=choice.path,
        converged=gate.converged and choice.converged and discovery.converged,
        on_bound=gate.on_bound + choice.on_bound,
        num_repeats=int(taken.sum()),
        discovery=discovery,
    )


def _refuse_what_cannot_be_fitted(histories: Histories, repeats: int, chosen: int) -> None:
    """Repeats, and those among them by users who know two items or more."""
    users = len(histories.user)
    if users == 1:
        raise InputError(
            f"log must have two users or more, got user {histories.user[0]} alone: standard errors come from "
            "how users differ; give the log of more users"
        )
    if repeats == 0:
        raise InputError(
            f"log must hold repeats, got none by {users} users: give a longer log, of consumption that can "
            "be repeated, from which second times were not dropped"
        )
    if chosen == 0:
        raise InputError(
            "log must hold repeats of users who know two items or more, got none: with one item there is "
            "nothing to choose; give a log of more items"
        )


@dataclass(frozen=True)
class _Maximum:
    """Where a log-likelihood of P parameters is highest."""

    best: Floats  # (P,)
    std_error: Floats  # (P,) clustered over users; nan on a bound, and where the log does not tell
    path: Floats  # (iterations + 1,) nats, increasing
    converged: bool
    on_bound: tuple[str, ...]


def _maximise(
    by_user: Callable[[Floats], Floats], bounds: dict[str, tuple[float, float]], start: Floats
) -> _Maximum:
    """Maximise the sum over users of by_user (U, 1 + P), the value and its derivatives, within bounds."""
    scale = max(1.0, -float(by_user(start)[:, 0].sum()))  # so that tolerances mean the same in every log

    def loss(x: Floats) -> tuple[float, Floats]:
        total = by_user(x).sum(axis=0)
        return -float(total[0]) / scale, -total[1:] / scale

    path = [-scale * loss(start)[0]]
    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=list(bounds.values()),
        callback=lambda intermediate_result: path.append(-scale * float(intermediate_result.fun)),
        options={"ftol": 1e-13, "gtol": 1e-8, "maxiter": 200},
    )
    low, high = np.array(list(bounds.values())).T
    free = (found.x > low + 1e-6) & (found.x < high - 1e-6)
    return _Maximum(
        best=found.x,
        std_error=_clustered_errors(by_user, found.x, free),
        path=np.array(path),
        converged=bool(found.success),
        on_bound=tuple(name for name, inside in zip(bounds, free, strict=True) if not inside),
    )


def _clustered_errors(by_user: Callable[[Floats], Floats], best: Floats, free: Bools) -> Floats:
    """(P,) the standard errors of the free parameters; nan for others, and for what the log does not tell."""
    P = len(best)
    information = np.empty((P, P))
    for p, step in enumerate(STEP * np.eye(P)):
        ahead, back = by_user(best + step)[:, 1:].sum(axis=0), by_user(best - step)[:, 1:].sum(axis=0)
        information[p] = (back - ahead) / (2.0 * STEP)
    information = (information + information.T) / 2.0
    # a flat direction has a curvature of the size of rounding, of either sign
    flat = 1e-9 * np.abs(information).max()
    told = np.flatnonzero(free & (np.diagonal(information) > flat))
    std_error = np.full(P, np.nan)
    part = information[np.ix_(told, told)]
    if len(told) and np.linalg.eigvalsh(part)[0] > flat:
        gradients = by_user(best)[:, 1 + told]
        U, bread = len(gradients), np.linalg.inv(part)
        sandwich = bread @ (gradients.T @ gradients) @ bread
        std_error[told] = np.sqrt(np.diagonal(sandwich) * U / (U - 1))
    return std_error
