"""What every policy's `generate` does: arguments are checked, dropout is off, and a decoder is chosen."""

from collections.abc import Callable
from functools import partial

import numpy as np

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.decoding import Keep, NextCode, beam_search, gumbel_top_k, sample
from recsim_env.errors import InputError, require, unknown_name
from recsim_env.simulators.luck import Luck

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

MODES = ("beam", "sample", "gumbel")


@torch.no_grad()
def generate(
    network: nn.Module,
    trie: CatalogueTrie,
    begin: Callable[[], NextCode],
    batch: int,
    k: int,
    mode: str,
    *,
    width: int | None = None,
    allow: Tensor | None = None,
    luck: Luck | None = None,
    keep: Keep | None = None,
) -> tuple[Tensor, Tensor]:
    """Items for every user.

    Args:
        network: is evaluated, not trained, meanwhile.
        trie: the catalogue.
        begin: reads the histories, once the other arguments are found good.
        batch: B.
        k: 1 or more.
        mode: beam, the k most likely that a beam search finds; sample, draws with putting back; gumbel,
            draws without.
        width: of the beam, k or more; None = 2 k.
        allow: (N,) or (B, N) flags of items that may be found; None = all. Not for sample.
        luck: of the draws, of B users; not for beam.
        keep: which prefixes a beam may go through, see `beam_search`; only for beam.

    Returns:
        items (B, k), -1 where there are no more; log pi (B, k) of each, -inf there.

    Raises:
        InputError: an unknown mode, a number out of range, luck that is missing, of no use, or of other
            users.
    """
    if mode not in MODES:
        raise unknown_name("mode", mode, MODES)
    if mode == "beam":
        if luck is not None:
            raise InputError("beam draws nothing: leave out luck")
    elif luck is None or len(luck) != batch:
        found = "none" if luck is None else f"that of {len(luck)}"
        raise InputError(f"{mode} needs the luck of {batch} users, got {found}")
    if mode == "sample" and allow is not None:
        raise InputError("sample draws from pi itself: leave out allow, or take gumbel")
    if keep is not None and mode != "beam":
        raise InputError(f"keep is of beam, got it with {mode}: leave it out")
    if width is not None and mode != "beam":
        raise InputError(f"width is of beam, got {width} with {mode}")
    training = network.training
    try:
        network.eval()  # what is drawn or found does not depend on dropout
        next_code = begin()
        if luck is None:
            return beam_search(trie, next_code, batch, k, width=width, allow=allow, keep=keep)
        uniforms = partial(_uniforms, luck)
        if mode == "sample":
            return sample(trie, next_code, batch, k, uniforms)
        return gumbel_top_k(trie, next_code, batch, k, uniforms, allow=allow)
    finally:
        network.train(training)


def last_items(history: Tensor, num_items: int, longest: int) -> Tensor:
    """The last items (B, H) of histories, H from 1 to `longest`.

    Args:
        history: ids, -1 = an empty cell, all of them on the left.
        num_items: N.
        longest: how many are read.

    Raises:
        InputError: a history of another shape, an id that is no item, an empty cell behind an item.
    """
    if history.ndim != 2:
        raise InputError(f"history must be (users, items), got {tuple(history.shape)}")
    items = history[:, -longest:]
    if not items.shape[1]:
        return items.new_full((len(history), 1), -1)
    if ((items < -1) | (items >= num_items)).any():
        wrong = items[(items < -1) | (items >= num_items)][0].item()
        raise InputError(f"item {wrong} of a history is none: there are {num_items} (0-{num_items - 1})")
    if ((items[:, 1:] < 0) & (items[:, :-1] >= 0)).any():
        raise InputError("a history has an empty cell behind an item: empty cells stand on the left")
    return items


def _uniforms(luck: Luck, level: int, shape: tuple[int, ...]) -> Tensor:
    """(B, ...) from 0 to below 1, of this level."""
    return torch.from_numpy(np.ascontiguousarray(luck.uniform(f"generate/{level}", shape[1:])))
