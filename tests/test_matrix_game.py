"""Zero-sum games played by Hedge: averages come to the equilibrium, last strategies need not."""

import numpy as np
import pytest
from scipy.optimize import linprog

from recsim_env.agents.bandits.hedge import regret_bound
from recsim_env.errors import InputError
from recsim_env.experiments.matrix_game import COLUMNS, equilibrium, exploitability, play_game

PAPER = np.array([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]])  # rock-paper-scissors
RANDOM = np.random.default_rng(0).random((3, 4))
T = 4000


def value_of(cost):
    """Another linear program than ours: 1 / min sum_j y_j with cost y >= 1 and y >= 0."""
    best = linprog(np.ones(cost.shape[1]), A_ub=-(cost + 1.0), b_ub=-np.ones(len(cost)))
    return 1.0 / best.fun - 1.0


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("cost", [PAPER, RANDOM], ids=["rock_paper_scissors", "random"])
def test_average_play_converges_to_the_equilibrium(cost, column):
    start = np.array([0.8, 0.1, 0.1])
    played = play_game(cost, T, column, start)
    row, second = played.average()
    lost, second_lost = (regret[-1] for regret in played.regrets())
    gap = exploitability(cost, row, second)
    assert gap <= (lost + second_lost) / T + 1e-12
    # regret as promised, but for what the start adds: ln(1 / 0.1) in place of ln 3
    M, N = cost.shape
    promised = np.sqrt(T * np.log(M) / 2) * 0.5 * (1 + np.log(10) / np.log(M))
    assert lost <= promised
    assert second_lost <= (regret_bound(T, num_items=N, horizon_known=True) if column == "hedge" else 1e-9)
    assert gap < 0.03
    assert abs(row @ cost @ second - value_of(cost)) <= gap + 1e-12


def test_a_uniform_start_keeps_to_the_stated_bounds():
    played = play_game(RANDOM, T)
    for regret, n in zip(played.regrets(), RANDOM.shape, strict=True):
        assert regret[-1] <= regret_bound(T, num_items=n, horizon_known=True)


def test_the_last_strategies_go_round_the_equilibrium():
    """They are as far from it at the end as in the beginning, or farther, while their average comes near."""
    played = play_game(PAPER, T, "hedge", np.array([0.4, 0.3, 0.3]))
    away = np.abs(played.rows - 1 / 3).max(axis=1)
    assert away[-T // 4 :].max() > away[0]
    assert away[-T // 4 :].max() > 10 * np.abs(played.average()[0] - 1 / 3).max()
    leader = played.rows.argmax(axis=1)
    assert (np.bincount(leader) > T // 10).all()  # each of the three is the favourite again and again


def test_a_best_response_is_one():
    played = play_game(RANDOM, 50, "best_response")
    gains = played.rows @ RANDOM
    assert ((gains * played.columns).sum(axis=1) == gains.max(axis=1)).all()
    assert (played.regrets()[1] <= 1e-12).all()


@pytest.mark.parametrize("shape", [(2, 2), (3, 4), (5, 2)])
def test_equilibrium_cannot_be_exploited(shape):
    cost = np.random.default_rng(sum(shape)).random(shape)
    value, row, column = equilibrium(cost)
    assert exploitability(cost, row, column) == pytest.approx(0.0, abs=1e-9)
    assert value == pytest.approx(value_of(cost), abs=1e-9)
    uniform = np.full(shape[0], 1 / shape[0]), np.full(shape[1], 1 / shape[1])
    assert exploitability(cost, *uniform) > 1e-3


def test_bad_games():
    with pytest.raises(InputError, match=r"cost\[0, 1\] = 2.0: costs are from 0 to 1"):
        play_game([[0.0, 2.0], [1.0, 0.0]], 5)
    with pytest.raises(InputError, match=r"cost must have shape \(M, N\) with two actions each"):
        equilibrium(np.ones((1, 3)))
    with pytest.raises(InputError, match="rounds must be at least 1, got 0"):
        play_game(PAPER, 0)
    with pytest.raises(InputError, match="there is no column 'best_respons': did you mean best_response"):
        play_game(PAPER, 5, "best_respons")
    with pytest.raises(InputError, match="start must be 3 probabilities above 0 that sum to 1"):
        play_game(PAPER, 5, start=[1.0, 0.0, 0.0])
