"""Wolpertinger: an actor points into the space of item features, a critic chooses among the items near by.

The actor answers a state with a proto-item, the k items nearest to it are found exactly, and the critic shows
the K of them that it values most:

    x = mu(s) in the box that the features span,      N_k(x) = the k items of least |f_i - x|,
    slate = the K items of N_k(mu(s)) of largest q(s, f_i), largest first

so the critic looks at k items instead of N, and what it never looks at costs it nothing. A slate is worth the
mean of its items, Q(s, A) = (1/K) sum_{i in A} q(s, f_i), whose best slate among the neighbours is the one
above; with K = 1 this is Wolpertinger as published. It is a simplification: clicks on one item at the cost of
another are not in it.

Learning is TD3's. Two critics, target networks ' that follow slowly, smoothed proto-items,

    y = r + gamma max_{A in N_k(x')} (1/K) sum_{i in A} min_j q'_j(s', f_i),      x' = mu'(s') + clipped noise
    critics:   least (Q_j(s, A) - y)^2 over the slates that were shown
    actor, every second step:   largest q_1(s, mu(s)), by its gradient through the critic at the proto-item

y = r where the episode is over. Acting adds normal noise to the proto-item, whose size falls linearly from
`first_noise` to `last_noise` half-widths of the box over the first `exploration` transitions of a row; and
with probability epsilon = half of that, at most 1, a slate of random items is shown, since noise near a good
item hardly ever leaves its neighbourhood.

All rows share one network. Given the weights, row i depends on its own observation and luck alone.

`logged` after every update:

    critic_loss   mean squared error of both critics, summed, of the last batch
    q             mean of Q_1(s, A) of the slates shown, of the last batch
    actor_value   mean of q_1(s, mu(s)) when the actor last moved; well above q, the critic
                  is fooled between the items
    distance      mean |f - x| from the proto-item to the nearest item when last acting, in units of features
    noise         of the proto-item now, in half-widths

Feedback: the reward of the slate; clicks are not looked at.
Bound: none is known.
Source: Dulac-Arnold, Evans, van Hasselt, Sunehag, Lillicrap, Hunt, Mann, Weber, Degris, Coppin, "Deep
    reinforcement learning in large discrete action spaces", arXiv:1512.07679, 2015, for one item; Fujimoto,
    van Hoof, Meger, "Addressing function approximation error in actor-critic methods", ICML 2018 (TD3), in
    place of its DDPG. Slates by the mean are ours (Sunehag et al., arXiv:1512.01124, have another, sequential
    way). Exact search in place of approximate.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.agents.bandits.cascade_counts import highest
from recsim_env.agents.deep_rl.replay import (
    Replay,
    check_transition,
    observation_columns,
    observation_fields,
)
from recsim_env.agents.deep_rl.state_network import (
    Entry,
    StateNetwork,
    follow,
    linear,
    tensors,
)
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, check_ranges, refuse, require
from recsim_env.user_models.affinity import top_items

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

LOGGED = ("critic_loss", "q", "actor_value", "distance", "noise")
SMOOTHING, MOST_SMOOTHING = 0.2, 0.5  # of target proto-items, in half-widths, as in TD3
ACTOR_EVERY = 2  # steps of the critics, as in TD3


class Actor(nn.Module):
    """mu(s): observations -> proto-items (B, D) in the box [low, high]."""

    def __init__(
        self,
        entries: Mapping[str, Entry],
        units: int,
        middle: Tensor,
        half_width: Tensor,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.state = StateNetwork(entries, units, generator)
        self.head = linear(units, len(middle), generator)
        self.middle, self.half_width = middle, half_width

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """(B, D)."""
        proto: Tensor = self.middle + self.half_width * torch.tanh(self.head(self.state(observation)))
        return proto


class Critic(nn.Module):
    """q(s, f) = w . relu(W (h(s), f) + c) + d."""

    def __init__(
        self, entries: Mapping[str, Entry], units: int, dimension: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.state = StateNetwork(entries, units, generator)
        self.joint = linear(units + dimension, units, generator)
        self.head = linear(units, 1, generator)

    def forward(self, observation: Mapping[str, Tensor], items: Tensor) -> Tensor:
        """(B, G) values of G items (B, G, D) for each observation."""
        hidden = self.state(observation)[:, None, :].expand(-1, items.shape[1], -1)
        joint = torch.relu(self.joint(torch.cat([hidden, items], dim=2)))
        values: Tensor = self.head(joint)[:, :, 0]
        return values


class Wolpertinger:
    """One network for all rows.

    Args:
        entries: of the observation, by name, as `World.observation_entries` gives them.
        features: (N, D) of the items; one-hot rows where there are none.
        slate_size: K, 1 to N.
        neighbours: k, K to N.
        discount: gamma, 0 to 1.
        truncated_is_final: True where the horizon is part of the problem (the world plans to it and shows the
            step): nothing is expected after it. False bootstraps there as at any other step.
        exploration: transitions of a row over which the noise falls.
        first_noise: of the proto-item, in half-widths of the box.
        last_noise: where it ends.
        units: of the hidden layers.
        learning_rate: of both Adams.
        capacity: transitions that are remembered.
        batch_size: of a gradient step; learning begins when the memory holds ten batches.
        gradient_steps: after every update, which brings B transitions.
        target_share: of the way that the target networks go at every gradient step.
        seed: of weights and batches.

    Attributes:
        actor, critics: the networks.
        logged: (5,) see above.

    Raises:
        InputError: torch is missing; a number out of range; features that are not finite.
    """

    rows_learn_together = True  # see `Agent`

    def __init__(
        self,
        entries: Mapping[str, Entry],
        features: Array,
        slate_size: int,
        *,
        neighbours: int,
        discount: float = 0.99,
        truncated_is_final: bool = False,
        exploration: int = 1000,
        first_noise: float = 2.0,
        last_noise: float = 0.1,
        units: int = 64,
        learning_rate: float = 1e-3,
        capacity: int = 50_000,
        batch_size: int = 128,
        gradient_steps: int = 1,
        target_share: float = 0.01,
        seed: int = 0,
    ) -> None:
        check_ranges(
            {"slate_size": slate_size, "exploration": exploration, "units": units, "capacity": capacity}
            | {"batch_size": batch_size, "gradient_steps": gradient_steps},
            {"discount": discount, "target_share": target_share},
            {"learning_rate": learning_rate, "first_noise": first_noise, "last_noise": last_noise},
        )
        if np.ndim(features) != 2 or len(features) < slate_size:
            raise InputError(
                f"features must have shape (N, D) with N of slate_size ({slate_size}) or more, got "
                f"{np.shape(features)}"
            )
        refuse("features", ~np.isfinite(features), features, "features must be finite: mend the catalogue")
        if not slate_size <= neighbours <= len(features):
            raise InputError(
                f"neighbours must be from slate_size ({slate_size}) to the number of items ({len(features)}),"
                f" got {neighbours}"
            )
        if capacity < 10 * batch_size:
            raise InputError(f"capacity must be at least 10 batches ({10 * batch_size}), got {capacity}")
        self.entries = dict(entries)
        # nearest = largest x . f - |f|^2 / 2, and `top_items` finds the largest of such sums exactly
        self.features = np.ascontiguousarray(features, np.float32)
        self.offset = (-0.5 * (self.features.astype(np.float64) ** 2).sum(axis=1)).astype(np.float32)
        self.slate_size, self.neighbours = slate_size, neighbours
        self.discount, self.truncated_is_final = discount, truncated_is_final
        self.exploration, self.first_noise, self.last_noise = exploration, first_noise, last_noise
        self.batch_size, self.gradient_steps, self.target_share = batch_size, gradient_steps, target_share
        self.generator = torch.Generator().manual_seed(seed)
        low, high = self.features.min(axis=0), self.features.max(axis=0)
        self.middle = torch.from_numpy((low + high) / 2)
        self.half_width = torch.from_numpy(np.maximum((high - low) / 2, np.float32(1e-6)))
        self.items = torch.from_numpy(self.features)
        D = self.features.shape[1]
        self.actor = Actor(entries, units, self.middle, self.half_width, self.generator)
        self.critics = nn.ModuleList(Critic(entries, units, D, self.generator) for _ in range(2))
        self.actor_target, self.critic_targets = deepcopy(self.actor), deepcopy(self.critics)
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), lr=learning_rate, fused=True)
        self.critic_optimizer = torch.optim.Adam(self.critics.parameters(), lr=learning_rate, fused=True)
        fields = [("slates", np.int64, (slate_size,)), ("reward", np.float32, ()), ("over", np.bool_, ())]
        self.replay = Replay(
            capacity,
            observation_fields(entries, "now/") + observation_fields(entries, "next/") + fields,
        )
        self.updates, self.learned = np.zeros(1, np.int64), np.zeros(1, np.int64)
        self.logged = np.array([0.0, 0.0, 0.0, 0.0, first_noise])

    @property
    def noise(self) -> float:
        """Standard deviation of the proto-item's noise now, in half-widths."""
        done = min(1.0, int(self.updates[0]) / self.exploration)
        return self.first_noise + done * (self.last_noise - self.first_noise)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """Slates of items near a noisy proto-item, or of random items, (B, K)."""
        moved = self.noise * luck.normal("wolpertinger/proto", (self.features.shape[1],))
        explores = luck.uniform("wolpertinger/explore") < 0.5 * self.noise
        random: Ints = highest(luck.uniform("wolpertinger/random", (len(self.features),)), self.slate_size)
        slates, self.logged[3] = self._slates(observation, moved)
        return np.where(explores[:, None], random, slates)

    def greedy(self, observation: dict[str, Array]) -> Ints:
        """The slates that are thought best, without exploration, (B, K)."""
        return self._slates(observation, 0.0)[0]

    def _slates(self, observation: dict[str, Array], moved: Array | float) -> tuple[Ints, float]:
        """(B, K) with the proto-items moved by so many half-widths, (B, D), and their mean distance."""
        with torch.no_grad():
            now = tensors(observation, self.entries)
            proto = self._inside(
                self.actor(now) + torch.as_tensor(moved, dtype=torch.float32) * self.half_width
            )
            near = self.nearest(proto)
            values = self.critics[0](now, self.items[near])
            best = torch.topk(values, self.slate_size, dim=1).indices
            distance = float(torch.linalg.norm(self.items[near[:, 0]] - proto, dim=1).mean())
        return near.gather(1, best).numpy(), distance

    def nearest(self, proto: Tensor) -> Tensor:
        """(B, k) the items nearest to proto-items (B, D), nearest first."""
        found = top_items(np.ascontiguousarray(proto.numpy()), self.features, self.offset, self.neighbours)
        return torch.from_numpy(found)

    def update(self, transition: Transition) -> None:
        """Remember the step of every row, then learn from batches of what is remembered.

        Raises:
            InputError: slates of another size; a reward that is not finite.
        """
        check_transition(transition, self.slate_size, len(self.features))
        self.replay.add(
            observation_columns(transition.observation, self.entries, "now/")
            | observation_columns(transition.next_observation, self.entries, "next/")
            | {
                "slates": transition.slates,
                "reward": transition.reward,
                "over": transition.terminated | (transition.truncated & self.truncated_is_final),
            }
        )
        self.updates[0] += 1
        if len(self.replay) >= 10 * self.batch_size:
            for _ in range(self.gradient_steps):
                self._learn()
        self.logged[4] = self.noise

    def _learn(self) -> None:
        """One gradient step of the critics, and every second time of the actor."""
        index = torch.randint(len(self.replay), (self.batch_size,), generator=self.generator).numpy()
        batch = self.replay.take(index)
        now, after = tensors(batch, self.entries, "now/"), tensors(batch, self.entries, "next/")
        slates, reward = torch.from_numpy(batch["slates"]), torch.from_numpy(batch["reward"])
        with torch.no_grad():
            proto = self.actor_target(after)
            smooth = torch.empty_like(proto).normal_(0.0, SMOOTHING, generator=self.generator)
            proto = proto + smooth.clamp(-MOST_SMOOTHING, MOST_SMOOTHING) * self.half_width
            items = self.items[self.nearest(self._inside(proto))]
            worst = torch.minimum(*(critic(after, items) for critic in self.critic_targets))
            best = torch.topk(worst, self.slate_size, dim=1).values.mean(dim=1)
            target = reward + self.discount * torch.from_numpy(~batch["over"]) * best
        shown = slates >= 0
        items = self.items[slates.clamp(min=0)]
        of_slates = [(critic(now, items) * shown).sum(dim=1) / shown.sum(dim=1) for critic in self.critics]
        loss = sum((nn.functional.mse_loss(value, target) for value in of_slates), torch.zeros(()))
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()
        self.logged[:2] = loss.item(), of_slates[0].mean().item()
        self.learned[0] += 1
        if self.learned[0] % ACTOR_EVERY == 0:
            value = self.critics[0](now, self.actor(now)[:, None, :]).mean()
            self.actor_optimizer.zero_grad()
            (-value).backward()
            self.actor_optimizer.step()  # which left gradients in the critics: their next step drops them
            self.logged[2] = value.item()
            follow(self.actor_target, self.actor, self.target_share)
            follow(self.critic_targets, self.critics, self.target_share)

    def _inside(self, proto: Tensor) -> Tensor:
        """The proto-items, in the box of the features."""
        return torch.clamp(proto, self.middle - self.half_width, self.middle + self.half_width)
