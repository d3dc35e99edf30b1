"""The checks of the notebooks' exercises: right answers pass, and the usual wrong ones get their hint."""

import numpy as np
import pytest

from recsim_env.errors import InputError
from recsim_env.evaluation.regret_bounds import kl_bernoulli
from recsim_env.experiments.lessons import (
    adversaries,
    contexts,
    explore_or_exploit,
    first_slate,
    lower_bounds,
    off_policy_evaluation,
    planning_ahead,
    remember_and_drift,
    slates_and_cascades,
    thompson_sampling,
)
from recsim_env.experiments.lessons.predictions import predict


def unwritten(*arguments):
    raise NotImplementedError


# for every check: a right answer, and wrong ones with a piece of what is said of them
EXERCISES = {
    first_slate.check_click_probabilities: (
        lambda q: [a * np.prod([1 - b for b in q[:k]]) for k, a in enumerate(q)],
        {
            "for ([0.5, 0.5]) it gives [0.5, 0.5], and [0.5, 0.25] is right. A user who clicked": lambda q: q,
            "it gives shape (), and (1,) is wanted": lambda q: 0.5,
            "it stopped with TypeError": lambda q: q - 1,
            "the function returns nothing yet": lambda q: None,
            "it gives 'half', which is no number": lambda q: "half",
        },
    ),
    first_slate.check_expected_reward: (
        lambda q, w: np.sum(w * q * np.cumprod(np.append(1, 1 - q[:-1]))),
        {"weigh each worth": lambda q, w: np.sum(q), "needs that none above": lambda q, w: q @ w},
    ),
    planning_ahead.check_value_of_list: (
        lambda q, w, none: np.sum(w * q * np.cumprod(np.append(1, 1 - q[:-1]))) + none * np.prod(1 - q),
        {
            "is worth something too": lambda q, w, none: np.sum(w * q),
            "none above it": lambda q, w, none: np.sum(w * q) + none * np.prod(1 - q),
        },
    ),
    planning_ahead.check_backup: (
        lambda q, r, p, V: q * (r + p @ V) + (1 - q) * V,
        {
            "q r": lambda q, r, p, V: r + p @ V,
            "a row of p": lambda q, r, p, V: q * (r + V @ p) + (1 - q) * V,
            "the user stays": lambda q, r, p, V: q * (r + p @ V),
        },
    ),
    remember_and_drift.check_activation: (
        lambda ages, decay: np.log(np.sum(ages**-decay)),
        {
            "of the sum": lambda ages, decay: np.sum(np.log(ages**-decay)),
            "minus d": lambda ages, decay: np.log(np.sum(ages**decay)),
            "decay that is given": lambda ages, decay: np.log(np.sum(ages**-0.5)),
        },
    ),
    remember_and_drift.check_click_rate_now: (
        lambda clicked, ages, half_life: np.average(clicked, weights=0.5 ** (ages / half_life)),
        {
            "sum of the weights": lambda clicked, ages, half_life: np.mean(
                clicked * 0.5 ** (ages / half_life)
            ),
            "two half-lives": lambda clicked, ages, half_life: np.average(
                clicked, weights=1 / (1 + ages / half_life)
            ),
        },
    ),
    explore_or_exploit.check_upper_bounds: (
        lambda m, n, t: np.where(n > 0, m + np.sqrt(2 * np.log(t) / np.maximum(n, 1)), np.inf),
        {
            "sqrt(2 log t / n)": lambda m, n, t: m + 2 * np.log(t) / n,
            "log t = 0": lambda m, n, t: m + 1 / np.sqrt(n),
            "never shown": lambda m, n, t: m + np.sqrt(2 * np.log(t) / np.maximum(n, 1)),
        },
    ),
    explore_or_exploit.check_survivors: (
        lambda m, r: m + r >= np.max(m - r),
        {
            "both have a radius": lambda m, r: m + r >= np.max(m),
            "item 0 goes": lambda m, r: m + r >= m[0] - r,
            "largest lower end": lambda m, r: m + r >= m[-1] - r,
        },
    ),
    lower_bounds.check_divergence: (
        lambda p, q: p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)),
        {
            "without heads": lambda p, q: p * np.log(p / q),
            "weights are p": lambda p, q: kl_bernoulli(q, p),
            "natural": lambda p, q: p * np.log2(p / q) + (1 - p) * np.log2((1 - p) / (1 - q)),
        },
    ),
    lower_bounds.check_least_growth: (
        lambda m: sum((m.max() - a) / kl_bernoulli(a, m.max()) for a in m[m < m.max()]),
        {
            "comes first": lambda m: sum((m.max() - a) / kl_bernoulli(m.max(), a) for a in m[m < m.max()]),
            "costs its gap": lambda m: sum(1 / kl_bernoulli(a, m.max()) for a in m[m < m.max()]),
            "worse than the best": lambda m: (m.max() - m.min()) / kl_bernoulli(m.min(), m.max()),
            "for ([0.2, 0.7]) it gives nan": lambda m: np.sum((m.max() - m) / kl_bernoulli(m, m.max())),
        },
    ),
    thompson_sampling.check_posterior: (
        lambda alpha, beta, clicks: (alpha + clicks.sum(), beta + len(clicks) - clicks.sum()),
        {
            "Start from the prior": lambda alpha, beta, clicks: (clicks.sum(), len(clicks) - clicks.sum()),
            "and not all visitors": lambda alpha, beta, clicks: (alpha + clicks.sum(), beta + len(clicks)),
            "that are given": lambda alpha, beta, clicks: (1 + clicks.sum(), 1 + len(clicks) - clicks.sum()),
        },
    ),
    thompson_sampling.check_choose: (
        lambda alpha, beta, rng: rng.beta(alpha, beta).argmax(),
        {
            "and not the largest mean": lambda alpha, beta, rng: (
                (alpha / (alpha + beta)).argmax() if alpha[0] != beta[0] else rng.integers(2)
            ),
            "surely better": lambda alpha, beta, rng: rng.integers(2),
            "each item should be chosen half": lambda alpha, beta, rng: (alpha / (alpha + beta)).argmax(),
            "number of one item": lambda alpha, beta, rng: rng.beta(alpha, beta),
            "drawn far from its mean": lambda alpha, beta, rng: rng.normal(
                alpha / (alpha + beta), 0.3
            ).argmax(),
        },
    ),
    off_policy_evaluation.check_inverse_propensity: (
        lambda r, new, old: np.mean(r * new / old),
        {
            "not the other way round": lambda r, new, old: np.mean(r * old / new),
            "self-normalised": lambda r, new, old: (
                np.sum(r * new / old) / np.sum(new / old) if len(r) > 1 else 0.4
            ),
        },
    ),
    off_policy_evaluation.check_effective_sample_size: (
        lambda w: np.sum(w) ** 2 / np.sum(w**2),
        {
            "size must not change": lambda w: np.sum(w),
            "says nothing": lambda w: len(w),
            "right places": lambda w: np.count_nonzero(w),
        },
    ),
    adversaries.check_hedge: (
        lambda c, rate: np.exp(-rate * (c - c.min())) / np.exp(-rate * (c - c.min())).sum(),
        {
            "add up to 1": lambda c, rate: np.exp(-rate * (c - c.min())),
            "Less cost, more": lambda c, rate: np.exp(rate * c) / np.exp(rate * c).sum(),
            "Use the rate": lambda c, rate: 0.5 ** (c - c.min()) / (0.5 ** (c - c.min())).sum(),
            "take the least cost away": lambda c, rate: np.exp(-rate * c) / np.exp(-rate * c).sum(),
        },
    ),
    adversaries.check_estimated_costs: (
        lambda arm, reward, p: np.where(np.arange(len(p)) == arm, (1 - reward) / p[arm], 0),
        {
            "1 less the reward": lambda arm, reward, p: np.eye(len(p))[arm] * reward / p[arm],
            "Divide by the probability": lambda arm, reward, p: np.eye(len(p))[arm] * (1 - reward),
            "it gives shape ()": lambda arm, reward, p: (1 - reward) / p[arm],
        },
    ),
    contexts.check_worth_of_knowing: (
        lambda means: means.max(axis=1).mean() - means.mean(axis=0).max(),
        {
            "the largest of each row": lambda means: means.max(axis=1).mean() - means.mean(axis=0)[0],
            "is worth nothing": lambda means: means.max(axis=1).mean() - means.mean(),
            "it gives shape (2,)": lambda means: means.max(axis=1) - means.mean(axis=0).max(),
        },
    ),
    contexts.check_upper_bound: (
        lambda x, theta, inverse, radius: x @ theta + radius * np.sqrt(x @ inverse @ x),
        {
            "above the estimate": lambda x, theta, inverse, radius: x @ theta - radius,
            "With radius 0": lambda x, theta, inverse, radius: radius * np.sqrt(x @ inverse @ x),
            "for ([0, 2], [0.5, -1], ": lambda x, theta, inverse, radius: x @ theta + radius,
            "square root": lambda x, theta, inverse, radius: x @ theta + radius * (x @ inverse @ x),
            "The width is": lambda x, theta, inverse, radius: x @ theta + radius * np.sqrt(x @ x),
        },
    ),
    slates_and_cascades.check_observed: (
        lambda click, size: [click is None or k <= click for k in range(size)],
        {
            "below the click": lambda click, size: [True] * size,
            "Without a click": lambda click, size: [click is not None and k <= click for k in range(size)],
            "looked at the clicked slot": lambda click, size: [
                click is None or k < click for k in range(size)
            ],
        },
    ),
    slates_and_cascades.check_attraction: (
        lambda clicks, showings, theta: clicks / np.sum(showings * theta),
        {
            "it gives 0.3, and 0.6": lambda clicks, showings, theta: clicks / np.sum(showings),
            "users who looked": lambda clicks, showings, theta: (
                clicks / np.sum(showings) * np.mean(theta[showings > 0])
            ),
            "it gives shape (2,)": lambda clicks, showings, theta: clicks / (1 + showings * theta),
        },
    ),
}
NAMES = {check: f"{check.__module__.rsplit('.', 1)[-1]}.{check.__name__}" for check in EXERCISES}


@pytest.mark.parametrize("check", EXERCISES, ids=NAMES.get)
def test_exercises(check, capsys):
    right, wrong = EXERCISES[check]
    assert check(right)
    assert capsys.readouterr().out.endswith(": right\n")
    for words, answer in wrong.items():
        assert not check(answer)
        said = capsys.readouterr().out
        assert "not yet: " in said
        assert words in said
        assert said.count("\n") == 1
    assert not check(unwritten)
    assert "write the function first" in capsys.readouterr().out


def test_predictions(capsys):
    predict("How many?", answer=4000).reveal(6112)
    predict("How many?", answer=6000).reveal(6112)
    predict("Which?", answer="a", choices=["a", "b"]).reveal("b")
    predict("Order?", answer=["c", "a", "b"], choices=["a", "b", "c"]).reveal(["a", "b", "c"])
    predict("Order?", answer=("a", "b"), choices=["a", "b"]).reveal(["a", "b"])
    assert capsys.readouterr().out.splitlines() == [
        "How many?",
        "You said 4,000. It is 6,112. You were 35% below.",
        "How many?",
        "You said 6,000. It is 6,112. Close.",
        "Which?",
        "You said a. It is b. Not so: why?",
        "Order?",
        "You said c, a, b. It is a, b, c. 1 of 3 pairs are in the right order.",
        "Order?",
        "You said a, b. It is a, b. Right.",
    ]
    predict("How many?").reveal(0.25)
    assert "Write your answer down" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("answer", "choices", "message"),
    [
        ("many", (), "answer must be a number, got 'many'"),
        ("c", ("a", "b"), "answer must be one of a, b, got 'c'"),
        (["a"], ("a", "b"), r"answer must put a, b in order, got \['a'\]"),
        (3, ("a", "b"), "answer must put a, b in order, got 3"),
    ],
)
def test_answers_of_another_kind_are_refused(answer, choices, message):
    with pytest.raises(InputError, match=message):
        predict("?", answer, choices)
