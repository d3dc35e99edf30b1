"""Which tokens of a language model stand for the codes of items.

    t(l, c) = token of code c of level l          a token of its own for every code of every level

After an instruction, the same for all, come the codes of the items of a history, the oldest first, and a
token that asks for an answer; the codes of the next item follow, and a token that ends it:

    instruction  t(1, c_1) .. t(L, c_L) of each item  answer  |  t(1, c_1) .. t(L, c_L)  end

Source: Zheng and others, "Adapting large language models by integrating collaborative semantics for
recommendation" (LC-Rec), ICDE 2024, whose model writes such tokens. Ours: `appended` draws the new vectors
around those that there are, each number with their mean and deviation; the library would draw from the global
generator.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import nn  # noqa: E402


@dataclass(frozen=True)
class CodeTokens:
    """See the module.

    Args:
        level_sizes: (L,) V_1 .. V_L.
        codes: (V_1 + .. + V_L,) ids of the tokens of all codes of level 1, of level 2, ..
        answer: id of the token behind the history.
        end: id of the token behind an answer.
        instruction: ids in front of the history; none of the others is among them.

    Raises:
        InputError: not as many ids as codes, an id below 0, or two meanings of one id.
    """

    level_sizes: tuple[int, ...]
    codes: tuple[int, ...]
    answer: int
    end: int
    instruction: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.codes) != sum(self.level_sizes):
            raise InputError(
                f"codes must be {sum(self.level_sizes)} ids, one for each code of levels of "
                f"{self.level_sizes}, got {len(self.codes)}"
            )
        if min(self.own + self.instruction) < 0:
            raise InputError(f"ids of tokens must be 0 or more, got {min(self.own + self.instruction)}")
        ids, count = np.unique(self.own, return_counts=True)
        if (count > 1).any():
            raise InputError(
                f"token {ids[count > 1][0]} has two meanings: each code, answer and end need a token of "
                "their own"
            )
        shared = set(self.own) & set(self.instruction)
        if shared:
            raise InputError(
                f"token {min(shared)} of the instruction stands for a code, answer or end already"
            )

    @property
    def own(self) -> tuple[int, ...]:
        """Ids of codes, answer and end."""
        return (*self.codes, self.answer, self.end)

    @property
    def names(self) -> tuple[str, ...]:
        """A word for each of `own`: `<0_17>` for code 17 of the first level, `<answer>`, `<end>`."""
        codes = (f"<{level}_{code}>" for level, size in enumerate(self.level_sizes) for code in range(size))
        return (*codes, "<answer>", "<end>")

    @classmethod
    def appended(
        cls,
        model: nn.Module,
        level_sizes: Sequence[int],
        *,
        instruction: Sequence[int] = (),
        generator: torch.Generator,
    ) -> Self:
        """New tokens behind those that a model has, whose vocabulary grows by V_1 + .. + V_L + 2.

        Args:
            model: of the transformers library; is changed.
            level_sizes: (L,) V_1 .. V_L.
            instruction: ids of tokens that it has.
            generator: of the new vectors.
        """
        known, new = model.get_input_embeddings().weight.shape[0], sum(level_sizes) + 2
        with torch.random.fork_rng(devices=[]), torch.no_grad():  # new rows are drawn anew below
            model.resize_token_embeddings(known + new, mean_resizing=False)
            tables = {id(one.weight): one.weight for one in _tables(model)}  # one of them where they are tied
            for table in tables.values():
                old = table[:known].float()
                noise = torch.randn(new, table.shape[1], generator=generator, dtype=torch.float32)
                table[known:] = (old.mean(dim=0) + old.std(dim=0) * noise.to(old.device)).to(table.dtype)
        ids = range(known, known + new)
        return cls(tuple(level_sizes), tuple(ids[:-2]), ids[-2], ids[-1], tuple(instruction))


def _tables(model: nn.Module) -> list[nn.Module]:
    return [one for one in (model.get_input_embeddings(), model.get_output_embeddings()) if one is not None]
