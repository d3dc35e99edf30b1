"""Who the users are: U people with interests in the categories of a catalogue."""

import numpy as np

from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError
from recsim_env.simulators.catalogue import Catalogue, category_centres
from recsim_env.simulators.luck import world_generator


def synthetic_tastes(
    num_users: int, num_categories: int, *, concentration: float = 0.1, world_seed: int = 0
) -> Floats:
    """(U, C) how each user divides their interest over the categories: rows of a symmetric Dirichlet.

    Args:
        num_users: U, at least 1.
        num_categories: C, at least 1.
        concentration: above 0, finite; 0.1 leaves two or three categories of weight in twenty, 10 nearly
            all alike.
        world_seed: of the tastes, on another stream than the catalogue's.

    Raises:
        InputError: a parameter out of range.
    """
    if num_users < 1:
        raise InputError(f"num_users must be at least 1, got {num_users}")
    if not 0.0 < concentration < np.inf:
        raise InputError(f"concentration must be above 0 and finite, got {concentration}")
    rng = world_generator(world_seed, 1)
    return rng.dirichlet(np.full(num_categories, concentration), num_users)


def synthetic_interests(
    catalogue: Catalogue, num_users: int, *, concentration: float = 0.1, world_seed: int = 0
) -> Array:
    """(U, D) float32 interest vectors of unit length: the user's tastes times the centres of the categories.

    Args: as of `synthetic_tastes`.
    """
    tastes = synthetic_tastes(
        num_users, catalogue.num_categories, concentration=concentration, world_seed=world_seed
    )
    interest = tastes @ category_centres(catalogue)
    return (interest / np.linalg.norm(interest, axis=1, keepdims=True)).astype(np.float32)
