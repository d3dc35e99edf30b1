"""The experiment that puts every tokeniser under one decoder: files, tables, leaks, workers, errors."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from recsim_env.experiments.cli import main
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite.tokeniser_ablation import (
    Settings,
    control_lists,
    measured,
    seen_by_tokenisers,
    untrained,
    world_of,
)
from recsim_env.experiments.tokenised_policies import SCORERS, trained, with_weights

pytestmark = pytest.mark.extra

TINY = Settings(num_items=64, num_users=40, test_users=20, history=5, epochs=1, replicates=2)
NAMES = ["random", "sequential", "shared_k_means"]
SMALL = ["--num-items", "64", "--num-users", "40", "--test-users", "20", "--history", "5", "--epochs", "1"]
SMALL += ["--replicates", "2", "--tokenisers", ",".join(NAMES)]
TIMES = ("tokenise_seconds", "training_seconds")


def run(*more):
    return main(["run", "tokeniser_ablation", *SMALL, *map(str, more)])


def rows(directory):
    """Of results.csv, but for times."""
    lines = (directory / "results.csv").read_text().splitlines()
    return [line for line in lines if not any(time in line for time in TIMES)]


def test_the_command(tmp_path, capsys, elsewhere):
    assert run("--out", tmp_path / "r") == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    assert list(results.curves) == [*NAMES, *SCORERS, "popular", "true_interest"]
    best = [c["slate_reward"].values + c["regret"].values for c in results.curves.values()]
    for name, curves in results.curves.items():
        assert f"\n{name} " in said
        np.testing.assert_allclose(curves["slate_reward"].values + curves["regret"].values, best[0])
        for metric in ("warm_ndcg@10", "cold_hit_rate@10", "cold_shown", "coverage"):
            assert ((curves[metric].values >= 0) & (curves[metric].values <= 1)).all()
        assert (curves["cold_hit_rate@10"].values >= curves["cold_ndcg@10"].values).all()
        assert ("training_seconds" in curves) == (name not in ("popular", "true_interest"))
        assert ("collisions" in curves) == (name in NAMES)
    assert not results.curves["popular"]["cold_shown"].values.any()
    assert not results.curves["random"]["collisions"].values.any()
    assert np.isnan(results.curves["random"]["reconstruction"].values).all()
    assert (results.curves["shared_k_means"]["reconstruction"].values > 0.5).all()
    truth = results.curves["true_interest"]["cold_alone_ndcg@10"].values
    assert (truth > results.curves["random"]["cold_alone_ndcg@10"].values).all()
    assert "\nless random" in said
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run("--out", tmp_path / "r", "--resume") == 0
    assert capsys.readouterr().out == said

    assert run("--out", tmp_path / "cut", "--workers", 2) == 0
    assert rows(tmp_path / "cut") == rows(tmp_path / "r")
    assert (
        main(["compare", str(tmp_path / "r"), str(tmp_path / "cut"), "--out", str(tmp_path / "c.png")]) == 0
    )


def weights(name, world, learned_from, *, whole=False):
    """Of a policy, before and after its training."""
    policy, _ = untrained(name, seen_by_tokenisers(world, learned_from, 0), TINY.history)
    every = np.arange(TINY.num_items)
    before = policy(every)(TINY.num_items, torch.Generator().manual_seed(0)).state_dict()
    known = every if whole else np.flatnonzero(~world.cold)
    after = trained(policy, world.of, learned_from, known, epochs=1, seed=0)
    return before, after.state_dict()


@pytest.mark.parametrize("whole", [False, True])
def test_other_test_items_change_no_weight(whole):
    world, learned_from, test = world_of(TINY, 0)
    taken, rng = world.of.taken.copy(), np.random.default_rng(0)
    taken[test] = rng.permutation(taken[test].ravel()).reshape(taken[test].shape)
    other = replace(world, of=replace(world.of, taken=taken), target=rng.permutation(world.target))
    for name in ("sequential", "shared_k_means"):
        _, here = weights(name, world, learned_from, whole=whole)
        _, there = weights(name, other, learned_from, whole=whole)
        assert here.keys() == there.keys()
        assert all(torch.equal(values, there[key]) for key, values in here.items())


@pytest.mark.parametrize("whole", [False, True])
def test_nothing_is_learned_of_a_cold_item(whole):
    """Its vectors are as they were drawn; an index that has it moves that by which it would be written."""
    world, learned_from, _ = world_of(TINY, 0)
    before, after = weights("atomic", world, learned_from, whole=whole)
    read = np.unique(world.of.taken[learned_from, :-2])  # the last is for validation, the one before a target
    assert not world.cold[read].any()
    for key, moved in (
        ("encoder.items.learned.weight", read),
        ("head.vectors.0.weight", np.arange(TINY.num_items) if whole else np.flatnonzero(~world.cold)),
    ):
        changed = (before[key] != after[key]).any(dim=1)[: TINY.num_items]
        assert changed.nonzero().ravel().tolist() == list(moved)


@pytest.mark.parametrize("name", ["random", "shared_k_means", "sasrec", "sasrec_features"])
def test_new_items_change_nothing_of_the_others(name):
    """A policy of some items, and one of all with its weights: the same states, and the same logits."""
    world, learned_from, test = world_of(TINY, 0)
    policy, _ = untrained(name, seen_by_tokenisers(world, learned_from, 0), TINY.history)
    known, N = np.flatnonzero(~world.cold), TINY.num_items
    part = policy(known)(len(known), torch.Generator().manual_seed(1)).eval()
    whole = policy(np.arange(N))(N, torch.Generator().manual_seed(2))
    whole = with_weights(whole, part, known).eval()
    history = world.of.taken[test, :-1]
    with torch.no_grad():
        of_part = part.past(torch.from_numpy(np.searchsorted(known, history)))
        of_whole = whole.past(torch.from_numpy(history))
        assert torch.equal(of_part.state, of_whole.state)
        nothing = torch.zeros(len(test), 1, 1, 0, dtype=torch.int64)
        logits, more = part.head(of_part, nothing)[0], whole.head(of_whole, nothing)[0]
    if name in SCORERS:
        more = more[..., known]
    torch.testing.assert_close(logits, more)
    assert whole.num_items == N
    with torch.no_grad():  # all items, cold ones too, share one distribution
        every = torch.arange(N).expand(len(test), -1)
        total = whole.log_prob(torch.from_numpy(history), every).exp().sum(dim=1)
    torch.testing.assert_close(total, torch.ones(len(test)))


def test_measures_by_hand():
    world, learned_from, test = world_of(TINY, 0)
    cold, warm = np.flatnonzero(world.cold), np.flatnonzero(~world.cold)
    lists = np.tile(np.r_[cold[:4], warm[:6]], (len(test), 1))
    alone = np.tile(np.r_[cold, np.full(10, -1)][:10], (len(test), 1))
    found = measured(world, test, lists, lists[:, 4:], alone)
    at = [np.flatnonzero(lists[0] == item) for item in world.target[test]]
    gain = [1 / np.log2(place[0] + 2) if len(place) else 0.0 for place in at]
    assert found["cold_hit_rate@10"] == pytest.approx(np.mean([len(place) for place in at]))
    assert found["cold_ndcg@10"] == pytest.approx(np.mean(gain))
    assert found["cold_shown"] == pytest.approx(0.4)
    among = [1 / np.log2(list(cold).index(item) + 2) for item in world.target[test]]
    assert len(cold) == 10
    assert found["cold_alone_ndcg@10"] == pytest.approx(np.mean(among))
    alone = [np.flatnonzero(lists[0, 4:] == item) for item in world.of.taken[test, -1]]
    gain = [1 / np.log2(place[0] + 2) if len(place) else 0.0 for place in alone]
    assert found["warm_alone_ndcg@10"] == pytest.approx(np.mean(gain))
    hits = [item in lists[0] for item in world.of.taken[test, -1]]
    assert found["warm_hit_rate@10"] == pytest.approx(np.mean(hits))
    popular, popular_warm, _ = control_lists("popular", world, learned_from, test)
    assert np.array_equal(popular, popular_warm)
    counts = np.bincount(world.of.taken[learned_from].ravel(), minlength=64)
    assert (np.diff(counts[popular], axis=1) <= 0).all()
    assert counts[popular[0]].min() >= np.sort(counts)[-10]
    every, only_warm, only_cold = control_lists("true_interest", world, learned_from, test)
    assert world.cold[only_cold].all()
    assert not world.cold[only_warm].any()
    liked = world.of.world.interest[test[0]] @ world.of.world.catalogue.features.T
    assert every[0].tolist() == np.argsort(-liked)[:10].tolist()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--tokenisers", "vq"], "there is no tokeniser 'vq'"),
        (["--tokenisers", "vq"], "residual_k_means"),
        (["--tokenisers", "fsq,fsq"], "tokenisers names fsq twice"),
        (["--tokenisers", ""], "tokenisers must name one or more"),
        (["--num-items", 63], "num_items must be from 64 to 1024, got 63"),
        (["--num-items", 1025], "num_items must be from 64 to 1024, got 1025"),
        (["--cold-share", 1], "cold_share must be above 0 and below 1, got 1"),
        (["--slate-size", 11], "slate_size must be from 1 to 10, got 11"),
        (["--replicates", 1], "history and replicates must be 2 or more, got 5 and 1"),
        (["--index", "none"], "there is no index 'none'"),
        (["--epochs", 0], "epochs"),
        (["--seed", -1], "seed must be from 0 to 2^31 less the replicates, got -1"),
    ],
)
def test_bad_settings(tmp_path, capsys, more, message):
    assert run("--out", tmp_path / "r", *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
