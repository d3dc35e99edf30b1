"""What there is to recommend: items with features, categories, popularity, quality, price and groups."""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.luck import world_generator


@dataclass(frozen=True)
class Catalogue:
    """N items.

    Raises:
        InputError: columns of different lengths, a number that is not finite, a popularity that is no
            distribution, a category below 0.
    """

    features: Array  # (N, D) float32, unit length in the synthetic catalogue
    category: Ints  # (N,) 0 to C-1
    popularity: Floats  # (N,) sums to 1
    quality: Floats  # (N,) in logits of attraction
    price: Floats  # (N,) units of money
    group: Ints  # (N,) 0 or 1: whom exposure should be fair to (a supplier, a region ...)
    names: tuple[str, ...] | None = None  # (N,) for pictures

    def __post_init__(self) -> None:
        N = len(self.features)
        for name in ("category", "popularity", "quality", "price", "group", "names"):
            column = getattr(self, name)
            if column is not None and len(column) != N:
                raise InputError(f"{name} must have one entry per item ({N}), got {len(column)}")
        if N and self.category.min() < 0:
            raise InputError(f"category[{self.category.argmin()}] = {self.category.min()} is below 0")
        if not np.isfinite(self.features).all():
            item, d = np.argwhere(~np.isfinite(self.features))[0]
            raise InputError(f"features[{item}, {d}] = {self.features[item, d]} is not finite")
        for name in ("popularity", "quality", "price"):
            column = np.asarray(getattr(self, name))
            numbers = column.dtype.kind in "fiu"
            if not numbers or not np.isfinite(column).all():
                item = int(np.argmin(np.isfinite(column))) if numbers else 0
                raise InputError(f"{name}[{item}] = {column[item]} is not a finite number")
        if N and not self.popularity.min() >= 0:
            item = int(self.popularity.argmin())
            raise InputError(f"popularity[{item}] = {self.popularity[item]} is not a probability")
        if abs(self.popularity.sum() - 1.0) > 1e-6:
            raise InputError(f"popularity must be a distribution, got one of sum {self.popularity.sum():.6g}")

    @property
    def num_items(self) -> int:
        """N."""
        return len(self.features)

    @property
    def dimension(self) -> int:
        """D."""
        return self.features.shape[1]

    @property
    def num_categories(self) -> int:
        """C."""
        return int(self.category.max()) + 1

    def item_name(self, item: int) -> str:
        """The item's name if there are names, else its number."""
        return self.names[item] if self.names is not None else f"item {item}"


def synthetic_catalogue(
    num_items: int,
    dimension: int = 16,
    num_categories: int = 20,
    *,
    popularity_exponent: float = 0.8,
    spread: float = 0.5,
    quality_deviation: float = 0.3,
    minority: float = 0.3,
    world_seed: int = 0,
) -> Catalogue:
    """Items around the centres of categories, with a Zipf law of popularity.

    Centres are uniform on the unit sphere; the features of an item are those of its category's centre plus
    normal noise of length `spread`, scaled to unit length. Popularity falls with rank^-exponent and is
    independent of the category; quality is normal and prices are log-normal around 10 with deviation 0.5
    of the logarithm, the price falling with nothing: an item's quality, price and group are independent.

    Args:
        num_items: N, at least the number of categories.
        dimension: D, at least 1.
        num_categories: C, at least 1; categories are of equal size, up to one item.
        popularity_exponent: of Zipf's law, 0 (all alike) or more; 0.8 is usual for plays of songs.
        spread: typical length of an item's distance from its centre before scaling, 0 or more.
        quality_deviation: standard deviation of the quality, in logits, 0 or more.
        minority: share of the items in group 1, 0 to 1.
        world_seed: of everything.

    Raises:
        InputError: a parameter out of range.
    """
    if num_items < 1:
        raise InputError(f"num_items must be at least 1, got {num_items}")
    if not 1 <= num_categories <= num_items:
        raise InputError(
            f"num_categories must be from 1 to the number of items ({num_items}), got {num_categories}"
        )
    if dimension < 1:
        raise InputError(f"dimension must be at least 1, got {dimension}")
    for name, value in (
        ("popularity_exponent", popularity_exponent),
        ("spread", spread),
        ("quality_deviation", quality_deviation),
    ):
        if not 0.0 <= value < np.inf:
            raise InputError(f"{name} must be 0 or more and finite, got {value}")
    if not 0.0 <= minority <= 1.0:
        raise InputError(f"minority must be from 0 to 1, got {minority}")
    rng = world_generator(world_seed)
    category = np.sort(np.arange(num_items) % num_categories)
    centres = _unit(rng.standard_normal((num_categories, dimension)))
    noise = rng.standard_normal((num_items, dimension)) * (spread / np.sqrt(dimension))
    popularity = np.arange(1, num_items + 1, dtype=np.float64) ** -popularity_exponent
    return Catalogue(
        features=_unit(centres[category] + noise).astype(np.float32),
        category=category,
        popularity=rng.permutation(popularity / popularity.sum()),
        quality=quality_deviation * rng.standard_normal(num_items),
        price=10.0 * np.exp(0.5 * rng.standard_normal(num_items)),
        group=(rng.random(num_items) < minority).astype(np.int64),
    )


def category_centres(catalogue: Catalogue) -> Floats:
    """(C, D) mean features of each category, scaled to unit length."""
    total = np.zeros((catalogue.num_categories, catalogue.dimension))
    np.add.at(total, catalogue.category, catalogue.features)
    return _unit(total)


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0.0, length, 1.0))
