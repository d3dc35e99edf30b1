"""Fitting and sampling click models. 60 s: python benchmarks/click_models.py

Fits: 100,000 slates of 10 ranks out of 400 items, clicks of the position-based model, 50 iterations.
Limit: one pass over the same slates, NumPy's count of impressions and clicks by item and rank.
Samples: 4,096 slates of 10, nanoseconds a slot. Limit: the draws themselves, by NumPy's generator.
"""

import numpy as np
from timing import header, row, seconds

from recsim_env.simulators.log import Log
from recsim_env.user_models.choices import MultinomialLogit
from recsim_env.user_models.clicks import CLICK_MODELS, PositionBased, click_model

R, N, K, B = 100_000, 400, 10, 4096


def made() -> Log:
    """The log, of documents that suit the query, 20 to each of 20 queries."""
    rng = np.random.default_rng(0)
    attraction = rng.beta(1.2, 2.5, (20, 20))
    query = rng.integers(20, size=R)
    order = np.argsort(-(attraction[query] + rng.normal(0, 0.35, (R, 20))), axis=1)[:, :K]
    a = attraction[query[:, None], order]
    clicked = PositionBased.default(K).sample(a, rng.random((R, 2, K))).clicked
    return Log(np.arange(R), np.zeros(R), query[:, None] * 20 + order, clicked)


def main() -> None:
    """Print the tables."""
    log = made()

    def count() -> None:
        cell = log.slate * K + np.arange(K)
        np.bincount(cell.ravel(), minlength=N * K)
        np.bincount(cell[log.clicked], minlength=N * K)

    beside = f"counting alone {seconds(count):.3f} s"
    header()
    fifty = seconds(lambda: PositionBased.fit(log, N, iterations=50), rounds=3)
    row("fit position_based, 50 iterations", f"{fifty:.3f} s", "at most 1 s", beside)
    total = 0.0
    for name, model in CLICK_MODELS.items():
        spent = seconds(lambda model=model: model.fit(log, N), rounds=2)  # type: ignore[misc]
        total += spent
        steps = len(model.fit(log, N).learning_curve)
        row(f"fit {name}", f"{spent:.3f} s", "", f"until it has converged: iterations {steps}")
    row("fit all of them", f"{total:.2f} s", "at most 60 s")

    rng = np.random.default_rng(1)
    a = np.asfortranarray(rng.random((B, K)))  # along the users, as worlds hold them
    slot = 1e9 / (B * K)
    for name in CLICK_MODELS:
        clicks = click_model(name, K)
        draws = clicks.draws_per_slot
        u = rng.random((draws, K, B)).transpose(2, 0, 1)
        drawing = seconds(lambda draws=draws: rng.random((draws, K, B)), rounds=3)  # type: ignore[misc]
        spent = seconds(lambda clicks=clicks, u=u: clicks.sample(a, u), rounds=3)  # type: ignore[misc]
        row(f"sample {name}", f"{spent * slot:.2f} ns/slot", "", f"its draws {drawing * slot:.2f} ns/slot")
    utility, listed, one = np.log(a), np.asfortranarray(np.ones((B, K), np.bool_)), rng.random(B)
    spent = seconds(lambda: MultinomialLogit(1.0).sample(utility, listed, one), rounds=3)
    exponentials = seconds(lambda: np.exp(utility), rounds=3)
    row(
        "sample a multinomial logit",
        f"{spent * slot:.2f} ns/slot",
        "",
        f"exp alone {exponentials * slot:.2f} ns/slot",
    )


if __name__ == "__main__":
    main()
