"""SIGMA: the partial flip, its equations, what it may see, and what its parts are for."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from encoder_checks import (  # noqa: E402
    D,
    L,
    N,
    check_company_and_padding,
    check_empty_rows,
    check_gradients,
    check_half_precision,
    check_learns_circle,
    made,
    some_histories,
    weights_of,
)

from recsim_env.agents.sequential.neural.encoders.item_vectors import ItemVectors  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sigma import SIGMA, partial_flip  # noqa: E402
from recsim_env.agents.sequential.neural.sequences import Sequences  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.simulators.log import Log  # noqa: E402

pytestmark = pytest.mark.extra


def test_the_partial_flip_by_hand():
    there = torch.tensor(
        [[False, False, True, True, True, True], [True] * 6, [False] * 5 + [True], [False] * 6]
    )
    assert partial_flip(there, 2).tolist() == [
        [0, 1, 3, 2, 4, 5],
        [3, 2, 1, 0, 4, 5],
        [0, 1, 2, 3, 4, 5],
        [0, 1, 2, 3, 4, 5],
    ]
    assert partial_flip(there, 0)[1].tolist() == [5, 4, 3, 2, 1, 0]
    assert partial_flip(there, 9)[1].tolist() == [0, 1, 2, 3, 4, 5]


def test_the_state_is_that_of_the_equations():
    """One user, in NumPy; the mixer is that of `test_state_space`."""
    net = made(SIGMA, kept=2)
    weights = {name.removeprefix("blocks.0."): value for name, value in weights_of(net).items()}
    items = [3, 9, 5, 0, 7]

    def norm(x, name):
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def line(x, name):
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    def mixer(x):
        with torch.no_grad():
            found = net.blocks[0].mixer(torch.from_numpy(x)[None].float(), torch.ones(1, len(x)).bool())
        return found[0].numpy().astype(np.float64)

    def gated(direction, y):
        h = x + line(x, f"gates.{direction}.inner")
        share = line(h * sigmoid(h), f"gates.{direction}.smooth")
        return y * (1 + share + line(sigmoid(h), f"gates.{direction}.bounded"))

    x = norm(weights["items.learned.weight"][items], "before")
    flipped = [2, 1, 0, 3, 4]
    seen = np.pad(x, ((1, 1), (0, 0)))
    hidden, after = np.zeros(D), []
    for t in range(5):
        near = line(np.concatenate([seen[t], seen[t + 1], seen[t + 2]]), "near")
        into = np.split(weights["recurrent.weight_ih_l0"] @ near, 3)
        own = np.split(weights["recurrent.weight_hh_l0"] @ hidden, 3)
        reset, update = sigmoid(into[0] + own[0]), sigmoid(into[1] + own[1])
        hidden = (1 - update) * np.tanh(into[2] + reset * own[2]) + update * hidden
        after.append(hidden)
    mixed = weights["mix"] @ np.stack(
        [np.stack(after), gated(1, mixer(x[flipped])[flipped]), gated(0, mixer(x))]
    ).transpose(1, 0, 2)
    v = norm(x + line(mixed, "out"), "norm")
    units = line(v, "units.units")
    gelu = 0.5 * units * (1 + np.vectorize(math.erf)(units / math.sqrt(2)))
    expected = norm(v + line(gelu, "units.out"), "units.norm")
    found = net(torch.tensor([[N, *items]]))[0, 1:].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_the_first_mix_is_that_of_the_source():
    assert made(SIGMA, noise=0.0).blocks[0].mix.tolist() == pytest.approx([0.1, 0.1, 0.8])


@pytest.mark.parametrize("blocks", [1, 2])
def test_what_it_may_see(blocks):
    net = made(SIGMA, blocks=blocks, kept=2)
    check_company_and_padding(net)
    check_empty_rows(net)
    check_gradients(net)
    check_half_precision(net)


def test_what_comes_after_the_target_changes_nothing():
    """Users do other things after their fourth item: what is read and named up to there stays the same.

    Were all states trained on, as those of encoders that read the past, this would leak: the second check
    shows that a state in the middle knows what comes after it.
    """
    rng = np.random.default_rng(0)
    items = rng.integers(0, N, (50, 7))
    other = items.copy()
    other[:, 4:] = (items[:, 4:] + rng.integers(1, N, (50, 3))) % N
    net = made(SIGMA, kept=1)
    found = []
    for table in (items, other):
        log = Log.from_interactions(np.repeat(np.arange(50), 7), table.ravel(), np.tile(np.arange(7.0), 50))
        rows = Sequences.of_log(log, N, 7).beginnings(np.arange(50), np.random.default_rng(3))
        read = (rows.items < N).sum(axis=1)
        states = net(torch.from_numpy(rows.items))[:, -1].detach().numpy()
        assert (rows.targets[:, :-1] == -1).all()
        found.append((read, states, rows.targets[:, -1]))
    early, late = found[0][0] <= 3, found[0][0] >= 5
    assert early.sum() > 10
    for first, second in zip(*found, strict=True):
        np.testing.assert_array_equal(first[early], second[early])
    assert (np.abs(found[0][1] - found[1][1])[late].max(axis=1) > 1e-3).all()

    whole, _ = some_histories()
    changed = whole.clone()
    changed[0, 3] = (whole[0, 3] + 1) % N
    assert not torch.allclose(net(whole)[0, 1], net(changed)[0, 1], atol=1e-3)


def test_flags_leave_parts_out():
    whole = made(SIGMA)
    names = {name for name, _ in whole.named_parameters()}
    items, _ = some_histories()
    for flag, gone in (("flip", "gates.1"), ("gate", "gates"), ("gru", "recurrent")):
        less = made(SIGMA, **{flag: False})
        left = {name for name, _ in less.named_parameters()}
        assert all(gone in name or (flag == "gru" and "near" in name) for name in names - left)
        assert names - left
        kept = {name: value for name, value in whole.state_dict().items() if name in less.state_dict()}
        less.load_state_dict(kept)
        assert not torch.allclose(less(items)[:, -1], whole(items)[:, -1], atol=1e-3)
        check_company_and_padding(less)
        check_empty_rows(less)
    only_forward = made(SIGMA, flip=False, gate=False, gru=False)
    other = items.clone()
    other[:, -1] = (items[:, -1] + 1) % N
    assert torch.allclose(only_forward(other)[0, : L - 1], only_forward(items)[0, : L - 1], atol=1e-6)


def sigma(items, generator):
    return SIGMA(items, max_length=8, kept=2, dropout=0.1, generator=generator)


def test_learns_what_comes_next():
    check_learns_circle(sigma, epochs=20, learning_rate=0.02)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"blocks": 0}, "blocks must be at least 1, got 0"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"kept": -1}, "kept must be 0 or more, got -1"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, got 1.0"),
        ({"dimension": 5}, r"expand x dimension must be a multiple of heads \(4\), got 10"),
    ],
)
def test_an_encoder_out_of_range_is_refused(changed, message):
    with pytest.raises(InputError, match=message):
        made(SIGMA, **changed)


# --- what the parts are for

ITEMS, LENGTH = 20, 12


def asked(task, users, generator):
    """Histories without order, and which of the items (or what of them) is asked for."""
    items = torch.randint(ITEMS, (users, LENGTH), generator=generator)
    first, last = items[:, 0], items[:, -1]
    return items, {
        "first": first,
        "sum of the last two": (last + items[:, -2]) % ITEMS,
        "first or second last, as the last says": torch.where(last % 2 == 0, first, items[:, -2]),
    }[task]


def share_right(task, seed, gradients, **flags):
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(seed)
    items = ItemVectors(ITEMS, 16)
    net = SIGMA(items, max_length=LENGTH, kept=3, dropout=0.0, generator=generator, **flags)
    optimiser = torch.optim.Adam(net.parameters(), 0.005)
    for _ in range(gradients):
        history, target = asked(task, 64, generator)
        loss = torch.nn.functional.cross_entropy(net(history)[:, -1] @ net.candidates().T, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        history, target = asked(task, 1000, generator)
        return ((net(history)[:, -1] @ net.candidates().T).argmax(dim=1) == target).float().mean().item()


def test_the_flip_brings_the_first_items_near():
    """After as many gradients, the first of twelve items is known with the flip, and not without it."""
    assert share_right("first", 0, 200) > 0.5
    assert share_right("first", 0, 200, flip=False) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("task", ["first", "sum of the last two", "first or second last, as the last says"])
def test_ablations(task):
    """Two seeds, all parts and all but one: prints what each is worth; only the flip is asked to be."""
    found = {
        part or "nothing": [
            share_right(task, seed, 300, **({part: False} if part else {})) for seed in range(2)
        ]
        for part in ("", "flip", "gate", "gru")
    }
    for part, figures in found.items():
        print(f"{task}: without {part:8s} {np.mean(figures):.3f}", np.round(figures, 3), flush=True)
    if task != "sum of the last two":
        assert np.mean(found["nothing"]) > np.mean(found["flip"]) + 0.2
