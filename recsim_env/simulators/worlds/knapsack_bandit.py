"""The bandit with a budget: `KnapsackBandit-v0`, Bernoulli arms that cost, or prices of a stock."""

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.luck import world_generator
from recsim_env.simulators.worlds.knapsack import KnapsackWorld


def knapsack_bandit(
    num_arms: int = 10,
    kind: str = "bernoulli",
    budget: int = 1000,
    horizon: int = 2000,
    world_seed: int = 0,
) -> KnapsackWorld:
    """Spend a budget well: the arm that earns most per round is not the one that earns most per unit.

    Story:
        An advertiser has money for so many impressions and a season of so many rounds. Dear placements earn
        more per round, cheap ones more per unit spent, and the best plan often mixes two arms: it depends on
        how much budget and how much time are left. Or a shop with a stock of so many pieces tries prices.

    Slate (action):
        One arm, 0 to num_arms - 1, or num_arms: wait, which earns and costs nothing. The optimum never needs
        to wait, but algorithms do: beside a budget that is too small for every arm, waiting saves it.

    Observation:
        `budget`, units left; `cost` of the last pull, 0 or 1; `step`, rounds played.

    What the user does:
        bernoulli: pays 1 with the probability of the arm, and costs a unit with another one, independently.
        pricing: arm a offers the price (a + 1) / (num_arms + 1). Every customer has a uniform valuation, so
        the price p sells with probability S(p) = 1 - p; a sale earns p and costs one piece.
        Once the budget is gone, nothing is earned: the remaining rounds are empty.

    Reward:
        0 or 1; in pricing 0 or the price.

    Episode end:
        Truncated after `horizon` rounds, also where the budget went earlier, so that all episodes are equally
        long. The next one has a new budget, and the same arms.

    Regret is measured against:
        The optimal policy, which knows the arms: exact by dynamic programming over rounds and units left.
        The world's `lp_value` is the benchmark of the literature, at least as large.

    Parameters (default, range, source):
        num_arms: arms beside waiting (10, at least 1; ours).
        kind: bernoulli or pricing (bernoulli, of which mean rewards and costs are drawn uniformly from 0.1 to
            0.9, and the k-th dearest arm is the one that earns the k-th most).
        budget: B, units of an episode (1000, 1 to horizon; ours).
        horizon: T, rounds of an episode (2000, at least 1; budget x horizon at most 50 million; ours).
        world_seed: of means and costs (0); prices do not depend on it.

    Known simplifications:
        One resource beside time; costs are whole units, 0 or 1; all users are alike; there is no refund.

    Version history:
        v0: first version.

    Source: Badanidiyuru, Kleinberg, Slivkins, "Bandits with knapsacks", FOCS 2013; pricing as in Babaioff,
    Dughmi, Kleinberg, Slivkins, "Dynamic pricing with limited supply", EC 2012. The parameters are ours.

    Raises:
        InputError: a parameter out of range.
    """
    if num_arms < 1:
        raise InputError(f"num_arms must be at least 1, got {num_arms}")
    generator = world_generator(world_seed)
    if kind == "bernoulli":
        reward, cost = np.sort(generator.uniform(0.1, 0.9, (2, num_arms)))[:, generator.permutation(num_arms)]
        return KnapsackWorld(reward, np.ones(num_arms), cost, budget, horizon)
    if kind == "pricing":
        price = np.arange(1, num_arms + 1) / (num_arms + 1)
        return KnapsackWorld(1.0 - price, price, 1.0 - price, budget, horizon, coupled=True)
    raise InputError(f"kind must be bernoulli or pricing, got {kind!r}")
