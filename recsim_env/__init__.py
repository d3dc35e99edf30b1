"""recsim-env: simulated users, agents that face them, and measurements that can be trusted.

Importing this package registers its environments with Gymnasium; the lines below are the table of
contents. `recsim-env describe ID`, or the docstring of the function that makes the world, is the page
of an environment.
"""

from gymnasium import register as _register

__version__ = "0.1.0"

_WORLDS = "recsim_env.simulators.worlds"


def _environment(id: str, world: str) -> None:
    """Register the world that `module:function` makes, for `gym.make` and `gym.make_vec`."""
    _register(
        id,
        entry_point="recsim_env.envs.single_user:SingleUserEnv",
        vector_entry_point="recsim_env.envs.batched:BatchedEnv",
        kwargs={"world": f"{_WORLDS}.{world}"},
        # The environments check every action and the order of calls themselves, and the test suite runs
        # the checker on every id: without the two wrappers a step is 5 % faster.
        disable_env_checker=True,
        order_enforce=False,
    )


_environment("CascadeRec-v0", "engagement_ladder:engagement_ladder")
_environment("CascadeBandit-v0", "cascade_bandit:cascade_bandit")
_environment("CascadeRec-Grocery-v0", "grocery:grocery")
_environment("CascadeRec-MovieLens-v0", "movielens:movielens")
_environment("SlateRec-v0", "slate_rec:slate_rec")
_environment("RepeatListen-v0", "repeat_listening:repeat_listening")
_environment("InterestDrift-v0", "interest_drift:interest_drift")
_environment("BoredUser-v0", "bored_user:bored_user")
_environment("GroupSlate-v0", "group_slate:group_slate")
_environment("ShortcutBench-v0", "shortcut_bench:shortcut_bench")
_environment("PoisonedRec-v0", "poisoned:poisoned_rec")
_environment("Attack-v0", "attack:attack")
# bandits: learn while earning, in worlds that are small enough to teach with
_environment("BernoulliBandit-v0", "bernoulli_bandit:bernoulli_bandit")
_environment("GaussianBandit-v0", "gaussian_bandit:gaussian_bandit")
_environment("SwitchingBandit-v0", "switching_bandit:switching_bandit")
_environment("LipschitzBandit-v0", "lipschitz_bandit:lipschitz_bandit")
_environment("LinearBandit-v0", "linear_bandit:linear_bandit")
_environment("ContextualBandit-v0", "contextual_bandit:contextual_bandit")
_environment("KnapsackBandit-v0", "knapsack_bandit:knapsack_bandit")
_environment("ExpertAdvice-v0", "expert_advice:expert_advice")
_environment("SemiBandit-v0", "semi_bandit:semi_bandit")
_environment("LinearCascadeBandit-v0", "linear_cascade:linear_cascade_bandit")
_environment("PositionBandit-v0", "position_bandit:position_bandit")
_environment("IncentivisedUsers-v0", "incentivised_users:incentivised_users")
