"""Golden regrets: the nine B_LB problems of Kveton et al. 2015 by four algorithms, n = 100,000.

Mean and standard error of 20 runs of an independent implementation in C; ours must agree within four
combined standard errors. That implementation observes every item once for free where ours shows unseen
items first, which costs a few units of regret at most and stands within the error.
"""

import numpy as np
import pytest
from driving import drive

from recsim_env.agents.bandits.cascade_kl_ucb import CascadeKLUCB
from recsim_env.agents.bandits.cascade_ts import CascadeTS
from recsim_env.agents.bandits.cascade_ucb import CascadeUCB
from recsim_env.agents.bandits.ts_cascade import TSCascade
from recsim_env.simulators.worlds.cascade_bandit import cascade_bandit

ALGORITHMS = {"ucb": CascadeUCB, "kl_ucb": CascadeKLUCB, "ts": CascadeTS, "ts_cascade": TSCascade}
GOLDEN = {  # (L, K, gap): (mean, standard error) in the order of ALGORITHMS
    (16, 2, 0.15): [(1278.5, 8.7), (355.0, 5.8), (153.6, 3.7), (379.7, 4.0)],
    (16, 4, 0.15): [(988.6, 7.5), (271.3, 4.3), (104.4, 2.3), (292.6, 3.7)],
    (16, 8, 0.15): [(550.7, 3.4), (152.4, 3.6), (51.2, 1.5), (141.4, 2.0)],
    (32, 2, 0.15): [(2708.7, 11.8), (759.9, 7.8), (323.4, 5.1), (750.0, 5.3)],
    (32, 4, 0.15): [(2244.8, 12.5), (609.8, 6.2), (244.1, 3.5), (607.4, 4.0)],
    (32, 8, 0.15): [(1526.2, 7.5), (418.2, 3.9), (140.5, 3.8), (387.9, 4.0)],
    (16, 2, 0.075): [(2022.9, 21.2), (764.3, 18.9), (285.7, 8.6), (675.7, 10.2)],
    (16, 4, 0.075): [(1512.8, 20.0), (542.3, 9.3), (204.5, 6.2), (560.6, 8.9)],
    (16, 8, 0.075): [(702.5, 10.7), (271.7, 5.3), (116.4, 9.0), (252.9, 7.0)],
}


def compare(problem, name, replicates):
    L, K, gap = problem
    mean, error = GOLDEN[problem][list(ALGORITHMS).index(name)]
    world = cascade_bandit(L, K, 0.2, gap, horizon=1000)
    _, curve = drive(world, ALGORITHMS[name](replicates, 1, L, K), replicates, 100)
    ours, ours_error = curve[-1].mean(), curve[-1].std(ddof=1) / np.sqrt(replicates)
    print(f"{problem} {name}: {ours:.1f} +- {ours_error:.1f}, golden {mean} +- {error}")
    assert abs(ours - mean) < 4 * np.hypot(error, ours_error)


@pytest.mark.parametrize("name", ["kl_ucb", "ts", "ts_cascade", "ucb"])
def test_one_problem(name):
    compare((16, 4, 0.15), name, 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("problem", GOLDEN)
def test_all_problems(problem, name):
    compare(problem, name, 32)
