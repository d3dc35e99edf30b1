"""One step of one user of any world of slates: the facts that drawings show, and the slate in text."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recsim_env.arrays import Floats, Ints
from recsim_env.envs.scene import Scene
from recsim_env.simulators.worlds.world import World

ROUNDING = 1e-9  # of values; a regret further below 0 is shown


@dataclass(frozen=True)
class Card:
    """One slot: what stood there and what the user did with it."""

    name: str  # of the item; of an empty slot, why it is empty
    fate: str  # "clicked", "opened", "passed over", "not seen", "empty"; "best" in the best slate
    attraction: float  # 0 in an empty slot; or what else `Shown.measure` says
    share: float | None = None  # of the bar that is full; None: the attraction

    @property
    def taken(self) -> bool:
        """Whether the user wanted it."""
        return self.fate in ("clicked", "opened")

    @property
    def filled(self) -> float:
        """0 to 1, the length of the bar."""
        return min(max(self.attraction if self.share is None else self.share, 0.0), 1.0)


@dataclass(frozen=True)
class Shown:
    """The slate of a step and what became of it."""

    cards: tuple[Card, ...]  # K, top first
    best: tuple[Card, ...]  # K: the best slate of the same state and step
    reward: float
    best_value: float  # of the best slate and
    slate_value: float  # of this one: what regret is made of
    plans_ahead: bool  # whether these look to the end of the episode: see `World.plans_ahead`
    left: bool  # the user has gone
    measure: str = "attraction"  # what the number of a card is

    @property
    def regret(self) -> float:
        """Of this step; rounding may leave -1e-16 of a zero.

        Below 0 where a world finds its best slate only nearly (see `SlateWorld`), and this one is worth more.
        """
        regret = self.best_value - self.slate_value
        return 0.0 if -ROUNDING < regret < 0.0 else regret

    @property
    def value_words(self) -> str:
        """What the two values are."""
        return "expected return" if self.plans_ahead else "expected reward of this step"

    @property
    def regret_words(self) -> str:
        """What their difference is."""
        if self.regret < 0.0:
            return "this slate is worth more than the one that regret is measured against"
        if self.plans_ahead:
            return "what is lost by showing this slate now, if the best ones follow"
        return "what this slate earns less than the best one, at this step"

    @property
    def clicked(self) -> list[int]:
        """The slots clicked or opened, from the top."""
        return [k for k, card in enumerate(self.cards) if card.taken]

    @property
    def last_seen(self) -> int:
        """The lowest slot that was looked at, -1 if none."""
        seen = [k for k, card in enumerate(self.cards) if card.taken or card.fate == "passed over"]
        return seen[-1] if seen else -1

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        seen = sum(card.taken or card.fate == "passed over" for card in self.cards)
        looked = f"looked at {seen} item{'s' * (seen != 1)}"
        clicked = self.clicked
        which = f"{len(clicked)} of them" if clicked else "none"
        if len(clicked) == 1:
            which = self.cards[clicked[0]].name
        did = self.cards[clicked[0]].fate if clicked else "clicked"
        if self.left:
            return f"The user {looked}, {did} {which} and left."
        return f"The user {looked} and {did} {which}."


def shown_slate(
    world: World,
    scene: Scene,
    row: int,
    items: Ints,
    attraction: Floats,
    best_items: Ints,
    best_attraction: Floats,
    name: Callable[[int], str],
) -> Shown:
    """The slate of one row and what became of it.

    Args:
        world: of the scene.
        scene: one that holds a slate and its outcome.
        row: of the scene.
        items: (K,) items shown, -1 in empty slots.
        attraction: (K,) theirs before the step.
        best_items: (K,) items of the best slate.
        best_attraction: (K,) theirs.
        name: of an item.
    """
    assert scene.outcome is not None
    response = scene.outcome.response
    numbers = items.tolist()
    cards = []
    for k, item in enumerate(numbers):
        if item < 0:
            cards.append(Card("empty", "empty", 0.0))
        elif item in numbers[:k]:
            cards.append(Card(f"repeats slot {numbers.index(item) + 1}: counts as empty", "empty", 0.0))
        else:
            looked = "passed over" if response.examined[row, k] else "not seen"
            fate = "clicked" if response.clicked[row, k] else looked
            cards.append(Card(name(item), fate, float(attraction[k])))
    best = [
        Card(name(item), "best", float(a)) if item >= 0 else Card("empty", "empty", 0.0)
        for item, a in zip(best_items.tolist(), best_attraction.tolist(), strict=True)
    ]
    return Shown(
        tuple(cards),
        tuple(best),
        float(scene.outcome.reward[row]),
        float(scene.outcome.best_value[row]),
        float(scene.outcome.slate_value[row]),
        world.plans_ahead,
        bool(scene.outcome.left[row]),
    )


def slate_lines(shown: Shown) -> list[str]:
    """The slots, a line each, and the best slate.

    1  item 7   ████······ 0.41  passed over
    2  item 2   ███······· 0.35  clicked
    best slate: item 9, item 7
    """
    digits = len(str(len(shown.cards)))
    width = max(len(card.name) for card in shown.cards)
    lines = []
    for k, card in enumerate(shown.cards, start=1):
        line = f"{k:{digits}}  {card.name:{width}}"
        if card.fate != "empty":
            line += f"  {bar(card.filled)} {card.attraction:.2f}  {card.fate}"
        lines.append(line.rstrip())
    return [*lines, "best slate: " + ", ".join(card.name for card in shown.best if card.fate != "empty")]


def outcome_words(shown: Shown) -> str:
    """Reward, regret and whether the user left; in a second line the two values that make the regret."""
    left = "   the user left" if shown.left else ""
    return (
        f"reward {shown.reward:.4g}   regret {shown.regret:.3f}{left}\n"
        f"{shown.value_words}: {shown.best_value:.3f} (best slate) - {shown.slate_value:.3f} (this slate)"
    )


def bar(share: float) -> str:
    """Ten cells, full from the left.

    >>> bar(0.41)
    '████······'
    """
    return f"{'█' * round(10 * min(max(share, 0.0), 1.0)):·<10}"


def one_row(state: Any, row: int) -> Any:
    """The state of one user, as a batch of one."""
    one = slice(row, row + 1)
    return type(state)(
        *(one_row(column, row) if isinstance(column, tuple) else column[one] for column in state)
    )
