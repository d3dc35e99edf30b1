"""PCA VarSelect: fakes are alike, and like nobody else, so the main components have little to do with them.

    z_u   = row u of the users' items, 1 or 0, minus its mean, over its deviation
    d_u   = sum over k = 1 .. 3 of v_uk^2,   v_k the k-th eigenvector of the users' covariance Z Z'
    fakes = the share of users with the smallest d_u

`suspicion_` is -d_u. It needs no fakes to learn from, but the share.

Source: Mehta, Nejdl, "Unsupervised strategies for shilling detection and robust collaborative filtering",
User Modeling and User-Adapted Interaction 2009; k = 3 as in RecAD (gusye1234/recad). Ours: what was taken,
where they have ratings. In a sparse log that turns the rule round: fakes who share targets are alike as no
others are, so they are a main component, and the rule picks anybody else first.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds

from recsim_env.agents.recommender import clicked_items
from recsim_env.arrays import Array, Floats
from recsim_env.errors import InputError, check_ranges
from recsim_env.simulators.log import Log


class PCADetector:
    """See the module; a `Defence`: the share it picks has the weight 0.

    Args:
        share: of users that are taken for fakes, above 0 and below 1.
        components: k, 1 or more.

    After `weights`: `suspicion_` (U,).

    Raises:
        InputError: a number out of range; `weights`: no more users or items than components.
    """

    suspicion_: Floats

    def __init__(self, *, share: float = 0.01, components: int = 3) -> None:
        check_ranges({"components": components}, {}, {"share": share})
        if share >= 1:
            raise InputError(f"share must be below 1, got {share}: somebody must be left")
        self.share, self.components = share, components

    def weights(self, log: Log) -> Floats:
        """See `Defence`."""
        user, item, _ = clicked_items(log, None)
        _, row = np.unique(user, return_inverse=True)
        known, column = np.unique(item, return_inverse=True)
        shape = int(row.max()) + 1, len(known)
        if min(shape) <= self.components:
            raise InputError(
                f"{self.components} components need more users and items, got {shape[0]} and {shape[1]}"
            )
        had = sparse.csr_array((np.ones(len(row)), (row, column)), shape)
        had.sum_duplicates()
        had.data[:] = 1.0
        self.suspicion_ = -(_main_users(had, self.components) ** 2).sum(axis=1)
        weights = np.ones(shape[0])
        weights[np.argsort(-self.suspicion_, kind="stable")[: round(self.share * shape[0])]] = 0.0
        return weights


def _main_users(had: sparse.csr_array, components: int) -> Floats:
    """(U, k) the eigenvectors, without ever writing down Z, which is dense."""
    mean = np.asarray(had.mean(axis=1)).ravel()
    deviation = np.sqrt(mean * (1.0 - mean))
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)

    def to_users(items: Array) -> Floats:
        items = items.ravel()
        return np.asarray(scale * (had @ items - mean * items.sum()))

    def to_items(users: Array) -> Floats:
        users = scale * users.ravel()
        return np.asarray(had.T @ users - (mean * users).sum())

    z = LinearOperator(had.shape, matvec=to_users, rmatvec=to_items, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(min(had.shape))  # where the iteration begins
    vectors, _, _ = svds(z, components, v0=start)
    return np.asarray(vectors)
