"""The experiment that changes a part of a recipe at a time: arms, losses, recall, files, workers, errors."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.generative_recommender import GenerativeRecommender
from recsim_env.agents.generative.heads.decoder import DecoderHead
from recsim_env.agents.generative.item_encoders.code_vectors import CodeVectors
from recsim_env.agents.generative.policy import GenerativePolicy
from recsim_env.agents.generative.recipes.making import check_recipe
from recsim_env.agents.sequential.neural.encoders.sasrec import SASRec
from recsim_env.errors import InputError
from recsim_env.experiments.all_codes import AllCodes, over_all_codes
from recsim_env.experiments.cli import main
from recsim_env.experiments.organic_users import organic_users
from recsim_env.experiments.prefix_recall import prefix_recall
from recsim_env.experiments.recipe_arms import ARMS, OF_BEAMS, OVER_ALL, QUESTIONS, questions_of
from recsim_env.experiments.recipe_tables import RECALLS
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite.recipe_ablation import Settings, control_lists, measured, world_of

pytestmark = pytest.mark.extra

NAMES = ["written", OVER_ALL, "pointwise", "scored", "ids", "set_scored", "set_queries"]
SMALL = ["--num-items", "64", "--num-users", "40", "--test-users", "20", "--history", "5", "--epochs", "1"]
SMALL += ["--replicates", "2", "--arms", ",".join(NAMES)]
TIMES = ("ms_a_user", "training_seconds")
N = 20


def run(*more):
    return main(["run", "recipe_ablation", *SMALL, *map(str, more)])


def rows(directory):
    """Of results.csv, but for times."""
    lines = (directory / "results.csv").read_text().splitlines()
    return [line for line in lines if not any(time in line for time in TIMES)]


def policy_of(codes, sizes, seed=0):
    """A decoder whose weights are large enough to prefer something."""
    generator = torch.Generator().manual_seed(seed)
    items = CodeVectors(codes, sizes, 16)
    encoder = SASRec(items, max_length=6, generator=generator)
    head = DecoderHead(sizes, 16, blocks=1, generator=generator)
    with torch.no_grad():
        for table in head.vectors:
            table.weight.normal_(0.0, 1.0, generator=generator)
    return GenerativePolicy(encoder, head, CatalogueTrie(codes, sizes)).eval()


@pytest.fixture
def sparse():
    """20 of 5 x 4 x 3 identifiers, and histories and next items of 30 users."""
    every = np.stack(np.meshgrid(*map(np.arange, (5, 4, 3)), indexing="ij"), axis=-1).reshape(-1, 3)
    rng = np.random.default_rng(0)
    codes = every[rng.permutation(len(every))[:N]]
    history, target = rng.integers(N, size=(30, 6)), rng.integers(N, size=30)
    return policy_of(codes, (5, 4, 3)), torch.from_numpy(history), torch.from_numpy(target)


def test_the_command(tmp_path, capsys, elsewhere):
    assert run("--out", tmp_path / "r") == 0
    said = capsys.readouterr().out
    results = Results.read(tmp_path / "r" / "results.csv")
    assert list(results.curves) == [*NAMES, "popular", "true_interest"]
    for name, curves in results.curves.items():
        assert f"\n{name} " in said
        assert (curves["hit_rate@10"].values >= curves["ndcg@10"].values).all()
        assert ("parameters" in curves) == (name in NAMES)
        assert all((metric in curves) == (name in NAMES[:3]) for metric in RECALLS)
    best = results.curves["true_interest"]["slate_reward"].values
    assert (best > results.curves["popular"]["slate_reward"].values).all()
    asked = questions_of(NAMES)
    assert len(asked) == 6
    for one in asked:
        assert f"\n{one.paper}: {one.arm} less {one.against}" in said
    less = [results.curves[name]["ndcg@10"].values[-1] for name in ("scored", "written")]
    assert f"{(less[0] - less[1]).mean():+.4f}" in said
    assert (tmp_path / "r" / "figure.png").stat().st_size > 10_000
    assert run("--out", tmp_path / "r", "--resume") == 0
    assert capsys.readouterr().out == said

    assert run("--out", tmp_path / "cut", "--workers", 2) == 0
    assert rows(tmp_path / "cut") == rows(tmp_path / "r")
    made = ["compare", str(tmp_path / "r"), str(tmp_path / "cut"), "--out", str(tmp_path / "c.png")]
    assert main(made) == 0


def test_a_run_without_questions_of_beams_or_time_has_a_picture(tmp_path):
    assert run("--arms", "gated,gated_aligned", "--out", tmp_path / "r") == 0
    assert (tmp_path / "r" / "figure.png").exists()


@pytest.mark.parametrize("name", list(ARMS))
def test_every_arm_is_a_recipe(name):
    check_recipe(ARMS[name])


def parts(recipe):
    """What an arm is made of: the codes that are read, if any, and those that are written apart."""
    read = recipe.history or recipe.tokeniser
    codes = read if recipe.items["name"] in ("codes", "gated") else None
    return {"codes": codes, "items": recipe.items, "head": recipe.head, "losses": recipe.losses}


def test_arms_of_a_question_differ_in_one_part():
    assert {part for question in QUESTIONS for part in (question.arm, question.against)} == set(ARMS)
    assert set(OF_BEAMS) < {question.paper for question in QUESTIONS}
    for recipe in ARMS.values():
        assert recipe.encoder == ARMS["written"].encoder
        assert recipe.training == recipe.policy == recipe.preferences == recipe.tuning == {}
    for question in QUESTIONS:
        one, other = parts(ARMS[question.arm]), parts(ARMS[question.against])
        differ = {part for part in one if one[part] != other[part]} - {"codes"}
        if one["items"] == other["items"]:  # other codes of the same vectors are a difference, too
            differ |= {"codes"} if one["codes"] != other["codes"] else set()
        if (question.arm, question.against) == ("written", "ids"):
            assert differ == {"items", "head"}
        elif OVER_ALL in (question.arm, question.against):
            assert not differ  # but for how it is trained
        else:
            assert len(differ) == 1


def test_the_loss_over_all_codes_by_hand(sparse):
    policy, history, target = sparse
    past = policy.past(history)
    found = over_all_codes(policy, past, target[:, None])[:, 0].detach()
    codes = policy.trie.codes[target]
    for user in range(3):
        total = 0.0
        for level in range(3):
            prefix = codes[user, None, None, None, :level]
            logits = policy.head(policy.past(history[user : user + 1]), prefix)[-1].detach().numpy().ravel()
            total -= logits[codes[user, level]] - np.log(np.exp(logits).sum())
        assert found[user].item() == pytest.approx(total, rel=1e-5)
    follows = -policy.log_prob(history, target[:, None])[:, 0].detach()
    assert (found > follows + 1e-3).all()  # some of its probability is on codes that no item has


def test_where_all_codes_may_follow_both_losses_are_one():
    every = np.stack(np.meshgrid(np.arange(4), np.arange(3), indexing="ij"), axis=-1).reshape(-1, 2)
    policy = policy_of(every, (4, 3))
    history = torch.arange(12).view(4, 3)
    past, items = policy.past(history), torch.arange(4)[:, None]
    found = over_all_codes(policy, past, items)[:, 0]
    torch.testing.assert_close(found, -policy.log_prob(history, items)[:, 0])


def test_training_over_all_codes_is_the_mean_of_that_loss_and_moves_what_cannot_follow():
    """All items begin with code 0, so constrained training learns nothing of first codes, and this does."""
    codes = np.stack([np.zeros(N, np.int64), np.arange(N) % 5, np.arange(N) // 5], axis=1)
    of = organic_users(N + 4, 30, 7, 1, 1, 0)
    log = replace(of.log(np.arange(30)), slate=of.log(np.arange(30)).slate % N)
    given = {"epochs": 1, "batch_size": 30, "mask_history": False, "num_items": N, "device": "cpu", "seed": 0}

    def untrained():
        return GenerativeRecommender(lambda _, generator: policy_of(codes, (3, 5, 4)), **given)

    before = policy_of(codes, (3, 5, 4)).head.vectors[0].weight
    plain, over_all = untrained().fit(log), AllCodes(untrained()).fit(log)
    assert torch.equal(plain.policy_.head.vectors[0].weight[1:], before[1:])
    assert (over_all.policy_.head.vectors[0].weight != before).any(dim=1).all()
    rows = over_all._rows(np.arange(30), np.random.default_rng(0))
    network = over_all.best_.eval()
    states = network(torch.from_numpy(rows.items))
    found = over_all._mean_loss(network, states, rows)
    past = network.policy.steps(states, torch.from_numpy(rows.items))
    each = over_all_codes(network.policy, past, torch.from_numpy(rows.targets).clamp(min=0))
    torch.testing.assert_close(found, each[torch.from_numpy(rows.targets >= 0)].mean())


@pytest.mark.parametrize("width", [1, 2, 4])
def test_prefix_recall_against_a_search_by_hand(sparse, width):
    policy, history, target = sparse
    every = torch.arange(N).expand(len(history), -1)
    with torch.no_grad():
        each = policy.log_probs_of(policy.past(history), every[:, None])[:, 0].numpy()
    codes, kept = policy.trie.codes.numpy(), np.zeros((len(history), 3), np.bool_)
    for user, right in enumerate(target.numpy()):
        beams = {()}
        for level in range(3):
            worth = {
                tuple(codes[item, : level + 1]): each[user, item, : level + 1].sum()
                for item in range(N)
                if tuple(codes[item, :level]) in beams
            }
            beams = set(sorted(worth, key=worth.get)[-width:])
            kept[user, level] = tuple(codes[right, : level + 1]) in beams
    found = prefix_recall(policy, history, target, width)
    assert found.tolist() == kept.mean(axis=0).tolist()
    assert 0 < kept[:, 2].sum() < kept[:, 0].sum()
    lists, _ = policy.generate(history, width, width=width)
    assert found[-1].item() == (lists == target[:, None]).any(dim=1).double().mean().item()


def test_a_beam_of_all_items_loses_nothing(sparse):
    policy, history, target = sparse
    assert prefix_recall(policy, history, target, N).tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(InputError, match="width"):
        prefix_recall(policy, history, target, 0)


def test_measures_by_hand():
    of, learned_from, test = world_of(Settings(num_items=64, num_users=40, test_users=20, history=5), 0)
    assert len(set(learned_from) & set(test)) == 0
    lists = np.argsort(np.random.default_rng(0).random((20, 64)), axis=1)[:, :10]
    found = measured(of, test, lists)
    at = [np.flatnonzero(row == item) for row, item in zip(lists, of.taken[test, -1], strict=True)]
    gain = [1 / np.log2(place[0] + 2) if len(place) else 0.0 for place in at]
    assert found["ndcg@10"] == pytest.approx(np.mean(gain))
    assert found["hit_rate@10"] == pytest.approx(np.mean([len(place) > 0 for place in at]))
    popular = control_lists("popular", of, learned_from, test)
    counts = np.bincount(of.taken[learned_from].ravel(), minlength=64)
    assert counts[popular[0]].tolist() == sorted(counts, reverse=True)[:10]
    liked = of.world.interest[test[0]] @ of.world.catalogue.features.T
    assert (
        control_lists("true_interest", of, learned_from, test)[0].tolist() == np.argsort(-liked)[:10].tolist()
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--arms", "written,vq"], "there is no arm 'vq'"),
        (["--arms", "written,vq"], "pointwise"),
        (["--arms", "written"], "arms must name both of a question, got 'written'"),
        (["--arms", "written,scored,scored"], "arms names scored twice"),
        (["--arms", ""], "arms must name one or more"),
        (["--num-items", 63], "num_items must be from 64 to 1024, got 63"),
        (["--num-items", 1025], "num_items must be from 64 to 1024, got 1025"),
        (["--slate-size", 11], "slate_size must be from 1 to 10, got 11"),
        (["--replicates", 1], "history and replicates must be 2 or more, got 5 and 1"),
        (["--epochs", 0], "epochs"),
        (["--seed", -1], "seed must be from 0 to 2^31 less the replicates, got -1"),
    ],
)
def test_bad_settings(tmp_path, capsys, more, message):
    assert run("--out", tmp_path / "r", *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
