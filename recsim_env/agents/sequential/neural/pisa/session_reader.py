"""Windows of sessions as PISA's network takes them, with what memory knew when each session began."""

import numpy as np
from scipy import sparse

from recsim_env.agents.sequential.neural.pisa.pisa_network import Windows
from recsim_env.agents.sequential.session_memory import memory_at, spreading
from recsim_env.arrays import Array, Ints
from recsim_env.errors import require
from recsim_env.simulators.sessions_split import Sessions

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402


class SessionReader:
    """Reads some windows, whose memories it works out once.

    Args:
        sessions: of all users.
        rows: (W, L + 1) windows that will be read, as `sessions_split.windows` gives them.
        associated: (N, N) C of `session_memory.association`.
        decay: of base levels.
        favourites: F.
    """

    def __init__(
        self, sessions: Sessions, rows: Ints, associated: sparse.csr_array, *, decay: float, favourites: int
    ) -> None:
        self.num_items = sessions.num_items
        # the last of these stands for all that is none: -1 is its number
        used = np.append(np.unique(rows[rows >= 0]), -1)
        self._place = np.full(len(sessions) + 1, len(used) - 1)
        self._place[used] = np.arange(len(used))
        kept = used[:-1]
        memory = memory_at(sessions, kept, decay=decay, favourites=favourites)
        items = sessions.items[kept]
        self._items = _tensor(np.where(items < 0, self.num_items, items), self.num_items)
        self._spreading = _tensor(spreading(associated, items).astype(np.float32), 0)
        self._own = _tensor(memory.own.astype(np.float32), 0)
        self._previous = _tensor(memory.previous.astype(np.float32), 0)
        best = np.where(memory.favourites < 0, self.num_items, memory.favourites)
        self._favourites = _tensor(best, self.num_items)
        self._strength = _tensor(memory.strength.astype(np.float32), 0)

    def seen(self, rows: Array) -> Windows:
        """What the network reads of windows (W, L + 1): all but the last session, before each next one."""
        now, after = self._places(rows[:, :-1]), self._places(rows[:, 1:])
        return Windows(
            self._items[now],
            self._previous[after],
            self._spreading[now],
            self._favourites[after],
            self._strength[after],
        )

    def next_sessions(self, rows: Array) -> tuple[Tensor, Tensor, Tensor]:
        """Items, base levels and spreading, (W, L, M) each, of what comes next at each step.

        A step without a session before it has none either.
        """
        after = self._places(np.where(rows[:, :-1] >= 0, rows[:, 1:], -1))
        return self._items[after], self._own[after], self._spreading[after]

    def _places(self, rows: Array) -> Tensor:
        return torch.from_numpy(self._place[rows])


def _tensor(rows: Array, nothing: float) -> Tensor:
    """The rows, and one of nothing behind them."""
    return torch.from_numpy(np.concatenate([rows, np.full((1, rows.shape[1]), nothing, rows.dtype)]))
