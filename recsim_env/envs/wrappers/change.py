"""What a wrapper changes, written once for B rows, and the two faces it stands in: `Env` and `VectorEnv`.

    env = wrap(gym.make("SlateRec-v0"), Candidates(50), ScoresToSlate(), History(5))
    envs = wrap(gym.make_vec("SlateRec-v0", num_envs=256), Candidates(50), ScoresToSlate(), History(5))

The first change is the innermost. The single environment is the batch of one, so row i of the vector wrapper
does what the single wrapper does with its seed. What a change sees of an episode of T steps (t = steps
taken):

    reset                 begin, observe
    step t                act | the environment steps | after, observe
    NEXT_STEP    step T: after, observe (last)            | next step: action ignored, begin, observe (first)
    SAME_STEP    step T: after, observe (last: final_obs), begin, observe (first)
    DISABLED     step T: after, observe (last)            | reset(reset_mask): begin, observe (first)
"""

from typing import Any, NamedTuple, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Dict, Space
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.envs.batched import BatchedEnv
from recsim_env.envs.single_user import SingleUserEnv
from recsim_env.envs.spaces import to_slates
from recsim_env.errors import InputError
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World

Observation = Any  # a dictionary of (B, ...) arrays, or one array (B, ...) after `Flatten`
Info = dict[str, Any]
ONE = np.ones(1, np.bool_)


class Step(NamedTuple):
    """One step of B rows, as it was inside of the change."""

    going: Bools  # (B,) False in rows that this step only reset (NEXT_STEP)
    luck: Luck  # of the step: seed, episode and step (B,)
    actions: Array  # (B, ...) handed on to the environment inside
    observation: Observation  # after it; the last one of an episode that ended
    reward: Floats  # (B,)
    info: Info  # the entries that are arrays (B, ...)


class Change:
    """A change that changes nothing: each wrapper overrides what it needs.

    `bind` is called once, when the change is put around an environment: the spaces here are of one row, and
    what it checks is refused before work starts. `act` must leave the memory alone: the environment may yet
    refuse the action.
    """

    world: World
    num_envs: int
    inner_action_space: Space[Any]
    inner_observation_space: Space[Any]
    action_space: Space[Any]
    observation_space: Space[Any]

    def bind(
        self, world: World, num_envs: int, action_space: Space[Any], observation_space: Space[Any]
    ) -> None:
        """Stand around an environment of these spaces."""
        if hasattr(self, "world"):
            raise InputError(
                f"this {type(self).__name__} stands in an environment already: make one for each"
            )
        self.world, self.num_envs = world, num_envs
        self.inner_action_space = self.action_space = action_space
        self.inner_observation_space = self.observation_space = observation_space

    def begin(self, rows: Bools) -> None:
        """New episodes begin in these rows (B,)."""

    def observe(self, observation: Observation, luck: Luck) -> Observation:
        """What is seen outside; `luck` is of the step to come."""
        return observation

    def act(self, actions: Array) -> Array:
        """The actions (B, ...) for the environment inside."""
        return actions

    def after(self, step: Step) -> tuple[Floats, Info]:
        """The reward outside (B,), and new entries of info, (B, ...) each."""
        return step.reward, {}

    def close(self) -> None:
        """The environment is closed."""

    def dict_space(self) -> Dict:
        """The observation space inside, where it has to be a dictionary.

        Raises:
            InputError: it is not.
        """
        if not isinstance(self.inner_observation_space, Dict):
            raise InputError(
                f"{type(self).__name__} reads entries of the observation, but it is a "
                f"{type(self.inner_observation_space).__name__}: put Flatten outside of it"
            )
        return self.inner_observation_space

    def slot_space(self) -> tuple[int, int]:
        """(K, N): slots of a slate inside, and what a slot can hold; N itself is an empty slot.

        Raises:
            InputError: the actions inside are no slates.
        """
        nvec = getattr(self.inner_action_space, "nvec", None)
        if nvec is None or nvec.ndim != 1 or (nvec[1:] != nvec[0] + 1).any():
            raise InputError(
                f"{type(self).__name__} acts by slates, but the actions inside are "
                f"{self.inner_action_space}: change the order of the wrappers"
            )
        return len(nvec), int(nvec[0])

    def shown(self, step: Step, candidates: Ints | None) -> Ints:
        """(B, K) items of the catalogue that the users saw, -1 in empty slots: repaired, if they were.

        Args:
            step: just taken.
            candidates: (B, M) of the observation before it, None where actions are items.
        """
        repaired = step.info.get("shown")
        return items_at(candidates, self.slates(step.actions)) if repaired is None else np.asarray(repaired)

    def slates(self, actions: Array) -> Ints:
        """(B, K) checked slates of `slot_space`, -1 in empty slots."""
        K, N = self.slot_space()
        return to_slates(np.asarray(actions), (self.num_envs, K), N)


def numbers(actions: Array, shape: tuple[int, ...], name: str) -> Array:
    """Real-valued actions, checked.

    Raises:
        InputError: another shape, no numbers, NaN.
    """
    values = np.asarray(actions)
    if values.shape != shape:
        raise InputError(f"{name} must have shape {shape}, got {values.shape}")
    if values.dtype.kind not in "fiu":
        raise InputError(f"{name} must hold numbers, got {values.dtype}")
    if np.isnan(values).any():
        where = tuple(int(i) for i in np.argwhere(np.isnan(values))[0])
        raise InputError(f"{name}{list(where)} is NaN: the network that made it has diverged")
    return values


def items_at(candidates: Ints | None, slates: Ints) -> Ints:
    """(B, K) items of the catalogue: what stands at these places of candidates (B, M), if there are any."""
    if candidates is None:
        return slates
    items = np.take_along_axis(candidates, np.maximum(slates, 0), axis=1)
    return np.where(slates < 0, -1, items)


def entry(observation: Observation, name: str) -> Array | None:
    """A copy of an entry of the observation, None where there is none."""
    found = observation.get(name) if isinstance(observation, dict) else None
    return None if found is None else np.array(found)


class ChangedEnv(gym.Wrapper[Any, Any, Any, Any]):
    """One user, as a batch of one."""

    def __init__(self, env: gym.Env[Any, Any], change: Change) -> None:
        super().__init__(env)
        inner = env.unwrapped
        if not isinstance(inner, SingleUserEnv):
            raise InputError(f"env must be one of this package's environments, got {inner}")
        self.inner, self.change = inner, change
        change.bind(inner.world, 1, env.action_space, env.observation_space)
        self.action_space, self.observation_space = change.action_space, change.observation_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, Info]:
        """Begin an episode; see `SingleUserEnv`."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.change.begin(ONE)
        return _only(self.change.observe(_rows(observation), self.inner.luck)), info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, Info]:
        """See the change."""
        change = self.change
        actions = change.act(np.asarray(action)[None])
        luck = self.inner.luck
        observation, reward, terminated, truncated, info = self.env.step(actions[0])
        last, told = _rows(observation), {k: np.asarray(v)[None] for k, v in info.items() if _is_array(v)}
        changed, more = change.after(Step(ONE, luck, actions, last, np.array([float(reward)]), told))
        seen = _only(change.observe(last, self.inner.luck))
        return seen, float(changed[0]), terminated, truncated, {**info, **_only(more)}

    def close(self) -> None:
        """Close the change, then the environment."""
        self.change.close()
        super().close()  # type: ignore[no-untyped-call]

    @property
    def spec(self) -> None:  # type: ignore[override]  # Env has an attribute
        """None: `gym.make` cannot make this environment from an id alone."""


class ChangedVectorEnv(VectorWrapper):
    """Many users; see the module for each autoreset mode."""

    def __init__(self, env: VectorEnv[Any, Any, Any], change: Change) -> None:
        inner = env.unwrapped
        if not isinstance(inner, BatchedEnv):
            raise InputError(
                f"envs must be a native vector environment of this package, got {inner}: make it with "
                "gym.make_vec without vectorization_mode, or wrap each single environment"
            )
        change.bind(inner.world, env.num_envs, env.single_action_space, env.single_observation_space)
        super().__init__(env)  # after all that may be refused: what has no `env` closes nothing when it goes
        self.inner, self.change = inner, change
        self.single_action_space = change.action_space
        self.single_observation_space = change.observation_space
        self.action_space = batch_space(change.action_space, env.num_envs)
        self.observation_space = batch_space(change.observation_space, env.num_envs)
        self._over: Bools = np.zeros(env.num_envs, np.bool_)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Observation, Info]:
        """Begin an episode in every row, or in those of `options["reset_mask"]`; see `BatchedEnv`."""
        observation, info = self.env.reset(seed=seed, options=options)
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, np.bool_)))
        self._over = self._over & ~mask
        self.change.begin(mask)
        return self.change.observe(observation, self.inner.luck), info

    def step(self, actions: Array) -> tuple[Observation, Floats, Bools, Bools, Info]:  # type: ignore[override]
        """See the change."""
        change = self.change
        inner_actions = change.act(np.asarray(actions))
        luck = self.inner.luck
        observation, reward, terminated, truncated, info = self.env.step(inner_actions)
        going, mode = ~self._over, self.metadata["autoreset_mode"]
        if mode is AutoresetMode.NEXT_STEP and self._over.any():
            change.begin(self._over)
        last = info.get("final_obs", observation)  # of all rows: the same where no episode ended
        told = {k: v for k, v in info.items() if isinstance(v, np.ndarray) and not k.startswith("_")}
        changed, more = change.after(Step(going, luck, inner_actions, last, reward, told))
        if not going.all():
            changed, more = changed * going, {k: (v.T * going).T for k, v in more.items()}
        over = terminated | truncated
        if mode is AutoresetMode.SAME_STEP and over.any():
            ended = Luck(luck.seed, luck.episode, luck.step + 1)
            more = {
                **more,
                "final_obs": change.observe(last, ended),
                "final_info": {**info["final_info"], **more},
            }
            change.begin(over)
            self._over = np.zeros(self.num_envs, np.bool_)
        else:
            self._over = over
        seen = change.observe(observation, self.inner.luck)
        return seen, changed, terminated, truncated, {**info, **more}

    def close(self, **kwargs: Any) -> None:
        """Close the change, then the environment."""
        self.change.close()
        super().close(**kwargs)


EnvOrEnvs = TypeVar("EnvOrEnvs", bound=gym.Env[Any, Any] | VectorEnv[Any, Any, Any])


def wrap(env: EnvOrEnvs, *changes: Change) -> EnvOrEnvs:
    """The environment with these changes around it, the first innermost; a vector one stays a vector one.

    Args:
        env: of `gym.make`, or native of `gym.make_vec`, of this package; wrapped already or not.
        changes: each made for this environment alone.

    Raises:
        InputError: another environment, or changes that do not fit: before anything is played.
    """
    wrapped: Any = env
    for change in changes:
        if not isinstance(change, Change):
            raise InputError(f"changes must be wrappers of this package, such as History(5), got {change!r}")
        if isinstance(wrapped, VectorEnv):
            wrapped = getattr(change, "vector_face", ChangedVectorEnv)(wrapped, change)
        else:
            wrapped = getattr(change, "single_face", ChangedEnv)(wrapped, change)
    return wrapped


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.generic | float | int)


def _rows(observation: Observation) -> Observation:
    """An observation of one user as that of a batch of one."""
    if isinstance(observation, dict):
        return {name: np.asarray(value)[None] for name, value in observation.items()}
    return np.asarray(observation)[None]


def _only(observation: Observation) -> Observation:
    """The observation of a batch of one as that of one user."""
    if isinstance(observation, dict):
        return {name: value[0] for name, value in observation.items()}
    return observation[0]
