"""Users who choose for themselves: `IncentivisedUsers-v0`."""

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.errors import InputError
from recsim_env.simulators.worlds.incentivised import IncentivisedWorld
from recsim_env.user_models.obedience import check_samples, safe_exploration


def incentivised_users(
    num_items: int = 2,
    best_mean: float = 0.55,
    gap: float = 0.05,
    strength: float = 4.0,
    kind: str = "recommendation",
    warm_up: int = 20,
    exploration: float | None = None,
    horizon: int = 2000,
) -> IncentivisedWorld:
    """Explore with users who will not be experimented on, unless what they are told is worth following.

    Story:
        A platform recommends restaurants to travellers who come once. Everybody knows that the first one is
        the better bet a priori. Who sees all reviews eats where reviews and reputation say, and if the first
        restaurant does well at the start nobody ever tries the second. Who sees only the recommendation
        follows it as long as experiments are rare enough, because most recommendations carry what others
        found.

    Slate (action):
        One arm, which is recommended. The user may take another one.

    Observation:
        `chosen`, the arm that the last user took (N before the first), whose reward it was; `step`, users so
        far.

    What the user does:
        Knows the prior, and in the first num_items x warm_up rounds is paid to follow. Then, recommendation:
        sees the recommended arm alone, knows the warm-up and the announced rate of exploration, and takes the
        arm that is best by Bayes' rule, the recommended one if none is better. history: sees which arms all
        earlier users of the episode took and what they got, and takes an arm of largest posterior mean, the
        recommended one if it is one.

    Reward:
        1 with the probability theta of the arm taken, else 0. `clicked` only if it was the recommended arm.

    Episode end:
        Truncated after `horizon` users. The next episode has new arms, drawn from the prior, and no reviews:
        a learner begins anew at `step` 0.

    Regret is measured against:
        The arm of largest theta, taken in every round. That users disobey is part of the regret.

    Parameters (default, range, source):
        num_items: N (2, at least 2; ours).
        best_mean: prior mean of arm 0 (0.55, in (0, 1); ours).
        gap: how much lower the prior mean of every next arm is (0.05, in (0, 1); ours).
        strength: alpha + beta of the priors (4; all alpha and beta must be at least 1; ours).
        kind: recommendation or history (recommendation).
        warm_up: n, samples of every arm that are paid for (20, 0 or more, with (n+1)^N a million at most;
            ours).
        exploration: announced rate of exploration (None: the largest safe one by the theorem, 1/3 min over
            arms of E[G 1{G > 0}], some 0.03 here).
        horizon: users of an episode (2000, at least 1; ours).

    Known simplifications:
        Users trust the announced rate, and the platform is not checked against it. They reason about the
        warm-up samples alone, not the round they are in, and as if the recommended arm would have been
        explored for certain: knowing that the platform learns on gives them more reason to follow. Priors are
        Beta, independent, and everybody's. A paid user costs nothing.

    Version history:
        v0: first version.

    Source: Mansour, Slivkins, Syrgkanis, "Bayesian incentive-compatible bandit exploration", EC 2015;
    Slivkins, "Introduction to multi-armed bandits", 2019, chapter 11.

    Raises:
        InputError: a parameter out of range.
    """
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}")
    if not 0.0 < gap < 1.0:
        raise InputError(f"gap must be above 0 and below 1, so that arm 0 is preferred a priori, got {gap}")
    mean = np.asarray(best_mean - gap * np.arange(num_items), np.float64)
    if not (mean[0] < 1.0 and mean[-1] > 0.0):
        raise InputError(
            f"best_mean - gap x arm must be in (0, 1) for all {num_items} arms, "
            f"got {mean[0]:.4g} to {mean[-1]:.4g}"
        )
    if not 0.0 < strength < np.inf:
        raise InputError(f"strength must be above 0 and finite, got {strength}")
    alpha: Floats = strength * mean
    beta: Floats = strength - alpha
    if exploration is None:
        check_samples("warm_up", warm_up, num_items)
        exploration = safe_exploration(alpha, beta, warm_up)
    return IncentivisedWorld(alpha, beta, kind, warm_up, exploration, horizon)
