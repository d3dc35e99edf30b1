"""One step of one user of a cascade world: the facts that both drawings show, and the drawing in text."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsim_env.simulators.worlds.cascade import CascadeWorld

if TYPE_CHECKING:
    from recsim_env.envs.rendering import Scene

WIDEST_LINE_OF_STATES = 60  # of the text; with more states a line of one character each is no picture


@dataclass(frozen=True)
class Card:
    """One slot: what stood there and what the user did with it."""

    name: str  # of the item; of an empty slot, why it is empty
    fate: str  # "clicked", "passed over", "not seen", "empty"; "best" in the best slate
    attraction: float  # q(s, item), 0 in an empty slot


@dataclass(frozen=True)
class Shown:
    """The slate of a step and what became of it."""

    cards: tuple[Card, ...]  # K, top first
    best: tuple[Card, ...]  # K: the optimal slate of the same state and step
    state_before: int
    reward: float
    best_value: float  # V_h(s)
    slate_value: float  # Q_h(s, A)

    @property
    def regret(self) -> float:
        """Of this step; rounding may leave -1e-16 of a zero."""
        return max(self.best_value - self.slate_value, 0.0)

    @property
    def clicked(self) -> int | None:
        """The slot of the click."""
        return next((k for k, card in enumerate(self.cards) if card.fate == "clicked"), None)

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        seen = sum(card.fate in ("clicked", "passed over") for card in self.cards)
        looked = f"looked at {seen} item{'s' * (seen != 1)}"
        k = self.clicked
        if k is None:
            return f"The user {looked} and clicked none."
        return f"The user {looked} and clicked {self.cards[k].name}."


@dataclass(frozen=True)
class CascadeScene:
    """Where one user is, and the step that led there."""

    step: int  # slates shown so far in this episode
    horizon: int
    state: int
    num_states: int
    shown: Shown | None  # None at the beginning of an episode, and of a scene that holds a state alone

    @property
    def without_slate(self) -> str:
        """Why there is no slate, in words."""
        return "no slate shown yet" if self.step == 0 else "the last slate was not kept"


def cascade_scene(world: CascadeWorld, scene: "Scene", row: int) -> CascadeScene:
    """The facts of one row."""
    step = int(scene.state.step[row])
    return CascadeScene(
        step=step,
        horizon=world.horizon,
        state=int(scene.state.user_state[row]),
        num_states=world.num_states,
        # a vector environment may have stepped other rows while this one began its next episode
        shown=None if step == 0 or scene.slates is None else _shown(world, scene, row),
    )


def _shown(world: CascadeWorld, scene: "Scene", row: int) -> Shown:
    assert scene.slates is not None
    assert scene.outcome is not None
    one = slice(row, row + 1)
    before = type(scene.before)(*(column[one] for column in scene.before))
    s = int(before.user_state[0])
    response = scene.outcome.response
    items = scene.slates[row].tolist()
    cards = []
    for k, item in enumerate(items):
        if item < 0:
            cards.append(Card("empty", "empty", 0.0))
        elif item in items[:k]:
            cards.append(Card(f"repeats slot {items.index(item) + 1}: counts as empty", "empty", 0.0))
        else:
            looked = "passed over" if response.examined[row, k] else "not seen"
            fate = "clicked" if response.clicked[row, k] else looked
            cards.append(Card(item_name(world, item), fate, float(world.attraction[s, item])))
    best = [
        Card(item_name(world, a), "best", float(world.attraction[s, a]))
        if a >= 0
        else Card("empty", "empty", 0.0)
        for a in world.best_slate(before)[0].tolist()
    ]
    return Shown(
        tuple(cards),
        tuple(best),
        s,
        float(scene.outcome.reward[row]),
        float(scene.outcome.best_value[row]),
        float(scene.outcome.slate_value[row]),
    )


def item_name(world: CascadeWorld, item: int) -> str:
    """The item's name if the world has names, else its number."""
    return world.item_names[item] if world.item_names is not None else f"item {item}"


def cascade_text(scene: CascadeScene) -> str:
    """A few lines of plain text.

    step 7 of 20   state 3 -> 4   reward 1   regret 0.132 = 9.310 (best slate) - 9.178 (this slate)
    states ···○●·····
    1  item 7   ████······ 0.41  passed over
    2  item 2   ███······· 0.35  clicked
    3  item 11  ██········ 0.24  not seen
    best slate: item 9, item 7, item 11
    """
    head = f"step {scene.step} of {scene.horizon}   state "
    states = ["·"] * scene.num_states
    shown = scene.shown
    if shown is not None:
        states[shown.state_before] = "○"
    states[scene.state] = "●"  # written last: one mark when the user stays
    track = ["states " + "".join(states)] if scene.num_states <= WIDEST_LINE_OF_STATES else []
    if shown is None:
        return "\n".join([f"{head}{scene.state}   {scene.without_slate}", *track])
    head += (
        f"{shown.state_before} -> {scene.state}   reward {shown.reward:.4g}   regret {shown.regret:.3f} = "
        f"{shown.best_value:.3f} (best slate) - {shown.slate_value:.3f} (this slate)"
    )
    digits = len(str(len(shown.cards)))
    width = max(len(card.name) for card in shown.cards)
    lines = []
    for k, card in enumerate(shown.cards, start=1):
        line = f"{k:{digits}}  {card.name:{width}}"
        if card.fate != "empty":
            line += f"  {'█' * round(10 * card.attraction):·<10} {card.attraction:.2f}  {card.fate}"
        lines.append(line.rstrip())
    best = "best slate: " + ", ".join(card.name for card in shown.best if card.fate != "empty")
    return "\n".join([head, *track, *lines, best])
