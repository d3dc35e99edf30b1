"""Every sequence encoder: its equations number by number, what it may see, and that it learns.

A new encoder is one line in ENCODERS, and its equations are one function in `encoder_references`.
"""

from dataclasses import dataclass, field

import encoder_references as references
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from encoder_checks import (  # noqa: E402
    D,
    L,
    N,
    check_causal,
    check_company_and_padding,
    check_empty_rows,
    check_gradients,
    check_half_precision,
    made,
    some_histories,
)
from test_sequence_networks import circle  # noqa: E402

from recsim_env.agents.sequential.neural.encoders.bert4rec import BERT4Rec  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.gru4rec import GRU4Rec  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.hstu import HSTU  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.lru import LRU, linear_recurrence  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.agents.sequential.neural.full_ranking import score_blocks  # noqa: E402
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.simulators.splits import leave_one_out  # noqa: E402

pytestmark = pytest.mark.extra

HIDDEN = N + 1


@dataclass(frozen=True)
class Encoder:
    """A class, its equations, and settings beside the usual ones."""

    kind: type
    reference: object
    settings: dict = field(default_factory=dict)
    circle_epochs: int = 8


ENCODERS = {
    "SASRec": Encoder(SASRec, references.sasrec),
    "GRU4Rec": Encoder(GRU4Rec, references.gru4rec),
    "GRU4Rec of 2 layers": Encoder(GRU4Rec, references.gru4rec, {"layers": 2}),
    "BERT4Rec": Encoder(BERT4Rec, references.bert4rec, circle_epochs=40),
    "HSTU": Encoder(HSTU, references.hstu),
    "HSTU with times": Encoder(HSTU, references.hstu, {"times": True}),
    "LRU": Encoder(LRU, references.lru),
    "nested LRU": Encoder(LRU, references.lru, {"widths": (4, 8)}),
}
every_encoder = pytest.mark.parametrize("name", ENCODERS)
reading_past = pytest.mark.parametrize("name", [n for n, e in ENCODERS.items() if e.kind.reads == "past"])
reading_around = pytest.mark.parametrize("name", [n for n, e in ENCODERS.items() if e.kind.reads == "around"])


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def network(name, **more):
    entry = ENCODERS[name]
    return made(entry.kind, **{"max_length": L + 3, **entry.settings, **more})


def scores_of(net, history, gaps):
    return torch.cat(list(score_blocks(net, history, gaps, torch.device("cpu")))).numpy()


def some_rows(name):
    return some_histories(hidden=ENCODERS[name].kind.reads == "around")


# --- what the equations say


@every_encoder
def test_states_are_those_of_the_equations(name):
    net = network(name)
    weights = {key: value.detach().numpy().astype(np.float64) for key, value in net.named_parameters()}
    items, gaps = [3, 9, 3, 0, 5], [1.0, 90.0, 86_400.0, 3.0e7, 0.0]
    if net.reads == "around":
        items[1] = items[4] = HIDDEN
    expected = ENCODERS[name].reference(weights, items, gaps, **ENCODERS[name].settings)
    found = net(torch.tensor([items]), torch.tensor([gaps]))[0].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=5e-5)
    assert np.ptp(expected, axis=0).min() > 1e-3  # no number of it is the same everywhere


@pytest.mark.parametrize("length", [1, 2, 7, 50, 64])
def test_the_recurrence_is_summed_as_if_step_by_step(length):
    generator = torch.Generator().manual_seed(length)
    x = torch.randn(3, length, 5, dtype=torch.complex64, generator=generator)
    decay = torch.polar(torch.tensor([0.01, 0.5, 0.9, 0.99, 0.999]), torch.tensor([0.0, 1.0, 2.0, 4.0, 6.0]))
    h, expected = torch.zeros(3, 5, dtype=torch.complex64), []
    for t in range(length):
        h = decay * h + x[:, t]
        expected.append(h)
    torch.testing.assert_close(linear_recurrence(x, decay), torch.stack(expected, dim=1), atol=1e-4, rtol=0)


def test_first_decays_lie_in_the_ring():
    made = LRU(ItemVectors(N, 2000), radius=(0.6, 0.8), generator=torch.Generator().manual_seed(0))
    for block in made.blocks:
        modulus, angle = (-block.nu.exp()).exp(), block.theta.exp()
        share = (modulus**2 - 0.36) / 0.28  # even in area
        for even in (share, angle / (2 * np.pi)):
            assert (even > -1e-5).all()
            assert (even < 1 + 1e-5).all()
            found = np.sort(even.detach().numpy())
            assert np.abs(found - np.linspace(0, 1, 2000)).max() < 1.63 / np.sqrt(2000)  # Kolmogorov, 1 %


# --- what may be seen


@reading_past
def test_the_future_changes_no_state_before_it(name):
    check_causal(network(name))


@every_encoder
def test_each_item_of_the_past_changes_the_last_state(name):
    net, (items, gaps) = network(name), some_rows(name)
    states = net(items, gaps)
    for t in range(L - 1):
        other, there = items.clone(), items[:, t] < N
        other[there, t] = (items[there, t] + 3) % N
        moved = (net(other, gaps) - states)[:, -1].abs().amax(dim=1)
        assert (moved[there] > 1e-4).all()
        assert (moved[~there] == 0).all()


@reading_around
def test_what_comes_later_changes_what_is_before_it(name):
    net, (items, gaps) = network(name), some_rows(name)
    other = items.clone()
    other[:, -2] = (items[:, -2] + 3) % N
    full = items[:, 0] < N
    assert full.any()
    moved = (net(other, gaps) - net(items, gaps))[full]
    assert (moved.abs().amax(dim=2) > 1e-4).all()


@reading_around
def test_what_is_hidden_cannot_be_read(name):
    """Rows in training, whatever is hidden, are those of other items at the same cells."""
    fitted = recommender(name)
    fitted.begin(circle())
    twin = recommender(name)
    twin.begin(circle())
    users = np.arange(20)
    rows = fitted._rows(users, np.random.default_rng(0))
    assert ((rows.items == HIDDEN) == (rows.targets >= 0)).all()
    assert (rows.targets >= 0).any(axis=1).all()
    places = twin._sequences.start[users][:, None] + np.arange(rows.items.shape[1])
    hidden = places[rows.items == HIDDEN]
    twin._sequences.items[hidden] = (twin._sequences.items[hidden] + 4) % N
    other = twin._rows(users, np.random.default_rng(0))
    assert (other.items == rows.items).all()
    assert (other.targets != rows.targets)[rows.targets >= 0].all()


@reading_around
def test_scores_are_those_of_a_hidden_item_behind_the_history(name):
    net = network(name, max_length=L)
    history = np.array([[-1, -1, -1, -1, 4, 2, 7], [0, 1, 2, 3, 4, 5, 6]])
    found = scores_of(net, history, None)
    for row, read in ((0, [4, 2, 7]), (1, [2, 3, 4, 5, 6])):  # L - 1 items at most
        state = net(torch.tensor([[*read, HIDDEN]]))[0, -1]
        expected = (net.candidates() @ state).detach().numpy()
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


@every_encoder
def test_empty_cells_and_other_users_change_nothing(name):
    check_company_and_padding(network(name))


@every_encoder
def test_rows_without_an_item_give_numbers(name):
    check_empty_rows(network(name))


# --- what is learned


@every_encoder
def test_gradients_reach_every_parameter(name):
    check_gradients(network(name))


@every_encoder
def test_first_weights_are_those_of_the_generator(name):
    def drawn(seed, outside):
        torch.manual_seed(outside)
        entry = ENCODERS[name]
        items = ItemVectors(N, D)
        made = entry.kind(
            items, max_length=L, generator=torch.Generator().manual_seed(seed), **entry.settings
        )
        return made.state_dict()

    one, again, other = drawn(3, 0), drawn(3, 1), drawn(4, 0)
    assert all((one[key] == again[key]).all() for key in one)
    assert any((one[key] != other[key]).any() for key in one)


@every_encoder
def test_half_precision_is_taken(name):
    check_half_precision(network(name))


def recommender(name, **more):
    entry = ENCODERS[name]

    def encoder(num_items, generator):
        settings = {"max_length": L, "dropout": 0.1, **entry.settings}
        if "widths" in settings:
            settings["widths"] = (4, 16)
        return entry.kind(ItemVectors(num_items, 16), generator=generator, **settings)

    objective = "cloze" if entry.kind.reads == "around" else "full_softmax"
    kwargs = {
        "objective": objective,
        "device": "cpu",
        "batch_size": 16,
        "learning_rate": 0.01,
        "mask_history": False,
    }
    return NeuralRecommender(encoder, hidden_share=0.4, **kwargs, **more)


@every_encoder
def test_learns_what_comes_next(name):
    held_out = leave_one_out(circle(users=120))
    fitted = recommender(name, epochs=ENCODERS[name].circle_epochs).fit(held_out.train)
    found = scores_of(fitted.best_, held_out.history, held_out.gaps)
    assert (found.argmax(axis=1) == held_out.target).mean() > 0.95  # by chance 1 / 11


# --- what is refused


@every_encoder
@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, got 1.0"),
    ],
)
def test_settings_of_all_out_of_range_are_refused(name, more, message):
    with pytest.raises(InputError, match=message):
        network(name, **more)


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("SASRec", {"blocks": 0}, "blocks must be at least 1, got 0"),
        ("SASRec", {"heads": 3}, r"dimension must be a multiple of heads \(3\), got 8"),
        ("GRU4Rec", {"layers": 0}, "layers must be at least 1, got 0"),
        ("BERT4Rec", {"blocks": 0}, "blocks must be at least 1, got 0"),
        ("BERT4Rec", {"heads": 3}, r"dimension must be a multiple of heads \(3\), got 8"),
        ("BERT4Rec", {"max_length": 1}, "max_length must be at least 2, one cell being hidden, got 1"),
        ("HSTU", {"blocks": 0}, "blocks must be at least 1, got 0"),
        ("HSTU", {"heads": 3}, r"dimension must be a multiple of heads \(3\), got 8"),
        ("LRU", {"blocks": 0}, "blocks must be at least 1, got 0"),
        ("LRU", {"radius": (0.9, 0.8)}, r"radius must be two rising numbers .* got \(0.9, 0.8\)"),
        ("LRU", {"radius": (0.9, 1.0)}, r"radius must be two rising numbers .* got \(0.9, 1.0\)"),
        ("LRU", {"widths": ()}, r"widths must rise from 1 or more to 8, got \(\)"),
        ("LRU", {"widths": (4, 4, 8)}, r"widths must rise from 1 or more to 8, got \(4, 4, 8\)"),
        ("LRU", {"widths": (2, 4)}, r"widths must rise from 1 or more to 8, got \(2, 4\)"),
    ],
)
def test_settings_out_of_range_are_refused(name, more, message):
    with pytest.raises(InputError, match=message):
        network(name, **more)


def test_times_that_are_missing_are_refused():
    net = network("HSTU with times")
    with pytest.raises(InputError, match=r"HSTU with times reads the time between items: give gaps \(U, L\)"):
        net(torch.tensor([[1, 2]]))
    fitted = recommender("HSTU with times", epochs=1).fit(circle())
    with pytest.raises(InputError, match=r"HSTU reads the time between items: give gaps \(B, H\) too"):
        fitted.scores(np.array([[1, 2]]))
    assert fitted.scores(np.array([[1, 2]]), np.array([[60.0, 5.0]])).shape == (1, N)
