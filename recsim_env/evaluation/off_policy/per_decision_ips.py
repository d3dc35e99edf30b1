"""Per-decision importance sampling: every reward, weighted by what was done up to it.

    plain       v = sum_h gamma^h 1/E sum_e rho_{e,h} r_{e,h},              rho_{e,h} = prod_{j <= h} w_{e,j}
    weighted    v = sum_h gamma^h sum_e rho_{e,h} r_{e,h} / sum_e rho_{e,h}

The plain form is unbiased: a reward does not depend on actions after it. The weighted form is the stepwise
one: at every step by itself, over all E episodes, those that ended before with the weight they had then
(leaving them out would give the value of those who stay). It is consistent and biased (for E = 1 it is the
logged return). It is not the form that divides by one sum of weights over all episodes and steps.

Believe it: for short horizons, or a policy close to the log's, and if the effective sample size of the last
step is large. For long ones all weight ends on one episode, and the weighted form is that episode's reward.

Source: Precup, Sutton, Singh, "Eligibility traces for off-policy policy evaluation", ICML 2000;
the stepwise weighted form: Thomas, "Safe reinforcement learning", PhD thesis, UMass Amherst, 2015 (there
called consistent weighted per-decision importance sampling, CWPDIS).
"""

from recsim_env.arrays import Array
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.padded_episodes import check_reward, discounts
from recsim_env.evaluation.off_policy.sequence_weights import cumulative_weights, with_step_diagnostics
from recsim_env.evaluation.off_policy.sum_of_ratios import sum_of_ratios


def per_decision_ips(
    reward: Array,
    weight: Array,
    *,
    discount: float = 1.0,
    present: Array | None = None,
    clipped: bool = False,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """The plain form.

    Args:
        reward: (E, H).
        weight: (E, H) of every step by itself, not multiplied up: `importance_weights` of arrays (E, H).
        discount: gamma, in [0, 1].
        present: (E, H) which steps took place, see `padded_episodes`; None = all.
        clipped: whether the weights were clipped.
        interval: `Normal()` if None.
        groups: (E,) whose each episode is; None = all are independent.

    Returns:
        The value of an episode; its effective sample size is that of rho at the last step.

    Raises:
        InputError: bad input, named by episode and step.
    """
    reward, present = check_reward(reward, present)
    rho = cumulative_weights(weight, present)
    samples = (rho * reward) @ discounts(discount, reward.shape[1])  # (E,)
    return with_step_diagnostics(mean_of(samples, interval=interval, groups=groups), rho, clipped=clipped)


def weighted_per_decision_ips(
    reward: Array,
    weight: Array,
    *,
    discount: float = 1.0,
    present: Array | None = None,
    clipped: bool = False,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """The stepwise weighted form.

    Args, returns and errors: as of `per_decision_ips`; refused too if at a step all episodes have weight 0.
    """
    reward, present = check_reward(reward, present)
    rho = cumulative_weights(weight, present)
    part = rho * reward * discounts(discount, reward.shape[1])
    estimate = sum_of_ratios(part, rho, place="at step {}", interval=interval, groups=groups)
    return with_step_diagnostics(estimate, rho, clipped=clipped)
