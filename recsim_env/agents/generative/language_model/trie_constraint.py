"""A language model whose own logits say log pi: what TRL's trainers need, which know no catalogue.

Behind the answer token, the logits z of a model become

    z'(t) = z(t)                    t a token that may follow in the trie; `end`, behind a whole identifier
    z'(t) = the lowest number       any other t

so that softmax over the whole vocabulary is the one over children of `decoding.py`, `end` has probability 1,
and the sum over a completion is log pi of its item (where items share an identifier, that of the identifier:
more by the logarithm of their number, which differences from a reference do not see). Elsewhere nothing
changes. Positions count from the first token that is no padding, as in `causal_lm_policy.py`.

TRL's trainers ask a model for log-probabilities instead of logits (`fused_lm_head`), and have these computed
of its last states, past whatever was done to logits. So a constrained model answers such a call itself, in
the same form, of logits z'; it needs these for all positions and tokens at once, which takes more memory.

    with constrained(model, trie, tokens), constrained(reference, trie, tokens):
        DPOTrainer(model, reference, ...).train()

A reference that a trainer loads by itself is not constrained, and has no such tokens: give it one, or
`precompute_ref_log_probs`.

Nothing is remembered between calls, so a model that writes must be given the whole text at every step:
`use_cache=False` (GRPOConfig(generation_kwargs={"use_cache": False})).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import getclosurevars, isfunction
from typing import Any

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.language_model.causal_lm_policy import check_parts
from recsim_env.agents.generative.language_model.code_tokens import CodeTokens
from recsim_env.errors import InputError, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402

IGNORED = -100  # a label that says nothing, as everywhere in the library
OF_FUSED = ("fused_lm_head", "labels", "shift_labels", "num_items_in_batch")


@contextmanager
def constrained(model: nn.Module, trie: CatalogueTrie, tokens: CodeTokens) -> Iterator[nn.Module]:
    """The model, constrained until the block ends: trainers of TRL are made and run within, policies outside.

    Args:
        model: of the transformers library.
        trie: the catalogue.
        tokens: of its codes.

    Raises:
        InputError: tokens of another catalogue, or that the model does not have; within the block: a text
            whose answer is no identifier of the catalogue, a cache, or a temperature of a trainer.
    """
    check_parts(model, trie, tokens)
    constraint, forward = _Constraint(trie, tokens), vars(model).get("forward")
    hooks = [
        model.register_forward_pre_hook(constraint.before, with_kwargs=True),
        model.register_forward_hook(constraint.after, with_kwargs=True),
    ]
    try:
        yield model
    finally:
        for hook in hooks:
            hook.remove()
        vars(model).pop("forward", None)  # the trainer's, with which a copy would go on with these weights
        if forward is not None:
            model.forward = forward


def constrained_logits(
    trie: CatalogueTrie, tokens: CodeTokens, text: Tensor, logits: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Z' (B, n, V) of logits (B, n, V).

    Args:
        trie: the catalogue.
        tokens: of its codes.
        text: (B, T) tokens, with any number of answers.
        logits: behind the last n of them.
        mask: (B, T) flags of what is no padding; None = nothing is.

    Raises:
        InputError: behind an answer token, a token that may not follow.
    """
    T, skipped = text.shape[1], text.shape[1] - logits.shape[1]
    trie, of_level = trie.to(text.device), text.new_tensor(tokens.codes).split(tokens.level_sizes)
    row, place = (text == tokens.answer).nonzero().unbind(1)
    node, lowest, found = torch.zeros_like(row), torch.finfo(logits.dtype).min, logits.clone()
    for level in range(trie.length + 1):
        if level < trie.length:
            child, there = trie.children(level, node)
            may_follow = of_level[level][trie.code_of[level][child]]
        else:
            may_follow = torch.full_like(node, tokens.end)[:, None]
            child, there = torch.zeros_like(may_follow), torch.ones_like(may_follow, dtype=torch.bool)
        said = place >= skipped
        at = row[said], place[said] - skipped
        kept = found.new_zeros(len(at[0]), found.shape[2]).scatter_add(
            1, may_follow[said], there[said].to(found.dtype)
        )
        found[at] = logits[at].masked_fill(kept == 0, lowest)
        on = place + 1 < T
        if mask is not None:
            on = on & mask[row, (place + 1).clamp(max=T - 1)].bool()
        row, place, child, there, may_follow = (one[on] for one in (row, place + 1, child, there, may_follow))
        same = there & (may_follow == text[row, place][:, None])
        if not same.any(dim=1).all():
            wrong = int((~same.any(dim=1)).nonzero()[0, 0])
            raise InputError(
                f"token {int(text[row[wrong], place[wrong]])} at place {int(place[wrong])} of row "
                f"{int(row[wrong])} may not follow: behind an answer token come the codes of an item of the "
                "catalogue, then end"
            )
        node = child.gather(1, same.int().argmax(dim=1, keepdim=True)).squeeze(1)
    return found


class _Constraint:
    """What is done before and after each call of a model."""

    def __init__(self, trie: CatalogueTrie, tokens: CodeTokens) -> None:
        self.trie, self.tokens = trie, tokens
        self.asked: dict[str, Any] = {}  # in the call that is going on

    def before(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Turn a call for log-probabilities into one for logits."""
        cache = kwargs.get("cache")
        if cache is not None and cache.get_seq_length():
            raise InputError(
                "a constrained model needs the whole text at every step: generate with use_cache=False"
            )
        self.asked, mask = {}, kwargs.get("attention_mask")
        if mask is not None and kwargs.get("position_ids") is None:  # else padding on the left moves a text
            kwargs = {**kwargs, "position_ids": (mask.long().cumsum(dim=1) - 1).clamp(min=0)}
        if kwargs.get("fused_lm_head"):
            temperature = _temperature(model.forward)
            if temperature != 1.0:
                raise InputError(
                    f"temperature must be 1 under a constraint, got {temperature}: log pi has none"
                )
            self.asked = {name: kwargs.get(name) for name in OF_FUSED}
            kwargs = {name: value for name, value in kwargs.items() if name not in OF_FUSED}
            kwargs["use_cache"] = False
        return args, kwargs

    def after(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        """Constrain the logits, and answer in the form that was asked for."""
        text = kwargs["input_ids"] if "input_ids" in kwargs else args[0]
        output.logits = constrained_logits(
            self.trie, self.tokens, text, output.logits, kwargs.get("attention_mask")
        )
        if not self.asked:
            return output
        _, *of_labels = self.asked.values()
        return fused_output(output, *of_labels)


def _temperature(forward: Any) -> float:
    """What a trainer divides logits by: it tells nobody but the forward that it gave the model."""
    while forward is not None:
        function = getattr(forward, "__func__", forward)
        if isfunction(function) and "temperature" in getclosurevars(function).nonlocals:
            return float(getclosurevars(function).nonlocals["temperature"])
        forward = getattr(forward, "__wrapped__", None)  # of a library that wrapped it once more
    return 1.0


def fused_output(output: Any, labels: Any, shift_labels: Any, count: Any) -> Any:
    """What `trl.trainer.utils.add_fused_lm_head` says that a model answers, of its logits.

    Args:
        output: of the model, with logits (B, T, V).
        labels: (B, T), -100 = says nothing; each is meant for the position before it.
        shift_labels: (B, T) instead, each meant for its own position; None = `labels` are given.
        count: by what the loss is divided; None = the number of labels that say something.
    """
    from trl.trainer.utils import FusedCausalLMOutput

    logits = output.logits.to(torch.promote_types(output.logits.dtype, torch.float32))
    if shift_labels is None:
        logits, shift_labels = logits[:, :-1], labels[:, 1:]
    mask = shift_labels != IGNORED
    every = logits.log_softmax(dim=-1)
    log_probs = every.gather(-1, shift_labels.clamp(min=0).unsqueeze(-1)).squeeze(-1).masked_fill(~mask, 0.0)
    with torch.no_grad():
        kept = logits > torch.finfo(output.logits.dtype).min
        mean = logits.masked_fill(~kept, 0.0).sum(dim=-1) / kept.sum(dim=-1)
        squares = (2.0 * every).logsumexp(dim=-1)
    return FusedCausalLMOutput(
        loss=-log_probs.sum() / (mask.sum().clamp(min=1) if count is None else count),
        log_probs=log_probs,
        entropy=-(every.exp() * every).sum(dim=-1).masked_fill(~mask, 0.0),
        log_sum_sq_probs=squares.masked_fill(~mask, 0.0),
        mean_logits=mean.masked_fill(~mask, 0.0),
        is_top1=(every.argmax(dim=-1) == shift_labels) & mask,
        label_mask=mask,
        aux_loss=getattr(output, "aux_loss", None),
    )
