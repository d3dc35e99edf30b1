"""What preference tuning sees of a recommender: log pi of items after a history, and items drawn or found.

    log_prob(history, items)   (B, G) log pi(i | h), with gradients
    generate(history, k)       (B, k) items: the best, or draws with or without putting back

pi is a distribution over the catalogue, the same in both. A recommender that has the two, SASRec as well as
one that writes codes, is tuned by the same losses (`preference/`).

`GenerativePolicy` makes them of a sequence encoder, an identifier head and a catalogue: the encoder reads the
items of a history, one vector each, and leaves a state of each; the head says the codes of the next item.
"""

from collections.abc import Callable
from typing import Protocol, Self

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.decoding import Keep, NextCode, log_prob, log_probs
from recsim_env.agents.generative.generation import generate, last_items
from recsim_env.agents.generative.heads.decoder import DecoderHead
from recsim_env.agents.generative.heads.head import IdentifierHead, Past
from recsim_env.agents.generative.heads.projection import ProjectionHead
from recsim_env.agents.generative.preferences import Preferences
from recsim_env.agents.sequential.neural.encoders.encoder import SequenceEncoder, seen_keys
from recsim_env.errors import InputError, check_ranges, require
from recsim_env.simulators.luck import Luck

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402


class Policy(Protocol):
    """See the module."""

    @property
    def num_items(self) -> int:
        """N."""

    def log_prob(self, history: Tensor, items: Tensor) -> Tensor:
        """Log pi (B, G) of items (B, G) after histories (B, H), -1 = an empty cell, all on the left."""

    def generate(
        self,
        history: Tensor,
        k: int,
        mode: str = "beam",
        *,
        width: int | None = None,
        allow: Tensor | None = None,
        luck: Luck | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Items (B, k), and log pi (B, k) of each, see `generation.generate`."""


class GenerativePolicy(nn.Module):
    """An encoder, a head and a catalogue.

    Args:
        encoder: that reads the past, or the whole of it.
        head: of identifiers with the catalogue's level sizes.
        trie: the catalogue, of the encoder's items.
        preferences: that a decoder looks at beside the history; None = there are none.
        temperature: what logits are divided by, in training, search and sampling alike; above 0.

    Raises:
        InputError: parts that do not go together, a number out of range; `load_state_dict`: weights of
            another catalogue.
    """

    def __init__(
        self,
        encoder: SequenceEncoder,
        head: IdentifierHead,
        trie: CatalogueTrie,
        *,
        preferences: Preferences | None = None,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if encoder.reads == "around":
            name = type(encoder).__name__
            raise InputError(
                f"{name} reads around: a policy needs an encoder that reads the past or the whole"
            )
        if encoder.num_items != trie.num_items:
            raise InputError(
                f"the encoder has {encoder.num_items} items, and the catalogue {trie.num_items}: they must "
                "be the same, item i that of row i"
            )
        if head.level_sizes != trie.level_sizes:
            raise InputError(
                f"the head has levels of {head.level_sizes} codes, and the catalogue of {trie.level_sizes}"
            )
        if isinstance(head, ProjectionHead):
            itself = torch.arange(trie.num_items, device=trie.codes.device)
            if head.items is not encoder.items or not torch.equal(trie.codes[:, 0], itself):
                raise InputError(
                    "a projection head scores items by the encoder's vectors: make it of encoder.items, and "
                    "the catalogue of codes 0, 1, .. in the order of the items"
                )
        if preferences is not None and not isinstance(head, DecoderHead):
            raise InputError(f"{type(head).__name__} looks at no preferences: take a DecoderHead")
        if preferences is not None:
            found = preferences.num_items, preferences.vectors.embedding_dim
            wanted = encoder.num_items, encoder.items.dimension
            if found != wanted:
                raise InputError(
                    f"preferences must be of {wanted[0]} items and {wanted[1]} numbers, as the encoder's, "
                    f"got {found[0]} and {found[1]}"
                )
        check_ranges({}, {}, {"temperature": temperature})
        self.encoder, self.head, self.trie, self.temperature = encoder, head, trie, temperature
        self.preferences = preferences
        self.register_buffer("codes", trie.codes)  # so that weights say which catalogue they are of
        self.register_load_state_dict_pre_hook(_check_codes)

    @property
    def num_items(self) -> int:
        """N."""
        return self.trie.num_items

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What `to`, `cuda` and their like call: the catalogue goes where the weights go."""
        super()._apply(fn, recurse)
        self.trie = self.trie.to(next(self.parameters()).device)
        return self

    def past(self, history: Tensor, preference: Tensor | None = None) -> Past:
        """What is known of users after histories (B, H): one step each.

        Args:
            history: ids, -1 = an empty cell, all of them on the left; only the last items are read.
            preference: (B,) what each asks for; None = guessed from the history, where there are preferences.

        Raises:
            InputError: a history of another shape, an id that is no item, an empty cell behind an item; a
                preference that is none, or that nobody looks at.
        """
        items = last_items(history, self.num_items, self.encoder.max_length).to(self.trie.items.device)
        read = torch.where(items < 0, self.num_items, items)
        if preference is not None:
            if self.preferences is None:
                raise InputError("this policy looks at no preferences: leave out preference")
            preference = self.preferences.checked(preference, len(history)).expand_as(read)
        return self.steps(self.encoder(read), read, preference).last

    def steps(self, states: Tensor, items: Tensor, preference: Tensor | None = None) -> Past:
        """The past of every step of rows, each of which sees what the encoder has read by then.

        Args:
            states: (U, T, D) of the encoder.
            items: (U, T) that it read, N = an empty cell.
            preference: (U, T) of every step; None = guessed, where there are preferences.
        """
        seen = seen_keys(items == self.num_items, past=self.encoder.reads == "past")[:, 0]
        if self.preferences is None:
            return Past(states, states, seen)
        wanted = self.preferences.guessed(items) if preference is None else preference
        own = torch.eye(items.shape[1], dtype=torch.bool, device=seen.device).expand_as(seen)
        memory = torch.cat([states, self.preferences(wanted)], dim=1)
        return Past(states, memory, torch.cat([seen, own], dim=2))

    def log_prob(self, history: Tensor, items: Tensor) -> Tensor:
        """Log pi (B, G) of items after histories, with gradients.

        Args:
            history: (B, H), as of `past`.
            items: (B, G) ids.

        Raises:
            InputError: an item that the catalogue does not have.
        """
        return self.log_prob_of(self.past(history), items[:, None].to(self.trie.items.device))[:, 0]

    def log_prob_of(self, past: Past, items: Tensor) -> Tensor:
        """The same (U, Q, G) of items (U, Q, G) at every step of a past."""
        return log_prob(self.trie, items, self._logits(past, items))

    def log_probs_of(self, past: Past, items: Tensor) -> Tensor:
        """(U, Q, G, L) log pi of each code of items (U, Q, G), given those before it."""
        return log_probs(self.trie, items, self._logits(past, items))

    def _logits(self, past: Past, items: Tensor) -> Callable[[int], Tensor]:
        known = items.clamp(0, self.num_items - 1)  # what is none of them, `log_prob` refuses
        return self._head(past, self.trie.codes[known][..., :-1]).__getitem__

    def _head(self, past: Past, codes: Tensor) -> list[Tensor]:
        logits: list[Tensor] = self.head(past, codes)
        return logits if self.temperature == 1.0 else [one / self.temperature for one in logits]

    def generate(
        self,
        history: Tensor,
        k: int,
        mode: str = "beam",
        *,
        width: int | None = None,
        allow: Tensor | None = None,
        luck: Luck | None = None,
        preference: Tensor | None = None,
        keep: Keep | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Items for every user.

        Args:
            history: (B, H), as of `past`.
            k: 1 or more.
            mode: beam, sample or gumbel, see `generation.generate`, as are the others.
            width: of the beam, k or more; None = 2 k.
            allow: (N,) or (B, N) flags of items that may be found; None = all. Not for sample.
            luck: of the draws, of B users; not for beam.
            preference: as of `past`.
            keep: which prefixes a beam may go through, see `beam_search`; only for beam.

        Returns:
            items (B, k), -1 where there are no more; log pi (B, k) of each, -inf there.

        Raises:
            InputError: what `generation.generate` and `past` refuse.
        """

        def begin() -> NextCode:
            return self.next_code(self.past(history, preference))

        return generate(
            self, self.trie, begin, len(history), k, mode, width=width, allow=allow, luck=luck, keep=keep
        )

    def next_code(self, past: Past) -> NextCode:
        """What `decoding` calls for users of whom this is known."""
        logits = self.head.next_code(past)
        if self.temperature == 1.0:
            return logits
        return lambda level, parents, codes: logits(level, parents, codes) / self.temperature


def _check_codes(policy: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Refuse weights that were learned of other identifiers."""
    codes = state.get(f"{prefix}codes")
    if isinstance(policy, GenerativePolicy) and codes is not None:
        ours = policy.trie.codes
        if codes.shape != ours.shape or not torch.equal(codes.to(ours), ours):
            raise InputError(
                "these weights are of a policy whose items have other codes: make the policy of the "
                "identifiers that it was trained with"
            )
