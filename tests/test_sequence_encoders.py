"""Every sequence encoder: its equations number by number, what it may see, and that it learns.

A new encoder is one line in ENCODERS, and its equations are one function in `encoder_references`.
"""

from dataclasses import dataclass, field

import encoder_references as references
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from test_sequence_networks import circle  # noqa: E402

from recsim_env.agents.sequential.neural.bert4rec import BERT4Rec  # noqa: E402
from recsim_env.agents.sequential.neural.full_ranking import score_blocks  # noqa: E402
from recsim_env.agents.sequential.neural.gru4rec import GRU4Rec  # noqa: E402
from recsim_env.agents.sequential.neural.hstu import HSTU  # noqa: E402
from recsim_env.agents.sequential.neural.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.lru import LRU, linear_recurrence  # noqa: E402
from recsim_env.agents.sequential.neural.neural_recommender import NeuralRecommender  # noqa: E402
from recsim_env.agents.sequential.neural.sasrec import SASRec  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.simulators.splits import leave_one_out  # noqa: E402

pytestmark = pytest.mark.extra

N, L, D = 11, 6, 8
EMPTY, HIDDEN = N, N + 1


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


def network(name, seed=5, **more):
    """The encoder with weights far from its first ones, which are so small that little matters."""
    entry = ENCODERS[name]
    settings = {"max_length": L, "dropout": 0.3, **entry.settings, **more}
    made = entry.kind(ItemVectors(N, D), generator=torch.Generator().manual_seed(seed), **settings)
    noise = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=noise))
        made.items.learned.weight[N] = 0.0
    return made.eval()


def some_rows(name, rows=5, seed=0):
    """Items with empty cells on the left, hidden ones where they can be, and seconds between them."""
    rng = np.random.default_rng(seed)
    items = rng.integers(0, N, (rows, L))
    gaps = np.exp(rng.uniform(0, 15, (rows, L))).round()
    if ENCODERS[name].kind.reads == "around":
        items[:, -1] = HIDDEN
    for row, empty in enumerate(rng.permutation(L)[:rows]):
        items[row, :empty], gaps[row, :empty] = EMPTY, 0.0
    return torch.from_numpy(items), torch.from_numpy(gaps).float()


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
    net, (items, gaps) = network(name), some_rows(name)
    states = net(items, gaps)
    for t in range(L - 1):
        other, later = items.clone(), gaps.clone()
        other[:, t + 1 :] = (items[:, t + 1 :] + 3) % N
        later[:, t + 1 :] *= 7
        changed = net(other, later)
        kept = items[:, : t + 1] < N
        assert torch.allclose(changed[:, : t + 1][kept], states[:, : t + 1][kept], atol=1e-6)
        assert not torch.allclose(changed[:, -1], states[:, -1], atol=1e-3)


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
    net = network(name)
    history = np.array([[-1, -1, -1, -1, 4, 2, 7], [0, 1, 2, 3, 4, 5, 6]])
    found = np.empty((2, N))
    for rows, block in score_blocks(net, history, None, torch.device("cpu")):
        found[rows] = block.numpy()
    for row, read in ((0, [4, 2, 7]), (1, [2, 3, 4, 5, 6])):  # L - 1 items at most
        state = net(torch.tensor([[*read, HIDDEN]]))[0, -1]
        expected = (net.candidates() @ state).detach().numpy()
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


@every_encoder
def test_empty_cells_and_other_users_change_nothing(name):
    """Beside users of another batch; at a length that is no power of 2 as at one that is."""
    net, (items, gaps) = network(name), some_rows(name)
    together = net(items, gaps)
    for row in range(len(items)):
        own = items[row] != EMPTY
        alone = net(items[row : row + 1, own], gaps[row : row + 1, own])
        assert torch.allclose(alone[0], together[row, own], atol=1e-5)


@every_encoder
def test_rows_without_an_item_give_numbers(name):
    net = network(name).train()
    items, gaps = torch.full((3, L), EMPTY), torch.zeros(3, L)
    items[0, -1] = 4
    states = net(items, gaps)
    assert torch.isfinite(states).all()
    states.square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


# --- what is learned


@every_encoder
def test_gradients_reach_every_parameter(name):
    net, (items, gaps) = network(name), some_rows(name)
    states = net(items, gaps)
    target = torch.randn(states.shape, generator=torch.Generator().manual_seed(1))
    (states * target)[items != EMPTY].sum().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None, key
        assert (parameter.grad != 0).any(), key
        assert torch.isfinite(parameter.grad).all(), key


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
    net, (items, gaps) = network(name), some_rows(name)
    with torch.autocast("cpu", torch.bfloat16):
        states = net(items, gaps)
        states.float().square().sum().backward()
    full = net(items, gaps)
    assert (states.float() - full)[items != EMPTY].abs().mean() < 0.05 * full.abs().mean()


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
    found = np.empty((len(held_out.user), N))
    for rows, block in score_blocks(fitted.best_, held_out.history, held_out.gaps, torch.device("cpu")):
        found[rows] = block.numpy()
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
