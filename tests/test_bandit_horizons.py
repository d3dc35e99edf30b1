"""A horizon that is not a number is below no number: it must be refused all the same."""

import numpy as np
import pytest

from recsim_env.agents.bandits.batch_rank import BatchRank
from recsim_env.agents.bandits.bubble_rank import BubbleRank
from recsim_env.agents.bandits.cascade_lin_ucb import CascadeLinUCB
from recsim_env.agents.bandits.exp3 import Exp3
from recsim_env.agents.bandits.explore_first import ExploreFirst
from recsim_env.agents.bandits.follow_the_perturbed_leader import FollowThePerturbedLeader
from recsim_env.agents.bandits.hedge import Hedge
from recsim_env.agents.bandits.moss import MOSS
from recsim_env.agents.bandits.repeated_he import RepeatedHE
from recsim_env.agents.bandits.semi_bandit_hedge import SemiBanditHedge
from recsim_env.agents.bandits.successive_elimination import SuccessiveElimination
from recsim_env.agents.bandits.top_rank import TopRank
from recsim_env.agents.bandits.uniform_grid import UniformGrid
from recsim_env.agents.bandits.window_counts import tuned_window
from recsim_env.agents.bandits.zooming import Zooming
from recsim_env.errors import InputError

TWO = np.full(2, 2.0)
MAKE = {
    "batch_rank": lambda T: BatchRank(1, 4, 2, T),
    "bubble_rank": lambda T: BubbleRank(1, 4, 2, T),
    "cascade_lin_ucb": lambda T: CascadeLinUCB(1, np.eye(4), 2, T),
    "exp3": lambda T: Exp3(1, 4, horizon=T),
    "explore_first": lambda T: ExploreFirst(1, 4, T),
    "follow_the_perturbed_leader": lambda T: FollowThePerturbedLeader(1, 4, horizon=T),
    "hedge": lambda T: Hedge(1, 4, horizon=T),
    "moss": lambda T: MOSS(1, 4, T),
    "repeated_he": lambda T: RepeatedHE(1, 2, TWO, TWO, 1, T),
    "semi_bandit_hedge": lambda T: SemiBanditHedge(1, 4, 2, T),
    "successive_elimination": lambda T: SuccessiveElimination(1, 4, T),
    "top_rank": lambda T: TopRank(1, 4, 2, T),
    "tuned_window": lambda T: tuned_window(T, 1),
    "uniform_grid": lambda T: UniformGrid(1, 11, 1.0, T),
    "zooming": lambda T: Zooming(1, 11, 1.0, T),
}


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("horizon", [0, -1, np.nan])
def test_no_rounds_are_refused(name, horizon):
    with pytest.raises(InputError, match=rf"(horizon|num_rounds|pulls) must be .* got {horizon}"):
        MAKE[name](horizon)


@pytest.mark.parametrize("name", MAKE)
def test_rounds_are_taken(name):
    MAKE[name](100)
