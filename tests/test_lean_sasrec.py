"""SASRec on two real logs within a minute or two: above what is usually copied for it, below a Markov table.

Whoever finds .032 (Beauty) or .037 (Toys) in a table of published figures looks at a training with one drawn
item a step, stopped early; `recsim_env/experiments/results` has what more patience brings.
"""

import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from recsim_env.agents.recommender import target_ranks
from recsim_env.experiments.sequential_models import recommender_of, training_of
from recsim_env.experiments.sequential_training import asked
from recsim_env.experiments.training import one_thread

pytestmark = pytest.mark.extra
DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("amazon-beauty-2014", 0.036), ("amazon-toys-2014", 0.043)])
def test_thirty_epochs_are_enough(name: str, least: float) -> None:
    """The settings of the reference's run: one block, 256 drawn items, dropout .4; the limit is its own."""
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not on this machine: {DATA / name} is missing, and may not be shipped")
    data, held, _, mask = asked(str(DATA / name), "leave_one_out", 0.0)
    training = training_of("sasrec", name, {"epochs": 30, "averaging": 0.998})
    recommender = recommender_of("sasrec", training, num_items=data.num_items, seed=0, mask_history=mask)
    started = time.process_time()
    with one_thread():
        recommender.fit(held.train)
    spent = time.process_time() - started
    found = target_ranks(recommender, held.history, held.target, mask_history=mask).ndcg(10).mean()
    print(f"{name}: NDCG@10 {found:.4f} after {spent:.0f} s of one processor")
    assert found >= least
