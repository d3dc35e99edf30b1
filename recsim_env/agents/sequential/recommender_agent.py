"""A recommender that has learned from a log, as an agent in a world: judged by true reward, not by the log.

Before every slate it scores all items after what the user did so far, and makes a list of the scores f:

    top_k          the K items of highest score
    plackett_luce  slot by slot, item i with probability exp(f_i / temperature) / sum over the items left: its
                   `log_propensities` are exact, so that logs of it can be used for off-policy evaluation
    diversified    maximal marginal relevance: slot by slot, the item of largest
                   (1 - diversity) r_i - diversity max_{j above} cos(v_i, v_j), r the scores from 0 to 1

What a user did is what they clicked since the episode began, or what `history` reads off the observation,
where the world shows more than that (the songs that were played without being recommended).

Feedback: the clicks. The recommender itself stays as it was fitted.
Bound: none.
Source: Carbonell, Goldstein, "The use of MMR, diversity-based reranking", SIGIR 1998 (diversified); Plackett,
"The analysis of permutations", 1975.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.agents.agent import Transition
from recsim_env.agents.baselines.logging_policies import PlackettLuceSlates
from recsim_env.agents.recommender import Recommender
from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, check_ranges, unknown_name
from recsim_env.evaluation.ranking import top_k

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

LISTS = ("top_k", "plackett_luce", "diversified")
OUT_OF_REACH = 1e9  # taken off the score of what may not be shown again: finite, and a probability of 0


class RecommenderAgent:
    """One frozen recommender before B users.

    Args:
        recommender: fitted, of the world's catalogue.
        num_replicates: B.
        slate_size: K.
        lists: one of `LISTS`.
        history: observation -> (B, H) item ids, the latest last, -1 = an empty cell, all on the left; None =
            what was clicked in this episode.
        history_length: H of clicks that are remembered, 1 or more.
        mask_history: whether what a user had is not shown again.
        temperature: of plackett_luce, above 0: small ones are close to top_k.
        vectors: (N, D) of diversified, such as item features.
        diversity: of diversified, from 0, which is top_k, to 1.

    Raises:
        InputError: a recommender that is not fitted, an unknown kind of list, a number out of range, or
            vectors that are missing or of another shape.
    """

    def __init__(
        self,
        recommender: Recommender,
        num_replicates: int,
        slate_size: int,
        *,
        lists: str = "top_k",
        history: Callable[[dict[str, Array]], Ints] | None = None,
        history_length: int = 50,
        mask_history: bool = True,
        temperature: float = 1.0,
        vectors: Any = None,
        diversity: float = 0.3,
    ) -> None:
        N = getattr(recommender, "num_items_", None)
        if N is None:
            raise InputError(f"{type(recommender).__name__} has learned nothing yet: call fit(log) first")
        if lists not in LISTS:
            raise unknown_name("kind of list", lists, LISTS)
        whole = {"num_replicates": num_replicates, "slate_size": slate_size, "history_length": history_length}
        check_ranges(whole, {}, {"temperature": temperature})
        if slate_size > N:
            raise InputError(f"slate_size must be at most the {N} items of the recommender, got {slate_size}")
        if not 0 <= diversity <= 1:
            raise InputError(f"diversity must be from 0 to 1, got {diversity}")
        if lists == "diversified":
            found = None if vectors is None else np.asarray(vectors, np.float64)
            if found is None or found.ndim != 2 or len(found) != N or not np.isfinite(found).all():
                shape = None if found is None else found.shape
                raise InputError(f"diversified needs finite vectors of shape ({N}, D), got {shape}")
            self.vectors = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        self.recommender, self.slate_size, self.lists = recommender, slate_size, lists
        self.read, self.mask_history, self.diversity = history, mask_history, diversity
        self.clicked: Ints = np.full((num_replicates, history_length), -1)
        self._sampled = PlackettLuceSlates(lambda history: self._scores(history) / temperature, slate_size)

    def act(self, observation: dict[str, Array], luck: "Luck") -> Ints:
        """The lists, (B, K); -1 where fewer than K items may be shown."""
        history = self._history(observation)
        if self.lists == "plackett_luce":
            self._sampled.see(history)
            return self._sampled.act(observation, luck)
        return self._best(history)

    def log_propensities(self, observation: dict[str, Array], slates: Ints) -> Floats:
        """(B, K) log P(slot k | the slots above it), for these users as they are now.

        Of lists that are not drawn: 0 down to the first slot that another item should fill, then minus
        infinity.
        """
        history = self._history(observation)
        if self.lists == "plackett_luce":
            self._sampled.see(history)
            return self._sampled.log_propensities(observation, slates)
        as_shown: Bools = np.logical_and.accumulate(slates == self._best(history), axis=1)
        return np.where(as_shown, 0.0, -np.inf)

    def update(self, transition: Transition) -> None:
        """Remember the clicks, those of one slate from the top; a new episode begins with none."""
        for slot in range(transition.slates.shape[1]):
            row = np.flatnonzero(transition.clicked[:, slot])
            self.clicked[row, :-1] = self.clicked[row, 1:]
            self.clicked[row, -1] = transition.slates[row, slot]
        self.clicked[transition.terminated | transition.truncated] = -1

    def _history(self, observation: dict[str, Array]) -> Ints:
        return self.clicked if self.read is None else self.read(observation)

    def _scores(self, history: Ints) -> Floats:
        """(B, N), those of what may not be shown out of reach."""
        scores = self.recommender.scores(history)
        if self.mask_history:
            row, cell = np.nonzero(history >= 0)
            scores[row, history[row, cell]] -= OUT_OF_REACH
        return scores

    def _best(self, history: Ints) -> Ints:
        """The lists that are not drawn, (B, K)."""
        scores = self.recommender.scores(history)
        if self.lists == "diversified":
            return self._diversified(scores, history)
        return top_k(scores, self.slate_size, history if self.mask_history else None)

    def _diversified(self, scores: Floats, history: Ints) -> Ints:
        low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
        relevance = (1 - self.diversity) * (scores - low) / np.maximum(high - low, 1e-12)
        left: Bools = np.ones(scores.shape, np.bool_)
        if self.mask_history:
            row, cell = np.nonzero(history >= 0)
            left[row, history[row, cell]] = False
        slates = np.full((len(scores), self.slate_size), -1)
        likeness = np.full(scores.shape, -np.inf)
        for k in range(self.slate_size):
            gain = relevance - self.diversity * likeness if k else relevance
            best = np.where(left, gain, -np.inf).argmax(axis=1)
            row = np.flatnonzero(left.any(axis=1))
            slates[row, k] = best[row]
            left[row, best[row]] = False
            likeness = np.maximum(likeness, self.vectors[best] @ self.vectors.T)
        return slates
