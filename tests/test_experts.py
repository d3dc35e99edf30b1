"""Codes of parallel experts: the loss by hand, experts that look in different directions, codes that tell."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from recsim_env.agents.generative.tokenisers.experts import Experts, alike, experts  # noqa: E402
from recsim_env.agents.generative.tokenisers.identifiers import quality  # noqa: E402
from recsim_env.errors import InputError  # noqa: E402

pytestmark = pytest.mark.extra


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def features(num_items=240, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((12, 16))[np.arange(num_items) % 12] + 0.3 * rng.standard_normal(
        (num_items, 16)
    )


def test_the_loss_by_hand():
    net = Experts(5, 3, 4, 2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        net.codebooks.normal_(generator=torch.Generator().manual_seed(1))
        for constant in (net.into_constant, net.gate_constant):
            constant.normal_(generator=torch.Generator().manual_seed(2))
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(3))
    w = {name: value.detach().numpy().astype(float) for name, value in net.named_parameters()}
    rebuilding, kept = [], []
    for row in x.numpy().astype(float):
        gate = np.exp(row @ w["gate"] + w["gate_constant"])
        total = 0.0
        for r in range(3):
            y = row @ w["into"][r] + w["into_constant"][r]
            code = ((y - w["codebooks"][r]) ** 2).sum(axis=1).argmin()
            kept.append(((y - w["codebooks"][r][code]) ** 2).mean())
            total = total + gate[r] / gate.sum() * w["codebooks"][r][code]
        units = np.maximum(w["decoder.0.weight"] @ total + w["decoder.0.bias"], 0)
        rebuilding.append(((w["decoder.2.weight"] @ units + w["decoder.2.bias"] - row) ** 2).mean())
    P = w["into"]
    apart = np.mean(
        [
            ((P[r].T @ P[s]) ** 2).sum() / ((P[r] ** 2).sum() * (P[s] ** 2).sum())
            for r in range(3)
            for s in range(3)
            if r != s
        ]
    )
    expected = np.mean(rebuilding) + 1.25 * np.mean(kept) + 0.5 * apart
    assert net.loss(x, 0.25, 0.5).item() == pytest.approx(expected, rel=1e-5)
    assert alike(net.into).item() == pytest.approx(apart, rel=1e-5)
    assert alike(net.into[:1]).item() == 0.0


def test_every_part_learns():
    net = Experts(5, 3, 4, 2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        net.codebooks.normal_(generator=torch.Generator().manual_seed(1))
    net.loss(torch.randn(50, 5, generator=torch.Generator().manual_seed(3)), 0.25, 0.1).backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad.abs().max() > 1e-6, name


def small(**more):
    return experts(
        features(),
        **{
            "levels": 3,
            "size": 8,
            "width": 8,
            "epochs": 80,
            "batch_size": 80,
            "learning_rate": 5e-3,
            "collisions": "allow",
            **more,
        },
    )


def test_codes_stand_for_features():
    trained, begun = small(), small(epochs=1)
    assert trained.level_sizes == (8, 8, 8)
    assert quality(trained, features()).reconstruction > 0.7
    assert quality(trained, features()).reconstruction > quality(begun, features()).reconstruction + 0.2
    np.testing.assert_array_equal(trained.codes, small().codes)
    assert (small(seed=1).codes != trained.codes).any()
    appended = small(collisions="append", epochs=1)
    assert len({tuple(row) for row in appended.codes.tolist()}) == 240


def test_experts_are_kept_apart():
    """Codes of two experts tell less of each other where they are not to look in the same directions."""

    def told(codes):
        joint = np.zeros((8, 8))
        np.add.at(joint, (codes[:, 0], codes[:, 1]), 1 / len(codes))
        even = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
        some = joint > 0
        return (joint[some] * np.log(joint[some] / even[some])).sum()

    free = np.mean([told(small(gamma=0.0, levels=2, seed=seed).codes) for seed in range(3)])
    apart = np.mean([told(small(gamma=10.0, levels=2, seed=seed).codes) for seed in range(3)])
    assert apart < free


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"levels": 0}, "levels must be at least 1, got 0"),
        ({"size": 241}, "size must be 1 to 240, the number of items, got 241"),
        ({"gamma": -0.1}, "gamma must be 0 or more, got -0.1"),
        ({"collisions": "transport"}, "'transport' needs distances"),
    ],
)
def test_a_training_that_cannot_be_is_refused(changed, message):
    with pytest.raises(InputError, match=message):
        small(**changed)
