"""RepeatedHE, repeated hidden exploration: for users who follow only what is best for them.

The prior is theta_a ~ Beta(alpha_a, beta_a). The first N n users are paid: they give n samples of every arm.
Then, for every user,

    with probability epsilon:   explore, an arm of the base algorithm, which learns from it;
    else                        exploit, argmax_a (alpha_a + W_a) / (alpha_a + beta_a + n_a),

where pulls n_a and wins W_a are those of the warm-up and the exploring rounds. What exploiting rounds bring
is not used, as in the theorem. The base algorithm is UCB1, W_a / n_a + sqrt(2 log T / n_a). Users follow if

    epsilon <= 1/3 min_a E[ G_a 1{G_a > 0} ],        G_a the posterior gap after n samples of every arm,

which is the default, computed exactly (`user_models/obedience.py`). Counts are of the arm that a user did
take. A new episode, `step` 0, has new arms, and the learner begins anew.

Feedback: the reward of the arm taken, and which one that was.
Bound: N n + R(epsilon T) / epsilon in expectation over the prior, R(.) the regret of the base algorithm.
Source: Mansour, Slivkins, Syrgkanis, "Bayesian incentive-compatible bandit exploration", EC 2015, section 5;
    Slivkins, "Introduction to multi-armed bandits", 2019, chapter 11, RepeatedHE (both from memory). The
    choice of UCB1 is ours.
"""

from math import log
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.arm_counts import check_sizes, out_of_range
from recsim_env.agents.bandits.ties import tie_breakers
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.user_models.obedience import check_prior, safe_exploration

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck


class RepeatedHE:
    """One RepeatedHE learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        alpha, beta: (N,) of the prior, 1 or more.
        warm_up: n, samples of every arm, 1 or more.
        horizon: T, users of an episode.
        exploration: epsilon; the safe rate by default. 1 is the base algorithm alone.

    Attributes:
        pulls, wins: (B, N) of the warm-up and the exploring rounds of this episode.
        counted: (B,) whether this round is one of these.

    Raises:
        InputError: a size below its least, a prior that is not one, a rate that is no probability above 0.
    """

    def __init__(
        self,
        num_replicates: int,
        num_items: int,
        alpha: Floats,
        beta: Floats,
        warm_up: int,
        horizon: int,
        *,
        exploration: float | None = None,
    ) -> None:
        check_sizes(num_replicates, num_items)
        self.alpha, self.beta = check_prior(alpha, beta)
        if len(self.alpha) != num_items:
            raise InputError(f"alpha must have shape ({num_items},), got {self.alpha.shape}")
        if warm_up < 1:
            raise InputError(f"warm_up must be at least 1 sample of every arm, got {warm_up}")
        if not horizon >= 1:
            raise InputError(f"horizon must be at least 1, got {horizon}")
        if exploration is None:
            exploration = safe_exploration(self.alpha, self.beta, warm_up)
        if not 0.0 < exploration <= 1.0:
            raise InputError(f"exploration must be above 0 and 1 at most, got {exploration}")
        self.exploration, self.paid = exploration, warm_up * num_items
        self.width = 2.0 * log(max(horizon, 2))
        self.pulls, self.wins = np.zeros((2, num_replicates, num_items))
        self.counted = np.zeros(num_replicates, np.bool_)
        self.ties = np.zeros(
            (num_replicates, num_items)
        )  # as in CascadeUCB: the base algorithm favours no id

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm to recommend, (B, 1)."""
        self.ties = tie_breakers(self.ties, luck, "repeated_he/ties")
        slates = np.empty((len(self.pulls), 1), np.int64)
        _recommend(
            self.alpha,
            self.beta,
            self.pulls,
            self.wins,
            self.counted,
            self.paid,
            self.exploration,
            self.width,
            self.ties,
            observation["step"],
            luck.uniform("repeated_he"),
            slates,
        )
        return slates

    def update(self, transition: Transition) -> None:
        """Count what the user took, if the round was of the warm-up or exploring.

        Raises:
            InputError: a reward outside 0 to 1.
        """
        chosen = transition.next_observation["chosen"]
        row = _learn(self.pulls, self.wins, self.counted, chosen, transition.reward)
        if row >= 0:
            raise out_of_range(row, transition.reward, (0.0, 1.0))


@njit(cache=True)
def _recommend(
    alpha: Floats,
    beta: Floats,
    pulls: Floats,
    wins: Floats,
    counted: Bools,
    paid: int,
    exploration: float,
    width: float,
    ties: Floats,
    step: Ints,
    u: Floats,
    slates: Ints,
) -> None:
    B, N = pulls.shape
    for b in range(B):
        if step[b] == 0:
            pulls[b] = 0.0
            wins[b] = 0.0
        counted[b] = step[b] < paid or u[b] < exploration
        if step[b] < paid:
            slates[b, 0] = step[b] % N
            continue
        best, highest = 0, -1.0
        for a in range(N):
            if counted[b]:
                n = max(pulls[b, a], 1.0)  # 0 only where paid users did not follow
                index = wins[b, a] / n + np.sqrt(width / n) + ties[b, a]
            else:
                index = (alpha[a] + wins[b, a]) / (alpha[a] + beta[a] + pulls[b, a])
            if index > highest:
                best, highest = a, index
        slates[b, 0] = best


@njit(cache=True)
def _learn(pulls: Floats, wins: Floats, counted: Bools, chosen: Ints, reward: Floats) -> int:
    """Returns the first row whose reward is out of range (nothing changes), or -1."""
    for b in range(len(chosen)):
        if not 0.0 <= reward[b] <= 1.0:
            return b
    for b in range(len(chosen)):
        if counted[b]:
            pulls[b, chosen[b]] += 1.0
            wins[b, chosen[b]] += reward[b]
    return -1
