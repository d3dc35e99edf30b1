"""A poisoned world: any world in which a share of the sessions are fakes, unknown to the agent.

A session is an episode, or one slate where every step shows a new user (bandits). A session is fake with
probability beta. A fake has the state of an honest user, whose account it is, and answers by its script:

    clicks and examinations   those of the script;   reward   its clicks;   nobody leaves
    what is observed          that of the account, with the script's clicks where clicks are observed

Nothing is lost on a fake: in its rows the best value is the value of what is shown, so that regret is that of
honest users alone. With beta = 0 all is what it is without, to the bit.
"""

import ast
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from recsim_env.arrays import Array, Bools, Floats, Ints
from recsim_env.errors import InputError, check_ranges, unknown_name
from recsim_env.simulators.attackers.attack import Goal
from recsim_env.simulators.attackers.click_fraud import ClickFraud
from recsim_env.simulators.luck import Luck, check_world_seed
from recsim_env.simulators.worlds.world import Entry, HasArms, Outcome, ShowsCandidates, World
from recsim_env.user_models.clicks import Response

SESSIONS = ("episode", "slate")


class PoisonedState(NamedTuple):
    """Where B sessions are."""

    inner: Any  # state of the world behind
    fake: Bools  # (B,) of the slate to come
    clicked: Bools  # (B, K) by a fake in the slate before, if it was shown to one
    scripted: Bools  # (B,) whether it was
    step: Ints  # (B,) slates shown


@dataclass(frozen=True)
class PoisonedWorld:
    """See the module.

    Raises:
        InputError: a share that is none, targets or fillers that are no items, sessions of one slate in a
            world whose users last, and worlds of candidate sets, in which an id is no item.
    """

    inner: World
    script: ClickFraud
    share: float  # beta, of sessions, 0 to 1
    session: str = "episode"  # or slate

    def __post_init__(self) -> None:
        check_ranges({}, {"share": self.share}, {})
        if self.session not in SESSIONS:
            raise InputError(f"session must be {' or '.join(SESSIONS)}, got {self.session!r}")
        if isinstance(self.inner, ShowsCandidates):
            raise InputError("a world of candidate sets cannot be poisoned: its slates are of places")
        if self.script.largest >= self.inner.num_items:
            raise InputError(
                f"item {self.script.largest} of the script is none: the catalogue has "
                f"{self.inner.num_items} items (0-{self.inner.num_items - 1})"
            )
        if self.session == "slate" and not renews_users(self.inner):
            raise InputError(
                f"users of a {type(self.inner).__name__} last for more than a slate: "
                "take session='episode', or a bandit"
            )

    @property
    def plans_ahead(self) -> bool:
        """As the world behind, if sessions are episodes; a user of one slate has no future."""
        return self.inner.plans_ahead and self.session == "episode"

    @property
    def num_items(self) -> int:
        """N."""
        return self.inner.num_items

    @property
    def slate_size(self) -> int:
        """K."""
        return self.inner.slate_size

    @property
    def horizon(self) -> int:
        """H."""
        return self.inner.horizon

    def begin(self, luck: Luck) -> PoisonedState:
        """Users of the world behind, some of whose accounts are a fraud's."""
        B = len(luck)
        nothing = np.zeros((B, self.slate_size), np.bool_), np.zeros(B, np.bool_), np.zeros(B, np.int64)
        return PoisonedState(self.inner.begin(luck), luck.uniform("fake") < self.share, *nothing)

    def observe(self, state: PoisonedState) -> dict[str, Array]:
        """What the world behind shows; which sessions are fake is what has to be found out."""
        seen = self.inner.observe(state.inner)
        if "clicked" in seen:
            rows = state.scripted
            seen["clicked"][rows] = state.clicked[rows]
        return seen

    def observation_entries(self) -> dict[str, Entry]:
        """Those of the world behind."""
        return self.inner.observation_entries()

    def evaluation_info(self, state: PoisonedState) -> dict[str, Array]:
        """`fake` (B,), for evaluation; see `TellsEvaluation`."""
        return {"fake": state.fake.copy()}

    def respond(self, state: PoisonedState, slates: Ints, luck: Luck) -> tuple[PoisonedState, Outcome]:
        """Show slates (B, K), -1 in empty slots."""
        fake = state.fake
        after, honest = self.inner.respond(state.inner, slates, luck)
        script, each = self.script.respond(slates), fake[:, None]
        outcome = Outcome(
            np.where(fake, script.clicked.sum(axis=1), honest.reward),
            honest.left & ~fake,
            Response(
                np.where(each, script.clicked, honest.response.clicked),
                np.where(each, script.examined, honest.response.examined),
            ),
            *self._values(state, slates, honest.best_value, honest.slate_value),
        )
        next_fake = fake if self.session == "episode" else luck.uniform("next fake") < self.share
        return PoisonedState(after, next_fake, script.clicked & each, fake, state.step + 1), outcome

    def expected_reward(self, state: PoisonedState, slates: Ints) -> Floats:
        """(B,) exact; of a fake what its script will do."""
        honest = self.inner.expected_reward(state.inner, slates)
        return np.where(state.fake, self.script.respond(slates).clicked.sum(axis=1), honest)

    def best_slate(self, state: PoisonedState) -> Ints:
        """(B, K) of honest users; for a fake the same behind a target, which is all it looks for."""
        best = self.inner.best_slate(state.inner).copy()
        target = self.script.goal.targets[0]
        for b in np.flatnonzero(state.fake):
            others = best[b][best[b] != target]
            best[b] = [target, *others][: self.slate_size]
        return best

    def values(self, state: PoisonedState, slates: Ints) -> tuple[Floats, Floats]:
        """(B,) those of honest users; in the rows of fakes both are what these slates earn."""
        return self._values(state, slates, *self.inner.values(state.inner, slates))

    def _values(
        self, state: PoisonedState, slates: Ints, best: Floats, value: Floats
    ) -> tuple[Floats, Floats]:
        if self.inner.plans_ahead and not self.plans_ahead:
            best = self.inner.expected_reward(state.inner, self.inner.best_slate(state.inner))
            value = self.inner.expected_reward(state.inner, slates)
        if not state.fake.any():
            return best, value
        worth = self.script.respond(slates).clicked.sum(axis=1).astype(np.float64)
        if self.plans_ahead:  # and one click a slate from then on
            worth = worth + np.maximum(self.horizon - state.step - 1, 0)
        return np.where(state.fake, worth, best), np.where(state.fake, worth, value)


def renews_users(world: World) -> bool:
    """Whether every slate is shown to a new user: bandits of arms, and cascades of one state."""
    return isinstance(world, HasArms) or getattr(world, "num_states", 0) == 1


def poisoned_rec(
    inner: str = "cascade_bandit:cascade_bandit",
    inner_args: str = "",
    share: float = 0.1,
    target: int = 0,
    fillers: str = "",
    session: str = "slate",
    world_seed: int = 0,
) -> PoisonedWorld:
    """Recommend to honest users while a share of the sessions are frauds that click one item.

    Story:
        Somebody pays for clicks on an item. Some of the sessions are not users but scripts, which click that
        item whenever it is shown, and look like anybody else. Who learns from clicks learns to show it.

    Slate (action):
        That of the world behind.

    Observation:
        That of the world behind. Which sessions are fake is not told; `info["fake"]` is for evaluation.

    What the user does:
        An honest one what the world behind says. A fake looks down the slate and clicks the target; if it is
        not there the first filler, or nothing.

    Reward:
        That of the world behind; 1 for the click of a fake, 0 without.

    Episode end:
        That of the world behind; a fake stays to the end.

    Regret is measured against:
        The best slate of the world behind, for honest users; fakes add nothing to regret.

    Parameters (default, range, source):
        inner: module and function that make the world behind, of `simulators/worlds`
            (cascade_bandit:cascade_bandit; ours).
        inner_args: its parameters, as name=value, separated by spaces ("", its defaults; ours).
        share: beta, the probability that a session is fake (0.1, 0 to 1; ours).
        target: the item that fakes click (0, an item; ours).
        fillers: items that fakes click where the target is not shown, separated by spaces ("", none; ours).
        session: slate, where every slate has a new user, or episode (slate; ours).
        world_seed: of the world behind, if it has one (0).

    Known simplifications:
        Fakes do not time their visits or adapt to what is shown. The account of a fake moves on as its honest
        owner would have moved it, so that only clicks give it away. Worlds of candidate sets are refused.

    Version history:
        v0: first version.

    Source: the attack is that of the fake users of LoRec, RecAD and others, carried over to sessions.

    Raises:
        InputError: no such world, or a parameter out of range.
    """
    check_world_seed(world_seed)
    ids = [int(part) for part in _words("fillers", fillers, str.isdigit)]
    script = ClickFraud(Goal(np.array([target])), np.array(ids, np.int64))
    return PoisonedWorld(_world(inner, inner_args, world_seed), script, share, session)


def _world(source: str, arguments: str, world_seed: int) -> World:
    """What `module:function` of this folder makes of its arguments and of the seed."""
    module, _, function = source.partition(":")
    try:
        found = import_module(f"recsim_env.simulators.worlds.{module}") if module.isidentifier() else None
    except ImportError:
        found = None
    build = getattr(found, function, None)
    if not callable(build):
        raise InputError(
            "inner must be module:function of simulators/worlds, such as cascade_bandit:cascade_bandit, "
            f"got {source!r}"
        )
    known = [name for name in build.__annotations__ if name != "return"]
    given: dict[str, Any] = {"world_seed": world_seed} if "world_seed" in known else {}
    for part in _words("inner_args", arguments, lambda word: "=" in word):
        name, _, text = part.partition("=")
        if name not in known or name == "world_seed":
            raise unknown_name("parameter", name, [one for one in known if one != "world_seed"])
        try:
            given[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            given[name] = text
    world: World = build(**given)
    return world


def _words(name: str, text: str, fits: Any) -> list[str]:
    """The words of a setting.

    Raises:
        InputError: one that does not fit.
    """
    words = text.split()
    for word in words:
        if not fits(word):
            raise InputError(f"{name} must be such as {_EXAMPLES[name]!r}, got {text!r}")
    return words


_EXAMPLES = {"fillers": "3 8", "inner_args": "num_items=8 slate_size=2"}
