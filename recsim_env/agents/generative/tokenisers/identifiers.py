"""Identifiers of items, what to do where several items share one, and how good identifiers are.

An item has L codes (c_1 .. c_L), code c_l below V_l. Identifiers that are made of features may be shared:

    append      a code more, which numbers the items of each identifier: 0, 1, ..
    transport   another last code: the items of each prefix of L - 1 codes are given different ones, so that
                the sum of their distances is least; what the Sinkhorn iterations of LC-Rec aim at, exactly
    allow       they stay; the items of one have each the same share of its probability (see `CatalogueTrie`)
    refuse      an error, that names two of them

Quality, none of which says what a recommender will make of it:

    collisions          share of the items that share their identifier
    use                 of every level, the share of its codes that occur
    perplexity          of every level, exp of the entropy of its codes: how many would be used evenly
    reconstruction      1 - |x - x'|^2 / |x - mean x|^2 over all items, x' what the codes stand for
    agreement           of an item's 10 nearest by features, the share that is among the 10 that share most of
                        its first codes, in expectation over random order where many share as many
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, as_numbers, refuse, unknown_name

COLLISIONS = ("append", "transport", "allow", "refuse")
NEIGHBOURS = 10
LARGEST = 1e100
MOST_COMPARED = 2000  # items whose neighbours are looked at


@dataclass(frozen=True)
class Identifiers:
    """Codes of a catalogue.

    Raises:
        InputError: codes of another shape or out of range, or codebooks or features that do not fit.
    """

    codes: Ints  # (N, L)
    level_sizes: tuple[int, ...]  # (L,)
    codebooks: tuple[Floats, ...] = ()  # (V_l, D') of the first levels, where they have some
    rebuilt: Floats | None = None  # (N, D) the features that an item with these codes is taken to have

    def __post_init__(self) -> None:
        """Refuse what does not fit together."""
        codes = np.asarray(self.codes)
        if codes.ndim != 2 or codes.dtype.kind not in "iu" or not codes.size:
            raise InputError(f"codes must be (items, levels) integers, got {codes.dtype} of {codes.shape}")
        if len(self.level_sizes) != codes.shape[1]:
            raise InputError(f"level_sizes must be {codes.shape[1]} numbers, got {self.level_sizes}")
        bad = (codes < 0) | (codes >= np.array(self.level_sizes))
        refuse("codes", bad, codes, "codes are from 0 to below their level's size")
        sizes = tuple(len(book) for book in self.codebooks)
        if sizes != tuple(self.level_sizes[: len(sizes)]):
            raise InputError(f"codebooks must have {self.level_sizes} rows, got {sizes}")
        if self.rebuilt is not None and len(self.rebuilt) != len(codes):
            raise InputError(f"rebuilt must have {len(codes)} rows, one an item, got {len(self.rebuilt)}")

    @property
    def num_items(self) -> int:
        """N."""
        return len(self.codes)


def finite_features(features: Array, name: str = "features") -> Floats:
    """(N, D) features of items.

    Raises:
        InputError: no items or numbers, or some that are not finite, or whose squares would not be.
    """
    x = as_numbers(name, features)
    if x.ndim != 2 or not x.size or not (np.abs(x) < LARGEST).all():
        raise InputError(f"{name} must be (items, numbers), all finite and below {LARGEST}, got {x.shape}")
    return x


def check_collisions(collisions: str, *, transport: bool = True) -> None:
    """Refuse a name that is not in `COLLISIONS`, and `transport` where there are no distances for it."""
    if collisions not in COLLISIONS:
        raise unknown_name("way with collisions", collisions, COLLISIONS)
    if collisions == "transport" and not transport:
        raise InputError("collisions = 'transport' needs distances from the last codes: take append")


def resolve(identifiers: Identifiers, collisions: str, distance: Floats | None = None) -> Identifiers:
    """Identifiers with what is to become of those that are shared.

    Args:
        identifiers: of which some may be.
        collisions: one of `COLLISIONS`.
        distance: (N, V_L) of every item from the last level's codes, for `transport`.

    Raises:
        InputError: no such way, or not for these identifiers; a shared identifier where that is refused; more
            items of one prefix than there are last codes.
    """
    check_collisions(collisions, transport=distance is not None)
    number, count = _numbered(identifiers.codes)
    if collisions == "allow" or count.max() == 1:
        return identifiers
    if collisions == "refuse":
        item = int(np.flatnonzero(number == 1)[0])
        other = int(np.flatnonzero((identifiers.codes == identifiers.codes[item]).all(axis=1))[0])
        raise InputError(
            f"items {other} and {item} have the identifier {tuple(identifiers.codes[item].tolist())}: take "
            "more codes a level, or append one"
        )
    if distance is not None and collisions == "transport":
        return replace(identifiers, codes=_transported(identifiers.codes, distance))
    codes = np.column_stack([identifiers.codes, number])
    return replace(identifiers, codes=codes, level_sizes=(*identifiers.level_sizes, int(count.max())))


def _transported(codes: Ints, distance: Floats) -> Ints:
    """(N, L) with other last codes where some were shared."""
    codes = codes.copy()
    _, shared = _numbered(codes)
    _, group, size = np.unique(codes[:, :-1], axis=0, return_inverse=True, return_counts=True)
    group = group.ravel()
    for one in np.unique(group[shared > 1]):
        items = np.flatnonzero(group == one)
        if size[one] > distance.shape[1]:
            raise InputError(
                f"{size[one]} items begin with {tuple(codes[items[0], :-1].tolist())}, and the last "
                f"level has {distance.shape[1]} codes: take more codes a level, or append one"
            )
        codes[items, -1] = linear_sum_assignment(distance[items])[1]
    return codes


def joined(parts: Sequence[Identifiers]) -> Identifiers:
    """The codes of several identifiers of the same items, side by side, such as of text and of pictures.

    Raises:
        InputError: none, or of different numbers of items.
    """
    if len({part.num_items for part in parts}) != 1:
        raise InputError(f"parts must be of the same items, got {[part.num_items for part in parts]} of them")
    return Identifiers(
        np.concatenate([part.codes for part in parts], axis=1),
        tuple(itertools.chain(*(part.level_sizes for part in parts))),
    )


@dataclass(frozen=True)
class Quality:
    """See the module."""

    collisions: float
    use: tuple[float, ...]  # (L,)
    perplexity: tuple[float, ...]  # (L,)
    reconstruction: float  # nan where codes stand for no features
    agreement: float  # nan without features


def quality(identifiers: Identifiers, features: Array | None = None, *, seed: int = 0) -> Quality:
    """How good identifiers are.

    Args:
        identifiers: before a code is appended, for the share of collisions.
        features: (N, D) what they were made of.
        seed: of the items that are compared, if there are more than 2,000.

    Raises:
        InputError: features of another number of items.
    """
    codes, sizes = identifiers.codes, identifiers.level_sizes
    x = None if features is None else finite_features(features)
    if x is not None and len(x) != len(codes):
        raise InputError(f"features must have {len(codes)} rows, one an item, got {len(x)}")
    share = [np.bincount(codes[:, level], minlength=size) / len(codes) for level, size in enumerate(sizes)]
    kept, agreement = np.nan, np.nan
    if x is not None:
        centred = x - x.mean(axis=0)
        if identifiers.rebuilt is not None:
            kept = 1.0 - ((x - identifiers.rebuilt) ** 2).sum() / (centred**2).sum()
        agreement = _agreement(codes, centred, np.random.default_rng(seed))
    return Quality(
        collisions=float((_numbered(codes)[1] > 1).mean()),
        use=tuple(float((one > 0).mean()) for one in share),
        perplexity=tuple(float(np.exp(-(one[one > 0] * np.log(one[one > 0])).sum())) for one in share),
        reconstruction=float(kept),
        agreement=float(agreement),
    )


def _numbered(codes: Ints) -> tuple[Ints, Ints]:
    """(N,) the how-manieth of its identifier an item is, from 0, and how many have it."""
    _, which, count = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    which = which.ravel()
    order = np.argsort(which, kind="stable")
    number = np.empty(len(codes), np.int64)
    number[order] = np.arange(len(codes)) - np.repeat(count.cumsum() - count, count)
    return number, count[which]


def _agreement(codes: Ints, features: Floats, rng: np.random.Generator) -> float:
    """See the module."""
    N = len(codes)
    few = min(NEIGHBOURS, N - 1)
    if few == 0:
        return 1.0
    found = []
    square = (features**2).sum(axis=1)
    for item in rng.permutation(N)[:MOST_COMPARED]:
        distance = square - 2.0 * features @ features[item]
        distance[item] = np.inf
        near = np.argpartition(distance, few - 1)[:few]
        shared = (codes == codes[item]).cumprod(axis=1).sum(axis=1)
        shared[item] = -1
        least = np.partition(shared, N - few)[N - few]  # the few-th largest
        above, level = (shared > least).sum(), (shared == least).sum()
        chance = np.where(shared > least, 1.0, np.where(shared == least, (few - above) / level, 0.0))
        found.append(chance[near].mean())
    return float(np.mean(found))
