"""Lists made at the start of listening sessions: do they name what is played, of the known and of the new?

The metrics of PISA (Tran and others, "Transformers meet ACT-R", RecSys 2024): NDCG and recall of a session's
items, of those the user had before (repeated) and of the others (explored), the share of the list that the
user had before, and how popular the list is. Each is averaged over a user's sessions that have it, then over
users (`repeat_explore.mean_by_user`), so nobody counts more for listening more.

Letters: B sessions, R places, M items of a session, H items of a history, N items, U users.
"""

from typing import Any

from recsim_env.arrays import Array, Floats
from recsim_env.evaluation.beyond_accuracy import average_recommendation_popularity
from recsim_env.evaluation.ranking import ndcg, recall
from recsim_env.evaluation.repeat_explore import repeat_explore

SESSION_METRICS = (
    "ndcg",
    "ndcg_repeated",
    "ndcg_explored",
    "recall",
    "recall_repeated",
    "recall_explored",
    "repeat_ratio",
    "played_repeat_ratio",
    "popularity",
)


def session_metrics(ranked: Any, relevant: Any, history: Any, popularity: Array, k: int) -> dict[str, Floats]:
    """Every metric of `SESSION_METRICS` at k, (B,) each, nan where a session has nothing to find.

    Args:
        ranked: (B, R) item ids, best first, -1 = empty place; the history is not masked.
        relevant: (B, M) items of the session in any order, -1 = empty cell.
        history: (B, H) items the user had before, repetitions allowed, -1 = empty cell.
        popularity: (N,) such as the share of users who had the item.
        k: 1 or more.

    Raises:
        InputError: as `repeat_explore` and `average_recommendation_popularity`.
    """
    apart = repeat_explore(ranked, relevant, history, k)
    return {
        "ndcg": ndcg(ranked, relevant, k),
        "ndcg_repeated": apart.ndcg_repeated,
        "ndcg_explored": apart.ndcg_explored,
        "recall": recall(ranked, relevant, k),
        "recall_repeated": apart.recall_repeated,
        "recall_explored": apart.recall_explored,
        "repeat_ratio": apart.repeat_ratio,
        "played_repeat_ratio": apart.relevant_repeat_ratio,  # of the session itself: what lists should have
        "popularity": average_recommendation_popularity(ranked, popularity, k),
    }
