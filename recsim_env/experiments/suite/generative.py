"""Generative recommenders by recipe: each a short file that names its parts, trained and judged in one way.

On `data = organic`, users of a world took what is near to their interest (`organic_users.py`), and lists are
judged by the item that each took next and by exact expected clicks. A recipe with a tuning is tuned then to
the rewards that it names, and judged again. Elsewhere `data` is a log: as in `sequential_benchmark`, every
recommender learns from all but the last two events of every user, the second-last is for validation, and the
last is looked for in the full catalogue; recommenders without a network stand beside it (`--beside`).

    HR@10, NDCG@10   of the lists that a beam search finds; a target that is not on a list is a miss
    slate reward     exact expected clicks on the K likeliest items, of users that nobody learned from
    of the oracle    the same, over that of the best slates
    identifiers      codes of each level; a last level that is small tells apart who shares the others

What items are (features) comes from the data; where a log tells nothing, it is what is taken beside what.
`recsim_env/agents/generative/recipes/` holds the recipes, and says how to write one.
"""

import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recsim_env.agents.generative.recipes.recipe import (
    Known,
    Recipe,
    changed,
    names,
    read_recipe,
    recommender_of,
    tuning_of,
)
from recsim_env.agents.recommender import clicked_items, recommend
from recsim_env.agents.sequential.cooccurrence import cooccurrence_features
from recsim_env.arrays import Array, Ints
from recsim_env.errors import InputError, require, unknown_name
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.evaluation.ranking import ndcg
from recsim_env.experiments import figure
from recsim_env.experiments.cell_run import run_to_the_end
from recsim_env.experiments.cells import Cell, save_arrays
from recsim_env.experiments.organic_users import OrganicUsers
from recsim_env.experiments.policy_measures import LISTED, lists_of, measure
from recsim_env.experiments.policy_training import (
    PolicySettings,
    check_policy_settings,
    learned_reward,
    users_of,
)
from recsim_env.experiments.recommenders import RECOMMENDERS
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run_directory import RunDirectory
from recsim_env.experiments.sequential_models import told_features
from recsim_env.experiments.sequential_training import asked, train_to_the_end
from recsim_env.experiments.settings import option, parts
from recsim_env.experiments.simulated_rewards import SessionReward, SimulatedReward
from recsim_env.experiments.training import one_thread
from recsim_env.experiments.workers import Workers
from recsim_env.simulators.log import Log
from recsim_env.simulators.splits import leave_one_out
from recsim_env.simulators.worlds.world import take_rows

if TYPE_CHECKING:
    from recsim_env.agents.generative.generative_recommender import GenerativeRecommender
    from recsim_env.agents.generative.policy import GenerativePolicy
    from recsim_env.agents.generative.preference.tuning import RewardFunction

NAME = "generative"
BARS = True  # so that `compare` gives every run a panel
ORGANIC = "organic"
TUNED = ", tuned"
EPOCHS = 6  # on organic, where a log is small
FEEDBACKS = 20_000  # that a reward model learns from
TIMED_USERS = 1000  # whose lists are timed
COLUMNS = ("hit_rate@10", "ndcg@10", "slate_reward", "of_oracle")
COSTS = {"training_seconds": 0, "ms_a_user": 2, "parameters": 0}  # digits


@dataclass(frozen=True)
class Settings:
    """Options of the command line."""

    recipe: str = option("tiger", f"with commas, of {', '.join(names())}, or files NAME.toml")
    data: str = option(ORGANIC, "organic, a world; or a log: complete-journey, a directory or file")
    beside: str = option("popularity,markov1", f"on a log, of {', '.join(RECOMMENDERS)}; '' = none")
    replicates: int = option(2, "trainings of every recipe, on organic each in a world of its own")
    epochs: int = option(0, f"of a training at most; 0 = what the recipe says, and {EPOCHS} on organic")
    features: int = option(128, "numbers an item that the attributes and titles of a log are cut to")
    width: int = option(20, "beams of a search on a log, 10 or more")
    num_items: int = option(1000, "on organic: N, items in the catalogue, 24 or more")
    num_users: int = option(2000, "on organic: users whose log is learned from")
    test_users: int = option(500, "on organic: others, on whom everything is measured")
    steps: int = option(200, "on organic: gradients of a recipe's tuning; 0 = none")
    seed: int = option(0, "of replicate 0; replicate i has seed + i")
    changes: str = option("", "an option of all recipes, such as encoder.blocks=3", each="set")


def run(settings: Settings, out: Path, resume: bool, workers: Workers | None = None) -> Results:
    """Run the experiment, or what is left of it, in the directory `out`; trainings go on between epochs."""
    recipes, beside = check(settings)
    trainings = [
        (name, i)
        for name in (*beside, *recipes)
        for i in range(settings.replicates if name in recipes else 1)
    ]

    def cells(directory: RunDirectory) -> list[Cell]:
        return [
            Cell.of(
                directory,
                _file(name, recipes.get(name), i),
                size=1 + (_epochs(recipes[name], settings) if name in recipes else 0),
                label=f"{name}, replicate {i}",
                work=partial(_work, settings, name, recipes.get(name), settings.seed + i),
            )
            for name, i in trainings
        ]

    def collect(found: list[dict[str, Array]]) -> Results:
        results = Results()
        for name in (*beside, *recipes):
            mine = [one for (of, _), one in zip(trainings, found, strict=True) if of == name]
            results.curves |= _curves(name, mine)
        return results

    return run_to_the_end(
        NAME,
        settings,
        out,
        resume,
        workers,
        cells=cells,
        unit="epoch",
        collect=collect,
        picture=lambda results: figure.panel(lambda axes: draw(axes, results, settings)),
        show=print_table,
    )


def check(settings: Settings) -> tuple[dict[str, Recipe], list[str]]:
    """Refuse settings that cannot be; returns the recipes by name, and what stands beside them.

    Raises:
        InputError: the first of them.
    """
    require("torch", "torch")
    from recsim_env.agents.generative.recipes.making import check_recipe

    changes = {}
    for part in parts(settings.changes):
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"--set takes PART.OPTION=VALUE, got {part!r}")
        changes[key] = value
    asked_for = [name.strip() for name in settings.recipe.split(",") if name.strip()]
    recipes = {Path(name).stem: changed(read_recipe(name), changes) for name in asked_for}
    if not recipes or len(recipes) < len(asked_for):
        raise InputError(f"recipe must name one or more, each once, got {settings.recipe!r}")
    for name, recipe in recipes.items():
        if name in RECOMMENDERS:
            raise InputError(
                f"{name} is a recommender without a network: give the recipe's file another name"
            )
        check_recipe(recipe)
        if recipe.tuning and tuning_of(recipe).num_generations > settings.num_items:
            raise InputError(f"num_generations must be at most num_items = {settings.num_items}")
    for name in ("epochs", "steps", "seed"):
        if getattr(settings, name) < 0:
            raise InputError(f"{name} must be 0 or more, got {getattr(settings, name)}")
    if settings.replicates < 1 or settings.features < 1 or settings.width < LISTED:
        found = f"{settings.replicates}, {settings.features} and {settings.width}"
        raise InputError(f"replicates and features must be 1 or more and width {LISTED} or more, got {found}")
    if settings.data == ORGANIC:
        check_policy_settings(_world(settings))
        return recipes, []
    beside = [name.strip() for name in settings.beside.split(",") if name.strip()]
    for name in beside:
        if name not in RECOMMENDERS:
            raise unknown_name("recommender", name, RECOMMENDERS)
    asked(settings.data, "leave_one_out", 0.9)  # a broken file is refused before any training
    return recipes, beside


def _file(name: str, recipe: Recipe | None, replicate: int) -> str:
    """Of a cell; what a recipe said is a part of it, so that no run goes on with one that was changed."""
    said = "" if recipe is None else f"-{sha1(repr(recipe).encode()).hexdigest()[:8]}"
    return f"{name}{said}-{replicate}"


def _world(settings: Settings) -> PolicySettings:
    """The world of `finetune_compare`, of another size."""
    return PolicySettings(
        replicates=max(2, settings.replicates),
        num_items=settings.num_items,
        num_users=settings.num_users,
        test_users=settings.test_users,
        seed=settings.seed,
    )


def _epochs(recipe: Recipe, settings: Settings) -> int:
    """Of a training, at most."""
    own = recipe.training.get("epochs", EPOCHS if settings.data == ORGANIC else 200)
    return settings.epochs or int(own)


def _work(
    settings: Settings,
    name: str,
    recipe: Recipe | None,
    seed: int,
    file: Path,
    saved_at: Path,
    progress: Callable[[int], Any],
) -> None:
    """Train, measure, and write what was found.

    With one thread, here and on a worker: the sums of a network depend on their number in the last bits.
    """
    with one_thread():
        if settings.data == ORGANIC and recipe is not None:
            found = _in_the_world(settings, recipe, seed, saved_at, progress)
        else:
            found = _on_the_log(settings, name, recipe, seed, saved_at, progress)
    progress(1)
    save_arrays(file, {key: np.array(value) for key, value in found.items()})


def _in_the_world(
    settings: Settings, recipe: Recipe, seed: int, saved_at: Path, progress: Callable[[int], Any]
) -> dict[str, float]:
    """What a recipe does among organic users, before its tuning and after."""
    of, users, test = users_of(_world(settings), seed)
    log, epochs = of.log(users), _epochs(recipe, settings)
    known = _known(leave_one_out(log).train, of.world.catalogue.features.astype(np.float64), seed)
    given = {"learning_rate": 3e-3, "batch_size": 64, "patience": epochs, **recipe.training, "epochs": epochs}
    recommender = recommender_of(recipe, known, **given, mask_history=False)
    spent = train_to_the_end(recommender, log, saved_at, progress)
    state = take_rows(of.state, test)
    oracle = of.world.expected_reward(state, of.world.best_slate(state)).mean()

    def judged(policy: "GenerativePolicy", suffix: str) -> dict[str, float]:
        values = measure(lists_of(policy), of, test, seed)
        values["of_oracle"] = values["slate_reward"] / oracle
        return {metric + suffix: value for metric, value in values.items()}

    found = {**_of_network(recommender, spent), **judged(recommender.policy_, "")}
    if recipe.tuning and settings.steps:
        tuned, queries = _tuned(recipe, recommender, of, users, settings, seed)
        found |= {**judged(tuned, TUNED), f"queries{TUNED}": float(queries)}
    return found


def _tuned(
    recipe: Recipe,
    recommender: "GenerativeRecommender",
    of: OrganicUsers,
    users: Ints,
    settings: Settings,
    seed: int,
) -> tuple["GenerativePolicy", int]:
    """A copy of the policy after the recipe's tuning, and what it asked for."""
    from recsim_env.agents.generative.preference.tuning import PreferenceTuner

    policy, history = deepcopy(recommender.policy_), np.ascontiguousarray(of.taken[users, :-1])
    state, kind = take_rows(of.state, users), recipe.tuning.get("reward", "clicks")
    simulated: SimulatedReward | SessionReward = SimulatedReward(of.world, state, seed)
    reward: RewardFunction = simulated
    if kind == "session":
        reward = simulated = SessionReward(of.world, state, history, policy, seed)
    elif kind == "model":
        assert isinstance(simulated, SimulatedReward)
        reward = learned_reward(policy, history, simulated, FEEDBACKS, seed).reward
    tuner = PreferenceTuner(policy, history, reward, tuning_of(recipe, seed=seed), of.taken[users, -1])
    for _ in range(settings.steps):
        tuner.step()
    return policy, simulated.queries


def _on_the_log(
    settings: Settings,
    name: str,
    recipe: Recipe | None,
    seed: int,
    saved_at: Path,
    progress: Callable[[int], Any],
) -> dict[str, float]:
    """What a recipe, or a recommender without a network, makes of a log."""
    data, held, learned_from, mask = asked(settings.data, "leave_one_out", 0.9)
    found: dict[str, float] = {}
    if recipe is None:
        recommender = RECOMMENDERS[name](data.num_items)
        started = time.process_time()
        recommender.fit(learned_from)
        found["training_seconds"] = time.process_time() - started

        def lists(history: Array) -> Ints:
            return recommend(recommender, history, LISTED, mask_history=mask)
    else:
        features = told_features(settings.data, data.item_ids, settings.features)
        known = _known(learned_from, features, seed, data.num_items)
        epochs = _epochs(recipe, settings)
        generative = recommender_of(recipe, known, epochs=epochs, mask_history=mask)
        found = _of_network(generative, train_to_the_end(generative, held.train, saved_at, progress))

        def lists(history: Array) -> Ints:
            return generative.lists(history, LISTED, mask_history=mask, width=settings.width)

    started = time.process_time()
    lists(held.history[:TIMED_USERS])
    found["ms_a_user"] = 1000 * (time.process_time() - started) / len(held.history[:TIMED_USERS])
    ranked, target = lists(held.history), held.target[:, None]
    found["ndcg@10"] = float(ndcg(ranked, target, LISTED).mean())
    return {**found, "hit_rate@10": float((ranked == target).any(axis=1).mean())}


def _known(log: Log, features: Array | None, seed: int, num_items: int | None = None) -> Known:
    """What a recipe is told of the items; where nothing is, they are what they are taken beside."""
    user, item, N = clicked_items(log, num_items if features is None else len(features))
    vectors = cooccurrence_features(user, item, N).astype(np.float64)
    return Known(log, N, vectors if features is None else features, vectors, seed)


def _of_network(recommender: "GenerativeRecommender", spent: float) -> dict[str, float]:
    policy = recommender.policy_
    sizes = {f"level_{i}": float(size) for i, size in enumerate(policy.trie.level_sizes)}
    parameters = float(sum(one.numel() for one in policy.parameters()))
    return {"training_seconds": spent, "parameters": parameters, **sizes}


def _curves(name: str, cells: list[dict[str, Array]]) -> dict[str, dict[str, Curve]]:
    """Of a recipe, and of the same when tuned, from the cells of its replicates."""
    found: dict[str, dict[str, Curve]] = {}
    for key in cells[0]:
        values = np.array([[float(cell[key]) if key in cell else np.nan for cell in cells]])
        row = name + (TUNED if key.endswith(TUNED) else "")
        metric = key.removesuffix(TUNED)
        found.setdefault(row, {})[metric] = Curve(np.array([LISTED]), values)
        if metric in COLUMNS:
            spread = float(mean_estimate(values[0]).std_error) if len(cells) > 1 else np.nan
            found[row][f"{metric}_std_error"] = Curve(np.array([LISTED]), np.full_like(values, spread))
    return found


def print_table(results: Results) -> None:
    """A row for every recipe."""
    shown = [one for one in (*COLUMNS, *COSTS) if any(one in curves for curves in results.curves.values())]
    width = max(map(len, results.curves))
    sys.stdout.write("\n" + " " * width + "".join(f"{one:>19}" for one in shown) + "  identifiers\n")
    for name, curves in results.curves.items():
        row = "".join(f"{_cell(curves, metric):>19}" for metric in shown)
        levels = [f"{curve.values.max():.0f}" for key, curve in curves.items() if key.startswith("level_")]
        sys.stdout.write(f"{name:{width}}{row}  {' x '.join(levels)}\n")
    sys.stdout.write("mean +- standard error over replicates; training in seconds of one processor\n")


def _cell(curves: dict[str, Curve], metric: str) -> str:
    """A mean, with its standard error where it is one of the measures."""
    if metric not in curves:
        return ""
    values = curves[metric].values[0]
    if metric in COSTS:
        return f"{values.mean():,.{COSTS[metric]}f}"
    spread = f" +- {float(mean_estimate(values).std_error):.4f}" if len(values) > 1 else ""
    return f"{values.mean():.4f}{spread}"


def title(settings: Settings) -> str:
    """What the run is about, for a picture."""
    if settings.data == ORGANIC:
        return f"organic users, {settings.num_items} items"
    return f"next item, beam search: {Path(settings.data).name}"


def draw(axes: Any, results: Results, settings: Settings, label: str = "", style: int = 0) -> None:
    """Bars of what lists are worth."""
    figure.draw_bars(
        axes, results, ["of_oracle", "ndcg@10"] if settings.data == ORGANIC else ["hit_rate@10", "ndcg@10"]
    )
    axes.set(title=title(settings), ylabel="mean")
