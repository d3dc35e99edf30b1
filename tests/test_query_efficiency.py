"""The experiment on queries: what is counted, what learners see, files, tables, workers, errors."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

pytest.importorskip("torch")

from recsim_env.errors import InputError
from recsim_env.experiments.cli import main
from recsim_env.experiments.policy_training import train_policy, users_of
from recsim_env.experiments.query_learners import BANDITS, TUNINGS, Asked, bandit_of, marks_of, play, tune
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite.query_efficiency import Settings
from recsim_env.simulators.worlds.world import take_rows

pytestmark = pytest.mark.extra

SIZES = {"num_items": 60, "num_users": 80, "test_users": 30, "epochs": 2, "steps": 12, "history": 6}
SIZES |= {"num_generations": 4, "replicates": 2}
SMALL = [word for name, size in SIZES.items() for word in (f"--{name.replace('_', '-')}", str(size))]
SETTINGS = Settings(**{**SIZES, "steps": 3})


def run(*more):
    return main(["run", "query_efficiency", *SMALL, *map(str, more)])


def test_the_command(tmp_path, capsys, elsewhere):
    assert run("--out", tmp_path / "r") == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    assert list(results.curves) == ["oracle", "sft", *TUNINGS, *BANDITS]
    oracle = results.curves["oracle"]["slate_reward"].values
    rounds = {"grpo_often": 64, "cascade_ts": 320, "cascade_lin_ts": 320, "position_lin_ts": 320}
    for name, curves in results.curves.items():
        assert f"\n{name} " in said
        share, reward = curves["share"], curves["slate_reward"].values
        np.testing.assert_allclose(share.values * oracle[: len(reward)], reward)
        if name in ("oracle", "sft"):
            assert not curves["queries"].values.any()
            continue
        assert share.steps.tolist() == ([0, 256, 768, 1024] if name == "grpo_often" else [*MARKS])
        whole = rounds.get(name, 256) if name in (*TUNINGS, *rounds) else 64
        assert curves["queries"].values[:, 0].tolist() == [mark // whole * whole for mark in share.steps]
        assert ((curves["while_learning"].values > 0) & (curves["while_learning"].values < 1)).all()
        if name in TUNINGS:  # all begin where sft ended
            assert np.array_equal(share.values[0], results.curves["sft"]["share"].values[0])
    assert all(curves["share"].values.max() <= 1.0 + 1e-12 for curves in results.curves.values())
    assert "while_learning" not in results.curves["sft"]
    ends = {name: curves["share"].values[-1] for name, curves in results.curves.items()}
    assert (ends["item_lin_ts"] > 0.9).all()  # it knows users and quality, others one of both
    assert (ends["item_lin_ts"] > ends["beta_ts"] + 0.3).all()
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run("--out", tmp_path / "r", "--resume") == 0
    assert capsys.readouterr().out == said

    assert run("--out", tmp_path / "cut", "--workers", 2) == 0
    assert (tmp_path / "cut" / "results.csv").read_bytes() == (tmp_path / "r" / "results.csv").read_bytes()


MARKS = [0, 256, 768, 2560, 3072]


def test_marks():
    assert marks_of("dpo", Settings(**SIZES)).tolist() == MARKS
    assert (marks_of("dpo", Settings()) / 1024).tolist() == [0, 1, 3, 10, 30, 100]
    assert (marks_of("grpo_often", Settings()) / 1024).tolist() == [0, 1, 3, 10, 30]
    assert marks_of("dpo", Settings(steps=1)).tolist() == [0, 1024]


@cache
def world():
    of, users, test = users_of(SETTINGS, seed=3)
    return of, users, test, train_policy(of, users, SETTINGS, seed=3)


def test_what_could_have_been_had():
    of, users, _, _ = world()
    asked, who, items = Asked(of, users, seed=1), np.array([4, 9]), np.array([[1, 2, 3], [7, 7, 8]])
    asked.alone(who, items)

    def alone(user, item):
        slate = np.array([[item, -1, -1, -1, -1]])
        return float(of.world.expected_reward(take_rows(of.state, np.array([user])), slate)[0])

    assert asked.got == pytest.approx(
        sum(alone(u, i) for u, row in zip(who, items, strict=True) for i in row)
    )
    assert asked.best == pytest.approx(sum(3 * max(alone(u, i) for i in range(60)) for u in who))
    assert asked.simulated.queries == 6
    again, best = Asked(of, users, seed=1), of.world.best_slate(take_rows(of.state, who))
    again.slates(who, best)
    assert (
        again.got
        == again.best
        == pytest.approx(of.world.expected_reward(take_rows(of.state, who), best).sum())
    )
    again.slates(who, best[:, ::-1].copy())
    assert again.got < again.best


class Written(Asked):
    """Users who are asked as well, but in whose place answers are given that were written down."""

    def __init__(self, of, users, seed, tape):
        super().__init__(of, users, seed)
        self.tape, self.asked = tape, []

    def _answer(self, users, shown, answer):
        self.asked.append((users.copy(), shown.copy(), answer if self.tape is None else self.tape.pop(0)))
        return self.asked[-1][2]

    def alone(self, users, items):
        return self._answer(users, items, super().alone(users, items))

    def slates(self, users, shown):
        return self._answer(users, shown, super().slates(users, shown))


@pytest.mark.parametrize("name", ["dpo", *BANDITS])
def test_learners_see_answers_and_not_users(name):
    """Other users and other quality: with the answers of the first, all is the same."""
    of, users, test, recommender = world()
    rng = np.random.default_rng(5)
    quality = rng.permutation(of.world.catalogue.quality)
    catalogue = replace(of.world.catalogue, quality=quality)
    interest = rng.permutation(of.world.interest)
    others = replace(of, world=replace(of.world, catalogue=catalogue, interest=interest))
    log_pi = recommender.scores(of.taken[:, :-1])

    def learned(of, tape):
        asked, found = Written(of, users, 3, tape), []

        def note(lists, _):
            found.append(lists(of.taken[test, :-1], test))

        if name in TUNINGS:
            tune(name, recommender.policy_, of.taken[users, :-1], asked, SETTINGS, 3, note)
        else:
            features = of.world.catalogue.features
            play(bandit_of(name, features, of.taken[:, :-1], log_pi, 5), len(users), asked, SETTINGS, 3, note)
        return found, asked

    first, asked = learned(of, None)
    assert len(asked.asked) == (3 if name in TUNINGS else 2 if asked.asked[0][1].shape[1] == 5 else 12)
    second, again = learned(others, [answer for *_, answer in asked.asked])
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(first, second, strict=True))
    for ours, theirs in zip(asked.asked, again.asked, strict=True):
        assert np.array_equal(ours[0], theirs[0])
        assert np.array_equal(ours[1], theirs[1])
    assert asked.got != again.got  # these are other users
    third, _ = learned(others, None)  # whose own answers teach something else
    assert not all(np.array_equal(ours, theirs) for ours, theirs in zip(first, third, strict=True))


def test_a_warm_start_needs_a_policy():
    with pytest.raises(InputError, match="sft_lin_ts needs log_pi"):
        bandit_of("sft_lin_ts", np.eye(60), np.zeros((9, 4), int), None, 5)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--learners", "ppo"], "there is no learner 'ppo'"),
        (["--learners", "dpo,dpo"], "learners names dpo twice"),
        (["--horizon", 8], "horizon must be 1, got 8"),
        (["--num-items", 23], "num_items must be at least 24, got 23"),
    ],
)
def test_bad_settings(tmp_path, capsys, more, message):
    assert run("--out", tmp_path / "r", *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
