"""SASRec that reads time: its equations, what it may see, and gaps that say what comes next."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from encoder_checks import (  # noqa: E402
    D,
    N,
    check_causal,
    check_company_and_padding,
    check_empty_rows,
    check_gradients,
    check_half_precision,
    check_learns_circle,
    made,
    some_histories,
    trained,
    weights_of,
)

from recsim_env.agents.sequential.neural.encoders.interval_sasrec import IntervalSASRec  # noqa: E402
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402
from recsim_env.simulators.log import Log  # noqa: E402
from recsim_env.simulators.splits import leave_one_out  # noqa: E402

pytestmark = pytest.mark.extra


def test_buckets_by_hand():
    net = made(IntervalSASRec, buckets=20)
    seconds = [0, 0.5, 1, 1.99, 2, 3.9, 4, 60, 3600, 86400, 1e9]
    assert net.bucket(torch.tensor(seconds)).tolist() == [0, 0, 0, 0, 1, 1, 2, 5, 11, 16, 19]


def test_states_are_those_of_the_equations():
    """One user, number by number, in NumPy; attention one query and one key at a time."""
    net = made(IntervalSASRec, blocks=2, heads=2)
    weights = weights_of(net)
    items, gaps = [3, 9, 3, 0], [5.0, 700.0, 90_000.0, 3.0]
    moment = np.cumsum([0.0, *gaps[:-1]])

    def norm(x, name):
        return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * weights[f"{name}.weight"] + weights[
            f"{name}.bias"
        ]

    def line(x, name):
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    def bucket(seconds):
        return 0 if seconds < 2 else int(math.log2(seconds))

    x = [
        math.sqrt(D) * weights["items.learned.weight"][item]
        + weights["positions.weight"][3 - t]
        + weights["asked.weight"][bucket(gaps[t])]
        for t, item in enumerate(items)
    ]
    for block in range(2):
        name, after = f"blocks.{block}", []
        parts = [line(norm(row, f"{name}.before_attention"), f"{name}.queries_keys_values") for row in x]
        for t in range(4):
            mixed = []
            for head in range(2):
                cells = slice(head * D // 2, (head + 1) * D // 2)
                weight = np.exp(
                    [
                        parts[t][:D][cells] @ parts[s][D : 2 * D][cells] / math.sqrt(D / 2)
                        + weights["between.weight"][bucket(moment[t] - moment[s]), 2 * block + head]
                        for s in range(t + 1)
                    ]
                )
                mixed.append(weight / weight.sum() @ [parts[s][2 * D :][cells] for s in range(t + 1)])
            y = x[t] + line(np.concatenate(mixed), f"{name}.mixed")
            units = np.maximum(line(norm(y, f"{name}.before_units"), f"{name}.units"), 0.0)
            after.append(y + line(units, f"{name}.out"))
        x = after
    expected = np.stack([norm(row, "norm") for row in x])
    found = net(torch.tensor([[N, *items]]), torch.tensor([[0.0, *gaps]]))[0, 1:].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_what_it_may_see():
    net = made(IntervalSASRec)
    check_causal(net)
    check_company_and_padding(net)
    check_empty_rows(net)
    check_gradients(net)
    check_half_precision(net)


def test_time_counts_in_both_ways():
    net = made(IntervalSASRec)
    items, gaps = some_histories()
    asked, between = gaps.clone(), gaps.clone()
    asked[0, -1], between[0, 2] = 50 * gaps[0, -1] + 100, 50 * gaps[0, 2] + 1e6
    states = net(items, gaps)
    assert torch.allclose(net(items, asked)[0, :-1], states[0, :-1], atol=1e-6)
    assert not torch.allclose(net(items, asked)[0, -1], states[0, -1], atol=1e-3)
    with torch.no_grad():
        net.asked.weight.zero_()
    assert torch.allclose(net(items, asked), net(items, gaps), atol=1e-6)
    assert not torch.allclose(net(items, between)[0, -1], net(items, gaps)[0, -1], atol=1e-3)


def test_time_that_is_missing_is_refused():
    with pytest.raises(InputError, match="IntervalSASRec reads the time between items: give gaps"):
        made(IntervalSASRec)(some_histories()[0])
    with pytest.raises(InputError, match="IntervalSASRec reads the time between items: give gaps"):
        trained(interval, jumps(users=9), epochs=1).scores(np.array([[1, 2]]))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"blocks": 0}, "blocks must be at least 1, got 0"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"heads": 3}, r"dimension must be a multiple of heads \(3\), got 8"),
        ({"buckets": 0}, "buckets must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, got 1.0"),
    ],
)
def test_an_encoder_out_of_range_is_refused(changed, message):
    with pytest.raises(InputError, match=message):
        made(IntervalSASRec, **changed)


# --- what time is for

WARM, COLD = (1, 4, 7, 10, 13, 16), (2, 8, 14)  # buckets of gaps that training has, and has not


def interval(items, generator):
    return IntervalSASRec(items, max_length=9, blocks=1, dropout=0.1, generator=generator)


def jumps(users=250, length=10, buckets=WARM, last=WARM, num_items=12, seed=1):
    """Item i is followed by i + 1 after a gap of up to bucket 5, by i + 4 up to 11, and else by i + 9."""
    rng = np.random.default_rng(seed)
    gap = rng.choice(buckets, (users, length))
    gap[:, -1] = rng.choice(last, users)  # before the last item
    step = np.array([1, 4, 9])[np.minimum(gap // 6, 2)]
    item = (rng.integers(0, num_items, (users, 1)) + np.cumsum(step, axis=1)) % num_items
    time = np.cumsum(2.0**gap * rng.uniform(1.0, 1.99, gap.shape), axis=1)
    return Log.from_interactions(np.repeat(np.arange(users), length), item.ravel(), time.ravel())


def share_right(fitted, log):
    held_out = leave_one_out(log)
    return (fitted.scores(held_out.history, held_out.gaps).argmax(axis=1) == held_out.target).mean()


def test_what_comes_next_depends_on_when():
    """With time and without, on gaps that training had; a bucket that it had not costs most.

    The gaps before what is asked for are as often of one rule as of another in both splits.
    """
    log = jumps()
    kwargs = {"dimension": 32, "objective": "full_softmax", "epochs": 12, "mask_history": False}
    with_time = trained(interval, log, **kwargs)
    without = trained(
        lambda items, generator: SASRec(items, max_length=9, blocks=1, dropout=0.1, generator=generator),
        log,
        **kwargs,
    )
    warm, cold = jumps(users=1000, seed=2), jumps(users=1000, seed=2, last=COLD)
    found = {
        (name, split): share_right(fitted, users)
        for name, fitted in (("with", with_time), ("without", without))
        for split, users in (("warm", warm), ("cold", cold))
    }
    print(found)  # shown by pytest -s
    assert found["with", "warm"] > 0.9
    assert found["without", "warm"] < 0.5  # one of three
    drop = found["with", "warm"] - found["with", "cold"]
    assert drop > 0.3
    assert drop > found["without", "warm"] - found["without", "cold"] + 0.2


def test_learns_what_comes_next():
    check_learns_circle(interval)
