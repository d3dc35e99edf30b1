"""Learners that ask simulated users, what they asked, and what it cost: tunings of a policy, and bandits.

What each is, `suite/query_efficiency.py` says. All ask through `Asked`, which counts, and knows what users
could have had; learners get clicks or none from it, and nothing else.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.bandits.beta_ts import BetaTS
from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError
from recsim_env.experiments.organic_users import OrganicUsers
from recsim_env.experiments.policy_measures import LISTED, Lists, lists_of
from recsim_env.experiments.policy_training import BATCH, PolicySettings
from recsim_env.experiments.shared_bandits import (
    PolicyFeatures,
    SharedBandit,
    SharedCounts,
    SharedLinTS,
    TasteFeatures,
)
from recsim_env.experiments.simulated_rewards import SimulatedReward
from recsim_env.experiments.suite.finetune_compare import TUNED
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import take_rows
from recsim_env.user_models.clicks.position_based import PositionBased

if TYPE_CHECKING:
    from recsim_env.agents.generative.policy import GenerativePolicy

TUNINGS = ("rwr", "dpo", "grpo", "grpo_often")
OFTEN_USERS, OFTEN_ITEMS = 16, 4  # a gradient of grpo_often
OFTEN_SHARE = 0.3  # of the queries of the others, after which it ends
OF_SLATES = ("cascade_ts", "cascade_lin_ts", "position_lin_ts")
BANDITS = ("beta_ts", "lin_ts", "item_lin_ts", "sft_lin_ts", *OF_SLATES)
LEARNER_LUCK = 1 << 63  # added to the seed: a learner's luck is not that of users


def marks_of(name: str, settings: PolicySettings) -> Ints:
    """(P,) queries at which a learner is measured: 0, those of 1, 3, 10, 30 .. gradients, up to the last."""
    last = max(1, round(OFTEN_SHARE * settings.steps)) if name == "grpo_often" else settings.steps
    parts = np.outer(10 ** np.arange(len(str(last))), (1, 3)).ravel()
    return np.asarray(BATCH * settings.num_generations * np.unique([0, *parts[parts < last], last]))


class Asked:
    """Simulated users, and what those who were asked got of what they could have had: the experimenter's.

    Attributes:
        got: sum of the exact expected clicks on what was shown.
        best: sum of those on the best of the same kind.
    """

    def __init__(self, of: OrganicUsers, users: Ints, seed: int) -> None:
        self._world, self._state = of.world, take_rows(of.state, users)
        self._best = self._world.best_slate(self._state)
        self.simulated = SimulatedReward(of.world, self._state, seed)
        self.got = self.best = 0.0

    def alone(self, users: Ints, items: Ints) -> Floats:
        """Clicks or none (B, G) on items, each shown alone."""
        B, G = items.shape
        of_items = np.full((B * (G + 1), self._world.slate_size), -1)  # the last of each user: the best one
        of_items[:, 0] = np.concatenate([items, self._best[users, :1]], axis=1).ravel()
        truth = self._world.expected_reward(take_rows(self._state, users.repeat(G + 1)), of_items)
        self.got += float(truth.reshape(B, G + 1)[:, :G].sum())
        self.best += G * float(truth.reshape(B, G + 1)[:, G].sum())
        return self.simulated(users, items)

    def slates(self, users: Ints, shown: Ints) -> Bools:
        """Clicks (B, K) on slates."""
        state = take_rows(self._state, users)
        self.got += float(self._world.expected_reward(state, shown).sum())
        self.best += float(self._world.expected_reward(state, self._best[users]).sum())
        return self.simulated.clicks(users, shown)


def tune(
    name: str,
    sft: "GenerativePolicy",
    history: Ints,
    asked: Asked,
    settings: PolicySettings,
    seed: int,
    note: Callable[[Lists, Asked], None],
) -> None:
    """Tune a copy of `sft`, and note what it is worth at every mark."""
    from recsim_env.agents.generative.preference.tuning import PreferenceTuner, TuningSettings

    often = name == "grpo_often"
    users, items = (OFTEN_USERS, OFTEN_ITEMS) if often else (BATCH, settings.num_generations)
    chosen = TuningSettings(
        **TUNED["grpo" if often else name],
        batch_size=users,
        num_generations=items,
        learning_rate=settings.learning_rate,
        seed=seed,
    )
    tuner = PreferenceTuner(deepcopy(sft), np.ascontiguousarray(history), asked.alone, chosen)
    for mark in marks_of(name, settings):
        while asked.simulated.queries + users * items <= mark:
            tuner.step()
        note(lists_of(tuner.policy), asked)


def bandit_of(
    name: str, features: Array, history: Ints, log_pi: Array | None, slate_size: int
) -> SharedBandit:
    """A bandit that has asked nobody.

    Args:
        name: one of BANDITS.
        features: (N, F) of the items.
        history: (U, H) what users took.
        log_pi: (U, N) of `sft`; of sft_lin_ts alone.
        slate_size: K of the slates of those that show any.

    Raises:
        InputError: sft_lin_ts without log_pi.
    """
    if name == "beta_ts":
        return SharedCounts(BetaTS(BATCH, len(features)))
    if name == "cascade_ts":
        return SharedCounts(CascadeTS(BATCH, 1, len(features), slate_size))
    if name == "sft_lin_ts":
        if log_pi is None:
            raise InputError("sft_lin_ts needs log_pi, the log-probabilities of all items")
        return SharedLinTS(PolicyFeatures(log_pi))
    taste = TasteFeatures(features, history)
    if name == "cascade_lin_ts":
        return SharedLinTS(taste, slate_size)
    if name == "position_lin_ts":
        known = PositionBased.default(slate_size).examination
        return SharedLinTS(taste, slate_size, examination=known)
    return SharedLinTS(taste, offsets=name == "item_lin_ts")


def play(
    bandit: SharedBandit,
    num_users: int,
    asked: Asked,
    settings: PolicySettings,
    seed: int,
    note: Callable[[Lists, Asked], None],
) -> None:
    """Let it ask users 0 to num_users - 1, and note what it is worth at every mark."""
    rows = np.arange(BATCH, dtype=np.uint64)
    luck, round_ = Luck.from_seeds(rows + np.uint64(LEARNER_LUCK + (seed << 32))), 0
    for mark in marks_of("", settings):
        while asked.simulated.queries + BATCH * bandit.slots <= mark:
            users = np.random.default_rng([seed, round_]).integers(num_users, size=BATCH)
            shown = bandit.choose(users, luck.at(round_))
            clicked = asked.alone(users, shown) > 0 if bandit.slots == 1 else asked.slates(users, shown)
            bandit.learn(users, shown, clicked)
            round_ += 1
        note(lambda _, users: bandit.lists(users, LISTED), asked)
