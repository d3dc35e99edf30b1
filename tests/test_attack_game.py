"""The game of attacker and recommender: cells by brute force, value and learning on solved games, the run."""

from itertools import combinations, permutations
from math import comb, sqrt

import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.experiments.cli import main
from recsim_env.experiments.poisoning_game import DEFENCES, LIMIT, PoisoningGame, lists
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite.attack_game import Settings, game_of, learn, solve
from recsim_env.simulators.worlds.attack import attack, items_of, members

PAPER = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])  # rock-paper-scissors
HAND = np.array([[3.0, -1.0], [-2.0, 4.0]])  # 5p - 2 = 4 - 5p, and 4q - 1 = 4 - 6q
SOLVED = [(PAPER, 0.0, [1 / 3] * 3, [1 / 3] * 3), (HAND, 1.0, [0.6, 0.4], [0.5, 0.5])]


@pytest.mark.parametrize(("payoff", "value", "p", "q"), SOLVED, ids=["rock_paper_scissors", "by_hand"])
def test_value_and_strategies_of_solved_games(payoff, value, p, q):
    found = solve(payoff)
    assert found[0] == pytest.approx(value, abs=1e-9)
    np.testing.assert_allclose(found[1], p, atol=1e-9)
    np.testing.assert_allclose(found[2], q, atol=1e-9)


@pytest.mark.parametrize("payoff", [PAPER, HAND, np.random.default_rng(0).normal(size=(30, 4))])
@pytest.mark.parametrize("rounds", [100, 3000])
def test_hedge_comes_to_the_value_within_its_bound(payoff, rounds):
    value, _, _ = solve(payoff)
    found, _ = learn(payoff, value, rounds)
    bound = sum(np.ptp(payoff) * sqrt(np.log(n) / (2 * rounds)) for n in payoff.shape)
    assert found["attacker|bound"] + found["recommender|bound"] == pytest.approx(bound)
    for player in ("attacker", "recommender"):
        assert found[f"{player}|regret"] <= found[f"{player}|bound"]
    gap = found["attacker|gap"] + found["recommender|gap"]
    assert gap == pytest.approx(found["attacker|regret"] + found["recommender|regret"], abs=1e-9)
    assert gap <= bound
    assert min(found["attacker|gap"], found["recommender|gap"]) >= -1e-9
    assert abs(found["attacker|payoff"] - value) <= bound
    assert found["recommender|payoff"] == -found["attacker|payoff"]


def scores(defence, users):
    """(N, N) from sets of items, pair by pair."""
    items = sorted(set().union(*users, range(4)))
    count = {(i, j): sum({i, j} <= user for user in users) for i in items for j in items}
    if defence == "pairs":
        kept = [u for u in users if all(count[pair] - 1 >= 2 for pair in combinations(sorted(u), 2))]
        count = {(i, j): sum({i, j} <= user for user in kept) for i, j in count}
    if defence == "profiles":
        count = {(i, j): sum({i, j} <= user for user in set(users)) for i, j in count}
    if defence == "cosine":
        count = {(i, j): c / sqrt(max(count[i, i], 1) * max(count[j, j], 1)) for (i, j), c in count.items()}
    return count


def brute_force(defence, honest, fakes, N, k):
    """P of every user and item: over all orders in which ties may be broken."""
    users = [*honest, *fakes]
    score = scores(defence, users)
    shown = np.zeros((len(honest), N))
    orders = list(permutations(range(N)))
    for row, user in zip(shown, honest, strict=True):
        total = {j: round(sum(score[i, j] for i in user), 9) for j in range(N)}
        for order in orders:
            ranked = sorted((j for j in order if j not in user), key=lambda j: -total[j])
            row[ranked[:k]] += 1 / len(orders)
    if defence == "limit":
        for j in range(N):
            allowed, wanted = 2 * sum(j in user for user in users) / len(users), shown[:, j].mean()
            shown[:, j] *= min(1.0, allowed / wanted) if wanted else 1.0
    return shown


@pytest.mark.parametrize("seed", [0, 1])
def test_cells_by_brute_force(seed):
    N, k, cost, harm = 4, 1, 0.03, 0.7
    settings = Settings(num_items=N, num_users=9, fakes=2, k=k, cost=cost, harm=harm)
    game = game_of(settings, seed)
    payoff = game.payoff()
    assert payoff.shape == (comb(4 + 6 + 2, 2), len(DEFENCES)) == (len(game.attacks), len(DEFENCES))
    honest = [frozenset(np.flatnonzero(row).tolist()) for row in game.had]

    def e_and_h(defence, fakes):
        shown = brute_force(defence, honest, fakes, N, k)
        exposure = [
            row[game.target] for row, user in zip(shown, honest, strict=True) if game.target not in user
        ]
        hits = []
        for row, user in zip(shown, honest, strict=True):
            law = {j: 1 / (j + 1) for j in range(N) if j not in user}
            hits.append(sum(row[j] * w for j, w in law.items()) / sum(law.values()))
        return np.mean(exposure), np.mean(hits)

    e0, h0 = e_and_h("none", [])
    for i in (0, *range(3, len(game.attacks), 7)):
        fakes = [frozenset(items_of(bits)) for bits in game.attacks[i]]
        for j, defence in enumerate(DEFENCES):
            e, h = e_and_h(defence, fakes)
            assert payoff[i, j] == pytest.approx(e - e0 - cost * sum(map(len, fakes)) + harm * (h0 - h))
    assert game.attacks[0] == ()
    assert payoff[0, 0] == 0.0  # nobody is sent, nothing is done: nothing is paid, whatever the weights


def test_without_a_defence_exposure_is_that_of_the_world():
    world = attack(world_seed=3)
    game = PoisoningGame(world.victim.had, world.target, 2, 3, 2, 0.02, 1.0)
    for some in game.attacks[::40]:
        assert game.measured("none", some)[0] == pytest.approx(world.victim.exposure(members(some, 5)))


def test_what_each_defence_is_for():
    had = np.array([[1, 1, 0, 0]] * 5 + [[0, 1, 1, 0]] * 4, np.bool_)
    fake = np.array([[1, 0, 0, 1]], np.bool_)
    for copies, dropped in ((1, True), (2, True), (3, False)):
        count = DEFENCES["pairs"](np.concatenate([had, *[fake] * copies]))
        assert (count[0, 3] == 0.0) == dropped
        assert count[0, 1] == 5.0
        assert DEFENCES["profiles"](np.concatenate([had, *[fake] * copies]))[0, 3] == 1.0
    shown = lists("limit", had, np.repeat(fake, 9, axis=0), 1)
    assert (shown.mean(axis=0) <= LIMIT * np.concatenate([had, *[fake] * 9]).mean(axis=0) + 1e-12).all()
    none = DEFENCES["pairs"](fake)  # of a log that holds nobody else
    assert not none.any()


def test_names_and_sizes():
    world = attack()
    game = PoisoningGame(world.victim.had, 4, 2, 3, 2, 0.02, 1.0)
    assert game.name((0b10001, 0b10010, 0b1)) == "t+0 t+1 0"
    assert game.name(()) == "nobody"
    with pytest.raises(InputError, match="there are 455,126 attacks of up to 4 fakes with 2 of 10 items"):
        PoisoningGame(np.tile(world.victim.had, (1, 2)), 4, 2, 4, 2, 0.02, 1.0)


SMALL = ["--rounds", "200", "--replicates", "2", "--num-items", "4", "--num-users", "10", "--fakes", "2"]


def run(*more):
    return main(["run", "attack_game", *SMALL, *map(str, more)])


def test_the_command(tmp_path, capsys, elsewhere):
    assert run("--out", tmp_path / "r") == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    assert list(results.curves) == ["attacker", "recommender"]
    steps = results.curves["attacker"]["gap"].steps
    assert (steps[0], steps[-1], len(steps)) == (2, 200, 9)
    for b in range(2):
        value, mixed, defence = solve(game_of(Settings(num_items=4, num_users=10, fakes=2), b).payoff())
        assert (results.curves["attacker"]["value"].values[:, b] == value).all()
        assert results.curves["recommender"]["best_pure"].values[0, b] <= -value + 1e-9
        for player, strategy in (("attacker", mixed), ("recommender", defence)):
            shares = [
                curve.values[0, b]
                for metric, curve in results.curves[player].items()
                if metric.startswith("solved share of ")
            ]
            assert sum(shares) == pytest.approx(1.0, abs=1e-4)
            assert max(shares) == strategy.max()
    shares = [results.curves["recommender"][f"share of {name}"].values for name in DEFENCES]
    np.testing.assert_allclose(np.sum(shares, axis=0), 1.0)
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run("--out", tmp_path / "r", "--resume") == 0
    assert capsys.readouterr().out == said
    assert run("--out", tmp_path / "cut", "--workers", 2) == 0
    assert (tmp_path / "cut" / "results.csv").read_bytes() == (tmp_path / "r" / "results.csv").read_bytes()
    picture = tmp_path / "both.png"
    assert main(["compare", str(tmp_path / "r"), str(tmp_path / "cut"), "--out", str(picture)]) == 0
    assert picture.stat().st_size > 10_000


def test_a_game_in_which_nothing_can_be_won():
    payoff = np.zeros((3, 2))
    assert solve(payoff)[0] == 0.0
    found, _ = learn(payoff, 0.0, 10)
    assert found["attacker|gap"] == found["recommender|gap"] == 0.0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--rounds", "0"], "rounds must be at least 1, got 0"),
        (["--replicates", "0"], "replicates must be at least 1, got 0"),
        (["--seed", "-1"], "seed must be 0 or more"),
        (["--harm", "-1"], "harm must be 0 or more and finite, got -1.0"),
        (["--cost", "nan"], "cost must be 0 or more and finite"),
        (["--history", "4"], "history must be from 1 to num_items - 1, 3, got 4"),
        (["--fakes", "0"], "fakes must be at least 1, got 0"),
        (["--fakes", "12"], "more than 4,000: take fewer fakes, actions or items"),
        (["--rounds", "1000000"], "rounds must be at most 303,030 where there are 66 attacks"),
    ],
)
def test_bad_input(more, message, tmp_path, capsys):
    assert run("--out", tmp_path / "x", *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
