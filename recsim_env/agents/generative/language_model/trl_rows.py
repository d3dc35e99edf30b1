"""Histories and items as the words that TRL's trainers read, and a tokeniser of these words.

A token of a code is the word `<level_code>`, see `CodeTokens.names`, one of the instruction `<#id>`, without
spaces between:

    prompt        <#5><#9><0_3><1_17><0_8><1_2><answer>
    completion    <0_3><1_9>                              behind which a trainer puts <end>

The tokeniser gives each word the id that the model has for it, so it is made here, of nothing that is
downloaded, for a model of any vocabulary.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recsim_env.agents.generative.language_model.causal_lm_policy import CausalLMPolicy
from recsim_env.agents.generative.language_model.code_tokens import CodeTokens
from recsim_env.arrays import Ints
from recsim_env.errors import InputError, refuse, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Row = dict[str, str]


def tokenizer(tokens: CodeTokens) -> "PreTrainedTokenizerFast":
    """A `processing_class` for the trainers; a word that it does not know is an error."""
    require("transformers", "language-models")
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    of_words = Tokenizer(models.WordLevel({word: token for token, word in words(tokens).items()}))
    of_words.pre_tokenizer = pre_tokenizers.Split(Regex("<[^>]*>"), "isolated")
    of_words.decoder = decoders.Fuse()
    end = tokens.names[-1]
    return PreTrainedTokenizerFast(tokenizer_object=of_words, eos_token=end, pad_token=end)


def words(tokens: CodeTokens) -> dict[int, str]:
    """The word of each token."""
    return {
        **{one: f"<#{one}>" for one in tokens.instruction},
        **dict(zip(tokens.own, tokens.names, strict=True)),
    }


def prompt_rows(policy: CausalLMPolicy, history: Tensor) -> list[Row]:
    """Rows for GRPO, one for each of histories (B, H)."""
    word, (text, seen) = words(policy.tokens), policy.prompts(history)
    rows = zip(text.tolist(), seen.tolist(), strict=True)
    return [
        {"prompt": "".join(word[token] for token, there in zip(*row, strict=True) if there)} for row in rows
    ]


def sft_rows(policy: CausalLMPolicy, history: Tensor, items: Ints) -> list[Row]:
    """Rows for SFT.

    Args:
        policy: that is to be trained.
        history: (B, H), as of its `log_prob`.
        items: (B,) what was taken next.

    Raises:
        InputError: a history that is none, items that are none, or not as many.
    """
    return _rows(policy, history, {"completion": items})


def preference_rows(policy: CausalLMPolicy, history: Tensor, chosen: Ints, rejected: Ints) -> list[Row]:
    """Rows for DPO: as `sft_rows`, with items (B,) that were preferred to others (B,)."""
    return _rows(policy, history, {"chosen": chosen, "rejected": rejected})


def items_of(policy: CausalLMPolicy, completions: Sequence[str]) -> Ints:
    """The items (B,) that completions say, -1 = none: for a reward function of GRPO.

    Raises:
        InputError: items share an identifier, and so no completion means one of them.
    """
    if len(policy.trie.code_of[-1]) < policy.num_items:
        raise InputError("items share identifiers: a completion says no single one, append a code")
    every = _completions(policy, torch.arange(policy.num_items).numpy())
    known, end = {text: item for item, text in enumerate(every)}, policy.tokens.names[-1]
    return torch.tensor([known.get(one.removesuffix(end), -1) for one in completions]).numpy()


def _rows(policy: CausalLMPolicy, history: Tensor, columns: dict[str, Ints]) -> list[Row]:
    rows = prompt_rows(policy, history)
    for name, items in columns.items():
        if items.shape != (len(rows),):
            raise InputError(
                f"{name} must be items of ({len(rows)},), one for each history, got {items.shape}"
            )
        refuse(
            name, (items < 0) | (items >= policy.num_items), items, f"items are 0 to {policy.num_items - 1}"
        )
        for row, text in zip(rows, _completions(policy, items), strict=True):
            row[name] = text
    return rows


def _completions(policy: CausalLMPolicy, items: Ints) -> list[str]:
    word = words(policy.tokens)
    codes = policy.trie.codes[torch.as_tensor(items, device=policy.trie.codes.device)]
    return ["".join(word[token] for token in row) for row in policy.of_codes(codes).tolist()]
