"""Synthetic catalogues and populations: the laws they claim, and what they refuse."""

from dataclasses import fields, replace

import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.simulators.catalogue import category_centres, synthetic_catalogue
from recsim_env.simulators.population import synthetic_interests, synthetic_tastes


def equal(one, other):
    return all(
        np.array_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one) if f.name != "names"
    )


def test_shapes_and_types():
    catalogue = synthetic_catalogue(103, 8, 10)
    assert (catalogue.num_items, catalogue.dimension, catalogue.num_categories) == (103, 8, 10)
    assert catalogue.features.shape == (103, 8)
    assert catalogue.features.dtype == np.float32
    for column in (
        catalogue.category,
        catalogue.popularity,
        catalogue.quality,
        catalogue.price,
        catalogue.group,
    ):
        assert column.shape == (103,)
    assert catalogue.category.dtype == catalogue.group.dtype == np.int64
    assert catalogue.item_name(7) == "item 7"
    assert replace(catalogue, names=("a",) * 102 + ("b",)).item_name(102) == "b"


def test_features_are_of_unit_length():
    np.testing.assert_allclose(np.linalg.norm(synthetic_catalogue(500, 16).features, axis=1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(np.abs(synthetic_catalogue(50, 1, 5).features), 1.0)


@pytest.mark.parametrize("exponent", [0.0, 0.8, 2.0])
def test_popularity_is_zipfs_law(exponent):
    popularity = synthetic_catalogue(300, popularity_exponent=exponent).popularity
    assert abs(popularity.sum() - 1.0) < 1e-12
    ordered = np.sort(popularity)[::-1]
    np.testing.assert_allclose(ordered / ordered[0], np.arange(1, 301.0) ** -exponent, rtol=1e-12)


@pytest.mark.parametrize(("N", "C"), [(100, 20), (103, 10), (7, 7), (50, 1)])
def test_categories_are_sorted_and_of_equal_size(N, C):
    category = synthetic_catalogue(N, 4, C).category
    assert (np.diff(category) >= 0).all()
    sizes = np.bincount(category, minlength=C)
    assert sizes.min() >= 1
    assert sizes.max() - sizes.min() <= 1


def test_quality_price_and_group_follow_their_laws():
    n = 40_000
    catalogue = synthetic_catalogue(n, 2, 4, quality_deviation=0.7, minority=0.2)
    error = 5.0 / np.sqrt(n)
    assert abs(catalogue.quality.mean()) < 0.7 * error
    assert abs(catalogue.quality.std() - 0.7) < 0.7 * error
    assert abs(np.log(catalogue.price).mean() - np.log(10.0)) < 0.5 * error
    assert abs(np.log(catalogue.price).std() - 0.5) < 0.5 * error
    assert abs(catalogue.group.mean() - 0.2) < 0.4 * error
    assert set(np.unique(catalogue.group)) == {0, 1}


def test_items_lie_around_the_centre_of_their_category():
    catalogue = synthetic_catalogue(2000, 16, 20, spread=0.5)
    cosine = catalogue.features @ category_centres(catalogue).T
    own = cosine[np.arange(2000), catalogue.category]
    assert (cosine.argmax(axis=1) == catalogue.category).mean() > 0.99
    assert abs(own.mean() - 1.0 / np.sqrt(1.0 + 0.25)) < 0.02  # unit centre, noise of length 0.5
    together = synthetic_catalogue(200, 16, 20, spread=0.0)
    centres = category_centres(together)[together.category]
    np.testing.assert_allclose(together.features, centres, atol=1e-6)


def test_the_seed_alone_makes_the_catalogue():
    assert equal(synthetic_catalogue(60), synthetic_catalogue(60))
    other = synthetic_catalogue(60, world_seed=1)
    assert not np.array_equal(other.features, synthetic_catalogue(60).features)
    assert not np.array_equal(other.popularity, synthetic_catalogue(60).popularity)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"num_categories": 0}, r"num_categories must be from 1 to the number of items \(60\), got 0"),
        ({"num_categories": 61}, "num_categories must be from 1 .*, got 61"),
        ({"dimension": 0}, "dimension must be at least 1, got 0"),
        ({"popularity_exponent": -0.1}, "popularity_exponent must be 0 or more and finite, got -0.1"),
        ({"popularity_exponent": np.nan}, "popularity_exponent must be 0 or more and finite, got nan"),
        ({"spread": -1.0}, "spread must be 0 or more and finite, got -1.0"),
        ({"quality_deviation": -1.0}, "quality_deviation must be 0 or more and finite, got -1.0"),
        ({"minority": 1.5}, "minority must be from 0 to 1, got 1.5"),
        ({"minority": np.nan}, "minority must be from 0 to 1, got nan"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(InputError, match=message):
        synthetic_catalogue(60, **parameters)


GOOD = synthetic_catalogue(6, 3, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category": GOOD.category[:5]}, r"category must have one entry per item \(6\), got 5"),
        ({"popularity": GOOD.popularity[:5]}, r"popularity must have one entry per item \(6\), got 5"),
        ({"names": ("a",)}, r"names must have one entry per item \(6\), got 1"),
        ({"category": np.array([0, 0, -2, 1, 1, 1])}, r"category\[2\] = -2 is below 0"),
        ({"features": np.full((6, 3), np.nan, np.float32)}, r"features\[0, 0\] = nan is not finite"),
        ({"popularity": np.full(6, 0.2)}, "popularity must be a distribution, got one of sum 1.2"),
        ({"quality": np.array([0, 0, np.inf, 0, 0, 0])}, r"quality\[2\] = inf is not a finite number"),
        ({"price": np.full(6, np.nan)}, r"price\[0\] = nan is not a finite number"),
        ({"quality": np.full(6, "a")}, r"quality\[0\] = a is not a finite number"),
        ({"popularity": np.array([1.5, -0.5, 0, 0, 0, 0])}, r"popularity\[1\] = -0.5 is not a probability"),
        (
            {"popularity": np.array([1.0, np.nan, 0, 0, 0, 0])},
            r"popularity\[1\] = nan is not a finite",
        ),
    ],
)
def test_bad_columns(change, message):
    with pytest.raises(InputError, match=message):
        replace(GOOD, **change)


@pytest.mark.parametrize("concentration", [0.1, 1.0, 10.0])
def test_tastes_are_of_the_symmetric_dirichlet_law(concentration):
    U, C = 20_000, 8
    tastes = synthetic_tastes(U, C, concentration=concentration)
    assert tastes.shape == (U, C)
    np.testing.assert_allclose(tastes.sum(axis=1), 1.0, atol=1e-12)
    variance = (C - 1) / (C**2 * (C * concentration + 1))
    assert (np.abs(tastes.mean(axis=0) - 1 / C) < 5 * np.sqrt(variance / U)).all()
    assert abs(tastes.var() / variance - 1) < 0.05


def test_interests_are_of_unit_length_and_point_to_the_liked_categories():
    catalogue = synthetic_catalogue(400, 16, 10)
    interest = synthetic_interests(catalogue, 300, world_seed=4)
    assert interest.shape == (300, 16)
    assert interest.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(interest, axis=1), 1.0, atol=1e-6)
    tastes = synthetic_tastes(300, 10, world_seed=4)
    nearest = (interest @ category_centres(catalogue).T).argmax(axis=1)
    assert (nearest == tastes.argmax(axis=1)).mean() > 0.9
    assert np.array_equal(interest, synthetic_interests(catalogue, 300, world_seed=4))
    assert not np.array_equal(interest, synthetic_interests(catalogue, 300, world_seed=5))


def test_bad_populations():
    with pytest.raises(InputError, match="num_users must be at least 1, got 0"):
        synthetic_tastes(0, 3)
    for concentration in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="concentration must be above 0"):
            synthetic_tastes(3, 3, concentration=concentration)


@pytest.mark.parametrize("concentration", [1e-4, 1e-2, 1e6])
def test_odd_concentrations_still_make_interests_of_unit_length(concentration):
    """Tastes of one category each, and tastes all alike."""
    interest = synthetic_interests(synthetic_catalogue(100, 4, 20), 200, concentration=concentration)
    np.testing.assert_allclose(np.linalg.norm(interest, axis=1), 1.0, atol=1e-6)
