"""IDNP: its equations, what it may see, and interest that drifts while nobody looks."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from encoder_checks import (  # noqa: E402
    N,
    check_causal,
    check_company_and_padding,
    check_empty_rows,
    check_gradients,
    check_half_precision,
    check_learns_circle,
    made,
    some_histories,
    weights_of,
)

from recsim_env.agents.sequential.neural.encoders.idnp import IDNP  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402

pytestmark = pytest.mark.extra


def test_states_are_those_of_the_equations():
    """One user, number by number, in NumPy; the mean after W_2, one pair at a time."""
    net = made(IDNP, width=7)
    weights = weights_of(net)
    items, gaps = [3, 9, 3, 0], [5.0, 700.0, 90_000.0, 3.0]
    moment = np.cumsum([0.0, *gaps[:-1]])

    def norm(x, name):
        return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * weights[f"{name}.weight"] + weights[
            f"{name}.bias"
        ]

    def line(x, name):
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    def rates(seconds):
        return np.exp([-seconds / 4.0**k for k in range(16)])

    first = np.hstack([weights["pair_item.weight"], weights["pair_time.weight"]])
    x = [norm(weights["items.learned.weight"][item], "before") for item in items]
    expected = []
    for t in range(4):
        pairs = [
            first @ np.concatenate([x[s], rates(moment[t] - moment[s])]) + weights["pair_item.bias"]
            for s in range(t + 1)
        ]
        known = np.mean([line(np.maximum(pair, 0.0), "known") for pair in pairs], axis=0)
        asked = line(np.concatenate([known, x[t], rates(gaps[t])]), "question")
        expected.append(norm(line(np.maximum(asked, 0.0), "answer"), "norm"))
    found = net(torch.tensor([[N, *items]]), torch.tensor([[0.0, *gaps]]))[0, 1:].detach().numpy()
    np.testing.assert_allclose(found, np.stack(expected), atol=2e-5)


def test_what_it_may_see():
    net = made(IDNP)
    check_causal(net)
    check_company_and_padding(net)
    check_empty_rows(net)
    check_gradients(net)
    check_half_precision(net)


def test_pairs_have_no_order_but_their_time():
    """Two items of the same moment change places, and nothing else changes; at other moments it does."""
    net, items = made(IDNP), torch.tensor([[3, 7, 5]])
    swapped = torch.tensor([[7, 3, 5]])
    together, apart = torch.tensor([[0.0, 50.0, 9.0]]), torch.tensor([[800.0, 50.0, 9.0]])
    assert torch.allclose(net(items, together)[:, -1], net(swapped, together)[:, -1], atol=1e-6)
    assert not torch.allclose(net(items, apart)[:, -1], net(swapped, apart)[:, -1], atol=1e-4)


def test_time_that_is_missing_is_refused():
    with pytest.raises(InputError, match="IDNP reads the time between items: give gaps"):
        made(IDNP)(some_histories()[0])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, got 1.0"),
    ],
)
def test_an_encoder_out_of_range_is_refused(changed, message):
    with pytest.raises(InputError, match=message):
        made(IDNP, **changed)


def test_learns_what_comes_next():
    check_learns_circle(lambda items, generator: IDNP(items, max_length=8, generator=generator))


# --- what the moment is for

PLACES, MEMORY, SPREAD, BLUR = 24, 6 * 3600.0, 3.0, 0.7


def drifting_users(users, generator, length=12):
    """Interest is a place on a circle of items: each user's own, and a deviation that is forgotten in hours.

    The deviation is an Ornstein-Uhlenbeck process of standard deviation SPREAD and memory MEMORY seconds; the
    item is the place plus noise of BLUR. Returns items (users, length + 1), gaps (users, length), seconds.
    """
    gaps = torch.exp(math.log(60.0) + math.log(14_400.0) * torch.rand(users, length, generator=generator))
    noise = torch.randn(users, length + 1, 2, generator=generator)
    deviation = [SPREAD * noise[:, 0, 0]]
    for t in range(length):
        kept = torch.exp(-gaps[:, t] / MEMORY)
        deviation.append(kept * deviation[-1] + SPREAD * (1 - kept**2).sqrt() * noise[:, t + 1, 0])
    own = PLACES * torch.rand(users, 1, generator=generator)
    place = own + torch.stack(deviation, dim=1) + BLUR * noise[:, :, 1]
    return place.round().long() % PLACES, gaps


class LastState(torch.nn.Module):
    """A GRU whose last state is all that is known: it neither sees time nor is told when it is asked."""

    def __init__(self, items):
        super().__init__()
        self.items, self.norm = items, torch.nn.LayerNorm(items.dimension)
        self.recurrent = torch.nn.GRU(items.dimension, 64, batch_first=True)
        self.out = torch.nn.Linear(64, items.dimension)

    def forward(self, items, gaps):
        states, _ = self.recurrent(self.norm(self.items(items)))
        return self.out(states)

    def candidates(self):
        return self.items.all()


def errors_by_gap(make, seed, gradients):
    """Mean -log P(next item) where the gap is below 1 hour, up to 12 hours, and beyond."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    net = make(ItemVectors(PLACES, 16), generator)
    optimiser = torch.optim.Adam(net.parameters(), 0.005)

    def losses(users):
        items, gaps = drifting_users(users, generator)
        scores = net(items[:, :-1], gaps) @ net.candidates().T
        return torch.nn.functional.cross_entropy(scores.transpose(1, 2), items[:, 1:], reduction="none"), gaps

    for _ in range(gradients):
        optimiser.zero_grad()
        losses(64)[0].mean().backward()
        optimiser.step()
    net.eval()
    with torch.no_grad():
        loss, gaps = losses(2000)
    cuts = torch.bucketize(
        gaps[:, 6:].contiguous(), torch.tensor([3600.0, 12 * 3600.0])
    )  # after seven items or more
    return np.array([loss[:, 6:][cuts == cut].mean().item() for cut in range(3)])


def neural_process(items, generator):
    return IDNP(items, max_length=12, dropout=0.0, generator=generator)


def gru(items, generator):
    return LastState(items)


def test_a_process_in_time_knows_more_than_a_last_state():
    """On two hundred gradients: one seed, whatever the gap."""
    process, last_state = (errors_by_gap(make, 0, 200) for make in (neural_process, gru))
    assert (process < last_state).all()


@pytest.mark.slow
def test_the_gain_over_a_last_state():
    """Three seeds, trained for longer: most at short gaps, then beyond 12 hours, least in between."""
    found = np.array(
        [[errors_by_gap(make, seed, 600) for make in (neural_process, gru)] for seed in range(3)]
    )
    for name, errors in zip(("process", "last state"), found.transpose(1, 0, 2), strict=True):
        print(
            f"{name:10s} -log P below 1 h, to 12 h, beyond",
            errors.mean(axis=0).round(3),
            "seeds",
            errors.round(3).tolist(),
        )
    gain = found[:, 1] - found[:, 0]
    assert (gain > 0).all()
    assert (gain[:, [0, 2]] > gain[:, [1]]).all()
