"""Organic users whose log lacks a share of the catalogue: items that came once it had been written.

Some items are drawn to be cold, whoever likes them. With p_u what user u takes (see `organic_users.py`),

    the log       items from p_u(i | i is warm); the last one of a user is kept for validation
    the tests     of users who are not in the log, one item more from p_u(i | i is warm), and one from
                  p_u(i | i is cold)

so people like cold items as they like others, and only the log does not say so. Source: the set-up is ours.
"""

from dataclasses import dataclass, replace

import numpy as np

from recsim_env.arrays import Bools, Ints
from recsim_env.errors import InputError
from recsim_env.experiments.organic_users import OrganicUsers, taken_items
from recsim_env.simulators.luck import Luck


@dataclass(frozen=True)
class ColdItems:
    """A world with cold items."""

    of: OrganicUsers  # with warm items alone in `taken` (U, T)
    cold: Bools  # (N,) which items no log knows of
    target: Ints  # (U,) a cold item, which the user takes next if it must be one


def cold_items(of: OrganicUsers, share: float, seed: int) -> ColdItems:
    """Make some items cold, and let all users choose anew.

    Args:
        of: users and what they took, as many of them and as many items.
        share: of the catalogue that is cold, above 0 and below 1; one item or more is, and one is not.
        seed: of everything.

    Raises:
        InputError: a share out of range.
    """
    if not 0.0 < share < 1.0:
        raise InputError(f"share must be above 0 and below 1, got {share}")
    N, (U, T) = of.world.num_items, of.taken.shape
    cold = np.zeros(N, np.bool_)
    number = min(max(1, round(share * N)), N - 1)
    cold[np.random.default_rng((seed, 1)).permutation(N)[:number]] = True
    luck, parts = Luck.from_seeds(np.arange(U) + (seed << 32)), []
    for name, items, count in (("warm", np.flatnonzero(~cold), T), ("cold", np.flatnonzero(cold), 1)):
        features = of.world.catalogue.features[items]
        parts.append(items[taken_items(of.world.interest, features, luck.uniform(name, (count,)))])
    return ColdItems(replace(of, taken=parts[0]), cold, parts[1][:, 0])
