"""ShortcutBench: sequences with three knobs, each of which takes one shortcut away and leaves the others.

Every item has b successors. The next item of a user is one of the successors of her item `lag` steps back,
each equally likely, or, with the probability `noise`, any item of the catalogue:

    P(next = i | history) = (1 - noise) 1[i in successors(history[-lag])] / b + noise / N.

- **branching** b: with few successors a table of transitions holds nearly the whole law; with many, no list
  of ten can hold the next item, whoever makes it.
- **smooth**: this share of the successors are the items with the nearest features, the others random ones.
  At 0 the features say nothing.
- **lag**: from 2 on the last item says nothing, and a model has to look further back. The law is as simple as
  before: only the shortcut is gone.

Published diagnostics of benchmarks are cross-sectional; here a shortcut can be taken out of a benchmark that
stays the same otherwise. The design and the table it is held against are ours (see the tests), the
diagnostics those of Han et al. 2026, arXiv 2605.07125.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.luck import world_generator

DIMENSION = 20  # of the features: with it 3, 10, 40 and 100 neighbours have about the table's cosines


@dataclass(frozen=True)
class SuccessionLaw:
    """Which item comes next; N items, b successors each."""

    successors: Ints  # (N, b) distinct in a row, none is the item itself
    features: Array  # (N, D) float32, unit rows
    lag: int  # how many steps back the item stands whose successors come next, 1 or more
    noise: float  # in [0, 1]

    @property
    def num_items(self) -> int:
        """N."""
        return len(self.successors)

    @property
    def branching(self) -> int:
        """Successors of an item, b."""
        return self.successors.shape[1]

    def next_item(self, source: Ints, u: Floats) -> Ints:
        """The next items (B,).

        Args:
            source: (B,) the items `lag` steps back, -1 = none yet: then any item is equally likely.
            u: (B, 2) uniforms in [0, 1): whether it is noise, and which item.
        """
        anywhere = (u[:, 0] < self.noise) | (source < 0)
        choice = np.floor(u[:, 1] * np.where(anywhere, self.num_items, self.branching)).astype(np.int64)
        chosen = self.successors[np.maximum(source, 0), np.where(anywhere, 0, choice)]
        return np.where(anywhere, choice, chosen)


def succession_law(
    num_items: int = 1500,
    branching: int = 3,
    smooth: float = 1.0,
    lag: int = 1,
    noise: float = 0.15,
    world_seed: int = 0,
) -> SuccessionLaw:
    """Draw features and successors; the same seed gives the same features whatever the knobs.

    Args:
        num_items: N, 2 or more.
        branching: b, 1 to N - 1.
        smooth: share of the successors that are nearest neighbours, in [0, 1]; round(smooth b) of them.
        lag: 1 or more.
        noise: in [0, 1].
        world_seed: of features and random successors.

    Raises:
        InputError: a parameter out of range.
    """
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}")
    if not 1 <= branching < num_items:
        raise InputError(f"branching must be from 1 to num_items - 1, {num_items - 1}, got {branching}")
    for name, share in (("smooth", smooth), ("noise", noise)):
        if not 0.0 <= share <= 1.0:
            raise InputError(f"{name} must be in [0, 1], got {share}")
    if lag < 1:
        raise InputError(f"lag must be at least 1, got {lag}")
    rng = world_generator(world_seed)
    features = rng.standard_normal((num_items, DIMENSION))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    order = rng.random((num_items, num_items))  # the order in which random successors are taken
    near = round(smooth * branching)
    likeness = features @ features.T
    np.fill_diagonal(likeness, -2.0)  # never its own successor
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :near]
    np.put_along_axis(order, nearest, -1.0, axis=1)
    np.fill_diagonal(order, 2.0)
    successors = np.argsort(order, axis=1, kind="stable")[:, :branching]
    return SuccessionLaw(successors, features.astype(np.float32), lag, noise)


def succession_log(law: SuccessionLaw, *, num_users: int = 4000, length: int = 9, seed: int = 0) -> Log:
    """A log of interactions (num_users x length rows, times 0, 1, ...) that follows the law.

    Raises:
        InputError: no user, or no event.
    """
    if num_users < 1 or length < 1:
        raise InputError(f"num_users and length must be at least 1, got {num_users} and {length}")
    rng = np.random.default_rng(seed)
    items = np.empty((num_users, length), np.int64)
    for t in range(length):
        source = items[:, t - law.lag] if t >= law.lag else np.full(num_users, -1)
        items[:, t] = law.next_item(source, rng.random((num_users, 2)))
    user = np.repeat(np.arange(num_users), length)
    return Log.from_interactions(user, items.ravel(), np.tile(np.arange(length, dtype=np.float64), num_users))
