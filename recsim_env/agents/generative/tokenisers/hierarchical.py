"""Identifiers by clusters of clusters: the catalogue is split into V groups, each of these into V, and so on.

At level l a group of items is split by a k-means whose centres have room for V^(L - l) items each, so that
the L codes always suffice, N <= V^L, and no two items share an identifier:

    hierarchical     by features, such as vectors of a collaborative model
    collaborative    by who takes what: each group by the spectral embedding of its items' graph, which is the
                     V leading eigenvectors of D^-1/2 A D^-1/2, rows of length 1, where A_ij counts the users
                     who took both i and j, and D holds the sums of its rows

Source: Wang and others, "Content-based collaborative generation for recommender systems" (ColaRec), CIKM 2024
(k-means with a limit of V^(L-l), V = 32, L = 3); Hua and others, "How to index item IDs for recommendation
foundation models", SIGIR-AP 2023 (spectral clusters of the graph of items); Ng, Jordan, Weiss, "On spectral
clustering", NIPS 2001. Ours: a fixed number of levels in both.
"""

from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import eigsh

from recsim_env.agents.generative.tokenisers.identifiers import Identifiers, finite_features
from recsim_env.agents.generative.tokenisers.k_means import k_means
from recsim_env.agents.recommender import clicked_items
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, check_ranges
from recsim_env.simulators.log import Log

DENSE = 500  # items up to which all eigenvectors are worked out


def hierarchical(
    features: Array, levels: int = 3, size: int = 32, *, rounds: int = 20, seed: int = 0
) -> Identifiers:
    """Identifiers of items that are alike by features.

    Args:
        features: (N, D).
        levels: L, 1 or more.
        size: V of every level, 2 or more.
        rounds: of each k-means, at most.
        seed: of the first centres.

    Raises:
        InputError: features that are not finite or of another shape, a number out of range, V^L < N.
    """
    x = finite_features(features)
    x = x - x.mean(axis=0)
    return _split(len(x), levels, size, rounds, seed, lambda items: x[items])


def collaborative(
    log: Log,
    levels: int = 3,
    size: int = 32,
    *,
    num_items: int | None = None,
    rounds: int = 20,
    seed: int = 0,
) -> Identifiers:
    """Identifiers of items that the same users take.

    Args:
        log: that is learned from.
        levels: L, 1 or more.
        size: V of every level, 2 or more.
        num_items: N; None = 1 + the largest id in the log.
        rounds: of each k-means, at most.
        seed: of the first centres.

    Raises:
        InputError: a log without a click, an item beyond N, a number out of range, V^L < N.
    """
    user, item, num_items = clicked_items(log, num_items)
    pairs = np.unique(np.stack([user, item]), axis=1)
    ones = np.ones(pairs.shape[1])
    took = sparse.csr_array((ones, (pairs[0], pairs[1])), shape=(int(user.max()) + 1, num_items))
    graph = (took.T @ took).tocsr()
    graph.setdiag(0.0)
    graph.eliminate_zeros()
    return _split(
        num_items, levels, size, rounds, seed, lambda items: spectral_embedding(graph[items][:, items], size)
    )


def spectral_embedding(graph: sparse.csr_array, size: int) -> Floats:
    """(M, size) of the nodes of a graph, rows of length 1; 0 for nodes without an edge.

    Args:
        graph: (M, M) weights, symmetric, 0 or more.
        size: eigenvectors; all of them, if the graph has fewer nodes.
    """
    degree = np.asarray(graph.sum(axis=1)).ravel()
    if not degree.any():
        return np.zeros((len(degree), min(size, len(degree))))
    root = np.divide(1.0, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    even = sparse.diags_array(root) @ graph @ sparse.diags_array(root)
    if len(degree) <= max(DENSE, size + 1):
        vectors = np.linalg.eigh(even.toarray())[1][:, ::-1][:, :size]
    else:  # begun alike, and far from any eigenvector: there it would begin anew at random
        begun = np.random.default_rng(0).random(len(degree))
        vectors = eigsh(even, k=size, which="LA", v0=begun)[1]
    vectors = np.where(degree[:, None] > 0, vectors, 0.0)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Floats = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return found


def _split(
    num_items: int, levels: int, size: int, rounds: int, seed: int, of: Callable[[Ints], Floats]
) -> Identifiers:
    """Codes by groups of groups.

    Args:
        num_items: N.
        levels: L.
        size: V.
        rounds: of each k-means.
        seed: of the first centres.
        of: items of a group (M,) -> their points (M, D).
    """
    check_ranges({"num_items": num_items, "levels": levels, "rounds": rounds}, {}, {})
    if size < 2 or size**levels < num_items:
        raise InputError(
            f"{levels} levels of {size} codes tell {max(size, 0) ** levels} items apart, and there are "
            f"{num_items}: take more levels or codes, 2 a level or more"
        )
    rng = np.random.default_rng(seed)
    codes = np.zeros((num_items, levels), np.int64)
    groups = [np.arange(num_items)]
    for level in range(levels):
        room, smaller = size ** (levels - 1 - level), []
        for items in groups:
            if len(items) <= size:
                code = np.arange(len(items))
            else:
                _, code = k_means(of(items), size, rng, rounds=rounds, room=room)
            codes[items, level] = code
            smaller += [items[code == one] for one in range(int(code.max()) + 1)]
        groups = [items for items in smaller if len(items) > 1]
    return Identifiers(codes, (size,) * levels)
