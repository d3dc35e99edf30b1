"""Texts of products and of what people want, from templates and a seed: coffee machines, and nobody's words.

A text of a product says its name, and then its price, rating, capacity, a feature and whom it is for, in any
order and in one of two wordings each. Product n is worth to a user with the need z

    utility(z, n) = 1.5 [n is for z's use] + 1 [n has z's feature] + 0.6 rating_n - w_z price_n

rating and price standardised over their levels, w_z = 1.2 of who asks for a cheap one, else 0.2. A list shows
C products in some order, the first at place 0; its reader takes

    P(n at place c) = softmax over the list of 2 utility - 0.15 c

Source: the kinds of fields are those of Kumar, Lakkaraju, "Manipulating large language models to increase
product visibility", 2024 (a catalogue of coffee machines); words, utility and readers are ours.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError, check_ranges
from recsim_env.simulators.luck import world_generator

BEGINNINGS = ("bre", "caf", "dro", "esk", "fil", "gor", "mok", "nor", "per", "tas", "vel", "zin")
ENDINGS = ("alto", "bar", "co", "della", "etta", "ino", "ly", "matic", "ora", "pro", "ta", "vio")
LOOKS = ("sleek", "sturdy", "simple", "modern", "quiet", "light", "classic", "robust")
FEATURES = ("grinder", "frother", "timer", "thermos", "touchscreen", "filter", "steamer", "capsules")
USES = ("offices", "families", "students", "travellers", "cafes", "enthusiasts")
PRICES, RATINGS, CUPS = (
    (49, 79, 99, 149, 199, 249, 349, 499),
    tuple(range(36, 50, 2)),
    (1, 2, 4, 6, 8, 10, 12),
)
WORDINGS = {  # of a sentence, two each
    "price": ("price : {} dollars .", "it costs {} dollars ."),
    "rating": ("rating : {} of 5 .", "buyers give it {} stars ."),
    "cups": ("capacity : {} cups .", "it makes {} cups at once ."),
    "feature": ("a coffee machine with {} .", "it comes with a {} ."),
    "use": ("ideal for {} .", "made for {} ."),
}
NEEDS = ("i want a {0} coffee machine for {1} with {2}", "which {0} machine with {2} suits {1}")
HOW = ("good", "cheap")
SHARPNESS, PLACE = 2.0, 0.15


@dataclass(frozen=True)
class ProductTexts:
    """N products; texts hold numbers of words."""

    texts: Ints  # (N, T), -1 = none, all on the right
    price: Floats  # (N,) standardised
    rating: Floats  # (N,) standardised
    use: Ints  # (N,) of USES
    feature: Ints  # (N,) of FEATURES


@dataclass(frozen=True)
class Needs:
    """What B users want."""

    texts: Ints  # (B, T), -1 = none, all on the right
    cheap: Floats  # (B,) 0 or 1
    use: Ints  # (B,) of USES
    feature: Ints  # (B,) of FEATURES


def vocabulary() -> tuple[str, ...]:
    """(V,) all words that texts of products and needs are made of, and no others."""
    said = [word for forms in WORDINGS.values() for form in forms for word in form.split() if word != "{}"]
    asked = [word for form in (*NEEDS, *HOW) for word in form.split() if "{" not in word]
    numbers = [str(n) for n in (*PRICES, *CUPS)] + [f"{r / 10:.1f}" for r in RATINGS]
    names = [*BEGINNINGS, *ENDINGS]
    return tuple(dict.fromkeys([*said, *asked, *numbers, *names, *LOOKS, *FEATURES, *USES]))


def words_of(text: Ints) -> str:
    """A text (T,) as it reads."""
    words = vocabulary()
    return " ".join(words[token] for token in text if token >= 0)


def product_texts(num_products: int, seed: int) -> ProductTexts:
    """Draw products.

    Args:
        num_products: N, 1 or more.
        seed: from 0 to below 2^32.

    Raises:
        InputError: a number out of range.
    """
    check_ranges({"num_products": num_products}, {}, {})
    rng, said = world_generator(seed, 6), []
    price, rating, cups = (rng.integers(len(v), size=num_products) for v in (PRICES, RATINGS, CUPS))
    use, feature = (rng.integers(len(v), size=num_products) for v in (USES, FEATURES))
    for n in range(num_products):
        name = f"{rng.choice(BEGINNINGS)} {rng.choice(ENDINGS)} : {rng.choice(LOOKS)} ."
        value = {
            "price": str(PRICES[price[n]]),
            "rating": f"{RATINGS[rating[n]] / 10:.1f}",
            "cups": str(CUPS[cups[n]]),
            "feature": FEATURES[feature[n]],
            "use": USES[use[n]],
        }
        rest = [WORDINGS[field][rng.integers(2)].format(value[field]) for field in rng.permutation([*value])]
        said.append(" ".join([name, *rest]))
    return ProductTexts(_tokens(said), _standard(PRICES, price), _standard(RATINGS, rating), use, feature)


def draw_needs(num_users: int, rng: np.random.Generator) -> Needs:
    """What users want, one need each; half of them ask for a cheap one."""
    cheap, form = rng.integers(2, size=(2, num_users))
    use, feature = rng.integers(len(USES), size=num_users), rng.integers(len(FEATURES), size=num_users)
    said = [
        NEEDS[form[b]].format(HOW[cheap[b]], USES[use[b]], FEATURES[feature[b]]) for b in range(num_users)
    ]
    return Needs(_tokens(said), cheap.astype(np.float64), use, feature)


def utility(needs: Needs, products: ProductTexts) -> Floats:
    """(B, N), see the module."""
    weight = np.where(needs.cheap > 0, 1.2, 0.2)[:, None]
    matches = 1.5 * (needs.use[:, None] == products.use) + (needs.feature[:, None] == products.feature)
    return np.asarray(matches + 0.6 * products.rating - weight * products.price)


def choices(worth: Floats, rng: np.random.Generator) -> Ints:
    """(B,) the place that each takes of lists of this utility (B, C), drawn as the module says.

    Raises:
        InputError: lists without a place.
    """
    if worth.ndim != 2 or not worth.shape[1]:
        raise InputError(f"worth must be (users, places), one place or more, got {worth.shape}")
    score = SHARPNESS * worth - PLACE * np.arange(worth.shape[1])
    return np.asarray(np.argmax(score + rng.gumbel(size=score.shape), axis=1))


def _standard(levels: tuple[int, ...], drawn: Ints) -> Floats:
    """(N,) over its levels."""
    return np.asarray((np.array(levels)[drawn] - np.mean(levels)) / np.std(levels))


def _tokens(said: list[str]) -> Ints:
    """(N, T) numbers of words, -1 behind the last."""
    number = {word: n for n, word in enumerate(vocabulary())}
    rows = [[number[word] for word in text.split()] for text in said]
    found = np.full((len(rows), max(map(len, rows), default=0)), -1)
    for row, text in zip(found, rows, strict=True):
        row[: len(text)] = text
    return found
