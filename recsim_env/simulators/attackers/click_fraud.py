"""Click fraud: fake sessions that click the target if a slate holds it, and else a filler or nothing.

    clicked    the first slot that holds a target; without one, the first that holds a filler; else none
    examined   every item down to the click, all without one: what a cascade would say of these clicks

So a cascading bandit is told that the target attracts in every fake session that shows it, and that whatever
stands above it repels. Fillers make fakes look less idle, at the price of helping them.

Knowledge: none of the world but the ids of items. Source: ours, after the fake co-visitations of Yang, Gong,
Cai, "Fake co-visitation injection attacks to recommender systems", NDSS 2017 (from memory), for slates.
"""

from dataclasses import dataclass, field

import numpy as np
from numba import njit

from recsim_env.arrays import Bools, Ints
from recsim_env.errors import InputError
from recsim_env.simulators.attackers.attack import Goal
from recsim_env.user_models.clicks import Response


@dataclass(frozen=True)
class ClickFraud:
    """See the module.

    Raises:
        InputError: targets that are no items (see `Goal`), a demotion, fillers that are targets or no items.
    """

    goal: Goal  # of the targets, which are promoted
    fillers: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # (F,) item ids, in any order

    def __post_init__(self) -> None:
        if self.goal.demote:
            raise InputError("click fraud promotes its targets: a click cannot demote an item")
        fillers = np.asarray(self.fillers)
        if fillers.ndim != 1 or not np.issubdtype(fillers.dtype, np.integer) or fillers.min(initial=0) < 0:
            raise InputError(f"fillers must be item ids (F,), got {fillers.dtype} {fillers.shape}")
        if np.isin(fillers, self.goal.targets).any():
            raise InputError("fillers must not be targets: those are clicked anyway")
        object.__setattr__(self, "fillers", fillers.astype(np.int64))

    @property
    def largest(self) -> int:
        """The largest id it knows of, which has to be an item."""
        return int(max(self.goal.targets.max(), self.fillers.max(initial=0)))

    def respond(self, slates: Ints) -> Response:
        """What fakes do with slates (B, K), -1 in empty slots."""
        B, K = slates.shape
        response = Response(np.zeros((B, K), np.bool_), np.zeros((B, K), np.bool_))
        look(slates, self.goal.targets, self.fillers, *response)
        return response


@njit(cache=True)
def look(slates: Ints, targets: Ints, fillers: Ints, clicked: Bools, examined: Bools) -> None:
    """Write clicks and examinations (B, K), all False before."""
    B, K = slates.shape
    for b in range(B):
        at = -1
        for wanted in (targets, fillers):
            for k in range(K):
                if at < 0 and slates[b, k] >= 0 and (wanted == slates[b, k]).any():
                    at = k
        for k in range(K if at < 0 else at + 1):
            examined[b, k] = slates[b, k] >= 0
        if at >= 0:
            clicked[b, at] = True
