"""SlateQ: Q-learning over whole slates by learning the value of single items.

Users look at a slate A of K items and consume one item of it or none, 0, which stands beside every slate:

    P(i | s, A) = v(s,i) / (v(s,0) + sum_{j in A} v(s,j)),      v(s,0) = 1        conditional choice
    Q(s, A) = sum_{i in A + 0} P(i | s, A) q(s,i)                                 the decomposition

It holds where one item at most is consumed, and where reward and next state depend on what was consumed alone
and not on what else was shown. Then the value q(s,i) of consuming i in s is learned from the steps in which i
was consumed, by temporal differences with the best next slate,

    q(s,i)  <-  r + gamma max_A' Q'(s', A')          0 instead of the maximum where the episode is over

where ' of Q is a target network that follows the learned one slowly. log v(s,i) is learned beside it, by the
likelihood of the choices, unless it is given (`choice_scores`).

The maximum over slates of K items is a fractional programme. Three ways to a slate, `slates`:

    top_k     the K items of largest v(s,i) q(s,i); not always the best
    greedy    adds K times the item that raises Q(s, A) most, given those above; not always the best
    optimal   exact: Q(s, A) > x  <=>  sum_{i in A + 0} v(s,i) (q(s,i) - x) > 0, so for a given x the best K
              items are those of largest v (q - x); x = Q of the slate just found, until it rises no more
              (Dinkelbach's iteration; a handful of rounds)

The paper solves the last one as a linear programme; the iteration finds the same optimum by sorting. Its LP
and ours have slates of exactly K items: none is left empty, though an item may be worse than none. Within a
slate the order means nothing to this choice model, so items stand by falling q, which is the best order where
users look from the top.

Acting is epsilon-greedy: with probability epsilon a uniformly random slate, where epsilon falls linearly from
1 to `last_epsilon` over the first `exploration` transitions of a row.

All rows share one network, and learn for each other: the more rows, the more transitions a second. Given the
weights, row i depends on its own observation and luck alone. Of users who click several items only one choice
could be learned: such transitions are refused.

`logged` after every update:

    td_loss       mean Huber loss of q(s,i), of the last batch
    choice_loss   mean -log P(consumed | s, A) in nats, of the last batch; 0 where scores are given
    q             mean of q(s, consumed), of the last batch
    epsilon       chance of a random slate now

Feedback: which item was clicked, or none, and the reward.
Bound: none is known with networks; the decomposition itself is exact under the choice model.
Source: Ie, Jain, Wang, Narvekar, Agarwal, Wu, Cheng, Chandra, Boutilier, "SlateQ: a tractable decomposition
    for reinforcement learning with recommendation sets", IJCAI 2019, and its longer report, arXiv:1905.12767.
    There the value of consuming nothing is not learned for itself in the experiments; here it is. Dinkelbach,
    "On nonlinear fractional programming", Management Science 13, 1967. Sizes, rates and schedules are ours.
    Not implemented: on-policy (SARSA) targets, and separate rules for learning and serving.
"""

from collections.abc import Callable, Mapping
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
from recsim_env.errors import InputError, check_ranges, require, unknown_name

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

LOGGED = ("td_loss", "choice_loss", "q", "epsilon")


class ItemHead(nn.Module):
    """h(s), and a linear layer with one output an item."""

    def __init__(
        self, entries: Mapping[str, Entry], units: int, outputs: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.state = StateNetwork(entries, units, generator)
        self.head = linear(units, outputs, generator)

    def forward(self, observation: Mapping[str, Tensor]) -> Tensor:
        """(B, outputs)."""
        values: Tensor = self.head(self.state(observation))
        return values


class SlateQ:
    """One network for all rows.

    Args:
        entries: of the observation, by name, as `World.observation_entries` gives them.
        num_items: N.
        slate_size: K, 1 to N.
        slates: `optimal`, `greedy` or `top_k`, in targets and when acting.
        choice_scores: observation -> log v(s,i) (B, N), where it is known; None to learn it.
        discount: gamma, 0 to 1.
        truncated_is_final: True where the horizon is part of the problem (the world plans to it and shows the
            step): nothing is expected after it. False bootstraps there as at any other step.
        exploration: transitions of a row over which epsilon falls.
        last_epsilon: where it ends.
        units: of the two hidden layers.
        learning_rate: of Adam.
        capacity: transitions that are remembered.
        batch_size: of a gradient step; learning begins when the memory holds ten batches.
        gradient_steps: after every update, which brings B transitions.
        target_share: of the way that the target network goes at every gradient step.
        seed: of weights and batches.

    Attributes:
        q_network, choice_network: with outputs (B, N + 1), the last of no item, and (B, N).
        logged: (4,) see above.

    Raises:
        InputError: torch is missing; a number out of range; an unknown rule for slates.
    """

    rows_learn_together = True  # see `Agent`

    def __init__(
        self,
        entries: Mapping[str, Entry],
        num_items: int,
        slate_size: int,
        *,
        slates: str = "optimal",
        choice_scores: Callable[[dict[str, Array]], Array] | None = None,
        discount: float = 0.99,
        truncated_is_final: bool = False,
        exploration: int = 1000,
        last_epsilon: float = 0.05,
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
            {"discount": discount, "last_epsilon": last_epsilon, "target_share": target_share},
            {"learning_rate": learning_rate},
        )
        if slate_size > num_items:
            raise InputError(
                f"slate_size must be at most the number of items ({num_items}), got {slate_size}"
            )
        if slates not in SLATES:
            raise unknown_name("rule for slates", slates, SLATES)
        if capacity < 10 * batch_size:
            raise InputError(f"capacity must be at least 10 batches ({10 * batch_size}), got {capacity}")
        self.entries = dict(entries)
        self.num_items, self.slate_size = num_items, slate_size
        self.build, self.choice_scores = SLATES[slates], choice_scores
        self.discount, self.truncated_is_final = discount, truncated_is_final
        self.exploration, self.last_epsilon = exploration, last_epsilon
        self.batch_size, self.gradient_steps, self.target_share = batch_size, gradient_steps, target_share
        self.generator = torch.Generator().manual_seed(seed)
        self.q_network = ItemHead(entries, units, num_items + 1, self.generator)
        self.q_target = deepcopy(self.q_network)
        self.choice_network = ItemHead(entries, units, num_items, self.generator)
        parameters = [*self.q_network.parameters(), *self.choice_network.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=learning_rate, fused=True)
        fields = [("slates", np.int64, (slate_size,)), ("consumed", np.int64, ()), ("reward", np.float32, ())]
        if choice_scores is not None:
            fields += [("scores", np.float32, (num_items,)), ("next_scores", np.float32, (num_items,))]
        self.replay = Replay(
            capacity,
            observation_fields(entries, "now/")
            + observation_fields(entries, "next/")
            + [*fields, ("over", np.bool_, ())],
        )
        self.updates = np.zeros(1, np.int64)
        self.logged = np.array([0.0, 0.0, 0.0, 1.0])

    @property
    def epsilon(self) -> float:
        """Chance of a random slate now."""
        done = min(1.0, int(self.updates[0]) / self.exploration)
        return 1.0 + done * (self.last_epsilon - 1.0)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The best slates, or random ones with probability epsilon, (B, K)."""
        explores = luck.uniform("slate_q/explore") < self.epsilon
        slates = self.greedy(observation)
        random: Ints = highest(luck.uniform("slate_q/random", (self.num_items,)), self.slate_size)
        return np.where(explores[:, None], random, slates)

    def greedy(self, observation: dict[str, Array]) -> Ints:
        """The slates that are thought best, without exploration, (B, K)."""
        with torch.no_grad():
            now = tensors(observation, self.entries)
            scores = None if self.choice_scores is None else self.choice_scores(observation)
            chosen = self.build(self._appeal(now, scores), self.q_network(now), self.slate_size)
        return chosen.numpy()

    def update(self, transition: Transition) -> None:
        """Remember the step of every row, then learn from batches of what is remembered.

        Raises:
            InputError: two clicks on one slate; slates of another size; a reward that is not finite.
        """
        check_transition(transition, self.slate_size, self.num_items)
        clicks = transition.clicked.sum(axis=1)
        if clicks.max() > 1:
            raise InputError(
                f"clicked[{int(clicks.argmax())}] holds {clicks.max()} clicks: SlateQ is for users who click "
                "one item at most; take a world of single clicks, or another agent"
            )
        slot = transition.clicked.argmax(axis=1)
        item = transition.slates[np.arange(len(slot)), slot]
        columns: dict[str, Array] = {
            "slates": transition.slates,
            "consumed": np.where(clicks > 0, item, self.num_items),
            "reward": transition.reward,
            "over": transition.terminated | (transition.truncated & self.truncated_is_final),
        }
        if self.choice_scores is not None:
            columns["scores"] = self.choice_scores(transition.observation)
            columns["next_scores"] = self.choice_scores(transition.next_observation)
        self.replay.add(
            observation_columns(transition.observation, self.entries, "now/")
            | observation_columns(transition.next_observation, self.entries, "next/")
            | columns
        )
        self.updates[0] += 1
        if len(self.replay) >= 10 * self.batch_size:
            for _ in range(self.gradient_steps):
                self._learn()
        self.logged[3] = self.epsilon

    def _learn(self) -> None:
        """One gradient step."""
        index = torch.randint(len(self.replay), (self.batch_size,), generator=self.generator).numpy()
        batch = self.replay.take(index)
        now, after = tensors(batch, self.entries, "now/"), tensors(batch, self.entries, "next/")
        consumed, reward = torch.from_numpy(batch["consumed"]), torch.from_numpy(batch["reward"])
        with torch.no_grad():
            appeal = self._appeal(after, batch.get("next_scores"))
            q = self.q_target(after)
            best = slate_value(appeal, q, self.build(appeal, q, self.slate_size))
            target = reward + self.discount * torch.from_numpy(~batch["over"]) * best
        learned = self.q_network(now).gather(1, consumed[:, None])[:, 0]
        td_loss = nn.functional.smooth_l1_loss(learned, target)
        choice_loss = torch.zeros(())
        if self.choice_scores is None:
            slates = torch.from_numpy(batch["slates"])
            logits = self.choice_network(now).gather(1, slates.clamp(min=0))
            logits = logits.masked_fill(slates < 0, -torch.inf)
            logits = torch.cat([logits, torch.zeros(len(logits), 1)], dim=1)  # log v(s,0) = 0
            chosen = torch.cat([slates, torch.full((len(slates), 1), self.num_items)], dim=1)
            place = (chosen == consumed[:, None]).float().argmax(dim=1)
            choice_loss = nn.functional.cross_entropy(logits, place)
        self.optimizer.zero_grad()
        (td_loss + choice_loss).backward()
        self.optimizer.step()
        follow(self.q_target, self.q_network, self.target_share)
        self.logged[:3] = td_loss.item(), choice_loss.item(), learned.mean().item()

    def _appeal(self, observation: Mapping[str, Tensor], scores: Array | None) -> Tensor:
        """v(s,i) (B, N) of the items."""
        if scores is not None:
            return torch.exp(torch.as_tensor(np.asarray(scores), dtype=torch.float32))
        appeal: Tensor = torch.exp(self.choice_network(observation))
        return appeal


def slate_value(appeal: Tensor, q: Tensor, slates: Tensor) -> Tensor:
    """Q(s, A) (B,).

    Args:
        appeal: (B, N) v(s,i); v(s,0) is 1.
        q: (B, N + 1) q(s,i), the last of no item.
        slates: (B, K) distinct items.
    """
    v = appeal.gather(1, slates)
    return (q[:, -1] + (v * q.gather(1, slates)).sum(dim=1)) / (1.0 + v.sum(dim=1))


def top_k_slates(appeal: Tensor, q: Tensor, K: int) -> Tensor:
    """(B, K) the items of largest v q, by falling q. Arguments as of `slate_value`."""
    return _by_value(q, torch.topk(appeal * q[:, :-1], K).indices)


def greedy_slates(appeal: Tensor, q: Tensor, K: int) -> Tensor:
    """(B, K) each item the one that raises Q(s, A) most, by falling q."""
    above, below = q[:, -1:], torch.ones_like(q[:, -1:])  # of the fraction Q(s, A)
    used = torch.zeros_like(appeal, dtype=torch.bool)
    chosen = []
    for _ in range(K):
        value = (above + appeal * q[:, :-1]) / (below + appeal)
        item = value.masked_fill(used, -torch.inf).argmax(dim=1, keepdim=True)
        v = appeal.gather(1, item)
        above, below = above + v * q.gather(1, item), below + v
        used = used.scatter(1, item, True)
        chosen.append(item)
    return _by_value(q, torch.cat(chosen, dim=1))


def optimal_slates(appeal: Tensor, q: Tensor, K: int) -> Tensor:
    """(B, K) the items of the largest Q(s, A), by falling q."""
    chosen = torch.topk(appeal * q[:, :-1], K).indices
    value = slate_value(appeal, q, chosen)
    for _ in range(
        64
    ):  # it rises at every round and takes finitely many values: three to six rounds in practice
        better = torch.topk(appeal * (q[:, :-1] - value[:, None]), K).indices
        reached = slate_value(appeal, q, better)
        rises = reached > value
        if not rises.any():
            break
        chosen = torch.where(rises[:, None], better, chosen)
        value = torch.where(rises, reached, value)
    return _by_value(q, chosen)


def _by_value(q: Tensor, slates: Tensor) -> Tensor:
    order = torch.argsort(q.gather(1, slates), dim=1, descending=True, stable=True)
    return slates.gather(1, order)


SLATES = {"optimal": optimal_slates, "greedy": greedy_slates, "top_k": top_k_slates}
