"""Strategic text: words behind the text of one item, chosen so that a recommender that reads lists it first.

s_1 .. s_n are words behind the text x, n <= L, and f(text) = mean over orders of the list of
log P(the item is listed first), which the victim says of any text that it is asked about:

    for t = 0, 1, ..: draw O orders of the candidates anew, j = 1 + t mod L, or the first place that is empty
        s_j <- the word w of largest f(x s_1 .. s_j-1 w s_j+1 ..), if that is more than what stands there has

so words come one by one while they help, and are chosen again once all are there. All V words are tried, or
the `top_k` of largest df / d one-hot(w at j), where the victim gives gradients: that of what stands at j, or
of the first word allowed where nothing does.

Self mode asks the victim itself, transfer mode a recommender of the attacker's own; the attack is the same.
`passes` says which texts a filter lets through, of an attacker who knows it: others are not asked about.

Knowledge: black with `score_of_text` alone; white with gradients.
Source: Kumar, Lakkaraju, "Manipulating large language models to increase product visibility", 2024, and its
code, aounon/llm-rank-optimizer (30 words chosen by gradients; orders drawn anew at every step); Zou and
others, "Universal and transferable adversarial attacks on aligned language models", 2023 (GCG). Ours: all
words of one place are tried, in place of a sample of words and places; the text begins empty.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError, check_ranges, refuse


class ReadsText(Protocol):
    """A recommender, for an attacker of the text of one of its candidates."""

    num_words: int  # V
    num_candidates: int  # C

    def score_of_text(self, texts: Ints, orders: Ints) -> Floats:
        """(Q,) mean over orders (O, C) of log P(the item is listed first) with each text (Q, T)."""


@runtime_checkable
class GivesGradients(Protocol):
    """One that also says which words would help."""

    def gradient_of_text(self, text: Ints, orders: Ints) -> Floats:
        """(T, V) derivatives of the score of a text (T,) along the one-hot vectors of its words."""


@dataclass(frozen=True)
class StrategicText:
    """What came of an attack."""

    text: Ints  # (T + n,) the text, with the words behind it
    added: int  # n, at most L
    queries: int  # texts that the victim scored, each over O orders
    gradients: int  # texts whose gradient it gave
    scores: Floats  # (iterations,) f of the best text of each, over its orders


class StrategicTextAttacker:
    """See the module.

    Args:
        budget: L, words behind the text at most; 0 = none, and the text stays as it is.
        iterations: 1 or more; fewer than L leave room.
        orders: O, drawn anew for each, 1 or more.
        top_k: words tried at a place, by gradients; None = all that are allowed.
        allowed: (A,) words that may be added, each once; None = all.
        passes: texts (Q, T) -> (Q,) flags; None = all do.
        seed: of the orders, 0 or more.

    Raises:
        InputError: a number out of range, a word twice.
    """

    def __init__(
        self,
        budget: int = 30,
        *,
        iterations: int = 60,
        orders: int = 4,
        top_k: int | None = None,
        allowed: Ints | None = None,
        passes: Callable[[Ints], Bools] | None = None,
        seed: int = 0,
    ) -> None:
        if budget < 0 or seed < 0:
            raise InputError(f"budget and seed must be 0 or more, got {budget} and {seed}")
        check_ranges({"iterations": iterations, "orders": orders}, {}, {})
        if top_k is not None:
            check_ranges({"top_k": top_k}, {}, {})
        if allowed is not None and (not len(allowed) or len(np.unique(allowed)) < len(allowed)):
            raise InputError("allowed must be words, one or more, each once")
        self.budget, self.iterations, self.orders, self.top_k = budget, iterations, orders, top_k
        self.allowed, self.passes, self.seed = allowed, passes, seed

    def attack(self, victim: ReadsText, text: Ints) -> StrategicText:
        """Choose words.

        Args:
            victim: that is asked, with the item's text (T,) as `text`.
            text: (T,) words, one or more.

        Raises:
            InputError: what is no word, or gradients that the victim does not give.
        """
        allowed = np.arange(victim.num_words) if self.allowed is None else np.asarray(self.allowed)
        for name, words in (("text", np.asarray(text)), ("allowed", allowed)):
            bad = (words < 0) | (words >= victim.num_words)
            refuse(name, bad, words, f"the victim knows {victim.num_words} words (from 0)")
        if text.ndim != 1 or not len(text):
            raise InputError(f"text must be words (T,), one or more, got {text.shape}")
        if self.top_k is not None and not isinstance(victim, GivesGradients):
            raise InputError(
                "top_k needs a victim that gives gradients: leave it out, and all words are tried"
            )
        best, queries, gradients, scores = np.array(text), 0, 0, []
        for t in range(self.iterations if self.budget else 0):
            orders = drawn_orders(victim.num_candidates, self.orders, np.random.default_rng([self.seed, t]))
            place = min(len(text) + t % self.budget, len(best))
            words = allowed
            if self.top_k is not None:
                assert isinstance(victim, GivesGradients)
                filled = best if place < len(best) else np.append(best, allowed[0])
                slope = victim.gradient_of_text(filled, orders)[place, allowed]
                words = allowed[np.argsort(-slope, kind="stable")[: self.top_k]]
                gradients += 1
            tried = self._tried(best, place, words)
            before = victim.score_of_text(best[None], orders)[0]
            queries += 1 + len(tried)
            found = victim.score_of_text(tried, orders) if len(tried) else np.empty(0)
            if len(found) and found.max() > before:
                best = tried[np.argmax(found)]
            scores.append(float(np.append(found, before).max()))
        return StrategicText(best, len(best) - len(text), queries, gradients, np.array(scores))

    def _tried(self, best: Ints, place: int, words: Ints) -> Ints:
        """(Q, T') texts with each of the words at the place, those that pass."""
        tried = np.repeat((best if place < len(best) else np.append(best, 0))[None], len(words), axis=0)
        tried[:, place] = words
        return tried if self.passes is None else tried[self.passes(tried)]


def drawn_orders(candidates: int, count: int, rng: np.random.Generator) -> Ints:
    """(count, C) orders of C candidates."""
    return rng.permuted(np.tile(np.arange(candidates), (count, 1)), axis=1)
