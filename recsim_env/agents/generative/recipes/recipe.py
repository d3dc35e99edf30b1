"""A recipe: which parts a generative recommender is made of, as a short TOML file that names them.

    about = "what it is, and whose"
    [tokeniser]             name and options of a tokeniser                      parts.TOKENISERS
    [history]               the same, where histories are read in other codes than items are written in;
                            optional
    [items]                 vectors of the items of a history                    parts.ITEMS
    [encoder]               of sequences                                         parts.ENCODERS
    [head]                  of identifiers                                       parts.HEADS
    [losses.NAME]           further losses; optional                             parts.LOSSES
    [preferences]           `groups` of features that stand for attributes, and `absent`; optional
    [policy]                temperature; optional
    [training]              settings of `GenerativeRecommender`; optional
    [tuning]                settings of `PreferenceTuner`, and `reward`; optional

Files of papers lie beside this module. Sizes of codebooks are those of papers with tens of thousands of
items; a level gets at most N / 8 codes, so that a small catalogue has small ones.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsim_env.agents.generative.tokenisers.identifiers import Identifiers, finite_features
from recsim_env.arrays import Floats
from recsim_env.errors import InputError, unknown_name
from recsim_env.simulators.log import Log

if TYPE_CHECKING:
    from recsim_env.agents.generative.generative_recommender import GenerativeRecommender
    from recsim_env.agents.generative.preference.tuning import TuningSettings

NEEDED = ("tokeniser", "items", "encoder", "head")
OPTIONAL = ("history", "losses", "preferences", "policy", "training", "tuning")
REWARDS = ("clicks", "session", "model")

Options = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """See the module; of the parts in `NEEDED`, `history` and each loss, `name` says which one.

    Raises:
        InputError: a part that is missing, or a table where there must be one.
    """

    about: str
    tokeniser: Options
    items: Options
    encoder: Options
    head: Options
    history: Options | None = None
    losses: dict[str, Options] = field(default_factory=dict)
    preferences: Options = field(default_factory=dict)
    policy: Options = field(default_factory=dict)
    training: Options = field(default_factory=dict)
    tuning: Options = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part in (*NEEDED, *OPTIONAL):
            options = getattr(self, part)
            if part == "history" and options is None:
                continue
            if not isinstance(options, dict):
                raise InputError(f"[{part}] of a recipe must be a table, got {options!r}")
            if part in (*NEEDED, "history") and not isinstance(options.get("name"), str):
                raise InputError(f"[{part}] of a recipe needs a name, got {options}")
        reward = self.tuning.get("reward", "clicks")
        if reward not in REWARDS:
            raise unknown_name("reward of a tuning", reward, REWARDS)


@dataclass(frozen=True)
class Known:
    """What a policy is made of beside its recipe.

    Raises:
        InputError: features or vectors that are not finite, or of other items.
    """

    log: Log  # that is learned from, and nothing later
    num_items: int  # N
    features: Floats  # (N, F) of what items are
    vectors: Floats  # (N, W) of who takes them
    seed: int

    def __post_init__(self) -> None:
        for name in ("features", "vectors"):
            found = finite_features(getattr(self, name), name)
            if len(found) != self.num_items:
                raise InputError(f"{name} must have {self.num_items} rows, one an item, got {len(found)}")


def names() -> list[str]:
    """The recipes that ship."""
    return sorted(
        file.name.removesuffix(".toml") for file in _folder().iterdir() if file.name.endswith(".toml")
    )


def read_recipe(recipe: str | Path) -> Recipe:
    """A recipe by its name, or from a file.

    Args:
        recipe: one of `names()`, or the path of a TOML file.

    Raises:
        InputError: neither, or a file that is no recipe.
    """
    path = Path(recipe)
    if path.suffix != ".toml":
        if str(recipe) not in names():
            raise unknown_name("recipe", str(recipe), [*names(), "or a file NAME.toml"])
        text = (_folder() / f"{recipe}.toml").read_text(encoding="utf-8")
    else:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the recipe {path}: {error}") from None
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"the recipe {recipe} is not TOML: {error}") from None
    return _recipe(found)


def changed(recipe: Recipe, changes: Mapping[str, str]) -> Recipe:
    """The recipe with options set anew, as `--set encoder.blocks=3` asks.

    Args:
        recipe: as it was.
        changes: `part.option`, or `losses.NAME.option`, to a TOML value; what is no TOML is taken for a text.

    Raises:
        InputError: no such part.
    """
    parts: dict[str, Any] = {}
    for key, text in changes.items():
        part, *path = key.split(".")
        if part not in (*NEEDED, *OPTIONAL) or not path:
            raise InputError(
                f"a change must be PART.OPTION=VALUE, PART one of {', '.join((*NEEDED, *OPTIONAL))}, got "
                f"{key!r}"
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        table = parts.setdefault(part, _copy(getattr(recipe, part) or {}))
        for name in path[:-1]:
            table = table.setdefault(name, {})
        table[path[-1]] = value
    return replace(recipe, **parts)


def recommender_of(recipe: Recipe, known: Known, **settings: Any) -> "GenerativeRecommender":
    """A recommender of this recipe that has learned nothing yet.

    Args:
        recipe: its parts.
        known: of the items.
        settings: of `GenerativeRecommender`, before those of the recipe.

    Raises:
        InputError: parts or options that are none, or that do not go together; PyTorch is missing.
    """
    from recsim_env.agents.generative.recipes.making import made_of

    written = tokenise(recipe.tokeniser, known)
    read = written if recipe.history is None else tokenise(recipe.history, known)
    return made_of(recipe, known, written, read, **settings)


def tokenise(options: Options, known: Known) -> Identifiers:
    """Identifiers by a tokeniser.

    Raises:
        InputError: no such tokeniser or option, or what the tokeniser refuses.
    """
    from recsim_env.agents.generative.recipes import parts

    return parts.tokeniser(options, known)


def tuning_of(recipe: Recipe, **settings: Any) -> "TuningSettings":
    """How the recipe tunes a policy.

    Args:
        recipe: with a `tuning`.
        settings: of `TuningSettings`, before those of the recipe.

    Raises:
        InputError: no such setting, or out of range.
    """
    from recsim_env.agents.generative.preference.tuning import TuningSettings
    from recsim_env.agents.generative.recipes.options import checked

    given = {name: value for name, value in recipe.tuning.items() if name != "reward"} | settings
    return TuningSettings(**checked(TuningSettings, given, "tuning"))


def _folder() -> Any:
    return files("recsim_env.agents.generative.recipes")


def _recipe(found: dict[str, Any]) -> Recipe:
    for part in found:
        if part not in ("about", *NEEDED, *OPTIONAL):
            raise unknown_name("part of a recipe", part, ("about", *NEEDED, *OPTIONAL))
    for part in NEEDED:
        if part not in found:
            raise InputError(f"a recipe needs [{part}], got {', '.join(found) or 'nothing'}")
    return Recipe(**{"about": "", **found})


def _copy(table: Options) -> Options:
    return {name: _copy(value) if isinstance(value, dict) else value for name, value in table.items()}
