"""From a model of the next code to items: the best by beam search, draws with and without putting back.

Whatever a model says, log pi is normalised over the children that a prefix has in the catalogue,

    log pi(c | h, prefix) = logit(c) - log sum over children c' of exp logit(c'),
    log pi(i | h)         = sum over levels l of log pi(c_l | h, c_1 .. c_{l-1}) - log(items that share it),

in training (`log_prob`), in search and in sampling alike, so pi is a distribution over items. A mask `allow`
takes items away from what is found, and a hook `keep` prefixes, such as those that do not agree with what was
found out otherwise (REG4Rec's pruning); neither changes what log pi says of the others.

    beam_search   the `width` best prefixes of every level; with as many as a level has nodes, the exact best
    sample        draws from pi itself, with putting back
    gumbel_top_k  draws from pi without putting back, as one who draws and draws until k differ: every prefix
                  carries the largest of its items' log pi + Gumbel noise, and the k largest are followed

Source of the last: Kool, van Hoof, Welling, "Stochastic beams and where to find them", ICML 2019.
"""

from collections.abc import Callable
from typing import Protocol

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor  # noqa: E402

Uniforms = Callable[[int, tuple[int, ...]], Tensor]
"""(level, shape) -> numbers from 0 to below 1."""

Keep = Callable[[int, Tensor], Tensor]
"""(level, from 1; nodes (B, M, C) of it) -> flags (B, M, C): whether a beam may go through each."""


class NextCode(Protocol):
    """A model of the next code, given what was chosen so far."""

    def __call__(self, level: int, parents: Tensor, codes: Tensor) -> Tensor:
        """Logits (B, M, V) of the codes of this level.

        Args:
            level: from 0; at 0 there is one beam, with parents 0 and codes -1.
            parents: (B, M) which beam of the former level each beam goes on from.
            codes: (B, M) with which code.
        """


def log_prob(trie: CatalogueTrie, items: Tensor, logits: Callable[[int], Tensor]) -> Tensor:
    """Log pi of items (...), with gradients; arguments and errors as of `log_probs`."""
    total = log_probs(trie, items, logits).sum(dim=-1)
    return total - _sharing(trie, trie.node_of[trie.length][items]).log()


def log_probs(trie: CatalogueTrie, items: Tensor, logits: Callable[[int], Tensor]) -> Tensor:
    """Log pi(c_l | h, c_1 .. c_{l-1}) of the codes of items (..., G), at each level: (..., G, L).

    Args:
        trie: the catalogue.
        items: (..., G) ids.
        logits: level -> (..., G, V) of the codes of this level, given the codes of each item before it, or
            (..., 1, V) where these do not matter.

    Raises:
        InputError: an item that the trie does not have.
    """
    if items.numel() and (items.min() < 0 or items.max() >= trie.num_items):
        wrong = items[(items < 0) | (items >= trie.num_items)][0].item()
        raise InputError(
            f"item {wrong} is not in the catalogue of {trie.num_items} items (0-{trie.num_items - 1}): "
            "a new item needs a new trie"
        )
    found = []
    for level in range(trie.length):
        values, code = logits(level), trie.codes[items, level]
        if level == 0:  # one root for all: not a copy of its children for each item
            values = values[..., 0, :]
            chosen, nodes = values.gather(-1, code), code.new_zeros(values.shape[:-1])
            found.append(chosen - trie.of_children(0, nodes, values).logsumexp(-1, keepdim=True))
            continue
        values = values.expand(*items.shape, -1)
        chosen = values.gather(-1, code.unsqueeze(-1)).squeeze(-1)
        found.append(chosen - trie.of_children(level, trie.node_of[level][items], values).logsumexp(-1))
    return torch.stack(found, dim=-1)


@torch.no_grad()
def beam_search(
    trie: CatalogueTrie,
    next_code: NextCode,
    batch: int,
    k: int,
    *,
    width: int | None = None,
    allow: Tensor | None = None,
    keep: Keep | None = None,
) -> tuple[Tensor, Tensor]:
    """The k items of largest log pi that a beam finds, best first.

    Args:
        trie: the catalogue.
        next_code: the model.
        batch: B.
        k: 1 or more.
        width: beams of a user, k or more; None = 2 k.
        allow: (N,) or (B, N) flags of items that may be found; None = all.
        keep: asked of every prefix before it takes a place in the beam; None = all are kept.

    Returns:
        items (B, k), -1 where there are no more; log pi (B, k), -inf there.

    Raises:
        InputError: k or width out of range, flags of another shape, or none set.
    """
    width = 2 * k if width is None else width
    if k < 1 or width < k:
        raise InputError(f"k must be at least 1 and width at least k, got {k} and {width}")
    allowed = None if allow is None else trie.allowed_below(_flags(trie, batch, allow))
    nodes = torch.zeros((batch, 1), dtype=torch.int64, device=trie.items.device)
    scores = torch.zeros((batch, 1), device=trie.items.device)
    parents, codes = nodes, nodes - 1
    for level in range(trie.length):
        logits = next_code(level, parents, codes)
        parents, nodes, scores = beam_step(trie, level, nodes, scores, logits, width, allowed, keep)
        codes = trie.code_of[level][nodes]
    items, each = _items_below(trie, nodes, scores, allowed)
    found, place = each.topk(min(k, each.shape[1]), dim=1)
    return _filled(items.gather(1, place), found, k)


def beam_step(
    trie: CatalogueTrie,
    level: int,
    nodes: Tensor,
    scores: Tensor,
    logits: Tensor,
    width: int,
    allowed: Tensor | None = None,
    keep: Keep | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """One level of a beam search.

    Args:
        trie: the catalogue.
        level: from 0.
        nodes: (B, M) of this level.
        scores: (B, M) log pi of each.
        logits: (B, M, V) of what follows.
        width: W, how many are kept of each user.
        allowed: see `CatalogueTrie.allowed_below`.
        keep: see `beam_search`.

    Returns:
        of the W best, or of all if they are fewer: (B, W) which of the M each comes from, its node of
        the next level, its log pi.
    """
    total = _continued(trie, level, nodes, scores, logits)
    if allowed is not None:
        child, _ = trie.children(level, nodes)
        first = trie.first_item[level + 1]
        left = _in_range(allowed, first[child], first[child + 1])
        total = total.masked_fill(left == 0, -torch.inf)
    if keep is not None:
        child, _ = trie.children(level, nodes)
        flags = keep(level + 1, child)
        if flags.shape != child.shape or flags.dtype != torch.bool:
            raise InputError(
                f"keep must return flags of {tuple(child.shape)}, got {flags.dtype} of {tuple(flags.shape)}"
            )
        total = total.masked_fill(~flags, -torch.inf)
    best, place = total.flatten(1).topk(min(width, total[0].numel()), dim=1)
    parents = place // total.shape[2]
    return parents, trie.child(level, nodes.gather(1, parents), place % total.shape[2]), best


@torch.no_grad()
def sample(
    trie: CatalogueTrie, next_code: NextCode, batch: int, k: int, uniforms: Uniforms
) -> tuple[Tensor, Tensor]:
    """K draws from pi for every user, with putting back.

    Args:
        trie: the catalogue.
        next_code: the model.
        batch: B.
        k: 1 or more.
        uniforms: of (B, k) at each level, and of level L where identifiers are shared.

    Returns:
        items (B, k), and their log pi (B, k).

    Raises:
        InputError: k below 1.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    nodes = torch.zeros((batch, k), dtype=torch.int64, device=trie.items.device)
    total = torch.zeros((batch, k), device=trie.items.device)
    parents, codes = nodes[:, :1], nodes[:, :1] - 1
    for level in range(trie.length):
        logits = next_code(level, parents, codes)
        begun = slice(logits.shape[1])  # all are at the root, where there is one beam
        values = _continued(trie, level, nodes[:, begun], total[:, begun], logits).expand(batch, k, -1)
        cell = _drawn(values, uniforms(level, (batch, k)))
        total = values.gather(-1, cell).squeeze(-1)
        nodes = trie.child(level, nodes, cell.squeeze(-1))
        parents = torch.arange(k, device=nodes.device).expand(batch, k) if level else torch.zeros_like(nodes)
        codes = trie.code_of[level][nodes]
    sharing = _sharing(trie, nodes)
    place = trie.first_item[trie.length][nodes]
    if sharing.max() > 1:
        drawn = (uniforms(trie.length, (batch, k)).to(total) * sharing).long()
        place = place + drawn.minimum(sharing - 1)  # rounding goes no further
    return trie.items[place], total - sharing.log()


@torch.no_grad()
def gumbel_top_k(
    trie: CatalogueTrie,
    next_code: NextCode,
    batch: int,
    k: int,
    uniforms: Uniforms,
    *,
    allow: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """K draws from pi for every user, without putting back: a Plackett-Luce list.

    Args:
        trie: the catalogue.
        next_code: the model.
        batch: B.
        k: 1 or more.
        uniforms: of (B, beams, children) at each level, and of level L where identifiers are shared.
        allow: (N,) or (B, N) flags of items that may be found; None = all. Others are drawn and laid aside,
            so the beam is as much wider as a user has of them: where few are left, make a trie of these.

    Returns:
        items (B, k) in the order in which they were drawn, -1 where there are no more; log pi (B, k) of each
        alone, -inf there.

    Raises:
        InputError: k below 1, flags of another shape, or none set.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}")
    flags = None if allow is None else _flags(trie, batch, allow)
    width = k if flags is None else k + int((~flags).sum(dim=1).max())
    nodes = torch.zeros((batch, 1), dtype=torch.int64, device=trie.items.device)
    scores = torch.zeros((batch, 1), device=trie.items.device)
    noisy, parents, codes = scores, nodes, nodes - 1
    for level in range(trie.length):
        total = _continued(trie, level, nodes, scores, next_code(level, parents, codes))
        drawn = _below(noisy, total, uniforms(level, tuple(total.shape))).flatten(1)
        noisy, place = drawn.topk(min(width, drawn.shape[1]), dim=1)
        parents = place // total.shape[2]
        nodes = trie.child(level, nodes.gather(1, parents), place % total.shape[2])
        scores, codes = total.flatten(1).gather(1, place), trie.code_of[level][nodes]
    items, each = _items_below(trie, nodes, scores, None)
    each = each.unflatten(1, (nodes.shape[1], -1))
    drawn = noisy.unsqueeze(-1)
    if each.shape[2] > 1:
        drawn = _below(noisy, each, uniforms(trie.length, tuple(each.shape)))
    drawn, each = drawn.flatten(1), each.flatten(1)
    if flags is not None:
        drawn = drawn.masked_fill(~flags.gather(1, items), -torch.inf)
    best, place = drawn.topk(min(k, drawn.shape[1]), dim=1)
    found = each.gather(1, place).masked_fill(best == -torch.inf, -torch.inf)
    return _filled(items.gather(1, place), found, k)


def _flags(trie: CatalogueTrie, batch: int, allow: Tensor) -> Tensor:
    """The flags (B, N), of which every user has one that is set."""
    if allow.dtype != torch.bool or allow.shape not in ((trie.num_items,), (batch, trie.num_items)):
        raise InputError(
            f"allow must be flags of ({trie.num_items},) or ({batch}, {trie.num_items}), got {allow.dtype} "
            f"of {tuple(allow.shape)}"
        )
    flags = allow.expand(batch, -1)
    if not flags.any(dim=1).all():
        user = int((~flags.any(dim=1)).nonzero()[0, 0])
        raise InputError(f"allow[{user}] leaves no item: at least one must be left")
    return flags


def _continued(trie: CatalogueTrie, level: int, nodes: Tensor, scores: Tensor, logits: Tensor) -> Tensor:
    """(B, M, C) log pi of every child of nodes (B, M) with log pi `scores`; -inf in cells without one."""
    return trie.of_children(level, nodes, logits).log_softmax(-1) + scores.unsqueeze(-1)


def _in_range(allowed: Tensor, begin: Tensor, end: Tensor) -> Tensor:
    """How many items from begin (B, ...) to below end (B, ...) may be shown."""
    count = allowed.gather(1, end.flatten(1)) - allowed.gather(1, begin.flatten(1))
    return count.view_as(begin)


def _items_below(
    trie: CatalogueTrie, nodes: Tensor, scores: Tensor, allowed: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The items (B, M most) with the identifiers of leaves (B, M), and log pi of each, -inf where is none."""
    first = trie.first_item[trie.length]
    begin, end = first[nodes].unsqueeze(-1), first[nodes + 1].unsqueeze(-1)
    most = int((first[1:] - first[:-1]).max())
    place = begin + torch.arange(most, device=nodes.device)
    there = place < end
    place = place.clamp(max=trie.num_items - 1)
    if allowed is not None:
        there = there & (_in_range(allowed, place, place + 1) > 0)
    each = (scores - (end - begin).squeeze(-1).log()).unsqueeze(-1).expand(place.shape)
    return trie.items[place].flatten(1), each.masked_fill(~there, -torch.inf).flatten(1)


def _sharing(trie: CatalogueTrie, leaves: Tensor) -> Tensor:
    """How many items have the identifier of leaves (...)."""
    first = trie.first_item[trie.length]
    return first[leaves + 1] - first[leaves]


def _drawn(values: Tensor, uniform: Tensor) -> Tensor:
    """A cell (B, k, 1) of (B, k, C) log pi, by the inverse of their distribution."""
    share = (values - values.logsumexp(-1, keepdim=True)).double().exp().cumsum(-1)
    target = uniform.double().to(values.device).clamp(max=1 - 1e-12).unsqueeze(-1) * share[..., -1:]
    return torch.searchsorted(share.contiguous(), target, right=True)  # never a cell without probability


def _below(noisy: Tensor, total: Tensor, uniform: Tensor) -> Tensor:
    """Gumbel noise around log pi (B, M, C) whose largest in every row is `noisy` (B, M)."""
    total, noisy = total.double(), noisy.double()  # ties among many items would be frequent otherwise
    tiny = torch.finfo(total.dtype).tiny
    gumbel = total - (-uniform.to(total).clamp(min=tiny, max=1 - 1e-16).log()).log()
    most = gumbel.max(dim=-1, keepdim=True).values
    largest = noisy.unsqueeze(-1)
    nearly = largest - gumbel + (-(gumbel - most).clamp(max=0).exp()).log1p()
    found = largest - nearly.clamp(min=0) - (-nearly.abs()).exp().log1p()
    gone = (total == -torch.inf) | (largest == -torch.inf)
    return found.masked_fill(gone, -torch.inf)


def _filled(items: Tensor, scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(B, k) of both; -1 and -inf where nothing was found."""
    missing = k - items.shape[1]
    if missing > 0:
        items = torch.nn.functional.pad(items, (0, missing), value=-1)
        scores = torch.nn.functional.pad(scores, (0, missing), value=-torch.inf)
    return items.masked_fill(scores == -torch.inf, -1), scores
