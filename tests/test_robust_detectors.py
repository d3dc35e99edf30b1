"""Detectors learn attacks that are known and find others; LoRec's weights, alone and in training."""

import numpy as np
import pytest
from robust_logs import GOAL, USERS, N, attacked, honest

torch = pytest.importorskip("torch")

from scipy.optimize import minimize  # noqa: E402

from recsim_env.agents.baselines.implicit_als import ImplicitALSRecommender  # noqa: E402
from recsim_env.agents.robust.fraud_detector import FraudDetector  # noqa: E402
from recsim_env.agents.robust.fraud_network import FraudNetwork, fraud_loss, standardised  # noqa: E402
from recsim_env.agents.robust.graphrfi_like import GraphRfiLike, explained  # noqa: E402
from recsim_env.agents.robust.lorec import LoRec  # noqa: E402
from recsim_env.agents.robust.pca_detector import PCADetector  # noqa: E402
from recsim_env.agents.robust.user_histories import user_histories  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.evaluation.target_exposure import (  # noqa: E402
    detection_auc,
    false_positive_share,
    target_exposure,
)
from recsim_env.simulators.attackers.bandwagon import BandwagonAttacker  # noqa: E402
from recsim_env.simulators.attackers.popular_mimic import PopularMimicAttacker  # noqa: E402
from recsim_env.simulators.attackers.random_fillers import RandomAttacker  # noqa: E402
from recsim_env.simulators.attackers.segment import SegmentAttacker  # noqa: E402
from recsim_env.simulators.log import Log  # noqa: E402

pytestmark = pytest.mark.extra

LOG = honest()
KNOWN = {"random": RandomAttacker()}
UNSEEN = {
    "popular mimic": PopularMimicAttacker(),
    "bandwagon": BandwagonAttacker(),
    "segment": SegmentAttacker(),
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def detector(**more):
    kwargs = {
        "learning_rate": 0.01,
        "epochs": 6,
        "campaigns": 6,
        "targets": 3,
        "share": 0.02,
        "batch_size": 64,
        "num_items": N,
        **more,
    }
    return FraudDetector(KNOWN, **kwargs)


def neural(epochs=6):
    def encoder(num_items, generator):
        return SASRec(ItemVectors(num_items, 8), max_length=10, blocks=1, dropout=0.0, generator=generator)

    return NeuralRecommender(
        encoder, objective="full_softmax", epochs=epochs, learning_rate=0.01, device="cpu", num_items=N
    )


def test_the_loss_by_hand():
    logits, fake = torch.tensor([0.3, -1.2, 2.0]).double(), torch.tensor([1.0, 0.0, 0.0]).double()
    s = 1 / (1 + np.exp(-logits.numpy()))
    uncertain = -s * np.log(s) - (1 - s) * np.log(1 - s)
    expected = (-np.log(s[0]) - np.log(1 - s[1]) - np.log(1 - s[2]) + 0.5 * uncertain[1:].sum()) / 3
    assert fraud_loss(logits, fake, 0.5).item() == pytest.approx(expected, abs=1e-12)
    assert torch.isfinite(fraud_loss(torch.tensor([200.0, -200.0]), torch.tensor([0.0, 1.0]), 0.5))


def test_features_are_measured_by_who_is_no_known_fake():
    features, fake = np.array([[0.0, 7], [2, 7], [4, 7]]), np.array([False, False, True])
    deviation = np.sqrt(8 / 3)
    np.testing.assert_allclose(standardised(features, fake)[:, 0], np.array([-1, 1, 3]) / deviation)
    assert standardised(features, fake)[:, 1].tolist() == [0.0, 0.0, 0.0]
    lone = np.append(np.zeros(99), 1000.0)[:, None]
    assert standardised(lone, np.arange(100) == 99).max() == 5.0


@pytest.mark.parametrize("hidden", [0, 8])
def test_a_network_learns_what_can_be_told_and_repeats(hidden):
    rng = np.random.default_rng(0)
    fake = np.arange(300) < 60
    x = rng.normal(size=(300, 4)) + 3.0 * fake[:, None] * np.array([1, 0, -1, 0])
    first, again = (
        FraudNetwork(4, hidden=hidden, batch_size=50, learning_rate=0.02, weight_decay=0.0, seed=2)
        for _ in range(2)
    )
    losses = [first.train_epoch(x, fake) for _ in range(30)]
    for _ in range(30):
        again.train_epoch(x, fake)
    assert losses[-1] < 0.3 * losses[0]
    assert detection_auc(first.scores(x), fake) > 0.99
    np.testing.assert_array_equal(first.scores(x), again.scores(x))


def test_without_hidden_units_it_is_the_logistic_regression():
    """Against the maximum of the same likelihood by a general optimiser."""
    rng = np.random.default_rng(1)
    fake = np.arange(200) < 70
    x = rng.normal(size=(200, 2)) + fake[:, None] * np.array([1.0, -0.5])
    network = FraudNetwork(2, entropy=0.0, learning_rate=0.01, weight_decay=0.0, batch_size=200)
    for _ in range(1500):
        network.train_epoch(x, fake)

    def negative_likelihood(w):
        z = x @ w[:2] + w[2]
        return np.logaddexp(0.0, np.where(fake, -z, z)).mean()

    best = minimize(negative_likelihood, np.zeros(3), tol=1e-10).x
    np.testing.assert_allclose(network.scores(x), 1 / (1 + np.exp(-x @ best[:2] - best[2])), atol=0.01)


@pytest.mark.parametrize("cut", [0.5, 0.3])
def test_the_threshold_is_between_the_medians_however_logits_are_stretched(cut):
    found = detector(cut=cut)
    found.begin(LOG)
    z = np.linspace(-3.0, 4.0, len(found.is_synthetic))
    middle = cut * np.median(z[found.is_synthetic]) + (1 - cut) * np.median(z[~found.is_synthetic])
    for scale, shift in ((1.0, 0.0), (0.2, -5.0)):

        class Fixed:
            def scores(self, x, scale=scale, shift=shift):
                return 1 / (1 + np.exp(-(scale * z + shift)))

        found._network = Fixed()
        assert (found.scores() > found.threshold()).tolist() == (z[~found.is_synthetic] > middle).tolist()


def test_a_detector_alone_leaves_out_who_is_above_its_threshold():
    log, fake = attacked(UNSEEN["segment"], LOG)
    found = detector()
    weights = found.weights(log)
    assert weights.tolist() == (found.suspicion_ <= found.threshold()).astype(float).tolist()
    assert weights[fake].mean() < 0.2
    assert weights[~fake].mean() > 0.9


@pytest.mark.parametrize(
    ("name", "at_least"), [("popular mimic", 0.95), ("segment", 0.9), ("bandwagon", 0.7)]
)
def test_attacks_it_never_saw_are_found(name, at_least):
    """Bandwagons least: their fillers are popular, and those of the only attack it knows are not."""
    log, fake = attacked(UNSEEN[name], LOG)
    found = detector().fit(log)
    assert found.known_attacks_ == ("random",)  # what it is judged on is not among them
    assert name not in found.known_attacks_
    assert not any(isinstance(known, type(UNSEEN[name])) for known in found.known_attacks.values())
    assert found.suspicion_.shape == fake.shape
    assert detection_auc(found.suspicion_, fake) > at_least


def test_the_same_seed_gives_the_same_suspicions():
    log, _ = attacked(UNSEEN["segment"], LOG)
    first, again, other = (detector(seed=seed, epochs=2).fit(log).suspicion_ for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_column_of_the_caller_is_read():
    """An embedding of users 0 to 9 that the detector's own fakes share: they become suspicious."""
    log, _ = attacked(PopularMimicAttacker(), LOG)
    asked = []

    def told(both):
        asked.append(both)
        users = np.unique(both.user)
        return ((users < 20) | (users > log.user[-1])).astype(float)[:, None]

    found, without = detector(further=told, epochs=10), detector(epochs=10)
    more = found.fit(log).suspicion_[:10] > without.fit(log).suspicion_[:10]
    assert more.all()
    assert asked == [found.poisoned_]


def test_states_must_be_those_that_were_announced():
    found = detector()
    found.begin(LOG, states=2)
    V = len(found.is_synthetic)
    assert found.is_synthetic.sum() == 6 * 12
    found.train_epoch(np.zeros((V, 2)))
    assert found.scores(np.zeros((V, 2))).shape == (USERS,)
    with pytest.raises(InputError, match=rf"must be \({V}, 2\), got \({V}, 0\)"):
        found.train_epoch()


@pytest.mark.parametrize("name", ["popular mimic", "segment"])
def test_lorec_lets_fakes_fade_and_takes_back_what_they_won(name):
    log, fake = attacked(UNSEEN[name], LOG)
    defence = LoRec(detector(), epochs=10, every=1, warm_up=8, passes=1)
    weights = defence.weights(log)
    assert weights[fake].mean() < 0.4 < 0.8 < weights[~fake].mean()
    assert defence.reweighting_.counter.sum() == pytest.approx(3 * len(fake))
    assert detection_auc(defence.suspicion_, fake) > 0.9

    def exposure(log, weights=None):
        model = ImplicitALSRecommender(dimension=8, sweeps=3, num_items=N).fit(log, weights)
        history = user_histories(LOG)
        return target_exposure(model.scores(history), history, GOAL.targets, 20).mean()["hit_rate"]

    clean, hurt, defended = exposure(LOG), exposure(log), exposure(log, weights)
    assert hurt > clean + 0.02
    assert hurt - defended > 0.5 * (hurt - clean)


@pytest.mark.parametrize("states", [False, True])
def test_lorec_in_training(states):
    log, fake = attacked(PopularMimicAttacker(), LOG)
    defence = LoRec(detector(), epochs=6, every=1, warm_up=5, passes=2, states=states)
    trained = defence.train(neural(), log)
    assert np.isneginf(trained.validation_[:4]).all()  # before the weights applied
    assert np.isfinite(trained.validation_[4:]).all()
    assert len(trained.validation_) == 6
    assert detection_auc(defence.suspicion_, fake) > 0.8
    plain = neural().fit(log)
    assert (trained.scores(np.array([[1, 5]])) != plain.scores(np.array([[1, 5]]))).any()
    again = LoRec(detector(), epochs=6, every=1, warm_up=5, passes=2, states=states).train(neural(), log)
    np.testing.assert_array_equal(again.scores(np.array([[1, 5]])), trained.scores(np.array([[1, 5]])))


def test_lorec_by_the_published_rule_suspects_who_is_above_the_mean():
    log, _ = attacked(PopularMimicAttacker(), LOG)
    defence = LoRec(detector(weight_decay=0.0), epochs=1, every=1, warm_up=1, passes=60, rule="mean")
    defence.weights(log)
    above = defence.suspicion_ > defence.suspicion_.mean()
    assert 0 < above.sum() < len(above) / 3
    assert ((defence.reweighting_.counter < 3.0) == above).all()


def test_lorec_before_its_first_update_is_a_plain_training():
    log, _ = attacked(PopularMimicAttacker(), LOG)
    recommender, plain = neural(epochs=2), neural(epochs=2)
    LoRec(detector(), epochs=2, every=5, warm_up=2, passes=1).train(recommender, log)  # no update yet
    plain.fit(log)
    assert recommender.validation_[1] == plain.validation_[1]
    for one, other in zip(recommender.network_.parameters(), plain.network_.parameters(), strict=True):
        assert torch.equal(one, other)


def test_graphrfi_like_weighs_by_what_it_suspects_and_repeats():
    log, fake = attacked(RandomAttacker(), LOG)
    settings = {"campaigns": 3, "targets": 3, "share": 0.02, "dimension": 8, "sweeps": 1, "num_items": N}
    first, again = (GraphRfiLike({"bandwagon": BandwagonAttacker()}, epochs=3, **settings) for _ in range(2))
    weights = first.weights(log)
    assert first.known_attacks_ == ("bandwagon",)
    np.testing.assert_allclose(weights, 1.0 - first.suspicion_)
    assert weights.shape == fake.shape
    np.testing.assert_array_equal(again.weights(log), weights)


def test_how_users_are_explained_against_a_loop():
    model = ImplicitALSRecommender(dimension=3, sweeps=1, num_items=N).fit(LOG)
    history = user_histories(LOG)[:30]
    found = explained(model, history)
    for u, row in enumerate(history):
        p = model.users(row[None])[0]
        np.testing.assert_allclose(model.items_ @ p, model.scores(row[None])[0])
        error = (1 - model.items_[row[row >= 0]] @ p) ** 2
        np.testing.assert_allclose(found[u], [*p, error.mean(), error.std(), error.max()])


def test_every_defence_goes_with_every_recommender_that_takes_weights():
    log, fake = attacked(BandwagonAttacker(), LOG)
    small = {"campaigns": 3, "targets": 3, "share": 0.02, "num_items": N}
    for defence in (
        detector(epochs=2),
        LoRec(detector(), epochs=2, every=1, warm_up=1, passes=1),
        GraphRfiLike(KNOWN, rounds=1, epochs=2, dimension=4, sweeps=1, **small),
        PCADetector(),
    ):
        weights = defence.weights(log)
        assert weights.shape == defence.suspicion_.shape == fake.shape
        assert (weights >= 0).all()
        for victim in (ImplicitALSRecommender(dimension=4, sweeps=1, num_items=N), neural(epochs=1)):
            assert np.isfinite(victim.fit(log, weights).scores(np.array([[1, 2]]))).all()
    assert false_positive_share(weights == 0, fake) <= 0.02


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FraudDetector({}), "known_attacks must name one attacker or more"),
        (lambda: GraphRfiLike({}), "known_attacks must name one attacker or more"),
        (lambda: detector(epochs=0), "epochs must be at least 1"),
        (lambda: detector(entropy=-1.0), "entropy must be 0 or more, got -1.0"),
        (lambda: detector(weight_decay=-1.0), "weight_decay must be 0 or more, got -1.0"),
        (lambda: detector(cut=1.5), "cut must be from 0 to 1, got 1.5"),
        (lambda: detector(hidden=-1), "hidden must be 0 or more, got -1"),
        (lambda: detector(share=0.0), "share must be above 0"),
        (lambda: GraphRfiLike(KNOWN, rounds=0), "rounds must be at least 1"),
        (
            lambda: LoRec(detector(), epochs=5),
            "weights apply from epoch warm_up = 30, and there are 5 epochs",
        ),
        (lambda: LoRec(detector()).train(neural(), LOG), "there are 6 epochs: lower it"),
        (lambda: LoRec(detector(), rule="median"), "no rule 'median'"),
        (lambda: LoRec(detector(), passes=0), "passes must be at least 1"),
        (lambda: detector(further=lambda log: np.zeros((3, 1))).fit(LOG), r"further columns .* got \(3, 1\)"),
        (
            lambda: detector().fit(Log(**LOG.columns(), seed=np.arange(len(LOG)))),
            "fake users have no seed: leave these columns out",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call()
