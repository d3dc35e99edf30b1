"""What lists are like, whether or not they hit: coverage, novelty, diversity, popularity bias.

All look at the first k places of lists (B, R) of item ids, -1 = an empty place, which is left out: means
are over the items that are there, and a list without any has nan. None of these is good or bad by itself;
random lists have high coverage and diversity and no popularity bias. Letters: B users, R places, N items,
D features.
"""

from typing import Any

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.evaluation import ranked_lists
from recsim_env.evaluation.ranked_lists import as_array, check_range, first_places, share


def exposure(ranked: Any, num_items: int, k: int) -> Ints:
    """(N,) in how many lists every item stands.

    Args:
        ranked: (B, R) item ids, best first, -1 = empty place.
        num_items: N.
        k: the length of the list that counts, 1 or more.

    Raises:
        InputError: wrong shapes, ids outside the catalogue, an item twice in one list, k below 1.
    """
    listed = first_places(ranked, k)
    check_range("ranked", listed, -1, num_items)
    return np.bincount(listed[listed >= 0], minlength=num_items)


def catalogue_coverage(ranked: Any, num_items: int, k: int) -> float:
    """Share of the N items that stand in at least one list. It grows with the number of users.

    Arguments and errors as in `exposure`, and no item in any list or catalogue.
    """
    count = exposure(ranked, num_items, k)
    if not count.any():
        raise InputError("ranked must list an item, got none")
    return float(np.count_nonzero(count) / num_items)


def gini(amount: Any) -> float:
    """How unequally an amount is spread over N items, in [0, 1): 0 = evenly, (N - 1)/N = all on one.

    `sum_i (2i - N - 1) x_i / (N sum_i x_i)` over the amounts in increasing order, i from 1 (Gini 1912).
    Of `exposure`, it says how much a recommender concentrates on few items; include items with 0.

    Args:
        amount: (N,) finite, 0 or more, not all 0.

    Raises:
        InputError: anything else.
    """
    x = _per_item("amount", amount)
    if (x < 0).any() or not x.any():
        found = f"amount[{int(x.argmin())}] = {x.min()}" if (x < 0).any() else "none above 0"
        raise InputError(f"amount must hold numbers of 0 or more, some above 0, got {found}")
    N = len(x)
    return float((2 * np.arange(1, N + 1) - N - 1) @ np.sort(x) / (N * x.sum()))


def average_recommendation_popularity(ranked: Any, popularity: Any, k: int) -> Floats:
    """Mean popularity of the items of each list, (B,); the mean over users is the ARP.

    Args:
        ranked: (B, R) item ids, best first, -1 = empty place.
        popularity: (N,) finite, such as the number of training events of every item.
        k: 1 or more.

    Raises:
        InputError: as `exposure`, or a popularity that is not finite.

    Source: Yin and others, "Challenging the long tail recommendation", VLDB 2012; named by Abdollahpouri
    and others, "Managing popularity bias in recommender systems", FLAIRS 2019.
    """
    listed = first_places(ranked, k)
    return _mean_of_items(listed, _per_item("popularity", popularity))


def novelty(ranked: Any, probability: Any, k: int) -> Floats:
    """Mean self-information `-log2 p(item)` of the items of each list in bits, (B,).

    Args:
        ranked: (B, R) item ids, best first, -1 = empty place.
        probability: (N,) in [0, 1], how likely an item is known: the share of users who had it (Zhou and
            others, PNAS 2010) or its share of all events (Castells and others 2011). Say which.
        k: 1 or more.

    Raises:
        InputError: as `exposure`; a probability outside [0, 1]; a listed item with probability 0, whose
            novelty is infinite: count every item once more than it was seen, say, and say so.
    """
    listed, p = first_places(ranked, k), _per_item("probability", probability)
    if (p < 0).any() or (p > 1).any():
        item = int(np.argmax((p < 0) | (p > 1)))
        raise InputError(f"probability[{item}] must be in [0, 1], got {p[item]}")
    check_range("ranked", listed, -1, len(p))
    infinite = (listed >= 0) & (p[listed] == 0)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise InputError(
            f"ranked[{row}, {column}] = {listed[row, column]} has probability 0, so its novelty is infinite: "
            "give it a positive one"
        )
    return _mean_of_items(listed, -np.log2(np.where(p > 0, p, 1)))


def intra_list_diversity(ranked: Any, features: Any, k: int) -> Floats:
    """Mean of `1 - cosine` over the pairs of items of each list, (B,) in [0, 2]; nan below two items.

    Source: Ziegler and others, "Improving recommendation lists through topic diversification", WWW 2005
    (a sum of similarities there), as the mean of Zhang and Hurley 2008.

    Args:
        ranked: (B, R) item ids, best first, -1 = empty place.
        features: (N, D) finite.
        k: 1 or more.

    Raises:
        InputError: as `exposure`; features that are not finite; a listed item whose features are all 0 (it
            has no direction).
    """
    listed, features = first_places(ranked, k), as_array(features)
    if features.ndim != 2 or len(features) == 0 or features.dtype.kind not in "fiub":
        found = f"{features.dtype} of shape {features.shape}"
        raise InputError(f"features must be numbers (N, D) with N of 1 or more, got {found}")
    if not np.isfinite(features).all():
        item, d = np.argwhere(~np.isfinite(features))[0]
        raise InputError(f"features[{item}, {d}] must be finite, got {features[item, d]}")
    check_range("ranked", listed, -1, len(features))
    features = features.astype(np.float64)
    size = np.abs(features).max(axis=1, initial=0)  # first, so that squares neither vanish nor overflow
    empty = (listed >= 0) & (size[listed] == 0)
    if empty.any():
        row, column = np.argwhere(empty)[0]
        found = f"ranked[{row}, {column}] = {listed[row, column]}"
        raise InputError(f"{found} has features that are all 0, so it has no direction")
    unit = features / np.where(size > 0, size, 1)[:, None]
    unit /= np.where(size > 0, np.linalg.norm(unit, axis=1), 1)[:, None]
    count = np.count_nonzero(listed >= 0, axis=1)
    similar = np.zeros(len(listed))
    step = max(1, ranked_lists.BLOCK_CELLS // max(1, listed.shape[1] * features.shape[1]))
    for start in range(0, len(listed), step):
        rows = slice(start, start + step)
        there = listed[rows] >= 0
        total = (unit[listed[rows]] * there[..., None]).sum(axis=1)  # (b, D)
        similar[rows] = (total**2).sum(axis=1) - count[rows]  # of all ordered pairs of different items
    pairs = count * (count - 1)
    return np.maximum(share(pairs - similar, pairs), 0)  # 0 for copies, whatever the rounding


def _per_item(name: str, values: Any) -> Floats:
    values = as_array(values)
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise InputError(f"{name} must be numbers (N,), got {values.dtype} of shape {values.shape}")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        item = int(np.argmin(np.isfinite(values)))
        raise InputError(f"{name}[{item}] must be finite, got {values[item]}")
    return values


def _mean_of_items(listed: Ints, value: Floats) -> Floats:
    """(B,) the mean of value (N,) over the items of each list."""
    check_range("ranked", listed, -1, len(value))
    there = listed >= 0
    return share((np.append(value, 0)[listed] * there).sum(axis=1), there.sum(axis=1))
