"""The streams are Philox's, to the bit, uniform, independent, and each user's own."""

import math
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from scipy import stats
from scipy.special import ndtri

import recsim_env
from recsim_env.errors import InputError
from recsim_env.simulators.beta_draws import DENSITY, EDGES, TAIL, _normal
from recsim_env.simulators.luck import Luck, stream_number
from recsim_env.simulators.normal_draws import TAIL as NORMAL_TAIL
from recsim_env.simulators.normal_draws import inverse_normal
from recsim_env.simulators.philox import philox

# kat_vectors of Random123 (Salmon et al. 2011), philox4x32 with 10 rounds: counter, key, result
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return [int(word, 16) for word in text.split()]


def plain_philox(counter, key):
    """Philox 4x32-10 in Python's integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN_ANSWERS)
def test_known_answers(counter, key, result):
    assert [int(w) for w in philox(*words(counter), *words(key))] == words(result)
    assert plain_philox(words(counter), words(key)) == words(result)


def test_every_draw_is_philox_of_its_coordinates():
    rng = np.random.default_rng(0)
    seeds = [0, 1, (1 << 64) - 1, *(int(s) for s in rng.integers(0, 1 << 63, 20))]
    for episode, step, n in [(0, 0, 1), (3, 7, 5), ((1 << 32) - 1, (1 << 32) - 1, 4), (12, 0, 9)]:
        draws = Luck.from_seeds(seeds).of_episode(episode).at(step).uniform("click", (n,))
        for b, seed in enumerate(seeds):
            for i in range(n):
                block = plain_philox(
                    (i // 2, step, zlib.crc32(b"click"), episode), (seed & 0xFFFFFFFF, seed >> 32)
                )
                high, low = block[2 * (i % 2) : 2 * (i % 2) + 2]
                assert draws[b, i] == (((high << 32) | low) >> 11) * 2.0**-53


def test_a_user_is_the_same_in_every_batch():
    seeds = np.arange(1000, 1300)
    for shape in [(), (3,), (2, 3), (0,)]:
        together = Luck.from_seeds(seeds).at(5).uniform("click", shape)
        assert together.shape == (300, *shape)
        alone = Luck.from_seeds([1234]).at(5).uniform("click", shape)
        assert np.array_equal(alone[0], together[234])
    a = np.full((300, 4), 2.5)
    together = Luck.from_seeds(seeds).beta("b", a, a)
    other = a.copy()
    other[:234] = 9.0  # whatever the others draw from
    assert np.array_equal(Luck.from_seeds(seeds).beta("b", other, a)[234], together[234])


def test_the_ways_to_move_luck():
    luck = Luck.from_seeds([4, 9])
    assert np.array_equal(luck.at(3).uniform("x"), luck.at(np.array([3, 3])).uniform("x"))
    assert np.array_equal(luck.repeat(3).uniform("x", (2,)), luck.uniform("x", (2,)).repeat(3, axis=0))
    assert np.array_equal(luck.rows([1]).uniform("x"), luck.uniform("x")[1:])
    assert np.array_equal(luck.of_episode(2).step, [0, 0])
    shorter, longer = luck.uniform("x", (3,)), luck.uniform("x", (8,))
    assert np.array_equal(shorter, longer[:, :3])
    draws = {
        float(u)
        for moved in (luck, luck.at(1), luck.of_episode(1), luck.of_episode(1).at(1))
        for stream in ("x", "y")
        for u in moved.uniform(stream)
    }
    assert len(draws) == 16


def test_uniformity_over_users_steps_and_streams():
    n = 200_000
    samples = {
        "neighbouring users": Luck.from_seeds(np.arange(n)).uniform("click"),
        "indices of one user": Luck.from_seeds([3]).uniform("click", (n,))[0],
        "steps": Luck(np.full(n, 3, np.uint64), np.zeros(n, np.int64), np.arange(n)).uniform("click"),
        "episodes": Luck(np.full(n, 3, np.uint64), np.arange(n), np.zeros(n, np.int64)).uniform("click"),
        "streams": np.array([Luck.from_seeds([3]).uniform(f"stream {i}")[0] for i in range(20_000)]),
    }
    for name, u in samples.items():
        assert 0 <= u.min() <= u.max() < 1
        assert stats.chisquare(np.histogram(u, 64, (0, 1))[0]).pvalue > 1e-4, name
        assert stats.kstest(u, "uniform").pvalue > 1e-4, name
        assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 5 / np.sqrt(len(u)), name
        pairs = np.histogram2d(u[0::2], u[1::2], 16, [(0, 1), (0, 1)])[0].ravel()
        assert stats.chisquare(pairs).pvalue > 1e-4, name


def test_independence_of_neighbouring_keys():
    luck = Luck.from_seeds(np.arange(100_000))
    base = luck.uniform("click", (2,))
    others = {
        "the next seed": Luck.from_seeds(np.arange(1, 100_001)).uniform("click", (2,)),
        "a seed one bit off": Luck.from_seeds(np.arange(100_000) ^ (1 << 40)).uniform("click", (2,)),
        "the next step": luck.at(1).uniform("click", (2,)),
        "the next episode": luck.of_episode(1).uniform("click", (2,)),
        "another stream": luck.uniform("move", (2,)),
    }  # fmt: skip
    for name, other in others.items():
        for i in range(2):
            for j in range(2):
                assert abs(np.corrcoef(base[:, i], other[:, j])[0, 1]) < 5 / np.sqrt(100_000), name


def test_normal():
    z = Luck.from_seeds(np.arange(100_000)).normal("z", (2,))
    assert z.shape == (100_000, 2)
    assert np.isfinite(z).all()
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-4
    assert abs(np.corrcoef(z.T)[0, 1]) < 5 / np.sqrt(100_000)


def test_normals_are_the_inverse_distribution_function_of_uniforms():
    """To the last digits of SciPy's: the middle, both tails, the far one, and where they meet."""
    luck = Luck.from_seeds(np.arange(3000))
    for shape in [(), (5,), (2, 3)]:
        u = luck.uniform("z", shape)
        np.testing.assert_allclose(luck.normal("z", shape), ndtri(u + 2.0**-54), rtol=2e-15, atol=1e-16)
    small = np.concatenate([np.exp(-np.linspace(1e-3, 37.4, 200_001)), 2.0**-54 * np.arange(1, 100)])
    near = (1.0 + 1e-16 * np.arange(-50, 51)) * np.array(
        [[NORMAL_TAIL], [1.0 - NORMAL_TAIL], [math.exp(-32)]]
    )
    y = np.concatenate([small, 1.0 - small[small > 1e-15], near.ravel()])
    z = many_inverses(y)
    np.testing.assert_allclose(z, ndtri(y), rtol=2e-15)
    assert (np.diff(many_inverses(np.sort(y))) >= -2e-15).all()  # rounding apart, monotone
    assert z.min() < -8.2


@njit
def many_inverses(y):
    z = np.empty(len(y))
    for i in range(len(y)):
        z[i] = inverse_normal(y[i])
    return z


@pytest.mark.parametrize(("a", "b"), [(1, 1), (1, 30), (2.5, 1), (40, 7), (5000, 20000)])
def test_beta(a, b):
    n = 40_000
    draws = Luck.from_seeds(np.arange(n)).beta("b", np.full((n, 2), float(a)), np.full((n, 2), float(b)))
    for i in range(2):
        assert stats.kstest(draws[:, i], stats.beta(a, b).cdf).pvalue > 1e-4
    assert abs(np.corrcoef(draws.T)[0, 1]) < 5 / np.sqrt(n)


def test_beta_refuses_what_its_method_cannot_draw():
    luck, one = Luck.from_seeds([1]), np.ones((1, 2))
    with pytest.raises(InputError, match=r"a and b must be at least 1, got 0\.5"):
        luck.beta("b", 0.5 * one, one)
    with pytest.raises(InputError, match="a and b must be at least 1, got nan"):
        luck.beta("b", np.nan * one, one)
    with pytest.raises(InputError, match="a and b must have shape"):
        luck.beta("b", one[0], one[0])


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([1, -1], r"seeds\[1\] must be from 0 to 2\^64 - 1, got -1"),
        ([1 << 64], r"seeds\[0\] must be from 0"),
        ([1.0], r"seeds\[0\] must be an integer, got 1.0"),
        ([True], r"seeds\[0\] must be an integer, got True"),
        ([None], r"seeds\[0\] must be an integer, got None"),
    ],
)
def test_bad_seeds(seeds, message):
    with pytest.raises(InputError, match=message):
        Luck.from_seeds(seeds)


def test_streams_of_the_package_have_different_numbers():
    source = "".join(p.read_text() for p in Path(recsim_env.__file__).parent.rglob("*.py"))
    names = set(re.findall(r"(?:uniform|normal|beta|stream_number)\(\s*\"([^\"]+)\"", source))
    assert {"cascade", "start", "cascade_ts", "random_slates"} <= names
    assert len({stream_number(name) for name in names}) == len(names)


def test_ziggurat_normals():
    """The middle, the layers' edges and the tail, against the distribution function."""
    draws = many_normals(1_000_000, 7)
    assert stats.kstest(draws, "norm").pvalue > 1e-4
    for edge in (EDGES[200], EDGES[2], TAIL, 4.2):
        expected = 1e6 * stats.norm.sf(edge)
        for beyond in ((draws > edge).sum(), (draws < -edge).sum()):
            assert abs(beyond - expected) < 5 * np.sqrt(expected)
    area = EDGES[1:-1] * np.diff(DENSITY[1:])  # every layer above the lowest
    np.testing.assert_allclose(area, area[0], rtol=1e-9)
    np.testing.assert_allclose(EDGES[0] * DENSITY[1], area[0], rtol=1e-9)
    assert DENSITY[-1] == 1.0


@njit
def many_normals(n, seed):
    draws, state = np.empty(n), np.uint64(seed)
    for i in range(n):
        draws[i], state = _normal(state)
    return draws
