"""Losses of preference tuning: by hand, at the reference and at extremes, gradients, and a bandit."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.generative.preference.dpo import LOSS_TYPES, best_and_worst, dpo_loss  # noqa: E402
from recsim_env.agents.generative.preference.grpo import SCALES, advantages, grpo_loss  # noqa: E402
from recsim_env.agents.generative.preference.rwr import rwr_loss  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402

pytestmark = pytest.mark.extra


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sigma(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_dpo_by_hand(loss_type):
    preferred, others, beta, e = normal(5), normal(5, 3, seed=1), 0.7, 0.2 if loss_type == "robust" else 0.0
    expected = []
    for s_w, row in zip(preferred.tolist(), others.tolist(), strict=True):
        if loss_type == "softmax":
            expected.append(-np.log(sigma(-np.log(sum(np.exp(beta * (s_l - s_w)) for s_l in row)))))
        for s_l in row if loss_type != "softmax" else []:
            margin = s_w - s_l
            expected.append(
                {
                    "sigmoid": -np.log(sigma(beta * margin)),
                    "ipo": (margin - 1 / (2 * beta)) ** 2,
                    "robust": (-(1 - e) * np.log(sigma(beta * margin)) + e * np.log(sigma(-beta * margin)))
                    / (1 - 2 * e),
                }[loss_type]
            )
    found = dpo_loss(preferred, others, beta=beta, loss_type=loss_type, label_smoothing=e)
    assert found.item() == pytest.approx(np.mean(expected))


def test_at_the_reference_dpo_is_ln_2():
    zero = torch.zeros(4, dtype=torch.float64)
    assert dpo_loss(zero, zero[:, None]).item() == pytest.approx(np.log(2))
    assert dpo_loss(zero, zero[:, None], loss_type="softmax").item() == pytest.approx(np.log(2))
    assert dpo_loss(zero, zero[:, None].expand(-1, 3), loss_type="softmax").item() == pytest.approx(np.log(4))


def test_of_one_other_softmax_is_sigmoid():
    preferred, others = normal(6), normal(6, 1, seed=1)
    assert dpo_loss(preferred, others).item() == pytest.approx(
        dpo_loss(preferred, others, loss_type="softmax").item()
    )


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
@pytest.mark.parametrize("margin", [-1e6, 1e6])
def test_extreme_margins_stay_finite(loss_type, margin):
    preferred = torch.full((2,), margin, requires_grad=True)
    others = torch.zeros(2, 3, requires_grad=True)
    value = dpo_loss(preferred, others, beta=1.0, loss_type=loss_type)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(preferred.grad).all()
    assert torch.isfinite(others.grad).all()
    if loss_type != "ipo" and margin > 0:
        assert value == 0.0


@pytest.mark.parametrize("advantage", [-1.0, 0.0, 1.0])
def test_extreme_ratios_have_gradients(advantage):
    new = torch.tensor([[100.0, -100.0]], requires_grad=True)
    A = torch.full((1, 2), advantage)
    value = grpo_loss(new, torch.zeros(1, 2), A, torch.tensor([[0.0, 100.0]]), beta=0.1)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(new.grad).all()


def test_what_cannot_be_shown_is_worth_nothing():
    preferred, others = torch.zeros(1, requires_grad=True), torch.full((1, 1), -torch.inf)
    value = dpo_loss(preferred, others)
    value.backward()
    assert value == 0.0
    assert torch.isfinite(preferred.grad).all()


def test_robust_is_unbiased_under_turned_preferences():
    preferred, others, e = normal(3), normal(3, 1, seed=1), 0.3
    kept = dpo_loss(preferred, others, loss_type="robust", label_smoothing=e)
    turned = dpo_loss(others[:, 0], preferred[:, None], loss_type="robust", label_smoothing=e)
    assert ((1 - e) * kept + e * turned).item() == pytest.approx(dpo_loss(preferred, others).item())


def test_best_and_worst_of_a_group():
    best, worst, differ = best_and_worst(torch.tensor([[1.0, 3.0, 0.0], [2.0, 2.0, 2.0], [0.0, 1.0, 1.0]]))
    assert best.tolist() == [1, 0, 1]
    assert worst.tolist() == [2, 0, 0]
    assert differ.tolist() == [True, False, True]


@pytest.mark.parametrize("scale", SCALES)
def test_advantages_by_hand(scale):
    rewards = normal(4, 5)
    r = rewards.numpy()
    centred = r - r.mean(axis=1, keepdims=True)
    divided = {
        "group": r.std(axis=1, ddof=1, keepdims=True) + 1e-4,
        "batch": r.std(ddof=1) + 1e-4,
        "none": 1.0,
    }
    np.testing.assert_allclose(advantages(rewards, scale).numpy(), centred / divided[scale])
    for value, group in ((0.7, 4), (0.1, 7), (123456.7, 7), (3333333.3, 10)):
        assert (advantages(torch.full((3, group), value), scale) == 0).all()
    clicks = torch.tensor([[1, 0, 0], [1, 1, 0]])
    torch.testing.assert_close(advantages(clicks, scale), advantages(clicks.float(), scale))


@pytest.mark.parametrize("codes", [(), (3,)])
def test_grpo_by_hand(codes):
    new, old, ref = (normal(4, 5, *codes, seed=seed) for seed in range(3))
    A = advantages(normal(4, 5, seed=4))
    expected = []
    for place in np.ndindex(*new.shape):
        rho, a = np.exp(new[place].item() - old[place].item()), A[place[:2]].item()
        d = ref[place].item() - new[place].item()
        expected.append(-min(rho * a, np.clip(rho, 0.9, 1.3) * a) + 0.04 * (np.exp(d) - d - 1))
    found = grpo_loss(new, old, A, ref, beta=0.04, epsilon=0.1, epsilon_high=0.3)
    assert found.item() == pytest.approx(np.mean(expected))


def test_grpo_has_no_gradient_where_rewards_tie():
    new = normal(3, 4).requires_grad_()
    grpo_loss(new, new, advantages(torch.ones(3, 4, dtype=torch.float64))).backward()
    assert (new.grad == 0).all()


def test_rwr_by_hand():
    log_prob, rewards = normal(3, 4), normal(3, 4, seed=1)
    r = rewards.numpy()
    weight = np.minimum(np.exp((r - r.mean(axis=1, keepdims=True)) / 0.5), 2.0)
    expected = -(weight * log_prob.numpy()).sum() / weight.sum()
    assert rwr_loss(log_prob, rewards, temperature=0.5, largest=2.0).item() == pytest.approx(expected)
    one = rwr_loss(log_prob[:, :1], rewards[:, :1])
    weight = np.exp(r[:, 0] - r[:, 0].mean())
    assert one.item() == pytest.approx(-(weight * log_prob[:, 0].numpy()).sum() / weight.sum())
    level = rwr_loss(log_prob, torch.ones(3, 4, dtype=torch.float64))
    assert level.item() == pytest.approx(-log_prob.mean().item())  # imitation


LOSSES = {
    **{
        kind: lambda x, kind=kind: dpo_loss(x[:, 0], x[:, 1:], beta=0.5, loss_type=kind)
        for kind in LOSS_TYPES
    },
    "grpo": lambda x: grpo_loss(
        x, normal(4, 3, seed=7), advantages(normal(4, 3, seed=8)), normal(4, 3), beta=0.1
    ),
    "rwr": lambda x: rwr_loss(x, normal(4, 3, seed=8)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_by_finite_differences(name):
    assert torch.autograd.gradcheck(LOSSES[name], normal(4, 3, seed=5).requires_grad_())


@pytest.mark.parametrize("name", ["sigmoid", "softmax", "ipo", "grpo", "rwr"])
def test_each_finds_the_better_arm(name):
    """Ten items, one state: rewards are sampled clicks, and items of large click rates become likely."""
    rate = torch.linspace(0.05, 0.95, 10)
    generator = torch.Generator().manual_seed(0)
    logits = torch.zeros(10, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.05)
    reference = logits.detach().log_softmax(0)
    for _ in range(300):
        old = logits.detach().log_softmax(0)
        items = torch.multinomial(old.exp(), 16 * 8, replacement=True, generator=generator).view(16, 8)
        rewards = (torch.rand(16, 8, generator=generator) < rate[items]).float()
        log_prob = logits.log_softmax(0)
        if name == "grpo":
            value = grpo_loss(log_prob[items], old[items], advantages(rewards))
        elif name == "rwr":
            value = rwr_loss(log_prob[items], rewards, temperature=0.5)
        else:
            best, worst, differ = best_and_worst(rewards)
            s = (log_prob - reference)[items][differ]
            pick = torch.arange(int(differ.sum()))
            others = s[pick, worst[differ]][:, None]
            value = dpo_loss(s[pick, best[differ]], others, beta=0.1, loss_type=name)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    pi = logits.detach().softmax(0)
    assert (pi * rate).sum() > 0.75  # even draws earn .5
    assert pi.argmax() >= 7


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dpo_loss(normal(3), normal(3, 1), loss_type="hinge"), "there is no loss_type 'hinge'"),
        (lambda: dpo_loss(normal(3), normal(3, 1), beta=0.0), "beta must be above 0 and finite, got 0.0"),
        (lambda: dpo_loss(normal(3), normal(3, 1), label_smoothing=0.5), "label_smoothing must be from 0"),
        (lambda: dpo_loss(normal(3), normal(3, 1), label_smoothing=0.1), "label_smoothing is of loss_type"),
        (lambda: dpo_loss(normal(3), normal(3)), r"others \(B, J\), J of 1 or more, got \(3,\) and \(3,\)"),
        (lambda: advantages(normal(3, 1)), r"a group of 2 or more, all finite, got \(3, 1\)"),
        (lambda: advantages(torch.tensor([[0.0, torch.nan]])), "all finite"),
        (lambda: advantages(normal(3, 2), "std"), "there is no scale_rewards 'std'"),
        (lambda: grpo_loss(normal(3), normal(3), normal(3)), r"advantage \(B, G\), got"),
        (lambda: best_and_worst(normal(3)), r"rewards must be \(users, group\), all finite, got \(3,\)"),
        (lambda: rwr_loss(normal(0, 3), normal(0, 3)), r"got \(0, 3\) and \(0, 3\)"),
        (lambda: grpo_loss(normal(3, 2), normal(3, 2), normal(3)), r"advantage \(B, G\), got"),
        (
            lambda: grpo_loss(*[normal(3, 2)] * 3, beta=0.1),
            r"ref_log_prob must be \(3, 2\) where beta > 0, got",
        ),
        (lambda: grpo_loss(*[normal(3, 2)] * 3, epsilon=1.0), "epsilon must be from 0 to below 1, got 1.0"),
        (lambda: rwr_loss(normal(3, 2), normal(3, 2), temperature=0.0), "temperature must be above 0"),
        (lambda: rwr_loss(normal(3, 2), normal(3, 2), largest=0.5), "largest must be 1 or more, got 0.5"),
        (lambda: rwr_loss(normal(3, 2), normal(2, 2)), r"got \(3, 2\) and \(2, 2\)"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
