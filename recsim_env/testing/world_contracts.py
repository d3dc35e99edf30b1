"""Contracts of a world by itself: declared arrays, purity, luck, and rows that do not depend on each other.

Those of its values are in `value_contracts.py`, those of its Gymnasium faces in `face_contracts.py`.
"""

import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import columns, repeat_rows, take_rows
from recsim_env.testing.contracts import Broken
from recsim_env.testing.global_randomness import left_alone
from recsim_env.testing.world_case import PLANNED_ANEW, WorldCase, copied, difference, luck_arrays, rows_of

STEPS = 12  # of a walk
ROWS = 7


def sizes_are_declared(case: WorldCase) -> None:
    """The world tells its number of items, the length of slates and episodes, and whether it plans ahead.

    Spaces, agents and experiments are made from these numbers.
    """
    world = case.world
    for name in ("num_items", "slate_size", "horizon"):
        size = getattr(world, name, None)
        if not isinstance(size, int | np.integer) or isinstance(size, bool) or size < 1:
            raise Broken(f"{name} is {size!r}", f"give the world an attribute {name}, a whole number from 1")
    if world.slate_size > world.num_items:
        raise Broken(
            f"slate_size is {world.slate_size} and num_items {world.num_items}",
            "a slate cannot be longer than the catalogue",
        )
    if not isinstance(getattr(world, "plans_ahead", None), bool):
        raise Broken(
            f"plans_ahead is {getattr(world, 'plans_ahead', None)!r}",
            "True: `values` are of the rest of the episode; False: of this step alone",
        )


def states_have_a_row_for_each_user(case: WorldCase) -> None:
    """A state is a named tuple of arrays, each with one row per user as its first axis.

    Environments begin some rows anew, and G slates are shown to one user by repeating a row: both take rows
    of every array.
    """
    for rows in (1, ROWS):
        begun = case.world.begin(case.luck(rows))
        _check_state(begun, rows)
        after, _ = case.world.respond(begun, case.slates(rows, 0), case.luck(rows))
        _check_state(after, rows)


def _check_state(state: Any, rows: int) -> None:
    if not (isinstance(state, tuple) and hasattr(state, "_fields")):
        raise Broken(f"a state is a {type(state).__name__}", "make it a typing.NamedTuple")
    for i, column in enumerate(_parts(state)):
        if not isinstance(column, np.ndarray) or column.shape[:1] != (rows,):
            shape = getattr(column, "shape", None)
            raise Broken(
                f"array {i} of a state of {rows} users is a {type(column).__name__} of shape {shape}",
                "let every field be an array with one row per user; what users share belongs to the world",
            )


def _parts(state: tuple[Any, ...]) -> list[Any]:
    return [part for field in state for part in (_parts(field) if isinstance(field, tuple) else [field])]


def observations_are_as_declared(case: WorldCase) -> None:
    """What `observe` gives is what `observation_entries` declares: names, shapes, types and bounds.

    The observation space is made from the entries; libraries allocate arrays by it and refuse, or silently
    convert, what does not fit.
    """
    entries = case.world.observation_entries()
    for rows in (1, ROWS):
        for step in case.walk(case.world, rows, STEPS):
            for seen in (case.world.observe(step.state), case.world.observe(step.after)):
                if seen.keys() != entries.keys():
                    raise Broken(
                        f"observe gives {sorted(seen)} and observation_entries declares {sorted(entries)}",
                        "declare all that is given, and give all that is declared",
                    )
                for name, entry in entries.items():
                    value = seen[name]
                    wanted = (rows, *entry.shape)
                    if not isinstance(value, np.ndarray) or value.shape != wanted:
                        raise Broken(
                            f"{name!r} has shape {np.shape(value)} and its entry says {wanted} for {rows} "
                            "users",
                            "correct `shape` of the entry, or what observe gives",
                        )
                    if value.dtype != np.dtype(entry.dtype):
                        raise Broken(
                            f"{name!r} is {value.dtype} and its entry says {np.dtype(entry.dtype)}",
                            "whole numbers are int64, real ones float32, flags int8: convert in observe",
                        )
                    if not (
                        np.isfinite(value).all()
                        and (value >= entry.low).all()
                        and (value <= entry.high).all()
                    ):
                        raise Broken(
                            f"{name!r} holds values from {value.min()} to {value.max()} and its entry says "
                            f"{entry.low} to {entry.high}",
                            "widen the entry, or clip in observe",
                        )


def observations_are_new_arrays(case: WorldCase) -> None:
    """Who gets an observation may keep it and write into it.

    A replay buffer keeps observations, a wrapper changes them in place: neither may reach into the users.
    """
    for step in case.walk(case.world, ROWS, 4):
        seen = case.world.observe(step.after)
        kept = copied(seen)
        for name, value in seen.items():
            if not value.flags.writeable or any(
                np.may_share_memory(value, part) for part in columns(step.after)
            ):
                raise Broken(f"{name!r} shares its memory with the state, or is read-only", "give out a copy")
            value[...] = 0
        found = difference(kept, case.world.observe(step.after), "observation")
        if found:
            raise Broken(f"after an observation was overwritten with 0, {found}", "give out copies")


def outcomes_are_as_declared(case: WorldCase) -> None:
    """An outcome holds finite rewards and values (B,), who left (B,), and clicks and examinations (B, K).

    Agents and environments add, compare and stack these arrays without looking at them again.
    """
    world = case.world
    low, high = getattr(world, "reward_range", (-np.inf, np.inf))
    for rows in (1, ROWS):
        for step in case.walk(world, rows, STEPS):
            o = step.outcome
            slots = (rows, world.slate_size)
            for name, value, shape, kind in (
                ("reward", o.reward, (rows,), "float64"),
                ("best_value", o.best_value, (rows,), "float64"),
                ("slate_value", o.slate_value, (rows,), "float64"),
                ("left", o.left, (rows,), "bool"),
                ("response.clicked", o.response.clicked, slots, "bool"),
                ("response.examined", o.response.examined, slots, "bool"),
            ):
                if not isinstance(value, np.ndarray) or value.shape != shape or value.dtype != kind:
                    found = f"{getattr(value, 'dtype', type(value).__name__)} of shape {np.shape(value)}"
                    raise Broken(f"{name} is {found}, not {kind} of {shape}", "convert it in respond")
                if kind == "float64" and not np.isfinite(value).all():
                    raise Broken(f"{name} holds {value[~np.isfinite(value)][0]}", "keep it finite")
            outside = (o.reward < low) | (o.reward > high)
            if outside.any():
                raise Broken(
                    f"a reward is {o.reward[outside][0]} and reward_range says {low} to {high}",
                    "widen reward_range, which algorithms for bounded rewards rely on",
                )


def a_click_is_an_examination(case: WorldCase) -> None:
    """A user clicks only what they examined.

    Click models and cascading bandits count examinations: a click without one makes a rate above 1.
    """
    for step in case.walk(case.world, 64, STEPS):
        wrong = step.outcome.response.clicked & ~step.outcome.response.examined
        if wrong.any():
            row, slot = np.argwhere(wrong)[0]
            raise Broken(
                f"slot {slot} of row {row} was clicked and not examined (slate {step.slates[row].tolist()})",
                "examined must be True wherever clicked is",
            )


def empty_slots_hold_nothing(case: WorldCase) -> None:
    """A slot with -1 is neither examined nor clicked.

    -1 indexes the last item of a NumPy array: a world that forgets the empty slot shows that item there.
    """
    for step in case.walk(case.world, 64, STEPS):
        wrong = (step.slates < 0) & (step.outcome.response.examined | step.outcome.response.clicked)
        if wrong.any():
            row, slot = np.argwhere(wrong)[0]
            raise Broken(
                f"slot {slot} of slate {step.slates[row].tolist()} is empty and was examined or clicked",
                "mask with `slates >= 0` before the user looks",
            )


def nothing_given_is_changed(case: WorldCase) -> None:
    """`begin`, `observe` and `respond` change neither what they are given nor the world itself.

    The same state is shown other slates, a copy of the world plays on: a change in place reaches them all.
    """
    world = case.world
    for _ in case.walk(world, ROWS, 3):  # what is computed once is there now
        pass
    itself = _arrays_in(world)
    luck = case.luck(ROWS)
    state = world.begin(luck)
    for t in range(STEPS):
        if t % world.horizon == 0:
            luck = luck.of_episode(t)
            state = world.begin(luck)
        slates, now = case.slates(ROWS, t), luck.at(t % world.horizon)
        given = {"the state": state, "the slates": slates, "the luck": luck_arrays(now)}
        before = copied(given)
        after, outcome = world.respond(state, slates, now)
        given |= {"an outcome returned earlier": outcome, "the state after": after}
        before |= copied({name: given[name] for name in given if name not in before})
        world.observe(state)
        world.values(state, slates)
        world.expected_reward(state, slates)
        world.best_slate(state)
        world.respond(state, slates, now)
        world.respond(after, case.slates(ROWS, t + 1000), now)
        before["the world's own"], given["the world's own"] = itself, _arrays_in(world, itself)
        for name, then in before.items():
            found = difference(then, given[name], name)
            if found:
                raise Broken(f"step {t}: {found}", "write into new arrays; a world is a frozen dataclass")
        state = after


def _arrays_in(world: Any, like: dict[str, Any] | None = None) -> dict[str, Any]:
    """Copies of the arrays and plain numbers of a world and of the dataclasses it is made of."""
    found: dict[str, Any] = {}
    _collect(world, "", found, 0)
    return found if like is None else {name: found[name] for name in like if name in found}


def _collect(thing: Any, name: str, found: dict[str, Any], depth: int) -> None:
    if isinstance(thing, np.ndarray) and thing.dtype != object:
        found[name] = thing.copy()
    elif isinstance(thing, bool | int | float | str | np.generic):
        found[name] = np.asarray(thing)
    elif isinstance(thing, dict | list | set):
        found[name] = np.asarray(len(thing))
    elif depth < 4:
        inside = dict(getattr(thing, "__dict__", {}))
        if is_dataclass(thing):
            inside |= {field.name: getattr(thing, field.name) for field in fields(thing)}
        for key, part in inside.items():
            if not callable(part):
                _collect(part, f"{name}.{key}".lstrip("."), found, depth + 1)


def same_luck_same_outcome(case: WorldCase) -> None:
    """The same state, slates and luck give the same outcome: again, after other calls, and in another copy.

    Runs repeat, and a paired comparison shows two slates to one user, only because of this.
    """
    other = case.make()
    for t, (one, two) in enumerate(
        zip(case.walk(case.world, ROWS, STEPS), case.walk(other, ROWS, STEPS), strict=True)
    ):
        mine, theirs = ((step.state, step.after, step.outcome) for step in (one, two))
        found = difference(mine, theirs, tolerance=PLANNED_ANEW)
        if found:
            raise Broken(
                f"two copies of the world, step {t}: {_named(found)}",
                "let all chance come from the luck that is handed in, and from a seed of the world",
            )
        case.world.respond(one.state, case.slates(ROWS, t + 2000), case.luck(ROWS, 500))
        again = case.world.respond(one.state, one.slates, one.luck)
        found = difference((one.after, one.outcome), again, "")
        if found:
            raise Broken(
                f"the same call again, step {t}: {_named(found)}",
                "keep nothing between calls: what lasts belongs into the state",
            )


def _named(found: str) -> str:
    for number, name in (("0.", "the state before "), ("1.", "the state after, "), ("2.", "the outcome's ")):
        if found.startswith(number):
            return name + found.removeprefix(number)
    return found


def global_randomness_is_left_alone(case: WorldCase) -> None:
    """No draw comes from NumPy's or Python's global generator.

    Their state is shared by the whole program, so that results would depend on what else runs.
    """
    with left_alone("the world", "the luck that is handed in (luck.uniform('name', shape))"):
        world = case.make()
        for step in case.walk(world, ROWS, STEPS):
            world.observe(step.after)
            world.values(step.state, step.slates)
            world.best_slate(step.state)


def rows_do_not_depend_on_each_other(case: WorldCase) -> None:
    """User i does the same alone, in a batch of any size, and in any place of it, to the last bit.

    A run of 10,000 users, or on another number of machines, is then the same experiment. Sums whose order
    depends on the batch, and draws from a shared generator, break it.
    """
    world = case.world
    order = np.random.default_rng(0).permutation(ROWS)
    for t, step in enumerate(case.walk(world, ROWS, STEPS)):
        whole = (step.after, step.outcome, world.observe(step.after), world.best_slate(step.state))
        for how, index in (
            ("alone", np.array([0])),
            ("alone", np.array([3])),
            ("in a batch of 2", np.array([3, 4])),
            ("in another order", order),
            ("in a batch of 28", np.tile(np.arange(ROWS), 4)),
        ):
            state, slates = take_rows(step.state, index), step.slates[index]
            after, outcome = world.respond(state, slates, step.luck.rows(index))
            parts = (after, outcome, world.observe(after), world.best_slate(state))
            found = difference(rows_of(whole, index), parts, "")
            if found:
                raise Broken(
                    f"step {t}, in a batch of {ROWS} and then {how}: {_place(found)}",
                    "use each user's own row of state, slates and luck alone; add along axes in one order",
                )
        fresh = world.begin(step.luck.rows(order))
        found = difference(rows_of(world.begin(step.luck), order), fresh, "begin, the state's ")
        if found:
            raise Broken(f"users in another order: {found}", "draw each user by their own luck")


def _place(found: str) -> str:
    for number, name in (
        ("0.", "the state's "),
        ("1.", "the outcome's "),
        ("2[", "the observation ["),
        ("3", "best_slate"),
    ):
        if found.startswith(number):
            return name + found.removeprefix(number)
    return found


def many_slates_can_be_shown_to_one_user(case: WorldCase) -> None:
    """`repeat_rows` and `Luck.repeat` show G slates to one user in one state under one luck.

    Common random numbers, slate credit and preference pairs are made of such counterfactuals.
    """
    world, G = case.world, 5
    for t, step in enumerate(case.walk(world, 3, 6)):
        slates = np.concatenate([case.slates(G, t + 10 * b) for b in range(3)])
        together = world.respond(repeat_rows(step.state, G), slates, step.luck.repeat(G))
        for g in range(G):
            index = np.arange(3) * G + g
            alone = world.respond(step.state, slates[index], step.luck)
            found = difference(rows_of(together, index), alone, "")
            if found:
                raise Broken(
                    f"slate {g} of {G}, shown to the same users together and then alone: {found}",
                    "let an outcome depend on state, slate and luck of its row alone",
                )


class _Watched(Luck):
    """Writes down what is drawn."""

    __slots__ = ("drawn",)

    def __init__(self, luck: Luck) -> None:
        super().__init__(luck.seed, luck.episode, luck.step)
        self.drawn: list[tuple[str, tuple[int, ...]]] = []

    def uniform(self, stream: str, shape: tuple[int, ...] = ()) -> Floats:
        self.drawn.append((stream, tuple(shape)))
        return super().uniform(stream, shape)

    def beta(self, stream: str, a: Floats, b: Floats) -> Floats:
        self.drawn.append((stream, a.shape[1:]))
        return super().beta(stream, a, b)


def luck_is_drawn_once_and_in_fixed_shapes(case: WorldCase) -> None:
    """A step draws the same streams in the same shapes whatever is shown, and no stream twice.

    A stream drawn twice gives the same numbers twice, so what hangs on them is no longer independent; this
    holds of `begin` and the first `respond` too, which have the same luck. Shapes that depend on the slate
    end common random numbers. (Draws in compiled code, which reads the seeds itself, are not seen here.)
    """
    world = case.world
    begun = _Watched(case.luck(ROWS))
    world.begin(begun)
    first = None
    for t, step in enumerate(case.walk(world, ROWS, STEPS)):
        luck = _Watched(step.luck)
        world.respond(step.state, step.slates, luck)
        streams = [stream for stream, _ in luck.drawn]
        for stream in streams:
            if streams.count(stream) > 1:
                raise Broken(
                    f"respond draws the stream {stream!r} {streams.count(stream)} times",
                    "draw it once with a larger shape, or give each draw a stream of its own name",
                )
            if stream in [name for name, _ in begun.drawn]:
                raise Broken(
                    f"begin and respond both draw the stream {stream!r}, with the same numbers at step 0",
                    "give them streams of other names",
                )
        if first is not None and sorted(luck.drawn) != sorted(first):
            raise Broken(
                f"step 0 drew {sorted(first)} and step {t} {sorted(luck.drawn)}",
                "draw all the luck of a step first, always in the same shapes",
            )
        first = luck.drawn


def a_copy_by_pickle_does_the_same(case: WorldCase) -> None:
    """The world can be pickled, and the copy answers as the world does.

    Processes and machines get it so.
    """
    try:
        copy = pickle.loads(pickle.dumps(case.world))
    except Exception as error:
        raise Broken(
            f"{type(error).__name__}: {error}",
            "hold arrays, numbers and functions of modules; a lambda, a file or a lock cannot be pickled",
        ) from None
    for t, step in enumerate(case.walk(case.world, ROWS, 4)):
        answer = copy.respond(step.state, step.slates, step.luck)
        found = difference((step.after, step.outcome), answer, tolerance=PLANNED_ANEW)
        if found:
            raise Broken(f"the copy at step {t}: {found}", "let what the world depends on travel with it")


WORLD_CONTRACTS: tuple[Callable[[WorldCase], None], ...] = (
    sizes_are_declared,
    states_have_a_row_for_each_user,
    observations_are_as_declared,
    observations_are_new_arrays,
    outcomes_are_as_declared,
    empty_slots_hold_nothing,
    a_click_is_an_examination,
    nothing_given_is_changed,
    global_randomness_is_left_alone,
    same_luck_same_outcome,
    rows_do_not_depend_on_each_other,
    many_slates_can_be_shown_to_one_user,
    luck_is_drawn_once_and_in_fixed_shapes,
    a_copy_by_pickle_does_the_same,
)
