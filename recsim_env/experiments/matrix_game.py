"""A zero-sum game played again and again by learners: the average of their play comes near the equilibrium.

The row player pays cost[i, j], from 0 to 1, to the column player. Both know mixed strategies only, p_t (M,)
and q_t (N,), and pay what is expected, so that a run holds no chance:

    row: Hedge on the costs  cost q_t;     column: Hedge on  1 - p_t cost,  or a best response to p_t.

With R_1 and R_2 the regrets of the two after T rounds, the averages of p_t and q_t are an epsilon-equilibrium
with epsilon = (R_1 + R_2) / T: nobody gains more by leaving them. The strategies themselves need not
converge: those of Hedge against Hedge run round the equilibrium.

Source: Freund, Schapire, "Adaptive game playing using multiplicative weights", Games and Economic Behavior
    29, 1999; Slivkins, "Introduction to multi-armed bandits", 2019, chapter 9.
"""

from dataclasses import dataclass

import numpy as np

from recsim_env.agents.bandits.hedge import Hedge
from recsim_env.arrays import Floats
from recsim_env.errors import InputError, as_numbers, refuse, unknown_name

COLUMNS = ("hedge", "best_response")


@dataclass(frozen=True)
class GamePlay:
    """What was played in T rounds.

    Attributes:
        cost: (M, N) the game.
        rows: (T, M) p_t.
        columns: (T, N) q_t.
    """

    cost: Floats
    rows: Floats
    columns: Floats

    def average(self) -> tuple[Floats, Floats]:
        """(M,) and (N,) the averages of all rounds."""
        return self.rows.mean(axis=0), self.columns.mean(axis=0)

    def regrets(self) -> tuple[Floats, Floats]:
        """(T,) and (T,) R_1 and R_2 after every round, each against its best fixed action."""
        paid = np.cumsum(np.einsum("ti,ij,tj->t", self.rows, self.cost, self.columns))
        row_costs = np.cumsum(self.columns @ self.cost.T, axis=0)  # (T, M)
        column_gains = np.cumsum(self.rows @ self.cost, axis=0)  # (T, N)
        return paid - row_costs.min(axis=1), column_gains.max(axis=1) - paid


def play_game(cost: Floats, rounds: int, column: str = "hedge", start: Floats | None = None) -> GamePlay:
    """Hedge as the row player against Hedge or against best responses, both tuned to the number of rounds.

    Args:
        cost: (M, N) what the row player pays, from 0 to 1; two actions each at least.
        rounds: T, at least 1.
        column: `hedge` or `best_response`, who sees p_t first, ties to the lower action.
        start: (M,) p_1, all above 0; uniform by default, which is the equilibrium of some games already.

    Raises:
        InputError: a game of another shape or range, no round, an unknown column player, a start that is no
            strategy.
    """
    cost = check_game(cost)
    M, N = cost.shape
    if rounds < 1:
        raise InputError(f"rounds must be at least 1, got {rounds}")
    if column not in COLUMNS:
        raise unknown_name("column", column, COLUMNS)
    row_player, column_player = Hedge(1, M, horizon=rounds), Hedge(1, N, horizon=rounds)
    if start is not None:
        start = as_numbers("start", start)
        if start.shape != (M,) or not (start.min() > 0.0 and abs(start.sum() - 1.0) < 1e-9):
            raise InputError(f"start must be {M} probabilities above 0 that sum to 1, got {start.tolist()}")
        row_player.costs -= np.log(start) / row_player.rate  # as if they had been paid before round 1
    rows, columns = np.empty((rounds, M)), np.empty((rounds, N))
    for t in range(rounds):
        p = row_player.probabilities()[0]
        gains = np.clip(p @ cost, 0.0, 1.0)  # (N,) of the column player
        q = column_player.probabilities()[0] if column == "hedge" else np.eye(N)[gains.argmax()]
        rows[t], columns[t] = p, q
        row_player.learn(np.clip(cost @ q, 0.0, 1.0)[None, :])
        column_player.learn((1.0 - gains)[None, :])
    return GamePlay(cost, rows, columns)


def exploitability(cost: Floats, row: Floats, column: Floats) -> float:
    """What both players together gain by leaving for best responses; 0 at an equilibrium alone.

    max_j (p cost)_j - min_i (cost q)_i.

    Args:
        cost: (M, N).
        row: (M,) p.
        column: (N,) q.
    """
    return float((row @ cost).max() - (cost @ column).min())


def equilibrium(cost: Floats) -> tuple[float, Floats, Floats]:
    """The value of the game and strategies (M,), (N,) that guarantee it, by linear programming.

    Raises:
        InputError: a game of another shape or range.
    """
    from scipy.optimize import linprog

    cost = check_game(cost)
    strategies = []
    for game in (cost, 1.0 - cost.T):  # the column player pays 1 - cost
        rows, columns = game.shape
        # minimise v with p game <= v and p a distribution; the variables are p and v
        solved = linprog(
            np.append(np.zeros(rows), 1.0),
            A_ub=np.column_stack([game.T, -np.ones(columns)]),
            b_ub=np.zeros(columns),
            A_eq=np.append(np.ones(rows), 0.0)[None, :],
            b_eq=[1.0],
        )
        strategies.append(np.maximum(solved.x[:-1], 0.0) / np.maximum(solved.x[:-1], 0.0).sum())
    row, column = strategies
    return float(row @ cost @ column), row, column


def check_game(cost: Floats) -> Floats:
    """The costs as float64.

    Raises:
        InputError: not (M, N) with two actions each, or a cost outside 0 to 1.
    """
    cost = as_numbers("cost", cost)
    if cost.ndim != 2 or min(cost.shape) < 2:
        raise InputError(f"cost must have shape (M, N) with two actions each at least, got {cost.shape}")
    refuse("cost", ~((cost >= 0.0) & (cost <= 1.0)), cost, "costs are from 0 to 1: scale the game")
    return cost
