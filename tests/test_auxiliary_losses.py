"""What all further losses share: training repeats, goes on as if unbroken, and is not that without."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.sequential.neural.encoders.intent_reasoner import IntentReasoner  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.agents.sequential.neural.losses.crop_contrast import CropContrast  # noqa: E402
from recsim_env.agents.sequential.neural.losses.distillation import Distillation  # noqa: E402
from recsim_env.agents.sequential.neural.losses.intent_consistency import IntentConsistency  # noqa: E402
from recsim_env.agents.sequential.neural.losses.intent_contrast import IntentContrast  # noqa: E402
from recsim_env.agents.sequential.neural.losses.neighbour_contrast import NeighbourContrast  # noqa: E402
from recsim_env.agents.sequential.neural.losses.rare_items import RareItems  # noqa: E402
from recsim_env.agents.sequential.neural.losses.uniformity import Uniformity  # noqa: E402
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.experiments import checkpoint  # noqa: E402
from recsim_env.simulators.log import Log  # noqa: E402

pytestmark = pytest.mark.extra

N, D = 15, 16
FEATURES = np.random.default_rng(3).normal(size=(N, 6))


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def sasrec(num_items, generator):
    items = ItemVectors(num_items, D)
    return SASRec(items, max_length=6, blocks=2, dropout=0.1, generator=generator)


class Whole(SASRec):
    """Only its last state is one."""

    reads = "whole"


def whole(num_items, generator):
    return Whole(ItemVectors(num_items, D), max_length=6, blocks=1, dropout=0.1, generator=generator)


def reasoner(num_items, generator):
    return IntentReasoner(sasrec(num_items, generator), generator=generator)


TEACHER = sasrec(N, torch.Generator().manual_seed(8))
AUXILIARIES = {
    "intent contrast": lambda: [IntentContrast(prototypes=8)],
    "distillation": lambda: [Distillation(TEACHER, supervision=0.1)],
    "crop contrast": lambda: [CropContrast()],
    "neighbour contrast": lambda: [NeighbourContrast(FEATURES, neighbours=4, read=2)],
    "intent consistency": lambda: [IntentConsistency()],
    "uniformity": lambda: [Uniformity()],
    "rare items": lambda: [RareItems()],
    "two of them": lambda: [CropContrast(), IntentContrast(prototypes=8)],
}


def circle():
    """Item i is followed by item i + 1, at any time after it."""
    rng = np.random.default_rng(1)
    rows = [(u, (first + t) % N) for u, first in enumerate(rng.integers(0, N, 40)) for t in range(5 + u % 4)]
    user, item = map(np.array, zip(*rows, strict=True))
    return Log.from_interactions(user, item, np.cumsum(rng.exponential(size=len(user))))


def recommender(auxiliaries=tuple, encoder=sasrec, **more):
    kwargs = {"epochs": 4, "batch_size": 16, "learning_rate": 0.01, "device": "cpu", "num_items": N, **more}
    return NeuralRecommender(encoder, auxiliaries=auxiliaries, **kwargs)


@pytest.mark.parametrize("name", AUXILIARIES)
def test_repeats_and_goes_on_as_if_unbroken(name, tmp_path):
    auxiliaries = AUXILIARIES[name]
    encoder = reasoner if name == "intent consistency" else sasrec
    log, history = circle(), np.array([[-1, 2, 3], [7, 8, 9]])
    whole, again = (recommender(auxiliaries, encoder).fit(log) for _ in range(2))
    np.testing.assert_array_equal(whole.scores(history), again.scores(history))
    assert (recommender(encoder=encoder).fit(log).scores(history) != whole.scores(history)).any()

    first = recommender(auxiliaries, encoder, epochs=2).fit(log)
    torch.rand(9)  # what others draw changes nothing
    checkpoint.save(tmp_path / "checkpoints" / "first.npz", first, {})
    second = recommender(auxiliaries, encoder)
    second.begin(log)
    checkpoint.load(tmp_path / "checkpoints" / "first.npz", second)
    while not second.finished:
        second.train_epoch()
    assert (second.validation_ == whole.validation_).all()
    np.testing.assert_array_equal(second.scores(history), whole.scores(history))


@pytest.mark.parametrize(
    "name", [name for name in AUXILIARIES if name not in ("intent consistency", "distillation")]
)
def test_encoders_that_read_a_whole_history_can_have_them(name):
    fitted = recommender(AUXILIARIES[name], whole, epochs=15, learning_rate=0.02).fit(circle())
    assert fitted.validation_.max() > 0.6  # by chance .3, of ten places among 8 or more items


class Timed(SASRec):
    """Adds the time since an item to its state, so that wrong or missing gaps are seen."""

    reads_gaps = True

    def forward(self, items, gaps=None):
        assert gaps is not None
        assert gaps.shape == items.shape
        assert (gaps[items == self.num_items] == 0).all()
        assert (gaps >= 0).all()
        return super().forward(items) + torch.log1p(gaps)[:, :, None]


@pytest.mark.parametrize("name", [name for name in AUXILIARIES if name != "distillation"])
def test_encoders_that_read_time_are_given_it(name):
    def encoder(num_items, generator):
        made = Timed(ItemVectors(num_items, D), max_length=6, blocks=1, generator=generator)
        return IntentReasoner(made, generator=generator) if name == "intent consistency" else made

    fitted = recommender(AUXILIARIES[name], encoder, epochs=1).fit(circle())
    assert fitted.network_.reads_gaps
    with pytest.raises(InputError, match="reads the time between items: give gaps"):
        fitted.scores(np.array([[1, 2]]))
