"""A causal language model as a policy: the codes of the next item are the next tokens of a prompt.

    x     = tokens of a history, see `code_tokens.py`
    logit of code c of level l = z_{t(l, c)}(x, t(1, c_1) .. t(l - 1, c_{l - 1}))      z the model's logits

of all tokens, only those of a level's codes are looked at, and log pi is normalised over the trie
(`decoding.py`), in `log_prob` as in `generate`. So an instruction-tuned model that was given new tokens
(`from_pretrained`), a tiny one that was made of a configuration, and SASRec are tuned by the same lines.

The prompt of a user is read once, whatever the number of items or beams; its keys and values are kept, and
each code is read once. Prompts are padded on the left, under a mask and with positions that count from the
first token, so that a row says the same in every batch.

Ours: at each code, the logits of the whole vocabulary are made, as the library's models do, and most of them
thrown away.
"""

from collections.abc import Callable
from typing import Any, Self

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.decoding import NextCode, log_prob
from recsim_env.agents.generative.generation import generate, last_items
from recsim_env.agents.generative.language_model.code_tokens import CodeTokens
from recsim_env.errors import InputError, check_ranges, require
from recsim_env.simulators.luck import Luck

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402


class CausalLMPolicy(nn.Module):
    """A `Policy`, see the module.

    Args:
        model: with a head of logits, of the transformers library, 5.24 or newer.
        trie: the catalogue.
        tokens: of its codes.
        max_items: the last items of a history that are read.

    Raises:
        InputError: parts that do not go together, a number out of range, prompts longer than the model reads.
    """

    def __init__(self, model: nn.Module, trie: CatalogueTrie, tokens: CodeTokens, *, max_items: int) -> None:
        super().__init__()
        check_ranges({"max_items": max_items}, {}, {})
        check_parts(model, trie, tokens)
        longest = len(tokens.instruction) + (max_items + 1) * trie.length + 1  # with the answer and its end
        limit = getattr(model.config, "max_position_embeddings", None)
        if limit is not None and longest > limit:
            raise InputError(
                f"{max_items} items, an instruction of {len(tokens.instruction)} tokens and an answer are "
                f"{longest} tokens, but the model reads {limit}: lower max_items"
            )
        self.model, self.trie, self.tokens, self.max_items = model, trie, tokens, max_items
        device = model.get_input_embeddings().weight.device
        sizes = torch.tensor(tokens.level_sizes, device=device)
        self.register_buffer("_token_of", torch.tensor(tokens.codes, device=device), persistent=False)
        self.register_buffer("_begins", sizes.cumsum(0) - sizes, persistent=False)
        self.trie = self.trie.to(device)

    @property
    def num_items(self) -> int:
        """N."""
        return self.trie.num_items

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What `to`, `cuda` and their like call: the catalogue goes where the weights go."""
        super()._apply(fn, recurse)
        self.trie = self.trie.to(self._token_of.device)
        return self

    def log_prob(self, history: Tensor, items: Tensor) -> Tensor:
        """Log pi (B, G) of items (B, G) after histories (B, H), with gradients.

        Args:
            history: ids, -1 = an empty cell, all of them on the left.
            items: ids.

        Raises:
            InputError: a history that is none, an item that the catalogue does not have, a model that keeps
                no keys and values.
        """
        reading = _Reading(self.model, *self.prompts(history))
        items = items.to(self.trie.items.device)
        (B, G), V = items.shape, reading.logits.shape[-1]
        found = [reading.logits]
        if self.trie.length > 1:
            known = items.clamp(0, self.num_items - 1)  # what is none of them, `log_prob` refuses
            codes = self.of_codes(self.trie.codes[known])[..., :-1]
            reading.go_on(torch.arange(B, device=items.device).repeat_interleave(G), codes.flatten(0, 1))
            found += reading.logits.view(B, G, -1, V).unbind(2)
        return log_prob(self.trie, items, lambda level: self._of_level(found[level], level))

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
        """Items (B, k), and log pi (B, k) of each; arguments and errors as of `generation.generate`.

        Args:
            history: (B, H), as of `log_prob`.
            k: 1 or more.
            mode: beam, sample or gumbel.
            width: of the beam.
            allow: (N,) or (B, N) flags of items that may be found.
            luck: of the draws, of B users.
        """
        return generate(
            self,
            self.trie,
            lambda: self.next_code(history),
            len(history),
            k,
            mode,
            width=width,
            allow=allow,
            luck=luck,
        )

    def next_code(self, history: Tensor) -> NextCode:
        """What `decoding` calls for users with these histories (B, H)."""
        B, reading = len(history), _Reading(self.model, *self.prompts(history))

        def logits(level: int, parents: Tensor, codes: Tensor) -> Tensor:
            if level:
                beams = len(reading.mask) // B
                rows = parents + beams * torch.arange(B, device=parents.device)[:, None]
                before = self._token_of[self._begins[level - 1] + codes]
                reading.go_on(rows.flatten(), before.flatten()[:, None])
            return self._of_level(reading.logits.view(*parents.shape, -1), level)

        return logits

    def prompts(self, history: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, T) of histories (B, H), padded on the left, and flags (B, T) of what is no padding."""
        items = last_items(history, self.num_items, self.max_items).to(self.trie.items.device)
        B, there = len(items), items >= 0
        codes = self.of_codes(self.trie.codes[items.clamp(min=0)])
        begin = items.new_tensor(self.tokens.instruction).expand(B, -1)
        written = there.repeat_interleave(self.trie.length, dim=1)
        tokens = torch.cat([begin, codes.flatten(1), items.new_full((B, 1), self.tokens.answer)], dim=1)
        seen = torch.cat([torch.ones_like(begin, dtype=torch.bool), written, written.new_ones(B, 1)], dim=1)
        order = seen.int().argsort(dim=1, stable=True)  # what is padding goes in front of the instruction
        order = order[:, (~seen).sum(dim=1).min() :]
        seen = seen.gather(1, order)
        return tokens.gather(1, order).masked_fill(~seen, self.tokens.end), seen

    def of_codes(self, codes: Tensor) -> Tensor:
        """Tokens (..., L) of codes (..., L)."""
        return self._token_of[self._begins + codes]

    def _of_level(self, logits: Tensor, level: int) -> Tensor:
        """(..., V_l) of logits (..., vocabulary), of single precision at least."""
        own = logits[..., self._token_of.split(self.tokens.level_sizes)[level]]
        return own.to(torch.promote_types(own.dtype, torch.float32))


def check_parts(model: nn.Module, trie: CatalogueTrie, tokens: CodeTokens) -> None:
    """Refuse tokens of another catalogue, or that a model does not have."""
    if tokens.level_sizes != trie.level_sizes:
        raise InputError(
            f"the tokens are of levels of {tokens.level_sizes} codes, and the catalogue of {trie.level_sizes}"
        )
    most, vocabulary = max(tokens.own + tokens.instruction), model.get_input_embeddings().weight.shape[0]
    if most >= vocabulary:
        raise InputError(
            f"token {most} is not in the model's vocabulary of {vocabulary} (0-{vocabulary - 1}): take "
            "CodeTokens.appended, or resize_token_embeddings first"
        )


class _Reading:
    """Rows of tokens that a model has read so far, and what it says of the next.

    Args:
        model: of a `CausalLMPolicy`.
        tokens: (R, T).
        mask: (R, T) flags of what is no padding.

    Attributes:
        mask: of all so far.
        logits: (R, 1, vocabulary) behind the prompt; then (R, T, vocabulary) behind each token of `go_on`.

    Raises:
        InputError: the model keeps no keys and values.
    """

    def __init__(self, model: nn.Module, tokens: Tensor, mask: Tensor) -> None:
        self.model, self.mask = model, mask
        self.cache: Any = None  # of the library, its keys and values
        self.logits = self._read(tokens, 1)

    def go_on(self, rows: Tensor, tokens: Tensor) -> None:
        """Read tokens (R', T) behind each of `rows` (R',) of those so far."""
        self.cache.reorder_cache(rows)
        self.mask = torch.cat([self.mask[rows], torch.ones_like(tokens, dtype=torch.bool)], dim=1)
        self.logits = self._read(tokens, tokens.shape[1])

    def _read(self, tokens: Tensor, wanted: int) -> Tensor:
        mask = self.mask.long()
        found = self.model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0)[:, -tokens.shape[1] :],
            cache=self.cache,
            use_cache=True,
            logits_to_keep=wanted,
        )
        self.cache = found.cache
        if self.cache is None or self.cache.get_seq_length() != self.mask.shape[1]:
            raise InputError(
                "the model keeps no keys and values: call policy.eval() first, or switch its gradient "
                "checkpointing off"
            )
        return found.logits[:, -wanted:]
