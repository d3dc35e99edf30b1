"""A reward model that is learned anew by rounds, from feedback on what the policy draws by then.

    round r     N_r users are drawn, pi_r draws an item for each, and each clicks on it or not
    model_r     learned from first weights on, from all feedback of rounds 0 .. r
    reward      what model_r says, until the next round

pi_r is the policy that round r is given: a tuning that has found out where the model is wrong draws such
items, and the next model knows what they are worth. One round alone is a reward model that is learned once. A
learner gets numbers of users, items and clicks; what users are like stays with who is asked. Whether rounds
help is what `reward_model_gap` is about.

Source: Deng and others, "OneRec", 2025, whose pairs are made anew by rounds, as the policy goes on. Ours: the
reward model is learned anew too; all feedback counts alike, however old; one item a feedback, drawn from pi.
"""

from typing import TYPE_CHECKING

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.errors import check_ranges
from recsim_env.simulators.luck import Luck

if TYPE_CHECKING:
    from recsim_env.agents.generative.policy import GenerativePolicy
    from recsim_env.agents.generative.preference.reward_model import RewardModel
    from recsim_env.agents.generative.preference.tuning import RewardFunction

FIRST_EPISODE = 2  # 0 and 1 are others'


class RelearnedReward:
    """Numbers of users in the pool (B,), items (B, G) -> what the model says they are worth, (B, G).

    Args:
        policy: that shows the items of round 0.
        history: (P, H) of the pool, -1 = an empty cell, all on the left.
        asked: users, who are shown one item each and answer 0 or 1; it counts its queries.
        feedbacks: N_0, 1 or more.
        seed: of users, draws and the model's weights, from 0 to below 2^31.

    Attributes:
        model: of the last round.
        rounds: so far.

    Raises:
        InputError: no feedback; what `RewardModel` refuses.
    """

    model: "RewardModel"

    def __init__(
        self, policy: "GenerativePolicy", history: Ints, asked: "RewardFunction", feedbacks: int, seed: int
    ) -> None:
        self._history, self._asked, self._seed = history, asked, seed
        self._rng = np.random.default_rng(seed)
        self._known: list[tuple[Ints, Ints, Floats]] = []  # of each round: users, items, feedback
        self.rounds = 0
        self.relearn(policy, feedbacks)

    def __call__(self, users: Ints, items: Ints) -> Floats:
        """See the class."""
        return self.model.reward(users, items)

    def relearn(self, policy: "GenerativePolicy", feedbacks: int) -> None:
        """One round: ask about what the policy draws, and learn from all that is known.

        Args:
            policy: as it is now.
            feedbacks: N_r, 1 or more.

        Raises:
            InputError: no feedback.
        """
        import torch

        from recsim_env.agents.generative.preference.reward_model import RewardModel

        check_ranges({"feedbacks": feedbacks}, {}, {})
        shown = self._rng.integers(len(self._history), size=feedbacks)
        luck = Luck.from_seeds(np.arange(feedbacks) + (self._seed << 32))
        luck = luck.of_episode(FIRST_EPISODE + self.rounds)
        drawn, _ = policy.generate(torch.from_numpy(self._history[shown]), 1, "sample", luck=luck)
        items = drawn.cpu().numpy()
        self._known.append((shown, items[:, 0], self._asked(shown, items)[:, 0]))
        users, taken, feedback = (np.concatenate(part) for part in zip(*self._known, strict=True))
        model = RewardModel(self._history, policy.num_items, seed=self._seed)
        self.model = model.fit(users, taken, feedback)
        self.rounds += 1
