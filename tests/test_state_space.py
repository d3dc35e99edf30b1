"""The state-space encoder: its dual form against the recurrence, its equations, and what it may see."""

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
    weights_of,
)

from recsim_env.agents.sequential.neural.encoders.state_space import (  # noqa: E402
    CHUNK,
    StateSpace,
    dual_form,
    running_sum,
)
from recsim_env.errors import InputError  # noqa: E402

pytestmark = pytest.mark.extra


# --- the dual form


def recurrence(x, log_a, B, C):
    """H_t = a_t H_{t-1} + x_t B_t', y_t = H_t C_t, one user and one head after another, in float64."""
    U, L, h, P = x.shape
    y = np.zeros(x.shape)
    for user in range(U):
        for head in range(h):
            H = np.zeros((P, B.shape[2]))
            for t in range(L):
                H = np.exp(log_a[user, t, head]) * H + np.outer(x[user, t, head], B[user, t])
                y[user, t, head] = H @ C[user, t]
    return y


@pytest.mark.parametrize("L", [7, CHUNK, 2 * CHUNK, 2 * CHUNK + 5, 4 * CHUNK + 1])
@pytest.mark.parametrize("decay", [0.01, 1.0, 30.0, 3000.0])
def test_the_dual_form_is_the_recurrence(decay, L):
    """To 1e-4 of the numbers' size, from hardly any decay to one whose product cannot be written."""
    rng = np.random.default_rng(3)
    x, B, C = (rng.normal(size=shape) for shape in ((3, L, 2, 4), (3, L, 8), (3, L, 8)))
    log_a = -decay * rng.random((3, L, 2))
    log_a[:, :5] = 0.0  # as in empty cells
    found = dual_form(*(torch.from_numpy(part).float() for part in (x, log_a, B, C))).numpy()
    expected = recurrence(x, log_a, B, C)
    assert np.abs(found - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())


def test_gradients_are_finite_where_the_decay_is_hard():
    log_a = torch.full((1, 40, 1), -400.0, requires_grad=True)
    one = torch.ones(1, 40, 1)
    dual_form(one[..., None], log_a, one, one).sum().backward()
    assert torch.isfinite(log_a.grad).all()


@pytest.mark.parametrize("L", [1, 2, 7, 8, 33])
def test_running_sum_is_cumsum(L):
    x = torch.randn(2, L, 3, generator=torch.Generator().manual_seed(L), dtype=torch.float64)
    torch.testing.assert_close(running_sum(x), x.cumsum(1))


# --- the encoder


def test_states_are_those_of_the_recurrence():
    """One user, number by number, in NumPy: two blocks, two heads, a state that is carried on."""
    net = made(StateSpace, blocks=2, heads=2, state=3, width=3)
    weights = weights_of(net)
    items, E, S, h = [3, 9, 3, 0, 7], 2 * D, 3, 2

    def norm(x, name):
        return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * weights[f"{name}.weight"] + weights[
            f"{name}.bias"
        ]

    def line(x, name):
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    def silu(x):
        return x / (1 + np.exp(-x))

    def gelu(x):
        return 0.5 * x * (1 + np.array([math.erf(number / math.sqrt(2)) for number in x]))

    u = [norm(weights["items.learned.weight"][item], "before") for item in items]
    for block in range(2):
        own = {
            name.removeprefix(f"mixers.{block}."): value
            for name, value in weights.items()
            if name.startswith(f"mixers.{block}.")
        }
        A, H, past, after = -np.exp(own["log_decay"]), np.zeros((h, E // h, S)), [], []
        for cell in u:
            into = own["into.weight"] @ cell
            z, r = into[:E], into[-h:]
            past = [*past, into[E:-h]][-3:]
            summed = own["kernel_bias"] + sum(own["kernel"][2 - k] * w for k, w in enumerate(reversed(past)))
            x, B, C = np.split(silu(summed), [E, E + S])
            dt = np.log1p(np.exp(r + own["step"]))
            y = np.zeros((h, E // h))
            for head in range(h):
                part = x.reshape(h, -1)[head]
                H[head] = np.exp(A[head] * dt[head]) * H[head] + dt[head] * np.outer(part, B)
                y[head] = H[head] @ C + own["skip"][head] * part
            gated = y.ravel() * silu(z)
            mixed = own["out.weight"] @ (own["scale"] * gated / math.sqrt((gated**2).mean() + 1e-5))
            v = norm(cell + mixed, f"norms.{block}")
            units = line(gelu(line(v, f"units.{block}.units")), f"units.{block}.out")
            after.append(norm(v + units, f"units.{block}.norm"))
        u = after
    found = net(torch.tensor([[N, N, *items]]))[0, 2:].detach().numpy()
    np.testing.assert_allclose(found, np.stack(u), atol=1e-4)


@pytest.mark.parametrize("blocks", [1, 2])
def test_what_it_may_see(blocks):
    net = made(StateSpace, blocks=blocks)
    check_causal(net)
    check_company_and_padding(net)
    check_empty_rows(net)
    check_gradients(net)
    check_half_precision(net)


def test_the_first_weights_have_the_decays_and_steps_of_mamba():
    net = made(StateSpace, noise=0.0, heads=8, dimension=64)
    mixer = net.mixers[0]
    assert 1 <= mixer.log_decay.exp().min() < mixer.log_decay.exp().max() <= 16
    step = torch.nn.functional.softplus(mixer.step)
    assert 1e-3 <= step.min() < step.max() <= 0.1
    assert 0.2 < mixer.kernel.std() < 0.35  # that of even numbers from -0.5 to 0.5
    again = made(StateSpace, noise=0.0, heads=8, dimension=64).mixers[0]
    assert (again.step == mixer.step).all()
    assert (again.kernel == mixer.kernel).all()


def test_learns_what_comes_next():
    check_learns_circle(lambda items, generator: StateSpace(items, max_length=8, generator=generator))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"blocks": 0}, "blocks must be at least 1, got 0"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"state": 0}, "state must be at least 1, got 0"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"expand": 0}, "expand must be at least 1, got 0"),
        ({"heads": 3}, r"expand x dimension must be a multiple of heads \(3\), got 16"),
        ({"dropout": 1.0}, "dropout must be from 0 to below 1, got 1.0"),
    ],
)
def test_an_encoder_out_of_range_is_refused(changed, message):
    with pytest.raises(InputError, match=message):
        made(StateSpace, **changed)
