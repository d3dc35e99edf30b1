"""Off-policy evaluation of slates. 35 s: python benchmarks/slate_off_policy.py

Exact probability of every item at every slot, of Plackett-Luce policies with other logits in every row;
limit: 1,000 rows a CPU-second at 10 items and slates of 5. The Open Bandit Pipeline, which enumerates the
30,240 lists, takes 137 ms a row for what was shown alone: quoted, not measured here. Beside it, in the same
run, a plain NumPy enumeration of the same lists, all rows sharing the table of lists. Estimators: 10,000
rows, slates of 5, with intervals and diagnostics; limit: all of them in 0.1 CPU-seconds.
"""

from itertools import permutations

import numpy as np
from timing import header, row, seconds

from recsim_env.evaluation.off_policy import (
    aips,
    cascade_dr,
    iips,
    importance_weights,
    plackett_luce_log_joint,
    plackett_luce_marginals,
    plackett_luce_pair_marginals,
    plackett_luce_slot_prob,
    position_weights,
    prefix_weights,
    pseudo_inverse,
    pseudo_inverse_weights,
    relevant_slots,
    rips,
    sips,
    slate_weights,
    sn_pseudo_inverse,
    snaips,
    sniips,
    snrips,
    snsips,
)

R, N, K = 10_000, 10, 5


def enumerated(theta: np.ndarray, lists: np.ndarray) -> np.ndarray:
    """(K, N) marginals of one row, summed over all lists."""
    weight = np.exp(theta)[lists]
    left = np.exp(theta).sum() - np.concatenate(
        [np.zeros((len(lists), 1)), weight.cumsum(axis=1)[:, :-1]], axis=1
    )
    chance = (weight / left).prod(axis=1)
    return np.stack([np.bincount(lists[:, k], chance, minlength=N) for k in range(K)])


def main() -> None:
    """Print the tables."""
    rng = np.random.default_rng(0)
    logging, target = rng.normal(size=(2, R, N)) * 0.3
    slate = np.argsort(-(logging + rng.gumbel(size=(R, N))), axis=1)[:, :K]
    lists = np.array(list(permutations(range(N), K)))

    header()
    plain = seconds(lambda: enumerated(target[0], lists), rounds=3)
    exact = seconds(lambda: plackett_luce_marginals(target, K), rounds=3) / R
    np.testing.assert_allclose(plackett_luce_marginals(target[0], K), enumerated(target[0], lists), rtol=1e-9)
    beside = f"enumeration {1 / plain:,.0f} rows/s; OBP quoted 7 rows/s"
    row("exact item-slot probabilities, N=10 K=5", f"{1 / exact:,.0f} rows/s", "1,000 rows/s", beside)
    one = seconds(lambda: plackett_luce_marginals(target[0], K), rounds=3)
    row("the same, one row a call", f"{1e6 * one:.0f} us", "2,000 us")
    pairs = seconds(lambda: plackett_luce_pair_marginals(logging[:200], K), rounds=3) / 200
    row("exact probabilities of pairs", f"{1 / pairs:,.0f} rows/s", "")
    wide = rng.normal(size=50)
    row(
        "exact item-slot probabilities, N=50 K=5",
        f"{1e3 * seconds(lambda: plackett_luce_marginals(wide, K)):.0f} ms",
        "",
    )

    shown = slate[:, :, None]
    log_target, log_logging = (
        np.log(np.take_along_axis(plackett_luce_slot_prob(logits, slate), shown, axis=2)[:, :, 0])
        for logits in (target, logging)
    )
    near = relevant_slots("near-1", K)
    marginals = plackett_luce_marginals(target, K), plackett_luce_marginals(logging, K)
    gram = plackett_luce_pair_marginals(logging[0], K)
    made = {
        "slate weights": lambda: slate_weights(log_target, log_logging),
        "prefix weights": lambda: prefix_weights(log_target, log_logging),
        "position weights, given probabilities": lambda: position_weights(*marginals, slate),
        "weights of near-1 behaviour, with probabilities": lambda: importance_weights(
            plackett_luce_log_joint(target, slate, near), plackett_luce_log_joint(logging, slate, near)
        ),
        "pseudo-inverse weights, one log policy": lambda: pseudo_inverse_weights(slate, marginals[0], gram),
    }
    weight = []
    for name, call in made.items():
        row(name, f"{1e3 * seconds(call, rounds=3):.1f} ms", "", "10,000 rows")
        weight.append(call())
    reward = (rng.random((R, K)) < 0.2).astype(float)
    q, rest = rng.random((2, R, K))
    estimators = {
        "sips": lambda: sips(reward, weight[0]),
        "snsips": lambda: snsips(reward, weight[0]),
        "rips": lambda: rips(reward, weight[1]),
        "snrips": lambda: snrips(reward, weight[1]),
        "iips": lambda: iips(reward, weight[2]),
        "sniips": lambda: sniips(reward, weight[2]),
        "aips": lambda: aips(reward, weight[3]),
        "snaips": lambda: snaips(reward, weight[3]),
        "cascade_dr": lambda: cascade_dr(reward, weight[1], q, rest),
        "pseudo_inverse": lambda: pseudo_inverse(reward, weight[4]),
        "sn_pseudo_inverse": lambda: sn_pseudo_inverse(reward, weight[4]),
    }
    total = 0.0
    for name, call in estimators.items():
        spent = seconds(call, rounds=3)
        total += spent
        row(name, f"{1e3 * spent:.2f} ms", "", "10,000 rows")
    row("all estimators", f"{1e3 * total:.0f} ms", "at most 100 ms", "10,000 rows")


if __name__ == "__main__":
    main()
