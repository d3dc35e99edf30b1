"""A small recommender that reads: a need and a list of texts, in some order, and says which to list first.

    e(text)  = mean over words t of block(w(t) + p(place of t))      of a product, and of a need
    x_0 .. x_C = e(need) + q(0), e(text 1) + q(1), .., e(text C) + q(C)          the prompt
    h        = norm(block(x)),   score_c = h_c . h_0 / sqrt(D) + v . h_c
    P(c is listed first) = softmax of score, and the list follows in the order of the scores

Blocks are those of a transformer (`attention_block.py`). Places in the prompt have vectors of their own, so
the order of a list matters, as it does to a language model. It is learned by cross-entropy of what readers
took. A text that is longer than `max_words` is cut.

Source: ours, in place of a language model that is asked for a list of recommended products (Kumar, Lakkaraju,
2024).
"""

import numpy as np

from recsim_env.agents.sequential.neural.encoders.attention_block import AttentionBlock
from recsim_env.arrays import Floats, Ints
from recsim_env.errors import InputError, check_ranges, require

require("torch", "torch")
import torch  # noqa: E402 - after the check that says which extra has it
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import cross_entropy, one_hot  # noqa: E402


class TextRanker(nn.Module):
    """See the module.

    Args:
        num_words: V.
        max_words: of a text that are read, 1 or more.
        max_places: C, the longest list, 1 or more.
        dimension: D, a multiple of `heads`.
        heads: of the attention.
        generator: of the first weights.

    Raises:
        InputError: a number out of range.
    """

    def __init__(
        self,
        num_words: int,
        *,
        max_words: int = 64,
        max_places: int = 10,
        dimension: int = 32,
        heads: int = 2,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        check_ranges({"num_words": num_words, "max_words": max_words, "max_places": max_places}, {}, {})
        self.num_words, self.max_words, self.max_places = num_words, max_words, max_places
        self.words = nn.Embedding(num_words, dimension)
        self.place_in_text = nn.Embedding(max_words, dimension)
        self.place_in_list = nn.Embedding(max_places + 1, dimension)
        self.of_text = AttentionBlock(dimension, heads, 0.0, widening=2)
        self.of_list = AttentionBlock(dimension, heads, 0.0, widening=2)
        self.norm = nn.LayerNorm(dimension)
        self.alone = nn.Linear(dimension, 1)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)
                elif name.endswith("bias"):
                    parameter.zero_()

    def embed(self, texts: Tensor) -> Tensor:
        """E (R, D) of texts (R, T), -1 = none, all on the right.

        Raises:
            InputError: another shape, a text without words, a number that is no word.
        """
        if texts.ndim != 2 or not texts.shape[1] or (texts[:, 0] < 0).any():
            raise InputError(f"texts must be (texts, words), one word or more each, got {tuple(texts.shape)}")
        if texts.min() < -1 or texts.max() >= self.num_words:
            raise InputError(
                f"words must be from 0 to {self.num_words - 1}, -1 = none, got {texts.max().item()}"
            )
        return self.embed_words(self.words(texts.clamp(min=0)), texts >= 0)

    def embed_words(self, vectors: Tensor, there: Tensor) -> Tensor:
        """The same of vectors of words (R, T, D) and where there are some (R, T)."""
        vectors, there = vectors[:, : self.max_words], there[:, : self.max_words]
        x = vectors + self.place_in_text.weight[: vectors.shape[1]]
        x = self.of_text(x, there[:, None, None, :])
        weight = there.to(x.dtype)
        mean: Tensor = (x * weight[:, :, None]).sum(dim=1) / weight.sum(dim=1, keepdim=True)
        return mean

    def forward(self, need: Tensor, texts: Tensor) -> Tensor:
        """Scores (B, C) of texts (B, C, D) for needs (B, D), both embedded, in the order of the list.

        Raises:
            InputError: a list that is too long.
        """
        if texts.shape[1] > self.max_places:
            raise InputError(f"a list has at most {self.max_places} places, got {texts.shape[1]}")
        x = torch.cat([need[:, None], texts], dim=1) + self.place_in_list.weight[: texts.shape[1] + 1]
        seen = torch.ones(1, 1, 1, x.shape[1], dtype=torch.bool)
        h = self.norm(self.of_list(x, seen))
        match = (h[:, 1:] @ h[:, :1].transpose(1, 2)).squeeze(2) / x.shape[2] ** 0.5
        scores: Tensor = match + self.alone(h[:, 1:]).squeeze(2)
        return scores

    def fit(
        self,
        texts: Ints,
        needs: Ints,
        lists: Ints,
        taken: Ints,
        *,
        epochs: int = 4,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        seed: int = 0,
    ) -> "TextRanker":
        """Learn what readers take.

        Args:
            texts: (N, T) of products.
            needs: (R, T') of readers.
            lists: (R, C) products in the order in which each saw them.
            taken: (R,) the place that each took.
            epochs: over the readers.
            batch_size: readers of a gradient.
            learning_rate: of Adam.
            seed: of the batches.

        Raises:
            InputError: numbers out of range, or arrays that do not fit together.
        """
        check_ranges({"epochs": epochs, "batch_size": batch_size}, {}, {"learning_rate": learning_rate})
        if not (len(needs) == len(lists) == len(taken) > 0):
            found = f"{len(needs)}, {len(lists)} and {len(taken)}"
            raise InputError(f"needs, lists and taken must be as many, one or more, got {found}")
        words, asked, shown, took = map(torch.from_numpy, (texts, needs, lists, taken))
        rng, optimiser = np.random.default_rng(seed), torch.optim.Adam(self.parameters(), learning_rate)
        for _ in range(epochs):
            for rows in np.array_split(rng.permutation(len(needs)), -(-len(needs) // batch_size)):
                which, place = shown[rows].unique(return_inverse=True)
                scores = self(self.embed(asked[rows]), self.embed(words[which])[place])
                loss = cross_entropy(scores, took[rows])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
        return self.eval()


class AttackedList:
    """What an attacker of one text may ask of a recommender: a `ReadsText` of `strategic_text.py`.

    Args:
        ranker: that is asked.
        texts: (C, T) of the candidates.
        item: whose text is another than texts[item].
        needs: (Q, T') of readers, over whom log-probabilities are averaged.

    Raises:
        InputError: an item that is no candidate.
    """

    def __init__(self, ranker: TextRanker, texts: Ints, item: int, needs: Ints) -> None:
        if not 0 <= item < len(texts):
            raise InputError(f"item must be one of {len(texts)} candidates, got {item}")
        self.num_words, self.num_candidates = ranker.num_words, len(texts)
        self._ranker, self._item = ranker, item
        with torch.no_grad():
            self._others, self._needs = (ranker.embed(torch.from_numpy(rows)) for rows in (texts, needs))

    def score_of_text(self, texts: Ints, orders: Ints) -> Floats:
        """(Q,) mean over orders (O, C) of log P(the item is listed first) with each text (Q, T)."""
        with torch.no_grad():
            return np.asarray(self._log_first(self._ranker.embed(torch.from_numpy(texts)), orders).numpy())

    def gradient_of_text(self, text: Ints, orders: Ints) -> Floats:
        """(T, V) of the score of one text (T,) along the one-hot vector of each of its words."""
        weight = self._ranker.words.weight.detach()
        choice = one_hot(torch.from_numpy(text), self.num_words).to(weight.dtype).requires_grad_()
        vectors = (choice @ weight)[None]
        embedded = self._ranker.embed_words(vectors, torch.ones(1, len(text), dtype=torch.bool))
        (gradient,) = torch.autograd.grad(self._log_first(embedded, orders).sum(), choice)
        return np.asarray(gradient.numpy())

    def ranks(self, text: Ints, orders: Ints) -> Ints:
        """(Q, O, C) rank from 0 of every candidate for every need and order, with this text (T,)."""
        with torch.no_grad():
            scores = self._scores(self._ranker.embed(torch.from_numpy(text[None])), orders)[0]
        place = scores.argsort(dim=2, descending=True, stable=True).argsort(dim=2).numpy()
        found = np.empty_like(place)
        np.put_along_axis(found, np.broadcast_to(orders, place.shape), place, axis=2)
        return found

    def _scores(self, embedded: Tensor, orders: Ints) -> Tensor:
        """(R, Q, O, C) of lists in the orders, with texts (R, D) for the item."""
        R, Q, (O, C), D = len(embedded), len(self._needs), orders.shape, embedded.shape[1]  # noqa: E741
        order = torch.from_numpy(orders)
        lists = torch.where(
            (order == self._item)[None, :, :, None], embedded[:, None, None], self._others[order]
        )
        lists = lists[:, None].expand(R, Q, O, C, D).reshape(-1, C, D)
        needs = self._needs[None, :, None].expand(R, Q, O, D).reshape(-1, D)
        scores: Tensor = self._ranker(needs, lists).view(R, Q, O, C)
        return scores

    def _log_first(self, embedded: Tensor, orders: Ints) -> Tensor:
        """(R,)."""
        log_p = self._scores(embedded, orders).log_softmax(dim=3)
        mine = torch.from_numpy(np.argmax(orders == self._item, axis=1))
        R, Q, O, _ = log_p.shape  # noqa: E741
        return log_p.gather(3, mine[None, None, :, None].expand(R, Q, O, 1)).mean(dim=(1, 2, 3)).double()
