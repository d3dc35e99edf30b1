"""The recommender that reads texts: order, padding, gradients, learning; and the experiment `text_attack`."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from recsim_env.agents.generative.text_ranker import AttackedList, TextRanker
from recsim_env.errors import InputError
from recsim_env.experiments.cli import main
from recsim_env.experiments.results import Results
from recsim_env.simulators.attackers.strategic_text import StrategicTextAttacker, drawn_orders
from recsim_env.simulators.product_texts import choices, draw_needs, product_texts, utility, vocabulary

pytestmark = pytest.mark.extra

V = len(vocabulary())
SHOP = product_texts(6, 0)
NEEDS = draw_needs(3, np.random.default_rng(0))


def ranker(seed=0, **more):
    return TextRanker(V, generator=torch.Generator().manual_seed(seed), **more)


def text(n):
    return SHOP.texts[n][SHOP.texts[n] >= 0]


def scores(model, need, texts, order):
    """One list, by a loop that embeds each text alone."""
    rows = [model.embed(torch.from_numpy(texts[n][None])) for n in order]
    return model(model.embed(torch.from_numpy(need[None])), torch.stack(rows, dim=1))[0]


def test_empty_cells_and_the_batch_change_nothing():
    model, whole = ranker(), torch.from_numpy(SHOP.texts)
    together = model.embed(whole)
    wider = model.embed(torch.cat([whole, torch.full((6, 4), -1)], dim=1))
    torch.testing.assert_close(wider, together)
    for n in range(6):
        torch.testing.assert_close(model.embed(torch.from_numpy(text(n)[None]))[0], together[n])


def test_a_question_is_what_lists_say_one_by_one():
    model, orders = ranker(1), drawn_orders(6, 4, np.random.default_rng(0))
    asked = AttackedList(model, SHOP.texts, 2, NEEDS.texts)
    other = np.append(text(2), [5, 7])
    texts = {n: text(n) for n in range(6)} | {2: other}
    first, ranks = [], asked.ranks(other, orders)
    for q, need in enumerate(NEEDS.texts):
        need = need[need >= 0]
        for o, order in enumerate(orders):
            found = scores(model, need, texts, order)
            first.append(found.log_softmax(0)[list(order).index(2)].item())
            by_score = order[np.argsort(-found.detach().numpy())]
            assert ranks[q, o, by_score].tolist() == list(range(6))
    np.testing.assert_allclose(asked.score_of_text(other[None], orders), [np.mean(first)], rtol=1e-5)
    shuffled = scores(model, text(0), texts, orders[0]), scores(model, text(0), texts, orders[0][::-1])
    assert not torch.allclose(shuffled[0], shuffled[1].flip(0))  # the order matters


def test_gradients_are_those_of_finite_differences():
    model, orders = ranker(2).double(), drawn_orders(6, 2, np.random.default_rng(1))
    asked = AttackedList(model, SHOP.texts, 1, NEEDS.texts)
    slope = asked.gradient_of_text(text(1), orders)
    assert slope.shape == (len(text(1)), V)
    vectors = model.words.weight.detach()[torch.from_numpy(text(1))]
    there = torch.ones(1, len(vectors), dtype=torch.bool)
    for place, word in ((0, 3), (4, 50), (7, 98)):
        step = torch.zeros_like(vectors)
        step[place] = 1e-5 * model.words.weight[word].detach()
        with torch.no_grad():
            ends = [
                asked._log_first(model.embed_words((vectors + sign * step)[None], there), orders).item()
                for sign in (1, -1)
            ]
        assert slope[place, word] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-8)


def test_it_learns_what_readers_take_and_can_be_talked_into_a_product():
    shop, rng = product_texts(24, 3), np.random.default_rng(0)
    needs, lists = draw_needs(300, rng), rng.permuted(np.tile(np.arange(24), (300, 1)), axis=1)[:, :5]
    worth = np.take_along_axis(utility(needs, shop), lists, axis=1)
    model = ranker().fit(shop.texts, needs.texts, lists, choices(worth, rng), epochs=6)
    again = ranker().fit(shop.texts, needs.texts, lists, choices(worth, np.random.default_rng(5)), epochs=1)
    assert not torch.equal(model.words.weight, again.words.weight)
    embedded = model.embed(torch.from_numpy(shop.texts))[torch.from_numpy(lists)]
    top = model(model.embed(torch.from_numpy(needs.texts)), embedded).argmax(dim=1).numpy()
    gained = worth[np.arange(300), top].mean() - worth.mean()
    assert gained > 0.5 * (worth.max(axis=1) - worth.mean(axis=1)).mean()

    asked = AttackedList(model, shop.texts[:5], int(np.argmax(shop.price[:5])), needs.texts[:4])
    before = shop.texts[np.argmax(shop.price[:5])]
    before = before[before >= 0]
    found = StrategicTextAttacker(5, iterations=5, orders=2).attack(asked, before)
    told = StrategicTextAttacker(5, iterations=5, orders=2, top_k=8).attack(asked, before)
    orders = drawn_orders(5, 30, np.random.default_rng(9))
    after, honest = (asked.score_of_text(one[None], orders)[0] for one in (found.text, before))
    assert after > honest + 0.5
    assert asked.score_of_text(told.text[None], orders)[0] > honest + 0.5
    assert told.queries == 45


SMALL = ["--num-products", "24", "--readers", "64", "--epochs", "1", "--targets", "1", "--budgets", "0,2"]
SMALL += ["--test-users", "5", "--test-orders", "3", "--replicates", "2"]


def run(*more):
    return main(["run", "text_attack", *SMALL, *map(str, more)])


def test_the_command(tmp_path, capsys, elsewhere):
    assert run("--out", tmp_path / "r") == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    attacks = ["random_words", "greedy", "gradients", "transfer", "knows_filter"]
    assert list(results.curves) == [*attacks, "honest"]
    none = results.curves["greedy"]
    for name in attacks:
        curves = results.curves[name]
        for metric in ("first", "top3", "utility"):  # no words, no change
            assert np.array_equal(curves[metric].values[0], none[metric].values[0])
        assert not curves["improved"].values[0].any()
        assert not curves["queries"].values[0].any()
        assert f"\n{name} " in said
        assert (curves["first_filtered"].values <= curves["first"].values).all()
    assert results.curves["greedy"]["queries"].values[1].tolist() == [4 * (V + 1)] * 2
    assert not results.curves["knows_filter"]["flagged"].values[1].any() or none["flagged"].values[0].any()
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run("--out", tmp_path / "r", "--resume") == 0
    assert capsys.readouterr().out == said
    assert run("--out", tmp_path / "cut", "--workers", 2) == 0
    assert (tmp_path / "cut" / "results.csv").read_bytes() == (tmp_path / "r" / "results.csv").read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--budgets", "2,5"], "budgets must rise from 0 to 30 at most"),
        (["--budgets", "0,x"], "budgets must be whole numbers"),
        (["--budgets", "0,31"], "budgets must rise from 0 to 30 at most"),
        (["--num-products", 19], "num_products must be at least 20, got 19"),
        (["--targets", 11], "targets must be from 1 to 10, got 11"),
        (["--replicates", 1], "replicates must be 2 or more"),
        (["--seed", -1], "seed must be from 0"),
        (["--readers", 0], "readers must be positive"),
    ],
)
def test_bad_settings(tmp_path, capsys, more, message):
    assert run("--out", tmp_path / "r", *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ranker(max_words=0), "max_words must be at least 1"),
        (lambda: ranker(dimension=33), "multiple of heads"),
        (lambda: ranker().embed(torch.tensor([[V]])), "words must be from 0 to"),
        (lambda: ranker().embed(torch.tensor([[-1]])), "one word or more each"),
        (lambda: AttackedList(ranker(), SHOP.texts, 6, NEEDS.texts), "one of 6 candidates, got 6"),
        (
            lambda: ranker(max_places=3)(torch.zeros(1, 32), torch.zeros(1, 4, 32)),
            "at most 3 places, got 4",
        ),
        (
            lambda: ranker().fit(SHOP.texts, NEEDS.texts, np.zeros((2, 3), int), np.zeros(2, int)),
            "got 3, 2 and 2",
        ),
    ],
)
def test_bad_lists(call, message):
    with pytest.raises(InputError, match=message):
        call()
