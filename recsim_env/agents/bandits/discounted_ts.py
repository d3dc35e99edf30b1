"""Discounted Thompson sampling: Beta posteriors of pulls that weigh less the longer they are past.

With gamma < 1, in every round and for every arm,

    theta_a ~ Beta(1 + s_a, 1 + f_a),      A_t = argmax_a theta_a,
    s_a <- gamma s_a + 1{A_t = a} X_t,     f_a <- gamma f_a + 1{A_t = a} (1 - X_t),

so that what is known of an arm not pulled fades back to the prior. A reward between 0 and 1 counts as that
share of a win; Agrawal and Goyal toss a coin for it instead, which is the same for rewards of 0 and 1.

Feedback: the reward of the arm pulled.
Bound: none is stated in the source.
Source: Raj, Kalyani, "Taming non-stationary bandits: a Bayesian approach", 2017: dTS, with a uniform prior.
"""

from typing import TYPE_CHECKING

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.window_counts import DiscountedCounts, largest_draw
from recsim_env.arrays import Array, Ints
from recsim_env.simulators.luck import stream_number

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

STREAM = stream_number("discounted_ts")


class DiscountedTS:
    """One learner per row.

    Args:
        num_replicates: B.
        num_items: N.
        discount: gamma, above 0 and below 1; see `window_counts.tuned_discount`.

    Raises:
        InputError: a size below its least value, a discount out of range.
    """

    def __init__(self, num_replicates: int, num_items: int, *, discount: float) -> None:
        self.counts = DiscountedCounts(num_replicates, num_items, discount)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The arm of largest draw, (B, 1)."""
        known = self.counts.pulls, self.counts.sums
        slates: Ints = largest_draw(luck.seed, luck.episode, luck.step, STREAM, *known)
        return slates

    def update(self, transition: Transition) -> None:
        """Discount all pulls, and count this one."""
        self.counts.update(transition)
