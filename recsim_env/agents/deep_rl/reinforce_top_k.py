"""REINFORCE for slates of K items, from one's own slates or from logs of another policy.

The policy is a softmax over items, pi(a|s), from which a slate is filled without repeating an item
(Plackett-Luce). An item a earns c(s,a) when it is shown, whatever stands beside it. If K draws were made from
pi and repeated items dropped, a would be in the slate with probability alpha(a|s) = 1 - (1 - pi(a|s))^K, so
that what is to be maximised, and its gradient, are

    J = sum_a alpha(a|s) c(s,a),      dJ = sum_a pi(a|s) lambda_K(s,a) c(s,a) d log pi(a|s),
    lambda_K(s,a) = d alpha / d pi = K (1 - pi(a|s))^(K-1)                              the top-K correction

lambda_K is K for an item that is hardly ever shown and falls to 0 for one that is in every slate already:
without it all probability gathers on the best item, and the other K - 1 slots are never learned. The slates
of a log hold more of what its policy liked; the sum over items is estimated with the weights

    pi(a|s) / beta(a|s), at most `weight_cap`                              the off-policy correction

of every item that was shown. With the probabilities p_k of slot k given those above, which logs of our
policies and the agent's own slates have, 1 / beta(A_k|s) = 1 / p_k + K - k: averaged over the slots, this is
Raj's estimator of a sum from a sample without repetition, and unbiased for any logging policy that may show
every item. Without them beta is learned: a second softmax on the same h(s), whose gradient stops there,
fitted by the likelihood of all items shown.

What an item earns is what followed its click. With R_t = sum_k gamma^k r_{t+k} to the end of the episode, and
b(s) the mean of R after slates without a click, which is learned beside it,

    c_t(a) = (R_t - b(s_t)) / clicks on the slate,      for a clicked item, else 0

so the value of a slate is b(s) plus what its items earn: exact where users click one item at most and the
rest of the episode depends on what was clicked alone, the assumption of SlateQ. For gamma = 0 and rewards of
clicks b is 0, and c is the reward. Where every item shown counts as clicked, as in `Attack-v0`, no slate is
without a click and b is never learned: with `baseline="value"` c is measured from V(s), the mean of R
whatever was clicked, as in REINFORCE for whole slates.

Returns are known when an episode ends: its steps wait until then, B rows of at most `horizon` steps. Where it
was truncated and that is not final, R ends with a learned V(s) of what would have followed. Steps are then
kept in a memory of which every gradient step draws a batch; the weights make up for its age.

All rows share one network. Given the weights, row i depends on its own observation and luck alone.

`logged` after every update:

    policy_loss   mean over items shown of - weight lambda_K c log pi, of the last batch
    value_loss    mean squared error of b, where nothing was clicked, and V, of the last batch
    weight        mean weight of the items shown, after the cap, of the last batch; 1 on one's own slates
                  of this moment, whose spread the cap cuts
    capped        share of the weights that the cap cut
    entropy       mean of - sum_a pi log pi in nats, of the last batch; log N is uniform
    kl            mean of sum_a pi log(pi / pi') in nats, of the last batch, from pi before the last gradient
                  step to pi' after it: how far one step moved the policy

Feedback: the items clicked and the reward; of a log its propensities, if it has them.
Bound: none is known with networks; the gradient is exact under the assumptions above.
Source: Chen, Beutel, Covington, Jain, Belletti, Chi, "Top-K off-policy correction for a REINFORCE recommender
    system", WSDM 2019: the corrections, the cap e^3 and the learned beta. Raj, "Some estimators in sampling
    with varying probabilities without replacement", JASA 51, 1956. The baseline b and the use of Raj's
    estimator are ours. Not implemented: the recurrent user state, sampled softmax, and mixing best items with
    random ones when serving.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.agents.deep_rl.replay import (
    Replay,
    check_transition,
    observation_columns,
    observation_fields,
)
from recsim_env.agents.deep_rl.state_network import (
    Entry,
    StateNetwork,
    linear,
    tensors,
)
from recsim_env.arrays import Array, Floats, Ints
from recsim_env.errors import InputError, check_ranges, require, unknown_name
from recsim_env.simulators.log import Log

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

LOGGED = ("policy_loss", "value_loss", "weight", "capped", "entropy", "kl")
CORRECTIONS = ("top_k", "off_policy", "none")
BASELINES = {"no_click": 0, "value": 1}  # and the column of `PolicyNetwork` that has it


class PolicyNetwork(nn.Module):
    """log pi, log beta, b and V on two states of a user: one of the policy, one of the values."""

    def __init__(
        self, entries: Mapping[str, Entry], units: int, num_items: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.state = StateNetwork(entries, units, generator)
        self.policy = linear(units, num_items, generator)
        self.behaviour = linear(units, num_items, generator)
        self.value_state = StateNetwork(entries, units, generator)
        self.values = linear(units, 2, generator)

    def forward(self, observation: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Log pi (B, N), log beta (B, N), and b and V (B, 2)."""
        hidden = self.state(observation)
        log_pi = torch.log_softmax(self.policy(hidden), dim=1)
        log_beta = torch.log_softmax(self.behaviour(hidden.detach()), dim=1)
        return log_pi, log_beta, self.values(self.value_state(observation))


class ReinforceTopK:
    """One network for all rows.

    Args:
        entries: of the observation, by name, as `World.observation_entries` gives them.
        num_items: N.
        slate_size: K, 1 to N.
        num_rows: B of the transitions; logs may have any.
        horizon: most steps of an episode.
        correction: `top_k` for both corrections, `off_policy` for the weights alone, `none` for neither: the
            last two to see what is lost.
        baseline: `no_click` for b; `value` for V, where hardly any slate is without a click.
        weight_cap: the largest pi / beta.
        discount: gamma, 0 to 1; 0 learns what is clicked now.
        truncated_is_final: True where the horizon is part of the problem (the world plans to it and shows the
            step): nothing is expected after it. False adds V of the last observation.
        units: of each of the two hidden layers.
        learning_rate: of Adam.
        capacity: steps that are remembered.
        batch_size: of a gradient step; learning begins when the memory holds ten batches.
        gradient_steps: after every update, which brings B steps.
        seed: of weights and batches.

    Attributes:
        network: see `PolicyNetwork`.
        logged: (6,) see above.

    Raises:
        InputError: torch is missing; a number out of range; an unknown correction or baseline.
    """

    rows_learn_together = True  # see `Agent`

    def __init__(
        self,
        entries: Mapping[str, Entry],
        num_items: int,
        slate_size: int,
        num_rows: int,
        horizon: int,
        *,
        correction: str = "top_k",
        baseline: str = "no_click",
        weight_cap: float = float(np.exp(3.0)),
        discount: float = 0.99,
        truncated_is_final: bool = False,
        units: int = 64,
        learning_rate: float = 1e-3,
        capacity: int = 10_000,
        batch_size: int = 256,
        gradient_steps: int = 1,
        seed: int = 0,
    ) -> None:
        check_ranges(
            {"slate_size": slate_size, "num_rows": num_rows, "horizon": horizon, "units": units}
            | {"capacity": capacity, "batch_size": batch_size, "gradient_steps": gradient_steps},
            {"discount": discount},
            {"learning_rate": learning_rate, "weight_cap": weight_cap},
        )
        if slate_size > num_items:
            raise InputError(
                f"slate_size must be at most the number of items ({num_items}), got {slate_size}"
            )
        if correction not in CORRECTIONS:
            raise unknown_name("correction", correction, CORRECTIONS)
        if baseline not in BASELINES:
            raise unknown_name("baseline", baseline, BASELINES)
        if capacity < 10 * batch_size:
            raise InputError(f"capacity must be at least 10 batches ({10 * batch_size}), got {capacity}")
        self.entries = dict(entries)
        self.num_items, self.slate_size, self.horizon = num_items, slate_size, horizon
        self.correction, self.baseline, self.weight_cap = correction, baseline, weight_cap
        self.discount, self.truncated_is_final = discount, truncated_is_final
        self.batch_size, self.gradient_steps = batch_size, gradient_steps
        self.generator = torch.Generator().manual_seed(seed)
        self.network = PolicyNetwork(entries, units, num_items, self.generator)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=learning_rate, fused=True)
        fields = [
            *observation_fields(entries, "now/"),
            ("slates", np.int64, (slate_size,)),
            ("clicked", np.bool_, (slate_size,)),
            ("inverse", np.float32, (slate_size,)),  # 1 / beta, not a number where it is not known
            ("reward", np.float32, ()),
            ("reached", np.float32, ()),  # R, once the episode is over
        ]
        self.replay = Replay(capacity, fields)
        self.waiting = np.zeros((num_rows, horizon), self.replay.rows.dtype)
        self.steps = np.zeros(num_rows, np.int64)  # that wait, of each row
        self.acted = np.full((num_rows, slate_size), -1)  # the last slates, and
        self.chances = np.zeros((num_rows, slate_size))  # log p_k of their slots
        self.logged = np.zeros(len(LOGGED))

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """Slates drawn from the policy without repetition, (B, K)."""
        log_pi = self.log_policy(observation)
        u = luck.uniform("reinforce_top_k", (self.num_items,)) + 2.0**-54  # above 0
        noisy = log_pi - np.log(-np.log(u))
        slates: Ints = np.argsort(-noisy, axis=1, kind="stable")[:, : self.slate_size]
        self.acted, self.chances = slates, slot_log_chances(log_pi, slates)
        return slates.copy()

    def greedy(self, observation: dict[str, Array]) -> Ints:
        """The K items of highest probability, (B, K)."""
        order: Ints = np.argsort(-self.log_policy(observation), axis=1, kind="stable")
        return order[:, : self.slate_size]

    def log_policy(self, observation: dict[str, Array]) -> Floats:
        """Log pi(a|s) (B, N)."""
        with torch.no_grad():
            log_pi, _, _ = self.network(tensors(observation, self.entries))
        return np.asarray(log_pi.double().numpy())

    def log_propensities(self, observation: dict[str, Array], slates: Ints) -> Floats:
        """(B, K) log P(slot k | the slots above it), as logs keep them, of full slates."""
        return slot_log_chances(self.log_policy(observation), slates)

    def update(self, transition: Transition) -> None:
        """Remember the step of every row, and learn from episodes that are over.

        Slates that are not those of the last `act` are taken for another policy's, of unknown propensities.

        Raises:
            InputError: another number of rows; slates of another size; an episode longer than the horizon; a
                reward that is not finite.
        """
        check_transition(transition, self.slate_size, self.num_items)
        B = len(self.steps)
        if len(transition.slates) != B:
            raise InputError(f"a transition must have num_rows = {B} rows, got {len(transition.slates)}")
        if self.steps.max() >= self.horizon:
            raise InputError(
                f"an episode has more than horizon = {self.horizon} steps: give a longer horizon"
            )
        own = (transition.slates == self.acted).all(axis=1, keepdims=True)
        rows = np.arange(B)
        columns = observation_columns(transition.observation, self.entries, "now/") | {
            "slates": transition.slates,
            "clicked": transition.clicked,
            "inverse": np.where(own, inverse_propensities(self.chances), np.nan),
            "reward": transition.reward,
        }
        for name, column in columns.items():
            self.waiting[name][rows, self.steps] = column
        self.steps = self.steps + 1
        ended = transition.terminated | transition.truncated
        if ended.any():
            self._finish(np.flatnonzero(ended), transition)
        if len(self.replay) >= 10 * self.batch_size:
            for _ in range(self.gradient_steps):
                self._learn()

    def fit(self, log: Log, observation: Mapping[str, Array], gradient_steps: int) -> "ReinforceTopK":
        """Learn from a log in place of one's own episodes.

        From now on the memory is as long as the log, and ten batches at least.

        Args:
            log: with rewards, and episodes and steps if gamma is above 0; with `slot_log_propensity` the
                weights are known, without it beta is learned. After the last row of an episode nothing
                is expected.
            observation: what the agent would have seen before each row, (R, ...) each.
            gradient_steps: of one batch each.

        Raises:
            InputError: a log without the columns needed, of another slate size or catalogue; an observation
                of another length; gradient_steps below 1.
        """
        check_ranges({"gradient_steps": gradient_steps}, {}, {})
        log.check_items(self.num_items)
        reward = log.require("reward")
        if log.slate.shape[1] != self.slate_size:
            raise InputError(f"log must have slates of {self.slate_size} items, got {log.slate.shape[1]}")
        for name in self.entries:
            if name not in observation or len(observation[name]) != len(log):
                raise InputError(f"observation[{name!r}] must have one row for each of the log's {len(log)}")
        reached = reward.copy()
        if self.discount > 0.0:
            step, episode = log.require("step"), log.require("episode")
            for r in range(len(log) - 2, -1, -1):
                if log.user[r] == log.user[r + 1] and episode[r] == episode[r + 1] and step[r] < step[r + 1]:
                    reached[r] += self.discount * reached[r + 1]
        known = log.slot_log_propensity is not None
        inverse = inverse_propensities(log.require("slot_log_propensity")) if known else np.nan
        capacity = max(len(log), 10 * self.batch_size)  # less would end learning from one's own episodes
        self.replay = Replay(capacity, [(n, *_field(self.replay.rows.dtype, n)) for n in _names(self.replay)])
        self.replay.add(
            observation_columns(observation, self.entries, "now/")
            | {"slates": log.slate, "clicked": log.clicked, "reward": reward, "reached": reached}
            | {"inverse": np.broadcast_to(inverse, log.slate.shape)}
        )
        for _ in range(gradient_steps):
            self._learn()
        return self

    def _finish(self, rows: Ints, transition: Transition) -> None:
        """Compute the returns of the episodes of these rows, and move their steps to the memory."""
        reached = np.zeros(len(rows))
        if not self.truncated_is_final:
            with torch.no_grad():
                after = {name: value[rows] for name, value in transition.next_observation.items()}
                values = self.network(tensors(after, self.entries))[2][:, 1].numpy()
            reached = np.where(transition.terminated[rows], 0.0, values)
        for h in range(int(self.steps[rows].max()) - 1, -1, -1):
            there = h < self.steps[rows]
            reached = np.where(there, self.waiting["reward"][rows, h] + self.discount * reached, reached)
            self.waiting["reached"][rows[there], h] = reached[there]
        finished = [self.waiting[row, : self.steps[row]] for row in rows]
        together = np.concatenate(finished)
        self.replay.add({name: together[name] for name in _names(self.replay)})
        self.steps[rows] = 0

    def _learn(self) -> None:
        """One gradient step on one batch."""
        index = torch.randint(len(self.replay), (self.batch_size,), generator=self.generator).numpy()
        batch = self.replay.take(index)
        slates, clicked = torch.from_numpy(batch["slates"]), torch.from_numpy(batch["clicked"])
        reached = torch.from_numpy(batch["reached"])
        now = tensors(batch, self.entries, "now/")
        log_pi, log_beta, values = self.network(now)
        shown, item = slates >= 0, slates.clamp(min=0)
        clicks = clicked.sum(dim=1)
        expected = values[:, BASELINES[self.baseline]].detach()
        earned = clicked * ((reached - expected) / clicks.clamp(min=1))[:, None]  # (batch, K)
        inverse = torch.from_numpy(batch["inverse"])
        learned = torch.exp(-log_beta.detach().gather(1, item))
        weight = torch.exp(log_pi.detach()).gather(1, item) * torch.where(inverse.isnan(), learned, inverse)
        policy_loss = policy_objective(
            log_pi, item, shown, earned, weight.clamp(max=self.weight_cap), self.correction
        )
        none, all_steps = (reached - values[:, 0]) ** 2 * (clicks == 0), (reached - values[:, 1]) ** 2
        value_loss = (none + all_steps).mean()
        behaviour_loss = -(log_beta.gather(1, item) * shown).sum() / shown.sum()
        self.optimizer.zero_grad()
        (policy_loss + value_loss + behaviour_loss).backward()
        self.optimizer.step()
        with torch.no_grad():
            entropy = -(torch.exp(log_pi) * log_pi).sum(dim=1).mean()
            cut = (weight > self.weight_cap)[shown].float().mean()
            mean = weight.clamp(max=self.weight_cap)[shown].mean()
            after = torch.log_softmax(self.network.policy(self.network.state(now)), dim=1)
            kl = (torch.exp(log_pi) * (log_pi - after)).sum(dim=1).mean()
        figures = policy_loss.detach(), value_loss.detach(), mean, cut, entropy, kl
        self.logged[:] = [float(figure) for figure in figures]


def policy_objective(
    log_pi: Tensor, item: Tensor, shown: Tensor, earned: Tensor, weight: Tensor, correction: str
) -> Tensor:
    """Minus the estimate whose gradient is that of J, a mean over the items shown.

    Args:
        log_pi: (B, N).
        item: (B, K) items, any where nothing is shown.
        shown: (B, K) whether the slot holds an item.
        earned: (B, K) c.
        weight: (B, K) pi / beta.
        correction: of CORRECTIONS.
    """
    chosen = log_pi.gather(1, item)  # (B, K)
    factor = torch.ones_like(chosen)
    if correction != "none":
        factor = weight
    if correction == "top_k":
        factor = factor * top_k_multiplier(torch.exp(chosen.detach()), item.shape[1])
    return -(factor * earned * chosen * shown).sum() / shown.sum()


def top_k_multiplier(chance: Tensor, K: int) -> Tensor:
    """lambda_K = K (1 - pi)^(K-1) of probabilities pi."""
    return K * (1.0 - chance) ** (K - 1)


def inverse_propensities(slot_log_propensity: Floats) -> Floats:
    """1 / beta(A_k|s) = 1 / p_k + K - k for slots k = 1..K, (B, K), from log p_k (B, K)."""
    K = slot_log_propensity.shape[1]
    return np.asarray(np.exp(-slot_log_propensity) + np.arange(K - 1, -1, -1))


def slot_log_chances(log_pi: Floats, slates: Ints) -> Floats:
    """(B, K) log p_k = log pi(A_k) - log(1 - sum of pi over the slots above), of full slates."""
    rest, chances = log_pi.copy(), np.empty(slates.shape)
    rows = np.arange(len(slates))
    for k in range(slates.shape[1]):
        # the sum of what is left, not 1 less what is above: that would lose small probabilities
        chances[:, k] = log_pi[rows, slates[:, k]] - np.logaddexp.reduce(rest, axis=1)
        rest[rows, slates[:, k]] = -np.inf
    return chances


def _names(replay: Replay) -> tuple[str, ...]:
    return replay.rows.dtype.names or ()


def _field(dtype: np.dtype, name: str) -> tuple[np.dtype, tuple[int, ...]]:
    assert dtype.fields is not None
    field: np.dtype = dtype.fields[name][0]
    return field.base, field.shape
