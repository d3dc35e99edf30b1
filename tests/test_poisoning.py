"""The experiment `poisoning`: honest users alone are measured, detectors never saw the attack, bad input."""

import numpy as np
import pytest

from recsim_env.evaluation.target_exposure import target_exposure
from recsim_env.experiments import campaign as campaigns
from recsim_env.experiments import poisoning_tables
from recsim_env.experiments.attacks import ATTACKS, LESSONS
from recsim_env.experiments.campaign import Campaign, goal_of, poisoned_log
from recsim_env.experiments.cli import main
from recsim_env.experiments.defended_victims import factorisation, limited
from recsim_env.experiments.poisoned_log import honest_users, unpopular_items
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite import poisoning


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A file of 90 users who take 6 to 9 of 40 items, nobody the same twice."""
    rng = np.random.default_rng(0)
    file = tmp_path_factory.mktemp("shop") / "shop.csv"
    weight = 1.0 / (2 + np.arange(40))
    rows = ["user_id,item_id,timestamp"]
    for user in range(90):
        taken = rng.choice(40, rng.integers(6, 10), replace=False, p=weight / weight.sum())
        rows += [f"{user},{item},{1_600_000_000 + 60 * t + user}" for t, item in enumerate(taken)]
    file.write_text("\n".join(rows) + "\n")
    return file


def run(shop, out, *more):
    options = ["--data", shop, "--k", 5, "--targets", 2, "--shares", "0.05", "--replicates", 2]
    return main(["run", "poisoning", *map(str, options), "--out", str(out), *map(str, more)])


SMALL = ["--victims", "als", "--attacks", "random,bandwagon", "--defences", "none,pca"]


def test_the_command(shop, tmp_path, capsys, elsewhere):
    assert run(shop, tmp_path / "r", *SMALL) == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    rows = [name for name in results.curves if not name.startswith("roc")]
    assert rows == [f"als, {d}, {a}" for a in ("none", "random", "bandwagon") for d in ("none", "pca")]
    for row in rows:
        assert f"\n{row} " in said
        curves = results.curves[row]
        assert curves["fakes"].values.ravel().tolist() == [0 if row.endswith("none") else 4] * 2
        assert (curves["fake_actions"].values > 0).all() == (not row.endswith("none"))
        assert ("auc" in curves) == (", pca, " in row)
    attacked, clean = (
        results.curves[f"als, none, {one}"]["target_hit_rate"].values for one in ("random", "none")
    )
    assert attacked.mean() > clean.mean()
    curve = results.curves["roc: pca, random"]["true_positives"]
    assert (np.diff(curve.values, axis=0) >= 0).all()
    assert (curve.values[-1] == 1.0).all()
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run(shop, tmp_path / "r", *SMALL, "--resume") == 0
    assert capsys.readouterr().out == said
    assert run(shop, tmp_path / "cut", *SMALL, "--workers", 2) == 0

    def kept(path):
        lines = (path / "results.csv").read_text().splitlines()
        return [line for line in lines if ",seconds," not in line]

    assert kept(tmp_path / "cut") == kept(tmp_path / "r")


def test_without_fakes_nothing_changes_and_fakes_are_not_measured(shop):
    honest = honest_users(str(shop), 4000, 3)
    none = Campaign(str(shop), 4000, 3, "none", 0.0, 0, 2, demote=False)
    attacked = Campaign(str(shop), 4000, 3, "bandwagon", 0.1, 0, 2, demote=False)
    assert poisoned_log(none) is honest.train
    log = poisoned_log(attacked)
    fakes = log.user[log.user > honest.train.user[-1]]
    assert len(np.unique(fakes)) == 9
    assert len(fakes) == 9 * honest.profile_length
    assert len(honest.history) == 90
    recommender = factorisation(honest.num_items, 3).fit(log)
    goal = goal_of(attacked)
    found = poisoning.measured(recommender, honest, goal, 5)
    wanted = target_exposure(recommender.scores(honest.history), honest.history, goal.targets, 5).mean()
    assert found["target_hit_rate"] == wanted["hit_rate"]
    popularity = np.bincount(honest.train.slate[:, 0], minlength=honest.num_items)
    assert popularity[goal.targets].max() <= np.median(popularity[popularity > 0])
    assert np.array_equal(unpopular_items(honest, 2, 3), goal.targets)


@pytest.mark.parametrize("attack", ["random", "bandwagon", "mimic", "segment"])
def test_no_detector_is_taught_the_attack_that_it_is_tried_on(shop, tmp_path, monkeypatch, attack):
    taught = []

    def weighed(defence, told, log, num_items, share, seed):
        taught.append((defence, told.lessons))
        return real(defence if defence == "none" else "pca", told, log, num_items, share, seed)

    real = campaigns.weighed
    monkeypatch.setattr(campaigns, "weighed", weighed)
    campaigns.judgement.cache_clear()
    monkeypatch.setattr(poisoning, "check_victims", lambda victims, defences: (["als"], ["none", "filter"]))
    assert run(shop, tmp_path / attack, "--attacks", attack) == 0
    seen = [lessons for defence, lessons in taught if defence == "filter"]
    assert seen
    assert all(attack not in lessons for lessons in seen[1::2])
    assert set(seen[0]) == {"random", "bandwagon"}  # without an attack, all it knows
    campaigns.judgement.cache_clear()


@pytest.mark.extra
def test_detectors_and_networks(shop, tmp_path):
    pytest.importorskip("torch")
    more = ["--victims", "als,sasrec", "--attacks", "segment,deep_poisoning", "--epochs", 1]
    defences = "lorec,lorec_mean,lorec_within,none,filter,graphrfi,adversarial,limit"
    assert run(shop, tmp_path / "r", *more, "--defences", defences) == 0
    results = Results.read(tmp_path / "r" / "results.csv")
    assert "als, adversarial, none" not in results.curves
    assert "als, lorec_within, none" not in results.curves
    assert "sasrec, adversarial, segment" in results.curves
    assert "auc" in results.curves["sasrec, lorec_within, segment"]
    for defence in ("lorec", "lorec_mean", "filter", "graphrfi"):
        auc = results.curves[f"als, {defence}, segment"]["auc"].values
        assert ((auc >= 0) & (auc <= 1)).all()
        assert np.array_equal(auc, results.curves[f"sasrec, {defence}, segment"]["auc"].values)


def test_honest_users_are_drawn_against_the_share_of_fakes(shop, tmp_path):
    from matplotlib.figure import Figure

    assert run(shop, tmp_path / "r", *SMALL, "--shares", "0.05,0.2") == 0
    results = Results.read(tmp_path / "r" / "results.csv")
    axes = Figure().subplots()
    poisoning_tables.draw_honest(axes, results)
    lines = {one.get_label(): one.lines[0].get_xydata() for one in axes.containers}
    assert list(lines) == ["none, als", "pca, als"]
    (x, y), (_, cost) = lines["none, als"].T, lines["pca, als"].T
    np.testing.assert_allclose(x, [0, 5, 20])
    ndcg = {
        row: curves["ndcg@10"].values.mean(axis=1)
        for row, curves in results.curves.items()
        if "ndcg@10" in curves
    }
    base = ndcg["als, none, none"][0]
    attacked = (ndcg["als, none, random"] + ndcg["als, none, bandwagon"]) / 2
    np.testing.assert_allclose(y, [0.0, *(base - attacked)], atol=1e-12)
    assert cost[0] == pytest.approx(base - ndcg["als, pca, none"][0])


def test_fakes_who_demote_leave_targets_out(shop):
    down = Campaign(str(shop), 4000, 3, "mimic", 0.1, 0, 2, demote=True)
    log, honest = poisoned_log(down), honest_users(str(shop), 4000, 3)
    assert not np.isin(log.slate[len(honest.train) :, 0], goal_of(down).targets).any()


def test_a_world_knows_what_honest_users_lose(tmp_path, monkeypatch):
    from recsim_env.experiments import poisoned_log as module

    monkeypatch.setattr(module, "USERS", 60)
    monkeypatch.setattr(module, "ITEMS", 48)
    honest_users.cache_clear()
    options = ["--attacks", "random", "--victims", "als", "--defences", "none", "--replicates", 2]
    assert main(["run", "poisoning", *map(str, options), "--out", str(tmp_path / "r")]) == 0
    results = Results.read(tmp_path / "r" / "results.csv")
    for curves in results.curves.values():
        assert (curves["regret"].values > 0).all()
        assert (curves["reward"].values > 0).all()
    honest_users.cache_clear()


def test_a_limit_takes_its_rates_from_the_log_with_fakes_and_a_wide_one_changes_nothing(shop, tmp_path):
    options = ["--victims", "als", "--attacks", "random", "--shares", "0.2", "--defences", "none,limit"]
    rows = {}
    for limit in ("1.5", "1e9"):
        assert run(shop, tmp_path / limit, *options, "--limit", limit) == 0
        rows[limit] = Results.read(tmp_path / limit / "results.csv").curves
        assert "auc" not in rows[limit]["als, limit, random"]
    for attack in ("none", "random"):
        for metric in ("target_hit_rate", "target_rank", "ndcg@10"):
            bare, narrow, wide = (
                rows[limit][f"als, {defence}, {attack}"][metric].values
                for limit, defence in (("1e9", "none"), ("1.5", "limit"), ("1e9", "limit"))
            )
            np.testing.assert_array_equal(bare, wide)
            assert (bare != narrow).any()
    campaign = Campaign(str(shop), 4000, 0, "random", 0.2, 0, 2, demote=False)
    log, honest = poisoned_log(campaign), honest_users(str(shop), 4000, 0)
    shown = limited(factorisation(honest.num_items, 0).fit(log), log, 1.5, 5)
    rates = 1.5 * 5 * np.bincount(log.slate[:, 0], minlength=honest.num_items) / len(log)
    np.testing.assert_allclose(shown.rates, rates)


def test_lessons_need_no_knowledge_of_the_log():
    assert set(LESSONS) == {"random", "bandwagon", "mimic", "paired_mimic"}
    assert all(ATTACKS[name].level == "black" for name in LESSONS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--attacks", "shout"], "no attack 'shout'"),
        (["--attacks", "random,random"], "attacks names random twice"),
        (["--victims", "oracle"], "no victim 'oracle'"),
        (["--defences", "pca"], "defences must hold none"),
        (["--known", "segment"], "no attack that a detector can make itself 'segment'"),
        (["--known", "random", "--attacks", "random", "--defences", "none,pca"], "known must name an attack"),
        (["--goal", "both"], "no goal 'both'"),
        (["--goal", "demote", "--attacks", "deep_poisoning"], "promotes only"),
        (["--limit", "0"], "limit must be above 0 and finite, got 0"),
        (["--shares", "0"], "shares must be above 0"),
        (["--shares", "many"], "shares must be numbers"),
        (["--targets", "30"], "targets must be at most"),
        (["--cut", "2"], "cut must be from 0 to 1, got 2.0"),
        (["--actions", "1"], "actions must be 0 or at least the 2 targets"),
        (["--replicates", "1"], "replicates must be 2 or more"),
        (["--attacks", "average"], "AverageAttacker needs ratings"),
        (["--victims", "als", "--defences", "none,adversarial"], "a defence of networks"),
    ],
)
def test_bad_settings(shop, tmp_path, capsys, options, message):
    assert run(shop, tmp_path / "r", *SMALL, *options) == 2
    assert message in capsys.readouterr().err
