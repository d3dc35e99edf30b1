"""A reward model: what an item is worth to a user, learned from feedback on items that were shown.

    r(h, i) = sigmoid(u(h) . e(i) + b(i)),     u(h) = W_2 relu(W_1 mean of f(j) over the items j of h)

with vectors e, f of F numbers an item, by binary cross-entropy on feedback of 0 or 1. It knows what was
shown, and says something about everything: a policy that is tuned to it finds out where it is wrong (Gao,
Schulman, Hilton, "Scaling laws for reward model overoptimization", ICML 2023).

Source: as in OneRec's loop, a small one: Deng and others, "OneRec", 2025.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, check_ranges, refuse, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import binary_cross_entropy_with_logits  # noqa: E402


class RewardModel(nn.Module):
    """What items are worth to users, once it is fitted; see `reward`.

    Args:
        history: (P, H) of the pool, -1 = an empty cell.
        num_items: N.
        dimension: F.
        hidden: units of the layer between.
        epochs: over the feedback.
        batch_size: feedbacks of one gradient.
        learning_rate: of Adam.
        seed: of first weights and batches.

    Raises:
        InputError: a number out of range, or histories of no users or items.
    """

    def __init__(
        self,
        history: Ints,
        num_items: int,
        *,
        dimension: int = 16,
        hidden: int = 32,
        epochs: int = 5,
        batch_size: int = 256,
        learning_rate: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if history.ndim != 2 or not history.size:
            raise InputError(f"history must be (users, items), one or more, got {history.shape}")
        sizes = {"num_items": num_items, "dimension": dimension, "hidden": hidden, "epochs": epochs}
        check_ranges(sizes | {"batch_size": batch_size}, {}, {"learning_rate": learning_rate})
        self.epochs, self.batch_size, self.learning_rate, self.seed = epochs, batch_size, learning_rate, seed
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("history", torch.from_numpy(np.where(history < 0, num_items, history)))
        self.of_history = nn.EmbeddingBag(num_items + 1, dimension, mode="mean", padding_idx=num_items)
        self.items, self.bias = nn.Embedding(num_items, dimension), nn.Embedding(num_items, 1)
        self.user = nn.Sequential(nn.Linear(dimension, hidden), nn.ReLU(), nn.Linear(hidden, dimension))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0.0, 0.1, generator=generator)

    def forward(self, history: Tensor, items: Tensor) -> Tensor:
        """Logits (B, G) of items (B, G) after histories (B, H), N = an empty cell."""
        u = self.user(self.of_history(history))
        found: Tensor = (self.items(items) @ u.unsqueeze(-1)).squeeze(-1) + self.bias(items).squeeze(-1)
        return found

    def fit(self, users: Ints, items: Ints, feedback: Array) -> "RewardModel":
        """Learn from feedback.

        Args:
            users: (M,) numbers in the pool.
            items: (M,) what was shown to them.
            feedback: (M,) 0 or 1.

        Raises:
            InputError: arrays that do not fit together, users or items that are none, or other feedback.
        """
        for name, ids, count in (
            ("users", users, len(self.history)),
            ("items", items, self.items.num_embeddings),
        ):
            bad = (ids < 0) | (ids >= count)
            refuse(name, bad, ids, f"there are {count} (0-{count - 1})")
        if not (len(users) == len(items) == len(feedback) > 0):
            found = f"{len(users)}, {len(items)} and {len(feedback)}"
            raise InputError(f"users, items and feedback must be as many, one or more, got {found}")
        if not np.isin(feedback, (0, 1)).all():
            raise InputError("feedback must be 0 or 1: what was clicked, and what was not")
        rng = np.random.default_rng(self.seed)
        optimiser = torch.optim.Adam(self.parameters(), self.learning_rate)
        said = torch.from_numpy(np.asarray(feedback, np.float32))
        user, item = torch.from_numpy(users), torch.from_numpy(items)
        for _ in range(self.epochs):
            for rows in np.array_split(rng.permutation(len(users)), -(-len(users) // self.batch_size)):
                logits = self(self.history[user[rows]], item[rows, None]).squeeze(1)
                loss = binary_cross_entropy_with_logits(logits, said[rows])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
        return self

    def reward(self, users: Ints, items: Ints) -> Floats:
        """R (B, G) of items (B, G) for users of the pool: a `RewardFunction`."""
        return self._reward(self.history, users, items)

    def of_other_users(self, history: Ints) -> Callable[[Ints, Ints], Floats]:
        """The same for users who have these histories (P', H), numbered from 0."""
        known = torch.from_numpy(np.where(history < 0, self.items.num_embeddings, history))
        return partial(self._reward, known)

    def _reward(self, history: Tensor, users: Ints, items: Ints) -> Floats:
        with torch.no_grad():
            logits = self(history[torch.from_numpy(users)], torch.from_numpy(items))
        return np.asarray(logits.sigmoid().double().numpy())
