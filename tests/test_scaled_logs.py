"""Logs made in parts, and evaluated part by part: what one process and one array give."""

import math
import os
import signal
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import ratio_of
from recsim_env.evaluation.off_policy import (
    doubly_robust,
    importance_weights,
    self_normalised_doubly_robust,
)
from recsim_env.evaluation.off_policy.moments import Moments
from recsim_env.experiments import log_parts
from recsim_env.experiments.cli import main
from recsim_env.experiments.log_agents import IN_ANY, IN_CASCADES, WHERE_ITEMS_ATTRACT
from recsim_env.experiments.off_policy.parts import off_policy_values_of_parts
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_evaluation import off_policy_values
from recsim_env.simulators.log_files import read_log, write_log
from recsim_env.simulators.log_scan import open_log
from recsim_env.simulators.slate_log_evaluation import slate_off_policy_values


def log(*arguments):
    assert main(["log", *map(str, arguments)]) == 0


def assert_same(parts, whole):
    pieces = list(open_log(parts).pieces(piece_rows=1 << 18))
    columns = {n: np.concatenate([p.columns()[n] for p in pieces]) for n in whole.columns()}
    found = Log.sorted(**columns, metadata=pieces[0].metadata)
    assert found.columns().keys() == whole.columns().keys()
    for name, column in whole.columns().items():
        assert_array_equal(found.columns()[name], column)
        assert found.columns()[name].dtype == column.dtype
    assert found.metadata == whole.metadata


CASES = [
    *(("SlateRec-v0", agent) for agent in (*IN_ANY, *WHERE_ITEMS_ATTRACT)),
    *(("CascadeRec-v0", agent) for agent in (*IN_ANY, *IN_CASCADES)),
]


@pytest.mark.parametrize(("env_id", "agent"), CASES)
def test_parts_hold_what_one_process_writes(tmp_path, elsewhere, env_id, agent):
    asked = [env_id, "--agent", agent, "--steps", 12, "--num-envs", 37, "--seed", 5]
    log(*asked, "--out", tmp_path / "one.parquet")
    log(*asked, "--out", tmp_path / "parts", "--workers", 2)
    assert len(list((tmp_path / "parts").iterdir())) == 13  # of 3 users each
    assert_same(tmp_path / "parts", read_log(tmp_path / "one.parquet"))
    assert {p.name for p in tmp_path.iterdir()} == {"one.parquet", "parts"}


def test_a_part_is_no_longer_than_a_row_group(tmp_path, elsewhere, monkeypatch):
    monkeypatch.setattr(log_parts, "ROW_GROUP", 40)
    log(
        "SlateRec-v0",
        "--agent",
        "random",
        "--steps",
        20,
        "--num-envs",
        37,
        "--out",
        tmp_path / "p",
        "--workers",
        1,
    )
    pieces = list(open_log(tmp_path / "p").pieces())
    assert [len(piece) for piece in pieces] == [*[40] * 18, 20]
    log(
        "SlateRec-v0",
        "--agent",
        "random",
        "--steps",
        90,
        "--num-envs",
        2,
        "--out",
        tmp_path / "q",
        "--workers",
        1,
    )
    log("SlateRec-v0", "--agent", "random", "--steps", 90, "--num-envs", 2, "--out", tmp_path / "q.parquet")
    assert_same(tmp_path / "q", read_log(tmp_path / "q.parquet"))


def test_a_killed_log_goes_on(tmp_path, elsewhere, capsys):
    asked = ["SlateRec-v0", "--agent", "random", "--steps", "8", "--num-envs", "32", "--workers", "2"]
    out = tmp_path / "parts"
    child = os.fork()
    if child == 0:
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115
        left, replace_file = [6], os.replace

        def killing(*given):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            replace_file(*given)

        os.replace = killing
        os._exit(main(["log", *asked, "--out", str(out)]))
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert not out.exists()
    made = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "parts.part" / "cells").glob("*.parquet")}
    assert made
    other = ["SlateRec-v0", "--agent", "random", "--steps", "9", "--num-envs", "32", "--workers", "2"]
    assert main(["log", *other, "--out", str(out)]) == 2
    assert "steps is 8 there, 9 was asked for" in capsys.readouterr().err
    log(*asked, "--out", out)
    assert {name: (out / name).stat().st_mtime_ns for name in made} == made, "a part was made twice"
    log(*asked[:-2], "--out", tmp_path / "one.parquet")
    assert_same(out, read_log(tmp_path / "one.parquet"))
    assert {p.name for p in tmp_path.iterdir()} == {"one.parquet", "parts"}
    assert main(["log", *asked, "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_moments_of_blocks_are_those_of_all():
    rng = np.random.default_rng(0)
    samples = rng.normal(1e3, 1.0, (1000, 3))
    blocks = np.split(samples, [1, 7, 400])
    found = Moments.of(blocks[0])
    for block in blocks[1:]:
        found = found.join(Moments.of(block))
    assert found.count == 1000
    assert_allclose(found.mean, samples.mean(axis=0), rtol=1e-14)
    assert_allclose(found.spread, 999 * np.cov(samples.T), rtol=1e-10)
    estimate, direct = found.sum_of_ratios([0], [1], "x"), ratio_of(samples[:, 0], samples[:, 1])
    assert_allclose((estimate.value, estimate.std_error), (direct.value, direct.std_error), rtol=1e-11)
    assert math.isnan(Moments.of(samples[:1]).sum_of_ratios([0], [1], "x").std_error)
    with pytest.raises(InputError, match="snips: all weights are 0"):
        Moments.of(np.zeros((3, 2))).sum_of_ratios([0], [1], "snips")


def single(seed=0, users=60, steps=7, num_items=6):
    """A log of single actions of softmax policies, and the target's log-probabilities."""
    rng = np.random.default_rng(seed)
    R = users * steps
    logging, target = rng.dirichlet(np.ones(num_items) * 3, R), rng.dirichlet(np.ones(num_items) * 3, R)
    action = np.array([rng.choice(num_items, p=p) for p in logging])
    made = Log(
        user=np.repeat(np.arange(users), steps),
        time=np.tile(np.arange(steps), users),
        slate=action[:, None],
        clicked=(rng.random(R) < 0.3)[:, None],
        reward=rng.random(R) + action,
        log_propensity=np.log(logging[np.arange(R), action]),
    )
    return made, target


def write_parts(folder, whole, cuts):
    folder.mkdir()
    bounds = [0, *cuts, len(whole)]
    for i, (a, b) in enumerate(pairwise(bounds)):
        rows = np.zeros(len(whole), bool)
        rows[a:b] = True
        write_log(whole.rows(rows), folder / f"part-{i:05}.parquet")


def assert_close(found, wanted):
    assert found.count == wanted.count
    for a, b in zip(
        (found.value, found.std_error, *found.interval, found.effective_sample_size or 0.0),
        (wanted.value, wanted.std_error, *wanted.interval, wanted.effective_sample_size or 0.0),
        strict=True,
    ):
        assert_allclose(a, b, rtol=1e-12)


@pytest.mark.parametrize("by_user", [True, False])
def test_single_actions_in_parts_are_as_in_memory(tmp_path, by_user):
    whole, target = single()
    write_parts(tmp_path / "log", whole, [7 * 5, 7 * 6, 7 * 40])
    key = {(u, t): i for i, (u, t) in enumerate(zip(whole.user, whole.time, strict=True))}
    q = np.random.default_rng(1).random((2, len(whole))) + 2

    def rows_of(piece):
        return np.array([key[u, t] for u, t in zip(piece.user, piece.time, strict=True)])

    def weigh(piece):
        rows = rows_of(piece)
        log_target = np.log(target[rows, piece.slate[:, 0]])
        return {"log_target": log_target, "q_logged": q[0, rows], "q_target": q[1, rows]}

    found = off_policy_values_of_parts(tmp_path / "log", weigh, by_user=by_user)
    wanted = off_policy_values(whole, target, ["ips", "snips"], by_user=by_user)
    weight = importance_weights(weigh(whole)["log_target"], whole.log_propensity)
    groups = whole.user if by_user else None
    wanted["doubly_robust"] = doubly_robust(whole.reward, weight, *q, groups=groups)
    name = "self_normalised_doubly_robust"
    wanted[name] = self_normalised_doubly_robust(whole.reward, weight, *q, groups=groups)
    assert list(found) == list(wanted)
    for name in wanted:
        assert_close(found[name], wanted[name])
        assert found[name].warnings == wanted[name].warnings
    assert_close(found.logged, wanted.logged)


@pytest.mark.parametrize("by_user", [True, False])
def test_slates_in_parts_are_as_in_memory(tmp_path, elsewhere, by_user):
    asked = ["SlateRec-v0", "--agent", "plackett_luce", "--steps", 6, "--num-envs", 50]
    asked += ["--env-arg", "num_items=20", "--env-arg", "slate_size=3"]
    log(*asked, "--out", tmp_path / "log", "--workers", 2)
    log(*asked, "--out", tmp_path / "one.parquet")
    whole = read_log(tmp_path / "one.parquet")

    def weigh(piece):
        uniform = -np.log(20 - np.arange(3)) * np.ones((len(piece), 1))
        position = 0.5 + (piece.slate % 3)
        return {"slot_log_target": uniform, "position_weight": position}

    found = off_policy_values_of_parts(tmp_path / "log", weigh, by_user=by_user)
    given = weigh(whole)
    wanted = slate_off_policy_values(
        whole, given["slot_log_target"], position_weight=given["position_weight"], by_user=by_user
    )
    assert list(found) == list(wanted)
    for name in wanted:
        assert_close(found[name], wanted[name])
        assert bool(found[name].warnings) == bool(wanted[name].warnings)
    assert_close(found.logged, wanted.logged)


def test_what_cannot_be_evaluated_is_said(tmp_path):
    whole, _ = single()
    write_parts(tmp_path / "cut", whole, [7 * 5 + 3])

    def weigh(piece):
        return {"log_target": np.full(len(piece), -1.0)}

    with pytest.raises(
        InputError, match=r"has users up to 5, .* from 5: the rows of a user must lie in one part"
    ):
        off_policy_values_of_parts(tmp_path / "cut", weigh)
    assert off_policy_values_of_parts(tmp_path / "cut", weigh, by_user=False).logged.count == len(whole)
    with pytest.raises(
        InputError, match="weigh must give log_target, and may give q_logged and q_target, got x"
    ):
        off_policy_values_of_parts(tmp_path / "cut", lambda piece: {"x": 0}, by_user=False)
    write_log(replace(whole, log_propensity=None), tmp_path / "bare.parquet")
    with pytest.raises(InputError, match="log has no column 'log_propensity'"):
        off_policy_values_of_parts(tmp_path / "bare.parquet", weigh)


@pytest.mark.extra
@pytest.mark.filterwarnings("ignore")
def test_ray_makes_and_reads_the_same(tmp_path, monkeypatch):
    pytest.importorskip("ray.data")
    monkeypatch.setenv("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    asked = ["SlateRec-v0", "--agent", "random", "--steps", 6, "--num-envs", 20]
    log(*asked, "--out", tmp_path / "log", "--workers", 2)
    log(*asked, "--out", tmp_path / "one.parquet")
    assert_same(tmp_path / "log", read_log(tmp_path / "one.parquet"))

    def weigh(piece):
        return {"slot_log_target": piece.slot_log_propensity - (piece.slate % 2) / 10}

    here = off_policy_values_of_parts(tmp_path / "log", weigh)
    there = off_policy_values_of_parts(tmp_path / "log", weigh, workers=Workers(2))
    assert dict(here) == dict(there)  # to the last bit
    assert here.logged == there.logged
