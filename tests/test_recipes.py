"""Every recipe learns, finds items of the catalogue alone, says how likely they are; others are refused."""

import numpy as np
import pytest
from scipy.stats import chisquare

pytest.importorskip("torch")
import torch

from recsim_env.agents.generative.recipes import parts
from recsim_env.agents.generative.recipes.making import check_recipe
from recsim_env.agents.generative.recipes.recipe import (
    Known,
    changed,
    names,
    read_recipe,
    recommender_of,
    tuning_of,
)
from recsim_env.agents.recommender import clicked_items
from recsim_env.agents.sequential.cooccurrence import cooccurrence_features
from recsim_env.errors import InputError
from recsim_env.experiments import checkpoint, cli
from recsim_env.experiments.organic_users import organic_users
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite import generative
from recsim_env.simulators.luck import Luck

pytestmark = pytest.mark.extra

N = 200
QUICK = {  # enough to see that a recipe learns
    "rq_vae": {"tokeniser.epochs": "5"},
    "experts": {"tokeniser.epochs": "5"},
    "fsq": {"tokeniser.epochs": "5"},
}


@pytest.fixture(scope="module")
def world():
    of = organic_users(N, 256, 11, 5, 8, seed=0)
    log = of.log(np.arange(256))
    user, item, _ = clicked_items(log, N)
    vectors = cooccurrence_features(user, item, N).astype(float)
    return of, log, Known(log, N, of.world.catalogue.features.astype(float), vectors, seed=0)


def quick(name):
    recipe = read_recipe(name)
    changes = dict(QUICK.get(recipe.tokeniser["name"], {}))
    if "dimension" in recipe.items:
        changes["items.dimension"] = "32"
    if "prefix_aware" in recipe.losses:
        changes["losses.prefix_aware.negatives"] = "5"
    return changed(recipe, changes)


@pytest.mark.parametrize("name", names())
def test_a_recipe_learns_and_is_a_distribution_over_the_catalogue(name, world):
    of, log, known = world
    recommender = recommender_of(
        quick(name), known, learning_rate=3e-3, batch_size=64, mask_history=False, device="cpu"
    )
    losses, learn = [], recommender.learn
    recommender.learn = lambda value, step: (losses.append(float(value.detach())), learn(value, step))
    recommender.begin(log)
    while len(losses) < 20:
        recommender.train_epoch()
    assert np.mean(losses[-4:]) < 0.95 * np.mean(losses[:4])

    policy = recommender.network_.policy.eval()
    history = torch.from_numpy(of.taken[:3, -8:])
    with torch.no_grad():
        log_pi = policy.log_prob(history, torch.arange(N).expand(3, N))
    np.testing.assert_allclose(log_pi.exp().sum(dim=1), 1.0, atol=1e-5)
    items, found = policy.generate(history, 10, width=N)
    torch.testing.assert_close(found, log_pi.topk(10, dim=1).values, atol=1e-4, rtol=1e-4)
    assert ((items >= 0) & (items < N)).all()
    assert all(len(set(row)) == 10 for row in items.tolist())
    drawn, _ = policy.generate(history[:1].expand(100, -1), 20, "sample", luck=Luck.from_seeds(range(100)))
    pi, seen = log_pi[0].exp().double().numpy(), np.bincount(drawn.flatten().numpy(), minlength=N)
    often = pi > 0.005
    expected = np.append(pi[often], pi[~often].sum()) * seen.sum()
    observed = np.append(seen[often], seen[~often].sum())
    kept = expected > 0
    observed, expected = observed[kept], expected[kept]
    assert chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-4
    if quick(name).tuning:
        tuning_of(quick(name))


def test_sizes_of_codebooks_are_cut_to_the_catalogue(world):
    _, _, known = world
    assert parts.tokeniser({"name": "residual_k_means"}, known).level_sizes[:3] == (25, 25, 25)
    assert parts.tokeniser({"name": "random", "levels": 3, "size": 9}, known).level_sizes == (9, 9, 9)
    few = Known(known.log, 30, known.features[:30], known.vectors[:30], 0)  # an eighth of which is too few
    assert parts.tokeniser({"name": "random", "levels": 3, "size": 9}, few).level_sizes == (4, 4, 4)


def test_numbers_of_items_by_name(world):
    _, _, known = world
    told = parts.tokeniser({"name": "hierarchical", "levels": 3, "size": 8}, known)
    taken = parts.tokeniser({"name": "hierarchical", "levels": 3, "size": 8, "of": "vectors"}, known)
    both = parts.tokeniser({"name": "hierarchical", "levels": 3, "size": 8, "of": "both"}, known)
    assert (told.codes != taken.codes).any()
    assert (told.codes != both.codes).any()


def test_options_set_anew():
    recipe = changed(
        read_recipe("apao"),
        {"encoder.blocks": "3", "losses.prefix_aware.form": "pointwise", "training.epochs": "7"},
    )
    assert recipe.encoder["blocks"] == 3
    assert recipe.losses["prefix_aware"] == {"form": "pointwise", "weight": 0.1}
    assert recipe.training == {"epochs": 7}
    assert "blocks" not in read_recipe("apao").encoder


WHOLE = """
[tokeniser]
name = "atomic"
[items]
name = "ids"
[encoder]
name = "sasrec"
[head]
name = "projection"
"""


def test_a_recipe_of_ones_own(tmp_path, world):
    _, log, known = world
    file = tmp_path / "mine.toml"
    file.write_text(WHOLE + "[training]\nlearning_rate = 0.01\n[policy]\ntemperature = 0.5\n")
    recommender = recommender_of(read_recipe(file), known, epochs=1, device="cpu").fit(log)
    assert recommender.learning_rate == 0.01
    assert recommender.policy_.temperature == 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WHOLE.replace("[head]", "[heads]"), "there is no part of a recipe 'heads': did you mean head"),
        (WHOLE.replace('[head]\nname = "projection"\n', ""), r"a recipe needs \[head\]"),
        (WHOLE.replace('name = "sasrec"', "blocks = 2"), r"\[encoder\] of a recipe needs a name"),
        (WHOLE.replace("[head]\n", "head = 3\n[more]\n"), "no part of a recipe 'more'"),
        (WHOLE + '[tuning]\nreward = "money"\n', "no reward of a tuning 'money'"),
        (WHOLE + "[", "is not TOML"),
    ],
)
def test_broken_files(tmp_path, text, message):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        read_recipe(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder.block": "3"}, r"no option of \[encoder: sasrec\] 'block': did you mean blocks"),
        ({"encoder.blocks": "three"}, "blocks of .* must be like 2, got 'three'"),
        ({"encoder.blocks": "true"}, "blocks of .* must be like 2, got True"),
        ({"encoder.blocks": "0"}, "blocks must be at least 1"),
        ({"encoder.heads": "3"}, "dimension must be a multiple of heads"),
        ({"encoder.name": "sasrek"}, r"no name of \[encoder\] 'sasrek': did you mean sasrec"),
        ({"encoder.name": "code_sequence"}, "CodeSequence reads CodeVectors, got ItemVectors"),
        ({"encoder.intents.intent": "3"}, r"no option of \[encoder: intents\] 'intent'"),
        ({"head.name": "set_query"}, "SetQueryHead needs items of SetTokens, got ItemVectors"),
        ({"items.name": "gated"}, r"\[items: gated\] needs first"),
        ({"items.hidden": "5"}, r"no option of \[items: ids\] 'hidden'"),
        ({"tokeniser.name": "words"}, r"no name of \[tokeniser\] 'words'"),
        ({"tokeniser.name": "random"}, r"\[tokeniser: random\] needs levels"),
        ({"tokeniser.name": "joined"}, r"\[tokeniser: joined\] needs parts"),
        ({"tokeniser.name": "rq_vae", "tokeniser.level_sizes": "16"}, "level_sizes of .* must be like"),
        ({"tokeniser.seed": "3"}, r"no option of \[tokeniser: atomic\] 'seed'"),
        ({"losses.apao.weight": "3"}, r"no name of \[losses\] 'apao'"),
        ({"losses.prefix_aware": "3"}, r"\[losses.prefix_aware\] of a recipe must be a table, got 3"),
        ({"losses.prefix_aware.weight": "-1"}, "weight must be above 0"),
        ({"losses.prefix_aware.weight": "0.1"}, "whose items have two codes or more"),
        ({"preferences.groups": "3"}, "ProjectionHead looks at no preferences"),
        (
            {"training.learning_rte": "3"},
            r"no option of \[training\] 'learning_rte': did you mean learning_rate",
        ),
        ({"training.epochs": "many"}, "epochs of .* must be like 200, got 'many'"),
        ({"training.seed": "7"}, r"no option of \[training\] 'seed'"),
        ({"training.mask_history": "true"}, r"no option of \[training\] 'mask_history'"),
        ({"training.objective": "bce"}, r"no option of \[training\] 'objective'"),
        ({"training.batch_size": "0"}, "batch_size must be at least 1"),
        ({"policy.temperature": "hot"}, "temperature of .* must be like 1.0, got 'hot'"),
        ({"policy.temperature": "0"}, "temperature must be above 0"),
        ({"policy.head": "3"}, r"no option of \[policy\] 'head'"),
    ],
)
def test_what_cannot_be_is_refused_before_hours_of_others(changes, message):
    with pytest.raises(InputError, match=message):
        check_recipe(changed(read_recipe("sasrec"), changes))


@pytest.mark.parametrize("name", names())
def test_recipes_that_ship_pass_the_check(name):
    check_recipe(quick(name))


def test_settings_that_are_none(world):
    _, _, known = world
    with pytest.raises(InputError, match=r"no option of \[tuning\] 'betta': did you mean beta"):
        tuning_of(changed(read_recipe("sasrec"), {"tuning.betta": "3"}))
    with pytest.raises(InputError, match="a change must be PART"):
        changed(read_recipe("sasrec"), {"depth": "3"})
    with pytest.raises(InputError, match="there is no recipe 'tigre': did you mean tiger"):
        read_recipe("tigre")
    with pytest.raises(InputError, match="cannot read the recipe"):
        read_recipe("nowhere.toml")
    with pytest.raises(InputError, match="vectors must have 200 rows"):
        Known(known.log, N, known.features, known.vectors[:5], 0)


@pytest.mark.parametrize("name", ["onerec", "lc_rec", "setrec", "h2rec", "igr_sr", "mender"])
def test_a_training_goes_on_where_it_was_stopped(name, world, tmp_path):
    """Experts, matrices and queries of further losses, averages and preferences: all of it, to the bit."""
    _, log, known = world

    def begun():
        recommender = recommender_of(
            quick(name), known, averaging=0.9, epochs=3, batch_size=64, mask_history=False, device="cpu"
        )
        recommender.begin(log)
        return recommender

    unbroken = begun()
    unbroken.train_epoch()
    checkpoint.save(tmp_path / "kept.npz", unbroken, {})
    unbroken.train_epoch()
    torch.manual_seed(99)  # whatever else was drawn before
    resumed = begun()
    checkpoint.load(tmp_path / "kept.npz", resumed)
    resumed.train_epoch()
    for part in ("network_", "averaged_", "best_", "auxiliaries_"):
        ours, theirs = getattr(unbroken, part).state_dict(), getattr(resumed, part).state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours), part
    assert unbroken.validation_.tolist() == resumed.validation_.tolist()


TINY = ["--num-items", "48", "--num-users", "60", "--test-users", "20", "--epochs", "2", "--steps", "2"]


def run(*more):
    return cli.main(["run", "generative", *map(str, more)])


def test_the_command_goes_on_after_a_kill(tmp_path, capsys, monkeypatch):
    asked = ["--recipe", "sasrec,p5_random", *TINY]
    assert run(*asked, "--out", tmp_path / "one") == 0
    shown = capsys.readouterr().out
    assert "\nsasrec, tuned" in shown
    assert "\np5_random " in shown
    assert "p5_random, tuned" not in shown
    assert (tmp_path / "one" / "figure.png").stat().st_size > 5000
    found = Results.read(tmp_path / "one" / "results.csv").curves
    assert found["sasrec, tuned"]["queries"].values.tolist() == [[2 * 64 * 16] * 2]
    assert (
        found["sasrec"]["parameters"].values[0, 0] == 48 * 64 + 64 + 50 * 64 + 2 * (6 * 64**2 + 10 * 64) + 128
    )
    assert found["p5_random"]["level_0"].values.tolist() == [[6.0, 6.0]]

    work, played = generative._in_the_world, []

    def watched(settings, recipe, *more):
        played.append(recipe.tokeniser["name"])
        if len(played) == 3:
            raise KeyboardInterrupt
        return work(settings, recipe, *more)

    monkeypatch.setattr(generative, "_in_the_world", watched)
    with pytest.raises(KeyboardInterrupt):
        generative.run(
            generative.Settings(
                recipe="sasrec,p5_random", num_items=48, num_users=60, test_users=20, epochs=2, steps=2
            ),
            tmp_path / "two",
            resume=False,
        )
    assert run(*asked, "--out", tmp_path / "two", "--resume") == 0
    assert played == ["atomic", "atomic", "random", "random", "random"]
    measured = [
        {name: {m: c for m, c in curves.items() if "seconds" not in m} for name, curves in one.items()}
        for one in (found, Results.read(tmp_path / "two" / "results.csv").curves)
    ]
    for name, curves in measured[0].items():
        for metric, curve in curves.items():
            np.testing.assert_array_equal(curve.values, measured[1][name][metric].values)


def test_a_log_that_tells_nothing_of_its_items(tmp_path, capsys):
    of = organic_users(48, 60, 9, 5, 8, seed=0)
    rows = [f"{u},{of.taken[u, t]},{t}" for u in range(60) for t in range(9)]
    path = tmp_path / "taken.csv"
    path.write_text("user_id,item_id,timestamp\n" + "\n".join(rows) + "\n", encoding="utf-8")
    asked = ["--recipe", "colarec", "--data", path, "--epochs", 2, "--replicates", 1, "--beside", "markov1"]
    assert run(*asked, "--out", tmp_path / "run") == 0
    shown = capsys.readouterr().out
    assert "\nmarkov1 " in shown
    assert "\ncolarec " in shown
    found = Results.read(tmp_path / "run" / "results.csv").curves
    assert 0.0 < found["markov1"]["ndcg@10"].values[0, 0] < found["markov1"]["hit_rate@10"].values[0, 0] < 1.0
    assert found["colarec"]["ms_a_user"].values[0, 0] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recipe", "tigre"], "there is no recipe 'tigre': did you mean tiger"),
        (["--recipe", "tiger,tiger"], "recipe must name one or more, each once"),
        (["--set", "encoder.depth=3"], "no option of [encoder: sasrec] 'depth'"),
        (["--set", "encoder.blocks"], "--set takes PART.OPTION=VALUE, got 'encoder.blocks'"),
        (["--steps", "-1"], "steps must be 0 or more, got -1"),
        (["--width", "5"], "width 10 or more, got 2, 128 and 5"),
        (["--num-items", "5"], "num_items must be at least 24, got 5"),
        (["--data", "complete-journey", "--beside", "markov9"], "no recommender 'markov9'"),
    ],
)
def test_wrong_flags_are_one_line_and_leave_nothing(tmp_path, capsys, options, message):
    assert run(*options, "--out", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()
