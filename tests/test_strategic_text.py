"""Words behind a text: greedy against brute force, budgets, filters; and the texts themselves."""

from itertools import product

import numpy as np
import pytest

from recsim_env.agents.robust.text_filters import PerplexityFilter, mean_ranks
from recsim_env.errors import InputError
from recsim_env.simulators.attackers.strategic_text import StrategicTextAttacker, drawn_orders
from recsim_env.simulators.product_texts import (
    FEATURES,
    PLACE,
    PRICES,
    RATINGS,
    SHARPNESS,
    USES,
    choices,
    draw_needs,
    product_texts,
    utility,
    vocabulary,
    words_of,
)

V, C = 7, 4
TEXT = np.array([2, 0, 5])


class Reader:
    """A victim of weights by word and place, that likes the item early in a list; counts what it is asked."""

    num_words, num_candidates = V, C

    def __init__(self, seed=0):
        self.weight = np.random.default_rng(seed).normal(size=(20, V))
        self.asked, self.orders = 0, []

    def score_of_text(self, texts, orders):
        self.asked += len(texts)
        self.orders.append(orders)
        value = self.weight[np.arange(texts.shape[1]), texts].sum(axis=1)
        value = value + 0.3 * np.cos(3.0 * texts.sum(axis=1))  # words that do not act alone
        place = np.argmax(orders == 0, axis=1)
        return -np.logaddexp(0.0, -(value[:, None] - 0.2 * place)).mean(axis=1)


class WithGradients(Reader):
    """Their order is that of the weights."""

    def gradient_of_text(self, text, orders):
        return self.weight[: len(text)]


def test_the_first_step_is_the_best_word_of_all():
    for seed in range(6):
        reader = Reader(seed)
        found = StrategicTextAttacker(3, iterations=1, orders=5, seed=seed).attack(reader, TEXT)
        orders = drawn_orders(C, 5, np.random.default_rng([seed, 0]))
        scores = [reader.score_of_text(np.append(TEXT, w)[None], orders)[0] for w in range(V)]
        before = reader.score_of_text(TEXT[None], orders)[0]
        if max(scores) > before:
            assert found.text.tolist() == [*TEXT, int(np.argmax(scores))]
        else:
            assert found.text.tolist() == TEXT.tolist()
        assert found.scores.tolist() == [max(before, *scores)]


def test_of_two_words_no_change_of_one_helps():
    reader = Reader(1)
    found = StrategicTextAttacker(2, iterations=12, orders=1).attack(reader, TEXT)
    fixed = drawn_orders(C, 1, np.random.default_rng(0))  # the reader's best words do not depend on the order
    best = reader.score_of_text(found.text[None], fixed)[0]
    assert found.added == 2
    for place, word in product((3, 4), range(V)):
        other = found.text.copy()
        other[place] = word
        assert reader.score_of_text(other[None], fixed)[0] <= best


@pytest.mark.parametrize("budget", [0, 1, 2, 5])
def test_budgets_hold(budget):
    reader = Reader(2)
    found = StrategicTextAttacker(budget, iterations=14).attack(reader, TEXT)
    assert found.added == len(found.text) - len(TEXT) <= budget
    assert found.text[: len(TEXT)].tolist() == TEXT.tolist()
    assert found.queries == reader.asked
    if budget == 0:
        assert np.array_equal(found.text, TEXT)
        assert found.queries == 0


def test_orders_are_drawn_anew_and_are_orders():
    reader = Reader()
    StrategicTextAttacker(2, iterations=5, orders=3).attack(reader, TEXT)
    for orders in reader.orders:
        assert np.array_equal(np.sort(orders, axis=1), np.tile(np.arange(C), (3, 1)))
    assert len({orders.tobytes() for orders in reader.orders}) == 5


def test_gradients_ask_fewer_and_find_the_same_where_they_say_all():
    plain, told = Reader(3), WithGradients(3)
    all_words = StrategicTextAttacker(3, iterations=6).attack(plain, TEXT)
    few = StrategicTextAttacker(3, iterations=6, top_k=V).attack(told, TEXT)
    assert np.array_equal(few.text, all_words.text)
    assert (few.gradients, all_words.gradients) == (6, 0)
    one = StrategicTextAttacker(3, iterations=3, top_k=1).attack(told, TEXT)
    assert one.queries == 6
    for place, word in enumerate(one.text[3:], start=3):
        assert word == np.argmax(told.weight[place])


def test_words_that_are_not_allowed_or_do_not_pass_are_not_added():
    found = StrategicTextAttacker(4, iterations=8, allowed=np.array([1, 6])).attack(Reader(4), TEXT)
    assert np.isin(found.text[3:], [1, 6]).all()
    found = StrategicTextAttacker(4, iterations=8, passes=lambda texts: (texts != 3).all(axis=1)).attack(
        Reader(4), TEXT
    )
    assert not (found.text == 3).any()
    nothing = StrategicTextAttacker(4, iterations=8, passes=lambda texts: np.zeros(len(texts), bool)).attack(
        Reader(4), TEXT
    )
    assert np.array_equal(nothing.text, TEXT)


def test_perplexity_by_hand():
    texts = np.array([[0, 1, 0, 1], [0, 1, -1, -1]])
    odd = PerplexityFilter(3, n=2, alpha=0.5).fit(texts, texts)
    # counts: start-0 twice, 0-1 three times, 1-0 once; of contexts: start 2, 0 thrice, 1 once
    start, one, back = 2.5 / 3.5, 3.5 / 4.5, 1.5 / 2.5
    wanted = [(start * one * back * one) ** -0.25, (start * one) ** -0.5]
    np.testing.assert_allclose(odd.perplexity(texts), wanted)
    np.testing.assert_allclose(odd.perplexity(np.array([[2, 2]])), [(0.5 / 3.5 * 0.5 / 1.5) ** -0.5])
    single = PerplexityFilter(3, n=1, alpha=1.0).fit(texts, texts)
    np.testing.assert_allclose(single.perplexity(np.array([[2, -1]])), [9.0])
    # windows of one word: the oddest step of the text
    steps = PerplexityFilter(3, n=2, alpha=0.5, window=1).fit(texts, texts)
    np.testing.assert_allclose(steps.perplexity(texts), [1 / back, 1 / start])
    two = PerplexityFilter(3, n=2, alpha=0.5, window=2).fit(texts, texts)
    np.testing.assert_allclose(two.perplexity(texts[:1]), [(one * back) ** -0.5])


def test_the_threshold_is_a_quantile_of_honest_texts():
    texts = product_texts(300, 0).texts
    odd = PerplexityFilter(len(vocabulary()), window=8).fit(texts[:200], texts[200:], 0.9)
    assert odd.threshold_ == np.quantile(odd.perplexity(texts[200:]), 0.9)
    assert odd.flags(texts[200:]).sum() == 10
    noise = np.random.default_rng(0).integers(len(vocabulary()), size=(50, 8))
    ends = np.concatenate([texts[:50, :20], noise], axis=1)
    assert odd.flags(ends).all()


def test_mean_ranks_by_hand():
    ranks = np.array([[0, 1, 2], [2, 0, 1], [1, 0, 2]])  # means 1, 1/3, 5/3
    assert mean_ranks(ranks).tolist() == [1, 0, 2]
    assert mean_ranks(np.array([[0, 1], [1, 0]])).tolist() == [0, 1]  # a tie
    assert mean_ranks(np.stack([ranks, ranks[:, ::-1]])).tolist() == [[1, 0, 2], [2, 0, 1]]


def test_texts_say_what_products_are():
    shop = product_texts(60, 5)
    assert np.array_equal(shop.texts, product_texts(60, 5).texts)
    assert not np.array_equal(shop.texts[:, :9], product_texts(60, 6).texts[:, :9])
    price = (np.array(PRICES) - np.mean(PRICES)) / np.std(PRICES)
    rating = (np.array(RATINGS) - np.mean(RATINGS)) / np.std(RATINGS)
    for n in range(60):
        said = words_of(shop.texts[n]).split()
        assert f"{PRICES[np.argmin(abs(price - shop.price[n]))]}" in said
        assert f"{RATINGS[np.argmin(abs(rating - shop.rating[n]))] / 10:.1f}" in said
        assert [word for word in said if word in USES] == [USES[shop.use[n]]]
        assert [word for word in said if word in FEATURES] == [FEATURES[shop.feature[n]]]


def test_utility_by_hand_and_what_readers_take():
    shop, needs = product_texts(5, 0), draw_needs(40, np.random.default_rng(0))
    worth = utility(needs, shop)
    for b, n in product(range(40), range(5)):
        wanted = 1.5 * (needs.use[b] == shop.use[n]) + (needs.feature[b] == shop.feature[n])
        wanted += 0.6 * shop.rating[n] - (1.2 if needs.cheap[b] else 0.2) * shop.price[n]
        assert worth[b, n] == pytest.approx(wanted)
        assert ("cheap" in words_of(needs.texts[b])) == bool(needs.cheap[b])
    score = SHARPNESS * worth[:1] - PLACE * np.arange(5)
    share = np.exp(score[0]) / np.exp(score[0]).sum()
    taken = choices(worth[:1].repeat(20_000, axis=0), np.random.default_rng(1))
    error = np.sqrt(share * (1 - share) / 20_000)
    assert (abs(np.bincount(taken, minlength=5) / 20_000 - share) < 5 * error + 1e-9).all()


FILTER = PerplexityFilter(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: StrategicTextAttacker(-1), "budget and seed must be 0 or more, got -1"),
        (lambda: StrategicTextAttacker(iterations=0), "iterations must be at least 1"),
        (lambda: StrategicTextAttacker(top_k=0), "top_k must be at least 1"),
        (lambda: StrategicTextAttacker(allowed=np.array([1, 1])), "each once"),
        (
            lambda: StrategicTextAttacker(top_k=2).attack(Reader(), TEXT),
            "needs a victim that gives gradients",
        ),
        (
            lambda: StrategicTextAttacker().attack(Reader(), np.array([1, V])),
            r"text\[1\] = 7: the victim knows",
        ),
        (lambda: StrategicTextAttacker(allowed=np.array([9])).attack(Reader(), TEXT), r"allowed\[0\] = 9"),
        (lambda: StrategicTextAttacker().attack(Reader(), np.array([], int)), "one or more"),
        (lambda: PerplexityFilter(0), "num_words must be at least 1"),
        (lambda: PerplexityFilter(3, alpha=0.0), "alpha must be above 0"),
        (lambda: PerplexityFilter(3, window=0), "window must be at least 1"),
        (lambda: FILTER.flags(np.array([[1]])), "call fit first"),
        (lambda: FILTER.fit(np.empty((0, 2), int), np.array([[1]])), "got 0 and 1"),
        (lambda: FILTER.fit(np.array([[1]]), np.array([[1]]), 1.5), "quantile must be from 0 to 1"),
        (lambda: FILTER.perplexity(np.array([[1, 3]])), r"texts\[0, 1\] = 3"),
        (lambda: FILTER.perplexity(np.array([[1, -1, 2]])), "nothing empty before a word"),
        (lambda: FILTER.perplexity(np.array([1])), "must be"),
        (lambda: mean_ranks(np.empty((0, 3), int)), "one order or more"),
        (lambda: product_texts(0, 0), "num_products must be at least 1"),
        (lambda: choices(np.empty((2, 0)), np.random.default_rng(0)), "one place or more"),
    ],
)
def test_bad_texts(call, message):
    with pytest.raises(InputError, match=message):
        call()
