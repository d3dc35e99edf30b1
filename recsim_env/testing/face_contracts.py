"""Contracts of a world behind its Gymnasium faces: what trainers and libraries meet."""

import pickle
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import TimeLimit

from recsim_env.arrays import Ints
from recsim_env.envs.batched import BatchedEnv
from recsim_env.envs.single_user import SingleUserEnv
from recsim_env.simulators.luck import Luck
from recsim_env.testing.contracts import Broken
from recsim_env.testing.world_case import PLANNED_ANEW, WorldCase, copied, difference, rows_of

LONGEST = 2_000  # steps: the end of longer episodes is not waited for
LIMIT = 4  # steps of episodes that are cut


def gymnasium_accepts_the_environment(case: WorldCase) -> None:
    """Gymnasium's own checker finds nothing, and warns of nothing.

    Libraries run it, or assume what it checks.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # an entry without bounds is honest where a value has none
        warnings.filterwarnings("ignore", ".*Box observation space (min|max)imum value is -?infinity")
        try:
            check_env(SingleUserEnv(case.make()), skip_render_check=True)
        except Exception as error:
            words = re.sub(r"\x1b\[\d+m", "", " ".join(str(error).split()))  # colours
            if case.world.horizon == 1 and "truncates after 1 step" in words:
                return  # its last objection: it takes no episode of one step for one
            raise Broken(
                f"{type(error).__name__}: {words}", "see gymnasium.utils.env_checker.check_env"
            ) from None


def a_row_of_the_vector_environment_is_the_single_one(case: WorldCase) -> None:
    """Row i does what the single environment with its seed does, step for step, across episodes.

    Training in a batch and evaluating alone is then one problem.
    """
    for rows in (1, 2, 7):
        batch = BatchedEnv(rows, case.make(), max_episode_steps=9)
        singles: list[Any] = [TimeLimit(SingleUserEnv(case.make()), 9) for _ in range(rows)]
        seen, _ = batch.reset(seed=100)
        over = [False] * rows
        for i, env in enumerate(singles):
            _agree(
                rows_of(seen, np.array(i)), env.reset(seed=100 + i)[0], f"the first observation of row {i}"
            )
        for t in range(45):
            actions = _actions(case, rows, t)
            seen, reward, terminated, truncated, info = batch.step(actions)
            for i, env in enumerate(singles):
                row = rows_of(seen, np.array(i))
                if over[i]:  # NEXT_STEP: this step only began the next episode
                    _agree(row, env.reset()[0], f"the first observation of the next episode of row {i}")
                    told = [reward[i], terminated[i], truncated[i], *(value[i] for value in info.values())]
                    if any(np.any(value) for value in told):
                        raise Broken(
                            f"row {i} was only begun anew, and step {t} tells of a reward, an end or a click",
                            "this is a fault of BatchedEnv: report it",
                        )
                    over[i] = False
                    continue
                alone = env.step(actions[i])
                together = (row, reward[i], terminated[i], truncated[i], rows_of(info, np.array(i)))
                _agree(together, alone, f"step {t}, row {i} of {rows} and alone")
                over[i] = bool(terminated[i] or truncated[i])


def a_user_is_the_same_in_any_row(case: WorldCase) -> None:
    """The user of a seed does the same as the only one and as the fourth of five.

    Seeds name users, places in a batch do not.
    """
    alone, among = BatchedEnv(1, case.make()), BatchedEnv(5, case.make())
    alone.reset(seed=42)
    among.reset(seed=[7, 7, 99, 42, 5])
    for t in range(15):
        actions = _actions(case, 5, t)
        one, five = alone.step(actions[3:4])[:4], among.step(actions)[:4]
        _agree(rows_of(five, np.array([3])), one, f"step {t}, the fourth of five and alone")


def _agree(one: Any, other: Any, where: str, tolerance: float = 0.0) -> None:
    found = difference(_plain(one), _plain(other), "", tolerance)
    if found:
        raise Broken(f"{where}: {found}", "let a row depend on its own state, slate and luck alone")


def _plain(value: Any) -> Any:
    """Flags of Python and of NumPy are the same."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(part) for part in value)
    return np.asarray(value)


def _actions(case: WorldCase, rows: int, trial: int) -> Ints:
    """(B, K) as an action space gives them: N in empty slots."""
    slates = case.slates(rows, trial)
    return np.where(slates < 0, case.world.num_items, slates)


def a_time_limit_truncates_and_leaving_terminates(case: WorldCase) -> None:
    """`terminated` says that the user left, `truncated` that the horizon was reached, and nothing else does.

    A learner looks beyond a truncated step for what would have followed, and not beyond a terminated one.
    """
    horizon = case.world.horizon
    env = SingleUserEnv(case.world)
    env.reset(seed=case.seed)
    for episode in range(6):
        before, luck = env._state, env._luck
        steps = 0
        while True:
            steps += 1
            action = _actions(case, 1, steps + episode)[0]
            _, _, terminated, truncated, _ = env.step(action)
            slates = np.where(action == case.world.num_items, -1, action)[None]
            before, outcome = case.world.respond(before, slates, luck.at(steps - 1))  # type: ignore[union-attr]
            if terminated != bool(outcome.left[0]) or truncated != (steps == horizon):
                raise Broken(
                    f"episode {episode}, step {steps} of {horizon}: terminated {terminated}, truncated "
                    f"{truncated}, "
                    f"and the user {'left' if outcome.left[0] else 'stayed'}",
                    "set `left` where the user goes, and leave the horizon to the environment",
                )
            if terminated or truncated or steps == LONGEST:
                break
        if truncated or steps == LONGEST:
            return
        env.reset()


def every_autoreset_mode_plays_the_same_episodes(case: WorldCase) -> None:
    """NEXT_STEP, SAME_STEP and DISABLED give the same observations, rewards and ends, each in its own place.

    Stable-Baselines3 wants SAME_STEP, RLlib NEXT_STEP: a learner must not meet other users there.
    """
    played = {mode: _episodes(case, mode) for mode in AutoresetMode}
    wanted = played[AutoresetMode.DISABLED]
    for row, episodes in enumerate(wanted):
        for e, (first, *steps) in enumerate(episodes):
            begun = case.world.observe(case.world.begin(_luck_of(row, e)))
            _agree(first, rows_of(begun, np.array(0)), f"episode {e} of row {row} and `begin` with its luck")
            *before, last = steps
            if any(step[2] or step[3] for step in before) or not (last[2] or len(steps) == _most_steps(case)):
                raise Broken(
                    f"episode {e} of row {row} is {len(steps)} steps long, which neither a user that left "
                    "nor the limit explains",
                    "set `left` in the step in which the user goes",
                )
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        for row, (one, other) in enumerate(zip(wanted, played[mode], strict=True)):
            for e, (mine, theirs) in enumerate(zip(one, other, strict=True)):
                if len(mine) != len(theirs):
                    raise Broken(
                        f"episode {e} of row {row} has {len(mine) - 1} steps in DISABLED and "
                        f"{len(theirs) - 1} in "
                        f"{mode.name}",
                        "let an episode depend on its own luck alone",
                    )
                found = difference(_plain(tuple(mine)), _plain(tuple(theirs)), "")
                if found:
                    raise Broken(
                        f"episode {e} of row {row}, in DISABLED and then in {mode.name}: {found}",
                        "let an episode depend on its own luck alone",
                    )


def _luck_of(seed: int, episode: int) -> Luck:
    """Of one user in one episode."""
    return Luck.from_seeds([seed]).of_episode(episode)


def _most_steps(case: WorldCase) -> int:
    """How many steps an episode of `_episodes` has at most."""
    return min(LIMIT, case.world.horizon)


def _episodes(case: WorldCase, mode: AutoresetMode, rows: int = 3, count: int = 3) -> list[list[list[Any]]]:
    """Row -> episodes -> first observation, then (observation, reward, terminated, truncated, info)."""
    env = BatchedEnv(rows, case.make(), max_episode_steps=LIMIT, autoreset_mode=mode)
    if env.metadata["autoreset_mode"] is not mode:
        raise Broken(
            f"the mode is said to be {env.metadata['autoreset_mode']}", "report this fault of BatchedEnv"
        )
    table = [[_actions(case, LIMIT, 31 * row + e) for e in range(count + 8)] for row in range(rows)]
    seen, _ = env.reset(seed=0)
    playing = [[[copied(rows_of(seen, np.array(i)))]] for i in range(rows)]
    over = np.zeros(rows, bool)
    while any(len(row) <= count for row in playing):
        if mode is AutoresetMode.DISABLED and over.any():
            seen, _ = env.reset(options={"reset_mask": over})
            for i in np.flatnonzero(over).tolist():
                playing[i].append([copied(rows_of(seen, np.array(i)))])
            over = np.zeros(rows, bool)
        fresh = over.copy() if mode is AutoresetMode.NEXT_STEP else np.zeros(rows, bool)
        # a step that only begins an episode ignores its action
        actions = np.array(
            [
                table[i][min(len(playing[i]) - 1, count + 7)][0 if fresh[i] else len(playing[i][-1]) - 1]
                for i in range(rows)
            ]
        )
        seen, reward, terminated, truncated, info = env.step(actions)
        if not env.observation_space.contains(seen):
            raise Broken("an observation is not in observation_space", "correct observation_entries")
        ended = terminated | truncated
        for i in range(rows):
            at = np.array(i)
            if fresh[i]:
                playing[i].append([copied(rows_of(seen, at))])
                continue
            same_step = mode is AutoresetMode.SAME_STEP and bool(ended[i])
            observation = info["final_obs"] if same_step else seen
            told = info["final_info"] if same_step else info
            told = {name: told[name] for name in ("clicked", "examined", "best_value", "slate_value")}
            playing[i][-1].append(
                copied((rows_of(observation, at), reward[i], terminated[i], truncated[i], rows_of(told, at)))
            )
            if same_step:
                playing[i].append([copied(rows_of(seen, at))])
        over = ended
    return [row[:count] for row in playing]


def an_episode_can_be_jumped_to(case: WorldCase) -> None:
    """`reset(options={"episode": e})` begins what e resets would have begun.

    A run that was stopped goes on in the right episode without playing those before it.
    """
    env, other = SingleUserEnv(case.make()), SingleUserEnv(case.make())
    seen, _ = env.reset(seed=5)
    for _ in range(3):
        seen, _ = env.reset()
    _agree(seen, other.reset(seed=5, options={"episode": 3})[0], "episode 3, reached and jumped to")
    action = _actions(case, 1, 0)[0]
    _agree(env.step(action), other.step(action), "its first step, reached and jumped to")


def an_environment_can_be_pickled_in_mid_episode(case: WorldCase) -> None:
    """A copy by pickle of an environment that plays goes on as the original does.

    Processes are handed environments so, and searches copy them.
    """
    for env in (SingleUserEnv(case.make()), BatchedEnv(3, case.make())):
        rows = 1 if isinstance(env, SingleUserEnv) else 3
        env.reset(seed=1)
        try:
            copy = pickle.loads(pickle.dumps(env))
        except Exception as error:
            raise Broken(f"{type(error).__name__}: {error}", "hold nothing that cannot be pickled") from None
        actions = _actions(case, rows, 0)
        action = actions[0] if rows == 1 else actions
        _agree(env.step(action), copy.step(action), f"the copy of {type(env).__name__}", PLANNED_ANEW)


def what_info_holds_is_the_callers_own(case: WorldCase) -> None:
    """What a caller does to `info` changes no observation that follows.

    Loggers and wrappers write into it.
    """
    one, other = (BatchedEnv(3, case.make(), autoreset_mode=AutoresetMode.DISABLED) for _ in range(2))
    for env in (one, other):
        env.reset(seed=0)
    action = _actions(case, 3, 0)
    info, _ = one.step(action)[4], other.step(action)
    for value in info.values():
        value[...] = 1
    mask = {"reset_mask": np.array([True, False, False])}
    found = difference(one.reset(options=mask)[0], other.reset(options=mask)[0], "observation")
    if found:
        raise Broken(
            f"after info was overwritten, {found}",
            "keep a copy of clicks in the state, not the array of the response",
        )


FACE_CONTRACTS: tuple[Callable[[WorldCase], None], ...] = (
    gymnasium_accepts_the_environment,
    a_row_of_the_vector_environment_is_the_single_one,
    a_user_is_the_same_in_any_row,
    a_time_limit_truncates_and_leaving_terminates,
    every_autoreset_mode_plays_the_same_episodes,
    an_episode_can_be_jumped_to,
    an_environment_can_be_pickled_in_mid_episode,
    what_info_holds_is_the_callers_own,
)
