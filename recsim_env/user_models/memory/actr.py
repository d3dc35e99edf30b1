"""Declarative memory of ACT-R: how easily what a user consumed before comes to mind again.

    A_i = B_i + sum_j W_j S_ji + sum_k P M_ki + noise                     activation of item i
    B_i = ln sum_j t_j^-d                                                 base level, over the ages t_j
    SPR_i = sum_{j in x, j != i} C_ij,    C = D^-1/2 C' D^-1/2            spreading from the context x
    PM_i = sum_{j in x, j != i} e_i . e_j                                 partial matching
    noise = s ln(u / (1 - u))                                             logistic
    P(retrieved) = 1 / (1 + exp(-(A_i - tau) / s))

Each term is one function here, to be added or left out. C' counts the sessions that hold both i and j, and D
is the diagonal of its row sums; e_i are features of items. Spreading and matching are the forms used for
listening sessions, with all W_j = P = 1 and C in place of S_ji = S - ln(fan_j).

`TwoStageMemory` turns activation into behaviour:

    P(a known item) = rho(L),    odds rho(L) / (1 - rho(L)) = rho / (1 - rho) (L / L_0)^g
    P(i | a known item) = exp(B_i / T) / sum_k exp(B_k / T) = s_i^(1/T) / sum_k s_k^(1/T),     s = e^B

over the L known items k; T = 1 gives the plain share of strength s_i / sum_k s_k, and g = 0 one repeat
probability for all; real users repeat more the more they know. Not built, because it runs away: the user who
takes the item of the highest activation whenever that is above tau, and a new one otherwise. What is taken
becomes stronger still: as tau falls by half a unit, the share of repeats rises from below 0.15 to above 0.75,
and soon to 1 (`test_a_single_threshold_runs_away`). This gate cannot run away: it does not feel how strong
the known items are.

Sources: Anderson, Bothell, Byrne, Douglass, Lebiere, Qin, "An integrated theory of the mind", Psychological
Review 111, 2004; Tran et al., "Transformers Meet ACT-R", RecSys 2024 (spreading, matching).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError

SMALLEST = 2.0**-54  # stands for a uniform of 0, whose logarithm is infinite


def base_level_activation(ages: Array, decay: float = 0.5) -> Floats | float:
    """B = ln sum_j t_j^-d over the last axis: -inf without events.

    The largest term is taken out of the sum, which therefore neither overflows nor vanishes.

    Args:
        ages: (..., E) time since each event, in any one unit, which shifts every B alike; nan or inf where
            there is no event.
        decay: d, 0 or more.

    Returns:
        (...), or a float for ages (E,).

    Raises:
        InputError: an age of 0 or below; a negative decay.
    """
    if not 0.0 <= decay < np.inf:
        raise InputError(f"decay must be 0 or more, got {decay}")
    ages = np.asarray(ages, np.float64)
    if ages.ndim == 0:
        raise InputError(f"ages must have shape (..., E), got the number {ages}: give a list of ages")
    _refuse("ages", ages <= 0.0, ages, "is not positive: an event must be before now; leave out later ones")
    event = np.isfinite(ages)
    log_power = np.where(event, -decay * np.log(np.where(event, ages, 1.0)), -np.inf)  # ln t_j^-d
    top = log_power.max(axis=-1, keepdims=True, initial=-np.inf)
    top = np.where(top > -np.inf, top, 0.0)
    total = np.exp(log_power - top).sum(axis=-1)
    activation = np.where(total > 0.0, np.log(np.where(total > 0.0, total, 1.0)) + top[..., 0], -np.inf)
    return float(activation) if ages.ndim == 1 else activation


def cooccurrence(sessions: Ints, num_items: int) -> Floats:
    """(N, N) C = D^-1/2 C' D^-1/2, C'_ij = number of sessions that hold both i and j, 0 for i = j.

    A session counts as a set. The diagonal is left out of the degrees D too; an item that is always alone has
    a row of zeros. Dense: for catalogues of some thousands.

    Args:
        sessions: (X, L) items, -1 in empty cells.
        num_items: N.

    Raises:
        InputError: an item outside the catalogue.
    """
    held = (_counts("sessions", sessions, num_items) > 0).astype(np.float64)  # (X, N)
    together = held.T @ held
    np.fill_diagonal(together, 0.0)
    degree = together.sum(axis=1)
    scale = np.where(degree > 0.0, 1.0, 0.0) / np.sqrt(np.where(degree > 0.0, degree, 1.0))
    return np.asarray(scale[:, None] * together * scale)


def spreading_activation(association: Floats, context: Ints) -> Floats:
    """(B, N) SPR_i = sum_{j in context, j != i} C_ij of every item.

    Args:
        association: (N, N) C, such as `cooccurrence` gives.
        context: (B, L) items in mind, -1 in empty cells; an item there twice counts twice.

    Raises:
        InputError: an association that is not square; an item outside it.
    """
    if association.ndim != 2 or association.shape[0] != association.shape[1]:
        raise InputError(f"association must have shape (N, N), got {association.shape}")
    counts = _counts("context", context, len(association))
    return np.asarray(counts @ association.T - counts * np.diagonal(association))


def partial_matching(features: Array, context: Ints) -> Floats:
    """(B, N) PM_i = sum_{j in context, j != i} e_i . e_j of every item.

    Args:
        features: (N, D) e.
        context: (B, L) items in mind, -1 in empty cells; an item there twice counts twice.

    Raises:
        InputError: features that are not (N, D); an item outside them.
    """
    if features.ndim != 2:
        raise InputError(f"features must have shape (N, D), got {features.shape}")
    e = np.asarray(features, np.float64)
    counts = _counts("context", context, len(e))
    return np.asarray((counts @ e) @ e.T - counts * (e * e).sum(axis=1))


def activation_noise(u: Floats, scale: float) -> Floats:
    """Logistic noise s ln(u / (1 - u)), of the shape of u; standard deviation s pi / sqrt(3).

    Args:
        u: uniforms in [0, 1).
        scale: s, 0 or more, in units of activation.

    Raises:
        InputError: a negative scale.
    """
    if not 0.0 <= scale < np.inf:
        raise InputError(f"scale must be 0 or more, got {scale}")
    u = np.maximum(u, SMALLEST)
    return np.asarray(scale * (np.log(u) - np.log1p(-u)))


def retrieval_probability(activation: Floats, threshold: float, noise: float) -> Floats:
    """P(A + logistic noise > tau) = 1 / (1 + exp(-(A - tau) / s)), of the shape of the activation.

    Args:
        activation: A, -inf for what was never met, which is never retrieved.
        threshold: tau, in units of activation.
        noise: s, above 0: the scale of `activation_noise`.

    Raises:
        InputError: a noise of 0 or below.
    """
    if not 0.0 < noise < np.inf:
        raise InputError(f"noise must be above 0, got {noise}")
    return np.asarray(expit((activation - threshold) / noise))


@dataclass(frozen=True)
class TwoStageMemory:
    """A user who decides whether to repeat, then what. The formula is at the top of this file.

    Raises:
        InputError: a parameter out of range.
    """

    repeat: float = 0.72  # rho, 0 to 1; the share of repeats in LFM-1b, read off a chart of Tran et al. 2024
    temperature: float = 1.5  # T, above 0; with rho = 0.72 about as predictable as LFM-1b sessions
    decay: float = 0.5  # d, 0 or more; Anderson et al. 2004
    repeat_growth: float = 0.0  # g; rho is the probability of a user who knows `repeat_reference` items
    repeat_reference: float = 1.0  # L_0, above 0

    def __post_init__(self) -> None:
        ranges = (
            ("repeat", self.repeat, 0.0 <= self.repeat <= 1.0, "from 0 to 1"),
            ("temperature", self.temperature, 0.0 < self.temperature < np.inf, "above 0"),
            ("decay", self.decay, 0.0 <= self.decay < np.inf, "0 or more"),
            ("repeat_growth", self.repeat_growth, abs(self.repeat_growth) < np.inf, "finite"),
            ("repeat_reference", self.repeat_reference, 0.0 < self.repeat_reference < np.inf, "above 0"),
        )
        for name, value, holds, rule in ranges:
            if not holds:
                raise InputError(f"{name} must be {rule}, got {value}")

    def repeat_prob(self, num_known: Ints) -> Floats:
        """(...,) rho(L) of users who know L items; 0 of those who know nothing.

        Args:
            num_known: (...,) L, 0 or more.
        """
        growth = self.repeat_growth * np.log(np.maximum(num_known, 1) / self.repeat_reference)
        return np.asarray(np.where(np.asarray(num_known) > 0, expit(logit(self.repeat) + growth), 0.0))

    def choice_prob(self, activation: Floats, known: Bools) -> Floats:
        """(B, L) P(i | a known item); rows of 0 for users who know nothing.

        Args:
            activation: (B, L) B, such as `base_level_activation` with the decay of this memory gives; other
                terms may be added. An item of -inf is not known.
            known: (B, L) which items may be repeated.
        """
        held = np.where(known & (activation > -np.inf), activation, -np.inf)
        top = held.max(axis=1, keepdims=True, initial=-np.inf)
        weight = np.exp((held - np.where(top > -np.inf, top, 0.0)) / self.temperature)
        return np.asarray(weight / np.maximum(weight.sum(axis=1, keepdims=True), SMALLEST))

    def item_prob(self, activation: Floats, known: Bools, novelty: Floats) -> Floats:
        """(B, L) P(i), known or new.

        Users who know nothing take a new item, and those to whom nothing is new a known one.

        Args:
            activation: (B, L) as in `choice_prob`.
            known: (B, L).
            novelty: (B, L) weight of each item if a new one is wanted, 0 or more; not used where known.
        """
        familiar = self.choice_prob(activation, known)
        fresh = np.where(known, 0.0, novelty)
        mass = fresh.sum(axis=1, keepdims=True)
        fresh = fresh / np.where(mass > 0.0, mass, 1.0)
        repeat = self.repeat_prob((known & (activation > -np.inf)).sum(axis=1))
        gate = np.where(mass[:, 0] > 0.0, repeat, 1.0) * familiar.any(axis=1)
        return np.asarray(gate[:, None] * familiar + (1.0 - gate)[:, None] * fresh)

    def sample(self, activation: Floats, known: Bools, novelty: Floats, u: Floats) -> Ints:
        """(B,) the column of the item taken; -1 if nothing is known and nothing new.

        Args:
            activation: (B, L) as in `item_prob`.
            known: (B, L).
            novelty: (B, L).
            u: (B,) uniforms: the first item whose cumulative probability exceeds u is taken.
        """
        if activation.shape[1] == 0:
            return np.full(len(activation), -1)
        cumulative = self.item_prob(activation, known, novelty).cumsum(axis=1)
        total = cumulative[:, -1:]
        column = (cumulative <= u[:, None] * total).sum(axis=1)
        return np.where(total[:, 0] > 0.0, column, -1)


def _counts(name: str, items: Ints, num_items: int) -> Floats:
    """(B, N) how often each item stands in each row of items (B, L)."""
    if items.ndim != 2:
        raise InputError(f"{name} must have shape (rows, items), got {items.shape}")
    outside = (items < -1) | (items >= num_items)
    rule = f"is not an item: there are {num_items} (0-{num_items - 1}), and -1 is an empty cell"
    _refuse(name, outside, items, rule)
    row, column = np.nonzero(items >= 0)
    cell = row * num_items + items[row, column]
    return np.bincount(cell, minlength=len(items) * num_items).reshape(len(items), -1).astype(np.float64)


def _refuse(name: str, bad: Bools, cells: Array, complaint: str) -> None:
    if bad.any():
        where = np.argwhere(bad)[0].tolist()
        raise InputError(f"{name}{where} = {cells[tuple(where)]} {complaint}")
