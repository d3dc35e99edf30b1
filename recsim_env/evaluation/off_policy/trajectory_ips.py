"""Trajectory-wise importance sampling: the return of an episode, weighted by the whole of what was done.

    plain       v = 1/E sum_e rho_e G_e,              rho_e = prod_h w_{e,h},  G_e = sum_h gamma^h r_{e,h}
    weighted    v = sum_e rho_e G_e / sum_e rho_e

The plain form is unbiased, and the worst in variance of all sequence estimators: even the first reward is
multiplied by the chance of the last action. The weighted (self-normalised) form stays inside the range of the
logged returns, is biased towards the log's policy (for E = 1 it is the logged return), and consistent.

Believe it: for a few steps, or where only the return of an episode is known and not the reward of each step.
Otherwise per-decision importance sampling is never worse than this in variance of its weights.

Source: Precup, Sutton, Singh, "Eligibility traces for off-policy policy evaluation", ICML 2000.
"""

from recsim_env.arrays import Array, Floats
from recsim_env.evaluation.intervals import Estimate, Interval, mean_of
from recsim_env.evaluation.off_policy.padded_episodes import check_reward, discounts
from recsim_env.evaluation.off_policy.sequence_weights import cumulative_weights, with_step_diagnostics
from recsim_env.evaluation.off_policy.sum_of_ratios import sum_of_ratios


def trajectory_ips(
    reward: Array,
    weight: Array,
    *,
    discount: float = 1.0,
    present: Array | None = None,
    clipped: bool = False,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """The plain form: the mean over episodes of weight times return.

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
    returns, rho = _returns_and_weights(reward, weight, discount, present)
    estimate = mean_of(rho[:, -1] * returns, interval=interval, groups=groups)
    return with_step_diagnostics(estimate, rho, clipped=clipped)


def weighted_trajectory_ips(
    reward: Array,
    weight: Array,
    *,
    discount: float = 1.0,
    present: Array | None = None,
    clipped: bool = False,
    interval: Interval | None = None,
    groups: Array | None = None,
) -> Estimate:
    """The weighted form: the mean of returns, weighted by rho.

    Args, returns and errors: as of `trajectory_ips`; refused too where all episodes have weight 0.
    """
    returns, rho = _returns_and_weights(reward, weight, discount, present)
    last = rho[:, -1:]
    estimate = sum_of_ratios(
        last * returns[:, None], last, place="over whole episodes", interval=interval, groups=groups
    )
    return with_step_diagnostics(estimate, rho, clipped=clipped)


def _returns_and_weights(
    reward: Array, weight: Array, discount: float, present: Array | None
) -> tuple[Floats, Floats]:
    """(E,) G and (E, H) rho."""
    reward, present = check_reward(reward, present)
    return reward @ discounts(discount, reward.shape[1]), cumulative_weights(weight, present)
