"""Contracts of what a world says slates are worth: regret is made of nothing else."""

from collections.abc import Callable
from typing import Any

import numpy as np

from recsim_env.arrays import Floats, Ints
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import num_rows, repeat_rows, take_rows
from recsim_env.testing.contracts import Broken
from recsim_env.testing.world_case import WorldCase, all_slates

ERRORS = 5  # standard errors that a mean may be off
FEW = 30  # rewards that say nothing of their variance
LISTS = 3_000  # all lists are tried if there are no more
EXACT = 1e-9
ROUNDED = 1e-6  # relative: items that attract equally to float32, the precision of features, in another order


def the_best_slate_is_a_slate(case: WorldCase) -> None:
    """`best_slate` gives distinct items from the top, int64 (B, K), with -1 in unused slots at the end.

    It is shown to users as any other slate, by the oracle that regret is measured against.
    """
    world = case.world
    for step in case.walk(world, 16, 6):
        best = world.best_slate(step.state)
        fault = slate_fault(best, (16, world.slate_size), world.num_items)
        if fault:
            raise Broken(f"best_slate: {fault}", "return distinct items from the top, int64, -1 at the end")


def slate_fault(slates: Any, shape: tuple[int, int], num_items: int) -> str | None:
    """What is wrong with slates (B, K): None if they are lists of distinct items."""
    if not isinstance(slates, np.ndarray) or slates.shape != shape or slates.dtype != np.int64:
        kind = getattr(slates, "dtype", type(slates).__name__)
        return f"it is {kind} of shape {np.shape(slates)}, not int64 of {shape}"
    for row, slate in enumerate(slates):
        items = slate[slate >= 0]
        words = f"row {row} is {slate.tolist()}"
        if len(items) == 0:
            return f"{words}: no item"
        if (slate[: len(items)] < 0).any() or slate.min() < -1:
            return f"{words}: an empty slot before an item"
        if len(set(items.tolist())) < len(items):
            return f"{words}: an item twice"
        if items.max() >= num_items:
            return f"{words}: the catalogue has items 0 to {num_items - 1}"
    return None


def outcomes_tell_the_values_of_the_world(case: WorldCase) -> None:
    """`best_value` and `slate_value` of an outcome are what `values` gives for the state before the step.

    Two ways to the same number must agree, or regret depends on which one is asked.
    """
    for t, step in enumerate(case.walk(case.world, 16, 12)):
        best, shown = case.world.values(step.state, step.slates)
        for name, told, known in (
            ("best_value", step.outcome.best_value, best),
            ("slate_value", step.outcome.slate_value, shown),
        ):
            if not np.allclose(told, known, rtol=EXACT, atol=EXACT):
                row = int(np.argmax(np.abs(told - known)))
                raise Broken(
                    f"{name}[{row}] of step {t} is {told[row]:.9g} and values gives {known[row]:.9g}",
                    "compute both from one function",
                )


def expected_reward_is_the_mean_of_many_steps(case: WorldCase) -> None:
    """`expected_reward` is the mean reward of a slate over luck, within five standard errors.

    It is what makes regret free of noise; sampled here by thousands of copies of one user in one state.
    """
    world = case.world
    largest = max(1.0, *np.abs(getattr(world, "reward_range", (0.0, 1.0))))
    largest = largest if np.isfinite(largest) else 1.0
    for trial, (state, slates) in enumerate(_situations(case)):
        n = case.samples(state)
        _, outcome = world.respond(repeat_rows(state, n), slates.repeat(n, axis=0), _lucks(case, state, n))
        expected = float(world.expected_reward(state, slates)[0])
        # rare rewards may not occur at all: no variance is taken below that of a coin of this mean, or of a
        # reward as large as may be where hardly any occurred
        rare = np.count_nonzero(outcome.reward) < FEW
        error = np.sqrt(max(float(outcome.reward.var()), abs(expected) * (largest if rare else 1.0)) / n)
        found = float(outcome.reward.mean())
        if not abs(found - expected) < ERRORS * error + 1e-12:
            raise Broken(
                f"slate {slates[0].tolist()} (situation {trial}) earned {found:.5g} in the mean of {n} steps "
                f"(standard error {error:.2g}) and expected_reward says {expected:.5g}",
                "derive the expectation from what respond does, all slots and all luck of it"
                + ("; rewards that are rare and large: say how large in reward_range" if rare else ""),
            )


def slate_value_is_what_follows(case: WorldCase) -> None:
    """`slate_value` is the expected reward of a step, and of the best slates after it where the world plans.

    Then regret, summed over an episode, is what the policy really loses.
    """
    world = case.world
    for trial, (state, slates) in enumerate(_situations(case)):
        value = float(world.values(state, slates)[1][0])
        if not world.plans_ahead:
            expected = float(world.expected_reward(state, slates)[0])
            if abs(value - expected) > EXACT * max(1.0, abs(expected)):
                raise Broken(
                    f"slate {slates[0].tolist()} (situation {trial}) has the value {value:.9g} and the "
                    "expected "
                    f"reward {expected:.9g}",
                    "they are the same where plans_ahead is False",
                )
            continue
        n = min(case.samples(state), 20_000)
        after, outcome = world.respond(
            repeat_rows(state, n), slates.repeat(n, axis=0), _lucks(case, state, n)
        )
        follows = np.zeros(n)
        if world.horizon > 1:
            follows = np.where(outcome.left, 0.0, world.values(after, world.best_slate(after))[0])
        total = outcome.reward + follows
        error = np.sqrt(max(float(total.var()), EXACT) / n)
        if not abs(float(total.mean()) - value) < ERRORS * error:
            raise Broken(
                f"slate {slates[0].tolist()} (situation {trial}): reward and best value of the next state "
                "are "
                f"{total.mean():.6g} in the mean of {n} steps (standard error {error:.2g}) and slate_value "
                "says "
                f"{value:.6g}",
                "slate_value is E[reward] + E[best value of the next state], 0 where the user left or the "
                "horizon is reached",
            )


def _situations(case: WorldCase) -> list[tuple[Any, Ints]]:
    """Users (1, ...) and a slate (1, K) for each: the best one, random ones, and one at a later step."""
    world = case.world
    users = [world.begin(case.luck(1, first)) for first in range(3)]
    found = [(users[0], world.best_slate(users[0])), (users[1], case.slates(1, 1))]
    short = case.slates(1, 2)
    short[:, max(1, world.slate_size // 2) :] = -1
    found.append((users[2], short))
    if world.horizon > 3:
        state = [step.after for step in case.walk(world, 4, 2)][-1]
        found.append((take_rows(state, np.array([1])), case.slates(1, 3)))
    return found


def _lucks(case: WorldCase, state: Any, n: int) -> Luck:
    """Of n copies of one user, at a step that no episode begins with."""
    assert num_rows(state) == 1
    return case.luck(n, 1000).at(1)


def no_slate_beats_the_best(case: WorldCase) -> None:
    """No slate is worth more than `best_value`, and `best_slate` attains it.

    Regret would be negative. All lists are tried where there are few; else random ones, and those that differ
    from the best slate in one slot or in the order of two.
    """
    world = case.world
    every = all_slates(world.num_items, world.slate_size, LISTS)
    for t, step in enumerate(case.walk(world, 4 if every is not None else 16, 12)):
        best, attained = world.values(step.state, best_slates := world.best_slate(step.state))
        if not np.allclose(best, attained, rtol=EXACT, atol=EXACT):
            row = int(np.argmax(np.abs(best - attained)))
            raise Broken(
                f"best_slate {best_slates[row].tolist()} is worth {attained[row]:.9g} at step {t} and "
                "best_value "
                f"says {best[row]:.9g}",
                "best_value is the value of best_slate",
            )
        if every is not None and t < 3:
            _beaten(case, step.state, best, np.tile(every, (num_rows(step.state), 1)), EXACT)
        elif every is None:
            trials = range(t * 97, t * 97 + len(best_slates))
            _beaten(case, step.state, best, np.concatenate([case.slates(8, i) for i in trials]), EXACT)
            near = [_neighbours(case, row, i) for row, i in zip(best_slates, trials, strict=True)]
            _beaten(case, step.state, best, np.concatenate(near), ROUNDED)


def _neighbours(case: WorldCase, best: Ints, trial: int) -> Ints:
    """(R, K) slates that differ from the best one in an item, or in the order of two."""
    N = case.world.num_items
    rng = np.random.default_rng([case.seed, trial])
    replaced, exchanged = np.tile(best, (8, 1)), np.tile(best, (4, 1))
    for slate in replaced:
        item = rng.integers(N)
        if item not in slate:
            slate[rng.integers((slate >= 0).sum())] = item
    for slate in exchanged:
        a, b = rng.integers((slate >= 0).sum(), size=2)
        slate[[a, b]] = slate[[b, a]]
    return np.concatenate([replaced, exchanged])


def _beaten(case: WorldCase, state: Any, best: Floats, slates: Ints, tolerance: float) -> None:
    G = len(slates) // len(best)
    value = case.world.values(repeat_rows(state, G), slates)[1]
    ahead = value - best.repeat(G)
    worst = int(ahead.argmax())
    if ahead[worst] > tolerance * max(1.0, abs(float(best[worst // G]))):
        raise Broken(
            f"slate {slates[worst].tolist()} is worth {value[worst]:.9g} and best_value says "
            f"{best[worst // G]:.9g}",
            "let best_slate search what slates are allowed: short ones and any order",
        )


VALUE_CONTRACTS: tuple[Callable[[WorldCase], None], ...] = (
    the_best_slate_is_a_slate,
    outcomes_tell_the_values_of_the_world,
    expected_reward_is_the_mean_of_many_steps,
    slate_value_is_what_follows,
    no_slate_beats_the_best,
)
