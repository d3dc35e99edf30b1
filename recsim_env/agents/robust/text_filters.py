"""Filters against words that were put into an item's text: how odd it reads, and lists that forget the order.

An n-gram model, of counts c over honest texts with n - 1 marks before the first word:

    P(w | h) = (c(h w) + alpha) / (c(h .) + alpha V)              h the n - 1 words before w
    perplexity(w_1 .. w_T) = exp( -1/T sum over t of log P(w_t | h_t) )

or, with a window of W words, the largest perplexity of W words in a row, which a long honest text does not
hide. What is above a quantile of other honest texts is flagged, so 1 less this quantile of honest texts are
flagged, too.

Order ensembling shows the list in several orders, and lists by the mean rank.

Source: Alon, Kamfonas, "Detecting language model attacks with perplexity", 2023; Jain and others, "Baseline
defenses for adversarial attacks against aligned language models", 2023 (windows). Ours: an n-gram model in
place of a large one; the mean of ranks.
"""

import numpy as np

from recsim_env.arrays import Bools, Floats, Ints
from recsim_env.errors import InputError, check_ranges, refuse


class PerplexityFilter:
    """Flags texts that read oddly.

    Args:
        num_words: V.
        n: words of an n-gram, 1 or more.
        alpha: added to every count, above 0.
        window: W; None = the whole text.

    Attributes:
        threshold_: perplexity above which a text is flagged.

    Raises:
        InputError: a number out of range.
    """

    threshold_: float

    def __init__(self, num_words: int, *, n: int = 2, alpha: float = 0.1, window: int | None = None) -> None:
        check_ranges({"num_words": num_words, "n": n}, {}, {"alpha": alpha})
        if window is not None:
            check_ranges({"window": window}, {}, {})
        self.num_words, self.n, self.alpha, self.window = num_words, n, alpha, window
        self._grams: dict[tuple[int, ...], int] = {}
        self._contexts: dict[tuple[int, ...], int] = {}

    def fit(self, counted: Ints, held_out: Ints, quantile: float = 0.99) -> "PerplexityFilter":
        """Learn what honest texts are like.

        Args:
            counted: (N, T) texts whose n-grams are counted, -1 = none, all on the right.
            held_out: (N', T) other honest texts, of which the threshold is a quantile.
            quantile: from 0 to 1.

        Raises:
            InputError: no texts, what is no word, or a quantile out of range.
        """
        check_ranges({}, {"quantile": quantile}, {})
        if not len(counted) or not len(held_out):
            raise InputError(
                f"counted and held_out must be texts, one or more each, got {len(counted)} and "
                f"{len(held_out)}"
            )
        self._grams, self._contexts = {}, {}
        for row in self._checked("counted", counted):
            for gram in self._grams_of(row):
                self._grams[gram] = self._grams.get(gram, 0) + 1
                self._contexts[gram[:-1]] = self._contexts.get(gram[:-1], 0) + 1
        self.threshold_ = float(np.quantile(self.perplexity(held_out), quantile))
        return self

    def perplexity(self, texts: Ints) -> Floats:
        """(N,) of texts (N, T), -1 = none, all on the right.

        Raises:
            InputError: what is no word, or a text without any.
        """
        return np.array([self._perplexity(row) for row in self._checked("texts", texts)])

    def flags(self, texts: Ints) -> Bools:
        """(N,) which of the texts read oddly.

        Raises:
            InputError: see `perplexity`; a filter that is not fitted.
        """
        if not self._contexts:
            raise InputError("the filter has seen no honest texts: call fit first")
        return np.asarray(self.perplexity(texts) > self.threshold_)

    def _perplexity(self, row: Ints) -> float:
        loss = np.array([-self._log_p(gram) for gram in self._grams_of(row)])
        if self.window is None or len(loss) <= self.window:
            return float(np.exp(loss.mean()))
        total = np.append(0.0, np.cumsum(loss))
        return float(np.exp((total[self.window :] - total[: -self.window]).max() / self.window))

    def _log_p(self, gram: tuple[int, ...]) -> float:
        whole = self._contexts.get(gram[:-1], 0) + self.alpha * self.num_words
        return float(np.log((self._grams.get(gram, 0) + self.alpha) / whole))

    def _grams_of(self, row: Ints) -> list[tuple[int, ...]]:
        marked = [self.num_words] * (self.n - 1) + row[row >= 0].tolist()
        return [tuple(marked[t : t + self.n]) for t in range(len(marked) - self.n + 1)]

    def _checked(self, name: str, texts: Ints) -> Ints:
        if texts.ndim != 2 or not texts.shape[1]:
            raise InputError(f"{name} must be (texts, words), one word or more, got {texts.shape}")
        bad = (texts < -1) | (texts >= self.num_words)
        refuse(name, bad, texts, f"words are from 0 to {self.num_words - 1}, -1 = none")
        if (texts[:, 0] < 0).any() or ((texts[:, :-1] < 0) & (texts[:, 1:] >= 0)).any():
            raise InputError(f"{name} must have a word each, and nothing empty before a word")
        return texts


def mean_ranks(ranks: Ints) -> Ints:
    """Ranks (..., C) from 0 of candidates by their mean over orders, ties by number.

    Args:
        ranks: (..., O, C) rank of each candidate in each order.

    Raises:
        InputError: no orders.
    """
    if ranks.ndim < 2 or not ranks.shape[-2]:
        raise InputError(f"ranks must be (.., orders, candidates), one order or more, got {ranks.shape}")
    by_mean = ranks.mean(axis=-2).argsort(axis=-1, kind="stable")
    return np.asarray(by_mean.argsort(axis=-1, kind="stable"))
