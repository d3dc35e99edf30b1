"""The baseline of people who repeat themselves: sums by hand, limits of the decay."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from recsim_env.agents.baselines.own_history import OwnHistoryRecommender
from recsim_env.agents.recommender import recommend
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log

LOG = Log.from_interactions(np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0, 1, 1, 2, 3, 3, 3]), np.arange(7))
HISTORY = np.array([[-1, 0, 1, 1, 2], [-1, -1, -1, -1, 0]])


def test_sums_by_hand() -> None:
    scores = OwnHistoryRecommender(decay=0.5, num_items=5).fit(LOG).scores(HISTORY)
    assert_allclose(scores[0, :3], [0.5, 3**-0.5 + 2**-0.5, 1.0], atol=1e-11)
    assert_allclose(scores[1], [1.0, 2 / 3 - 1, 1 / 3 - 1, 0.0, -1.0], atol=1e-11)


@pytest.mark.parametrize(
    ("decay", "ranking"), [(0.0, [1, 2, 0, 3]), (0.5, [1, 2, 0, 3]), (9.0, [2, 1, 0, 3])]
)
def test_decay_goes_from_counts_to_the_last_time(decay: float, ranking: list[int]) -> None:
    """Counts tie items 0 and 2, had once each: neither is more popular in the log but by one click."""
    log = Log.from_interactions(np.array([0, 1, 1, 2]), np.array([3, 2, 2, 0]), np.arange(4))
    fitted = OwnHistoryRecommender(decay=decay, num_items=4).fit(log)
    assert_array_equal(recommend(fitted, HISTORY[:1], 4, mask_history=False), [ranking])


def test_rows_do_not_depend_on_the_batch_nor_on_padding() -> None:
    fitted = OwnHistoryRecommender(num_items=5).fit(LOG)
    whole = fitted.scores(HISTORY)
    for b in range(2):
        assert_array_equal(fitted.scores(HISTORY[b : b + 1]), whole[b : b + 1])
    assert_array_equal(fitted.scores(HISTORY[1:, -1:]), whole[1:])


def test_bad_input() -> None:
    with pytest.raises(InputError, match="decay must be 0 or more, got -1"):
        OwnHistoryRecommender(decay=-1).fit(LOG)
    with pytest.raises(InputError, match="has learned nothing yet"):
        OwnHistoryRecommender().scores(HISTORY)
