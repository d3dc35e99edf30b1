"""Record-log: what passes through an environment becomes a `Log`, whatever the agent and the library.

    recorder = RecordLog("shown.parquet", metadata={"env_id": "SlateRec-v0"})
    envs = wrap(gym.make_vec("SlateRec-v0", num_envs=64), recorder)
    ...
    recorder.tell(log_propensities)   # (B, K), before each step, where the agent knows them
    envs.step(slates)
    ...
    envs.close()                      # writes the file: whole, or not at all

One row is one slate shown: user (the row of the batch), time (slates shown to it before), slate (items of the
catalogue, also behind a candidate set), clicked, examined, reward, and seed, episode and step, the luck of
the row. Steps that only reset a row are no rows. With the same slates the log equals that of `generate_log`
but for `attraction`, the hidden truth, which does not pass through an environment. Rows are kept in memory
until they are written, some 25 bytes a slot.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Space

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.envs.wrappers.change import Change, Info, Observation, Step, entry
from recsim_env.errors import InputError, as_numbers
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_files import write_log
from recsim_env.simulators.luck import Luck
from recsim_env.simulators.worlds.world import World


class RecordLog(Change):
    """See the module.

    Args:
        path: of the new Parquet file, written by `close`; None keeps the log in memory (`log`).
        metadata: what JSON holds, added to the log's.

    Raises:
        InputError: a path whose directory is missing, or where a file is already; propensities that are no
            logarithms of probabilities, that were told at some steps and not at others, or that are of a
            slate which `Quotas` inside repaired.
    """

    def __init__(self, path: str | Path | None = None, metadata: Mapping[str, Any] | None = None) -> None:
        self.path = None if path is None else Path(path)
        self.metadata = dict(metadata or {})
        if self.path is not None:
            if not self.path.parent.is_dir():
                raise InputError(f"{self.path.parent} is not a directory: make it, or give another path")
            if self.path.exists():
                raise InputError(f"{self.path} is there already: delete it, or give another path")

    def bind(
        self, world: World, num_envs: int, action_space: Space[Any], observation_space: Space[Any]
    ) -> None:
        """The spaces stay."""
        super().bind(world, num_envs, action_space, observation_space)
        K, _ = self.slot_space()
        self.shape = (num_envs, K)
        self.columns: dict[str, list[Array]] = {}
        self.count: Ints = np.zeros(num_envs, np.int64)  # (B,) slates so far
        self.candidates: Ints | None = None
        self.told: Floats | None = None
        self.tells: bool | None = (
            None  # whether the agent tells propensities; not known before the first step
        )
        self.written = 0

    def tell(self, log_propensities: Array) -> None:
        """(B, K) log P(slot k | the slots above it) of the slates that are shown next, (K,) of one user.

        0 in slots that are always empty, as the method of that name of an agent gives it.

        Raises:
            InputError: another shape, or a number above 0, infinite or NaN.
        """
        told = as_numbers("log_propensities", log_propensities)
        told = told[None] if told.ndim == 1 and self.num_envs == 1 else told
        if told.shape != self.shape:
            raise InputError(f"log_propensities must have shape {self.shape}, got {told.shape}")
        bad = ~((told <= 1e-9) & np.isfinite(told))
        if bad.any():
            row, slot = np.argwhere(bad)[0]
            raise InputError(
                f"log_propensities[{row}, {slot}] = {told[row, slot]} is not the logarithm of a positive "
                "probability: an agent that never shows what it showed cannot be logged"
            )
        self.told = told.copy()

    def observe(self, observation: Observation, luck: Luck) -> Observation:
        """Keeps the candidates, to know which items are shown."""
        self.candidates = entry(observation, "candidates")
        return observation

    def act(self, actions: Array) -> Array:
        """Refuses a step whose propensities are missing."""
        if self.tells is not None and self.tells != (self.told is not None):
            raise InputError(
                "log_propensities were told at the first step but not at this one: call tell before each step"
                if self.tells
                else "log_propensities were told at this step but not at the first: tell them from the start"
            )
        return actions

    def after(self, step: Step) -> tuple[Floats, Info]:
        """One row more for every user whose step this was."""
        going = step.going
        if self.told is not None and np.any(step.info.get("repaired", 0)):
            raise InputError(
                "log_propensities are of slates that Quotas repaired, and nobody knows how likely the new "
                "ones were: tell none, or let the agent meet the quotas"
            )
        self.tells = self.told is not None
        row = {
            "user": np.arange(self.num_envs),
            "time": self.count.astype(np.float64),
            "slate": self.shown(step, self.candidates),
            "clicked": step.info["clicked"],
            "reward": step.info.get("true_reward", step.reward),
            "episode": step.luck.episode,
            "step": step.luck.step,
            "seed": step.luck.seed,
            "examined": step.info["examined"],
        }
        if self.told is not None:
            row["slot_log_propensity"] = self.told
            row["log_propensity"] = np.einsum("bk->b", np.ascontiguousarray(self.told))
        for name, values in row.items():
            self.columns.setdefault(name, []).append(np.ascontiguousarray(values[going]))
        self.count = self.count + going
        self.told = None
        return step.reward, {}

    def log(self) -> Log:
        """What was recorded so far.

        Raises:
            InputError: nothing was.
        """
        if not self.columns:
            raise InputError("nothing was recorded yet: no step was taken")
        said = {} if self.tells else {"propensities": "the agent told none to RecordLog"}
        about = {"num_users": self.num_envs, "horizon": self.world.horizon, **said, **self.metadata}
        columns = {name: np.concatenate(parts) for name, parts in self.columns.items()}
        return Log.sorted(**columns, metadata=about)

    def close(self) -> None:
        """Write the file, once; nothing where no step was taken."""
        if self.path is not None and self.columns and len(self.columns["user"]) > self.written:
            write_log(self.log(), self.path)
            self.written = len(self.columns["user"])
