"""Latent reasoning: before its state is used, an encoder is run on for R more steps, fed with its own state.

With the blocks of a `SASRec`, its states s_t0 after t items, and R learned vectors p_k, for every t:

    r_tk = s_t,k-1 + p_k            token k of the reasoning after t items
    s_tk = what leaves the blocks   for r_tk, which sees the items up to t and r_t1 .. r_tk, and no others
    state after t items = s_tR      (read_out last), or the mean of s_t0 .. s_tR (read_out mean)

So every position of a history reasons by itself, as if the history ended there, and all do so at once: a step
takes as long as one pass of the encoder. What items leave in a block, its keys and values, is computed once,
for tokens see items and items see no tokens.

R = 0 is the encoder itself. Losses that hold the steps to something are `ProgressiveReasoning`,
`EnsembleReasoning` and `GraphPrior`; `AdaptiveHalting` stops early.

Source: Tang and others, "Think before recommend: unleashing the latent reasoning power for sequential
recommendation" (ReaRec), 2025, arXiv 2503.22675, and its public code (TangJiakai/ReaRec). Ours: it reasons
after the last item of a history alone, here after each, as training learns from every step of a history; no
norm at the input of a step, as the state is normalised and blocks have norms of their own.
"""

from dataclasses import dataclass, field
from typing import Any, cast

from recsim_env.agents.sequential.neural.encoders.attention_block import AttentionBlock
from recsim_env.agents.sequential.neural.encoders.encoder import SPREAD, SequenceEncoder, seen_keys
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec
from recsim_env.errors import InputError, require, unknown_name

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

READ_OUTS = ("last", "mean")


@dataclass
class Memory:
    """What T tokens of each user may look at: T = L, one for each item, or T = 1, after the last item."""

    seen: Tensor  # (U, 1, T, L) which token sees which item
    of_items: list[tuple[Tensor, Tensor]]  # of each block: keys and values (U, h, L, D / h)
    of_tokens: list[list[tuple[Tensor, Tensor]]] = field(default_factory=list)
    """Of each block, the keys and values (U, h, T, D / h) of each step so far."""

    def rows(self, users: Tensor) -> "Memory":
        """That of some users."""
        of_items = [(key[users], value[users]) for key, value in self.of_items]
        of_tokens = [[(key[users], value[users]) for key, value in block] for block in self.of_tokens]
        return Memory(self.seen[users], of_items, of_tokens)


class LatentReasoning(SequenceEncoder):
    """Items (U, L) -> states (U, L, D).

    Args:
        encoder: a SASRec, which learns with what is added.
        steps: R, 0 or more.
        read_out: last or mean.
        generator: of the p_k.

    Raises:
        InputError: another encoder, or a setting that cannot be.
    """

    trajectory_: Tensor | None = None  # (U, L, R + 1, D) of the last pass in training
    states_: Tensor | None = None  # (U, L, D) that it left

    def __init__(
        self,
        encoder: SequenceEncoder,
        *,
        steps: int = 2,
        read_out: str = "last",
        generator: torch.Generator,
    ) -> None:
        super().__init__(encoder.items, encoder.max_length)
        if type(encoder) is not SASRec:  # one that is derived from it may make its states otherwise
            raise InputError(
                "LatentReasoning runs the blocks of a SASRec on, and cannot those of "
                f"{type(encoder).__name__}: wrap a SASRec, and others around this"
            )
        if steps < 0:
            raise InputError(f"steps must be 0 or more, got {steps}")
        if read_out not in READ_OUTS:
            raise unknown_name("read_out", read_out, READ_OUTS)
        self.encoder, self.steps, self.read_out = encoder, steps, read_out
        self.positions = nn.Parameter(
            SPREAD * torch.randn(steps, encoder.items.dimension, generator=generator)
        )

    def forward(self, items: Tensor, gaps: Tensor | None = None) -> Tensor:
        """See `SequenceEncoder`; time is not looked at."""
        if self.steps == 0:
            states: Tensor = self.encoder(items)
            return states
        found = self.trajectory(items)
        after: Tensor = found.mean(dim=2) if self.read_out == "mean" else found[:, :, -1]
        self.trajectory_ = found if self.training else None
        self.states_ = after if self.training else None
        return after

    def trajectory(
        self,
        items: Tensor,
        *,
        last_alone: bool = False,
        noise: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The states of all steps, (U, L, R + 1, D), or (U, 1, R + 1, D) of the last position alone.

        Args:
            items: (U, L), as of `forward`.
            last_alone: whether only the last position reasons, which costs next to nothing.
            noise: deviation of normal numbers that are added to every token.
            generator: of the noise, on the processor.
        """
        state, memory = self.read(items, last_alone=last_alone)
        found = [state]
        for step in range(self.steps):
            added = noise * torch.randn(state.shape, generator=generator).to(state.device) if noise else 0.0
            state = self.step(step, state + added, memory)
            found.append(state)
        return torch.stack(found, dim=2)

    def read(self, items: Tensor, *, last_alone: bool = False) -> tuple[Tensor, Memory]:
        """The states s_t0 (U, T, D), and what tokens may look at; arguments as of `trajectory`."""
        x, seen = self.encoder.embed(items), seen_keys(items == self.num_items)
        kept = []
        for block in self._blocks:
            parts = block.projected(x)
            kept.append((parts[1], parts[2]))
            x = block.after(x, block.attend(parts, seen))
        state = self.encoder.norm(x)
        if last_alone:
            state, seen = state[:, -1:], seen[:, :, -1:]
        return state, Memory(seen, kept, [[] for _ in kept])

    def step(self, step: int, state: Tensor, memory: Memory) -> Tensor:
        """The states (U, T, D) of a step, from 0, after those of the one before; added to the memory."""
        x = state + self.positions[step]
        for block, of_items, of_tokens in zip(self._blocks, memory.of_items, memory.of_tokens, strict=True):
            x = _look_back(block, x, memory.seen, of_items, of_tokens)
        states: Tensor = self.encoder.norm(x)
        return states

    def candidates(self, items: Tensor | None = None) -> Tensor:
        """Those of the wrapped encoder."""
        return self.encoder.candidates(items)

    def __getstate__(self) -> dict[str, Any]:
        """Without the last pass, which is of no use to a copy."""
        return {**self.__dict__, "trajectory_": None, "states_": None}

    @property
    def _blocks(self) -> list[AttentionBlock]:
        return cast(list[AttentionBlock], list(self.encoder.blocks))


def steps_of(network: SequenceEncoder, states: Tensor) -> Tensor:
    """The trajectory (U, L, R + 1, D) of a network's last pass in training, for losses.

    Args:
        network: that made it.
        states: of the pass that is meant.

    Raises:
        InputError: there was none, or another pass came after it.
    """
    reasoner = cast(LatentReasoning, network)
    if reasoner.trajectory_ is None:
        raise InputError("there is no trajectory: only a pass in training, with one step or more, leaves one")
    if reasoner.states_ is not states:
        raise InputError(
            "another loss has run the encoder again: put losses of reasoning before those that do"
        )
    return reasoner.trajectory_


def check_reasoning(network: SequenceEncoder, name: str) -> LatentReasoning:
    """Refuse a network that does not reason.

    Args:
        network: the encoder.
        name: of what needs its steps.

    Raises:
        InputError: another encoder, or one without steps.
    """
    if not isinstance(network, LatentReasoning):
        raise InputError(f"{name} needs a LatentReasoning, got {type(network).__name__}")
    if network.steps < 1:
        raise InputError(f"{name} needs a LatentReasoning of 1 step or more, got {network.steps}")
    return network


def _look_back(
    block: AttentionBlock,
    x: Tensor,
    seen: Tensor,
    of_items: tuple[Tensor, Tensor],
    of_tokens: list[tuple[Tensor, Tensor]],
) -> Tensor:
    """Tokens (U, T, D) after a block; their own keys and values are added to `of_tokens`.

    Every token has keys of its own beside those of the items, so that one product for all tokens would be
    mostly of pairs that do not see each other.
    """
    query, own_key, own_value = block.projected(x)
    of_tokens.append((own_key, own_value))
    key, value = of_items
    to_items = (query @ key.mT).masked_fill(~seen, -torch.inf)  # (U, h, T, L)
    to_tokens = [(query * own).sum(dim=-1, keepdim=True) for own, _ in of_tokens]
    logits = torch.cat([to_items, *to_tokens], dim=-1) / query.shape[-1] ** 0.5
    share = block.dropout(torch.softmax(logits, dim=-1))
    L = key.shape[2]
    found = share[..., :L] @ value
    for place, (_, own) in enumerate(of_tokens, start=L):
        found = found + share[..., place, None] * own
    return block.after(x, found)
