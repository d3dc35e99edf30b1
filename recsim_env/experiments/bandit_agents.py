"""Bandit algorithms by name: how each is made, where it can act, and the bound that was proved of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recsim_env.agents.agent import Agent
from recsim_env.agents.bandits import (
    cascade_lin_ucb,
    comb_ucb1,
    corruption_robust_ucb,
    exp3,
    explore_first,
    follow_the_perturbed_leader,
    hedge,
    lin_ucb,
    moss,
    semi_bandit_hedge,
    successive_elimination,
    top_rank,
    ucb1,
    weighted_majority,
)
from recsim_env.agents.bandits.barbar import Barbar
from recsim_env.agents.bandits.batch_rank import BatchRank
from recsim_env.agents.bandits.bayes_ucb import BayesUCB
from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.binned_contexts import BinnedContexts, theory_bins
from recsim_env.agents.bandits.bubble_rank import BubbleRank
from recsim_env.agents.bandits.cascade_kl_ucb import CascadeKLUCB
from recsim_env.agents.bandits.cascade_lin_ts import CascadeLinTS
from recsim_env.agents.bandits.cascade_lin_ucb import CascadeLinUCB
from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.agents.bandits.cascade_ucb import CascadeUCB
from recsim_env.agents.bandits.comb_ucb1 import CombUCB1
from recsim_env.agents.bandits.context_cells import decision_stumps
from recsim_env.agents.bandits.corruption_robust_ucb import CorruptionRobustUCB
from recsim_env.agents.bandits.delayed_feedback import DelayedFeedback
from recsim_env.agents.bandits.discounted_ts import DiscountedTS
from recsim_env.agents.bandits.discounted_ucb import DiscountedUCB
from recsim_env.agents.bandits.epsilon_greedy import EpsilonGreedy
from recsim_env.agents.bandits.exp3 import Exp3
from recsim_env.agents.bandits.exp4 import Exp4
from recsim_env.agents.bandits.explore_first import ExploreFirst, tuned_pulls
from recsim_env.agents.bandits.follow_the_perturbed_leader import FollowThePerturbedLeader
from recsim_env.agents.bandits.gaussian_ts import GaussianTS
from recsim_env.agents.bandits.hedge import Hedge
from recsim_env.agents.bandits.in_slate_thompson import InSlateThompson
from recsim_env.agents.bandits.kl_ucb import KLUCB
from recsim_env.agents.bandits.lagrange_bwk import LagrangeBwK
from recsim_env.agents.bandits.lin_ts import LinTS
from recsim_env.agents.bandits.lin_ucb import LinUCB
from recsim_env.agents.bandits.median_of_means_ucb import MedianOfMeansUCB
from recsim_env.agents.bandits.moss import MOSS
from recsim_env.agents.bandits.neural_linear_ts import NeuralLinearTS
from recsim_env.agents.bandits.pbm_ucb import PBMUCB
from recsim_env.agents.bandits.policy_class_epsilon_greedy import PolicyClassEpsilonGreedy
from recsim_env.agents.bandits.ranked_bandits import RankedBandits
from recsim_env.agents.bandits.repeated_he import RepeatedHE
from recsim_env.agents.bandits.semi_bandit_hedge import SemiBanditHedge
from recsim_env.agents.bandits.sliding_window_ts import SlidingWindowTS
from recsim_env.agents.bandits.sliding_window_ucb import SlidingWindowUCB
from recsim_env.agents.bandits.successive_elimination import SuccessiveElimination
from recsim_env.agents.bandits.top_rank import TopRank
from recsim_env.agents.bandits.trimmed_mean_ucb import TrimmedMeanUCB
from recsim_env.agents.bandits.ts_cascade import TSCascade
from recsim_env.agents.bandits.ucb1 import UCB1
from recsim_env.agents.bandits.ucb_bwk import UcbBwK
from recsim_env.agents.bandits.uniform_grid import UniformGrid
from recsim_env.agents.bandits.weighted_majority import WeightedMajority
from recsim_env.agents.bandits.window_counts import tuned_discount, tuned_window
from recsim_env.agents.bandits.zooming import Zooming
from recsim_env.agents.baselines.random_slates import RandomSlates
from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.worlds.arms import ArmsWorld
from recsim_env.simulators.worlds.cascade import CascadeWorld
from recsim_env.simulators.worlds.contextual_bandit import ContextualWorld
from recsim_env.simulators.worlds.experts import ExpertWorld
from recsim_env.simulators.worlds.incentivised import IncentivisedWorld
from recsim_env.simulators.worlds.knapsack import KnapsackWorld
from recsim_env.simulators.worlds.linear_bandit import LinearWorld
from recsim_env.simulators.worlds.linear_cascade import LinearCascadeWorld
from recsim_env.simulators.worlds.lipschitz_bandit import LipschitzWorld
from recsim_env.simulators.worlds.position_bandit import PositionBandit
from recsim_env.simulators.worlds.semi_bandit import SemiBanditWorld
from recsim_env.simulators.worlds.switching import SwitchingWorld


@dataclass(frozen=True)
class BanditTask:
    """What an algorithm is made for."""

    world: Any  # its sizes, ranges and known features are public; its truth is for oracles and bounds
    num_replicates: int
    rounds: int  # that will be played: algorithms that are tuned to a horizon are told it

    @property
    def arms(self) -> tuple[int, int]:
        """B, N."""
        return self.num_replicates, self.world.num_items

    @property
    def cascade(self) -> tuple[int, int, int, int]:
        """B, S, N, K."""
        return self.num_replicates, self.world.num_states, self.world.num_items, self.world.slate_size

    @property
    def slates(self) -> tuple[int, int, int]:
        """B, N, K."""
        return self.num_replicates, self.world.num_items, self.world.slate_size


@dataclass(frozen=True)
class BanditAgent:
    """A line of the table."""

    make: Callable[[BanditTask], Agent]
    worlds: tuple[type, ...]  # in which it can act
    # on regret after (P,) rounds, where one is known; None or InputError in worlds of which it does not speak
    bound: Callable[[BanditTask, Ints], Floats | None] | None = None
    unit_rewards: bool = True  # whether it is made for rewards from 0 to 1, and refuses others


def _deviation(task: BanditTask) -> float | None:
    """Of normal rewards, which an algorithm has to be told; None where rewards are 0 or 1."""
    return getattr(task.world, "deviation", None)


def _pulls(task: BanditTask) -> int:
    """Of every arm by explore-first."""
    return tuned_pulls(task.rounds, task.world.num_items)


def _arm_facts(task: BanditTask) -> dict[str, Any]:
    """What the bounds of algorithms for arms are about; refuses means that every user has of their own."""
    return {"means": -task.world.gaps, "deviation": _deviation(task)}


def _corruption(task: BanditTask) -> float:
    """That a robust learner is made for, where nobody says how much there will be."""
    return float(np.sqrt(task.rounds))


def _moss_bound(task: BanditTask, rounds: Ints) -> Floats | None:
    """None for normal rewards, of which the paper says nothing."""
    if _deviation(task) is not None:
        return None
    return moss.regret_bound(rounds, num_items=task.world.num_items, horizon=task.rounds)


def _ranking_facts(task: BanditTask) -> dict[str, Any]:
    """What the bounds of ranking bandits are about.

    Raises:
        InputError: users have states, of which these bounds do not speak.
    """
    if getattr(task.world, "num_states", 1) > 1:
        raise InputError("this bound is of users without states")
    attraction = np.ravel(task.world.attraction)
    return {"attraction": attraction, "slate_size": task.world.slate_size, "num_rounds": task.rounds}


SWITCHES = 4  # that windows and discounts are tuned to: how often arms change is not told to them


def _window(task: BanditTask) -> int:
    return max(tuned_window(task.rounds, min(SWITCHES, task.rounds)), task.world.num_items)


def _discount(task: BanditTask) -> float:
    return tuned_discount(task.rounds, min(SWITCHES, task.rounds))


def _linear(task: BanditTask) -> dict[str, Any]:
    """Arguments of linear learners: one model where items have features, one an item where users do."""
    shared = isinstance(task.world, LinearWorld)
    return {"num_features": task.world.dimension, "shared": shared}


def _spread(task: BanditTask) -> float:
    """Of what sub-Gaussian constant a reward is: 1/2 from 0 to 1."""
    deviation = _deviation(task)
    return 0.5 if deviation is None else deviation


def _stumps(task: BanditTask, bins: int = 8) -> dict[str, Any]:
    """Arguments of learners with a class of policies: all decision stumps on a grid of contexts."""
    D = task.world.dimension
    return {"policies": decision_stumps(task.world.num_items, D, bins), "dimension": D, "bins": bins}


def _comb_ucb1_bound(task: BanditTask, rounds: Ints) -> Floats | None:
    """Where nothing changes; against an adversary there is none."""
    w = task.world.attraction
    if len(w) > 1:
        return None
    return comb_ucb1.regret_bound(rounds, means=w[0], slate_size=task.world.slate_size)


def _hedge_bound(task: BanditTask, rounds: Ints) -> Floats:
    _, N, K = task.slates
    return semi_bandit_hedge.regret_bound(rounds, num_items=N, slate_size=K, num_rounds=task.rounds)


def _lin_ucb_bound(task: BanditTask, rounds: Ints) -> Floats:
    K, D = task.world.slate_size, task.world.features.shape[1]
    return cascade_lin_ucb.regret_bound(rounds, dimension=D, slate_size=K, num_rounds=task.rounds)


ARMS = (ArmsWorld, SwitchingWorld)
RANKINGS = (CascadeWorld, PositionBandit)
ANY = (
    *ARMS,
    LipschitzWorld,
    ExpertWorld,
    LinearWorld,
    ContextualWorld,
    KnapsackWorld,
    IncentivisedWorld,
    SemiBanditWorld,
    LinearCascadeWorld,
    *RANKINGS,
)

BANDITS: dict[str, BanditAgent] = {
    "random": BanditAgent(
        lambda task: RandomSlates(task.world.num_items, task.world.slate_size),
        ANY,
        unit_rewards=False,
    ),
    "ucb1": BanditAgent(
        lambda task: UCB1(*task.arms, deviation=_deviation(task)),
        ARMS,
        lambda task, rounds: (
            ucb1.regret_bound(rounds, **_arm_facts(task)) if isinstance(task.world, ArmsWorld) else None
        ),
        unit_rewards=False,
    ),
    "explore_first": BanditAgent(
        lambda task: ExploreFirst(*task.arms, _pulls(task), task.world.reward_range),
        (ArmsWorld,),
        lambda task, rounds: explore_first.regret_bound(rounds, pulls=_pulls(task), **_arm_facts(task)),
        unit_rewards=False,
    ),
    "epsilon_greedy": BanditAgent(
        lambda task: EpsilonGreedy(*task.arms, reward_range=task.world.reward_range),
        (ArmsWorld,),
        unit_rewards=False,
    ),
    "successive_elimination": BanditAgent(
        lambda task: SuccessiveElimination(*task.arms, task.rounds, _deviation(task)),
        (ArmsWorld,),
        lambda task, rounds: successive_elimination.regret_bound(
            rounds, horizon=task.rounds, **_arm_facts(task)
        ),
        unit_rewards=False,
    ),
    "corruption_robust_ucb": BanditAgent(
        lambda task: CorruptionRobustUCB(*task.arms, _corruption(task), deviation=_deviation(task)),
        (ArmsWorld,),
        lambda task, rounds: corruption_robust_ucb.regret_bound(
            rounds, corruption=_corruption(task), **_arm_facts(task)
        ),
        unit_rewards=False,
    ),
    "median_of_means_ucb": BanditAgent(
        lambda task: MedianOfMeansUCB(*task.arms, task.rounds, _spread(task) ** 2),
        (ArmsWorld,),
        unit_rewards=False,
    ),
    "trimmed_mean_ucb": BanditAgent(
        lambda task: TrimmedMeanUCB(*task.arms, deviation=_deviation(task)),
        (ArmsWorld,),
        unit_rewards=False,
    ),
    # a small constant, with which nothing is proved: the paper's explores 10,000 rounds an arm first
    "barbar": BanditAgent(lambda task: Barbar(*task.arms, task.rounds, exploration=2.0), (ArmsWorld,)),
    "kl_ucb": BanditAgent(lambda task: KLUCB(*task.arms), (ArmsWorld,)),
    "moss": BanditAgent(
        lambda task: MOSS(*task.arms, task.rounds, _deviation(task)),
        (ArmsWorld,),
        _moss_bound,
        unit_rewards=False,
    ),
    "moss_anytime": BanditAgent(
        lambda task: MOSS(*task.arms, deviation=_deviation(task)), (ArmsWorld,), unit_rewards=False
    ),
    "gaussian_ts": BanditAgent(
        lambda task: GaussianTS(*task.arms, deviation=_deviation(task) or 1.0),
        (ArmsWorld,),
        unit_rewards=False,
    ),
    "bayes_ucb": BanditAgent(lambda task: BayesUCB(*task.arms), (ArmsWorld,)),
    "delayed_beta_ts": BanditAgent(lambda task: DelayedFeedback(BetaTS(*task.arms), 10), (ArmsWorld,)),
    "beta_ts": BanditAgent(lambda task: BetaTS(*task.arms), ARMS),
    "exp3": BanditAgent(
        lambda task: Exp3(*task.arms),
        ARMS,
        lambda task, rounds: exp3.regret_bound(rounds, num_items=task.world.num_items),
    ),
    "sliding_window_ucb": BanditAgent(lambda task: SlidingWindowUCB(*task.arms, window=_window(task)), ARMS),
    "sliding_window_ts": BanditAgent(lambda task: SlidingWindowTS(*task.arms, window=_window(task)), ARMS),
    "discounted_ucb": BanditAgent(lambda task: DiscountedUCB(*task.arms, discount=_discount(task)), ARMS),
    "discounted_ts": BanditAgent(lambda task: DiscountedTS(*task.arms, discount=_discount(task)), ARMS),
    "hedge": BanditAgent(
        lambda task: Hedge(*task.arms),
        (ExpertWorld,),
        lambda task, rounds: hedge.regret_bound(rounds, num_items=task.world.num_items),
    ),
    "follow_the_perturbed_leader": BanditAgent(
        lambda task: FollowThePerturbedLeader(*task.arms),
        (ExpertWorld,),
        lambda task, rounds: follow_the_perturbed_leader.regret_bound(rounds, num_items=task.world.num_items),
    ),
    "weighted_majority": BanditAgent(
        lambda task: WeightedMajority(*task.arms),
        (ExpertWorld,),
        lambda task, rounds: weighted_majority.regret_bound(
            rounds,
            num_items=task.world.num_items,
            best_cost=task.world.best_cost()[np.minimum(rounds, task.world.horizon)],
        ),
    ),
    "lin_ucb": BanditAgent(
        lambda task: LinUCB(*task.arms, deviation=_spread(task), **_linear(task)),
        (LinearWorld,),
        lambda task, rounds: lin_ucb.regret_bound(  # of 95% of runs; all others are of the mean
            rounds, num_features=task.world.dimension, deviation=_spread(task)
        ),
        unit_rewards=False,
    ),
    "lin_ts": BanditAgent(
        # with this penalty the prior of theta is N(0, I / D), wide enough for a vector of length 1
        lambda task: LinTS(
            *task.arms,
            inflation=_spread(task),
            penalty=_spread(task) ** 2 * task.world.dimension,
            **_linear(task),
        ),
        (LinearWorld,),
        unit_rewards=False,
    ),
    "lin_ucb_disjoint": BanditAgent(lambda task: LinUCB(*task.arms, **_linear(task)), (ContextualWorld,)),
    "lin_ts_disjoint": BanditAgent(lambda task: LinTS(*task.arms, **_linear(task)), (ContextualWorld,)),
    "binned_contexts": BanditAgent(
        lambda task: BinnedContexts(
            *task.arms,
            task.world.dimension,
            theory_bins(task.rounds, task.world.num_items, task.world.lipschitz, task.world.dimension),
        ),
        (ContextualWorld,),
    ),
    "policy_class_epsilon_greedy": BanditAgent(
        lambda task: PolicyClassEpsilonGreedy(*task.arms, **_stumps(task)), (ContextualWorld,)
    ),
    "exp4": BanditAgent(lambda task: Exp4(*task.arms, **_stumps(task)), (ContextualWorld,)),
    "neural_linear_ts": BanditAgent(
        lambda task: NeuralLinearTS(*task.arms, task.world.dimension), (ContextualWorld,)
    ),
    "cascade_ucb": BanditAgent(lambda task: CascadeUCB(*task.cascade), (CascadeWorld,)),
    "cascade_kl_ucb": BanditAgent(lambda task: CascadeKLUCB(*task.cascade), (CascadeWorld,)),
    "cascade_ts": BanditAgent(lambda task: CascadeTS(*task.cascade), (CascadeWorld,)),
    "ts_cascade": BanditAgent(lambda task: TSCascade(*task.cascade), (CascadeWorld,)),
    # of slates: the reward is the number of clicks, and each slot's click is from 0 to 1
    "comb_ucb1": BanditAgent(
        lambda task: CombUCB1(*task.slates), (SemiBanditWorld,), _comb_ucb1_bound, unit_rewards=False
    ),
    "semi_bandit_hedge": BanditAgent(
        lambda task: SemiBanditHedge(*task.slates, task.rounds),
        (SemiBanditWorld,),
        _hedge_bound,
        unit_rewards=False,
    ),
    "in_slate_thompson": BanditAgent(
        lambda task: InSlateThompson(*task.slates), (SemiBanditWorld, CascadeWorld), unit_rewards=False
    ),
    "cascade_lin_ucb": BanditAgent(
        lambda task: CascadeLinUCB(
            task.num_replicates, task.world.features, task.world.slate_size, task.rounds
        ),
        (LinearCascadeWorld,),
        _lin_ucb_bound,
    ),
    "cascade_lin_ts": BanditAgent(
        lambda task: CascadeLinTS(task.num_replicates, task.world.features, task.world.slate_size),
        (LinearCascadeWorld,),
    ),
    "ranked_bandits": BanditAgent(lambda task: RankedBandits(*task.slates), RANKINGS, unit_rewards=False),
    "batch_rank": BanditAgent(
        lambda task: BatchRank(*task.slates, task.rounds),
        RANKINGS,
        unit_rewards=False,
    ),
    "top_rank": BanditAgent(
        lambda task: TopRank(*task.slates, task.rounds),
        RANKINGS,
        lambda task, rounds: top_rank.regret_bound(rounds, **_ranking_facts(task)),
        unit_rewards=False,
    ),
    "bubble_rank": BanditAgent(  # not in cascades: order earns nothing there, and exchanges are slow
        lambda task: BubbleRank(*task.slates, task.rounds), (PositionBandit,), unit_rewards=False
    ),
    "pbm_ucb": BanditAgent(
        lambda task: PBMUCB(*task.slates, task.world.examination), (PositionBandit,), unit_rewards=False
    ),
    "uniform_grid": BanditAgent(
        lambda task: UniformGrid(*task.arms, task.world.slope, task.rounds), (LipschitzWorld,)
    ),
    "zooming": BanditAgent(
        lambda task: Zooming(*task.arms, task.world.slope, task.rounds), (LipschitzWorld,)
    ),
    "ucb_bwk": BanditAgent(
        lambda task: UcbBwK(*task.arms, task.world.budget, task.world.horizon), (KnapsackWorld,)
    ),
    "lagrange_bwk": BanditAgent(
        lambda task: LagrangeBwK(*task.arms, task.world.budget, task.world.horizon), (KnapsackWorld,)
    ),
    "repeated_he": BanditAgent(
        lambda task: RepeatedHE(
            *task.arms,
            task.world.alpha,
            task.world.beta,
            task.world.warm_up,
            task.world.horizon,
            exploration=task.world.exploration,
        ),
        (IncentivisedWorld,),
    ),
}


def make_bandit(name: str, task: BanditTask, num_replicates: int) -> Agent:
    """An algorithm of so many replicates."""
    return BANDITS[name].make(replace(task, num_replicates=num_replicates))
