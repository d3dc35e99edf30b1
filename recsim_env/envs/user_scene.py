"""One step of one user with interests or memories: the facts that both drawings show, and the one in text."""

from dataclasses import dataclass

from recsim_env.envs.slate_scene import Shown, bar, outcome_words, slate_lines


@dataclass(frozen=True)
class Bar:
    """One line of what drives a user."""

    name: str
    share: float  # 0 to 1, the length of the bar
    label: str = ""  # the number beside it
    marked: bool = False  # see `Driver.mark`


@dataclass(frozen=True)
class Driver:
    """What drives a user, as a few bars: interests, memories, boredom."""

    title: str
    bars: tuple[Bar, ...]
    mark: str  # what is said of the marked bars
    curves: tuple[tuple[float, ...], ...] = ()  # of the first bars over recent time, 0 to 1, the last is now
    curve_title: str = ""


@dataclass(frozen=True)
class Play:
    """A song played."""

    name: str
    hours: float  # since it began

    @property
    def ago(self) -> str:
        """How long ago, in words."""
        if self.hours < 1.0:
            return f"{60.0 * self.hours:.0f} min ago"
        if self.hours < 48.0:
            return f"{self.hours:.0f} h ago"
        days = self.hours / 24.0
        return f"{days:.0f} days ago" if days < 730.0 else f"{days / 365.25:.0f} years ago"


@dataclass(frozen=True)
class UserScene:
    """Where one user is, what drives them, and the step that led there."""

    step: int  # slates shown so far in this episode
    horizon: int
    user: str  # who and where, in words
    driver: Driver
    shown: Shown | None  # None at the beginning of an episode, and of a scene that holds a state alone
    plays: tuple[Play, ...] = ()  # of a listener, latest first

    @property
    def without_slate(self) -> str:
        """Why there is no slate, in words."""
        return "no slate shown yet" if self.step == 0 else "the last slate was not kept"


def user_text(scene: UserScene) -> str:
    """A few lines of plain text.

    step 7 of 20   user 37   reward 1   regret 0.132
    expected reward of this step: 0.910 (best slate) - 0.778 (this slate)
    interest by category (* on the slate)
      category 3   ████████·· 0.81  *
    1  item 7   ████······ 0.41  passed over
    best slate: item 9
    """
    shown = scene.shown
    end = scene.without_slate if shown is None else outcome_words(shown)
    width = max((len(b.name) for b in scene.driver.bars), default=0)
    bars = [
        f"  {b.name:{width}}  {bar(b.share)} {b.label}{'  *' if b.marked else ''}".rstrip()
        for b in scene.driver.bars
    ]
    head = f"step {scene.step} of {scene.horizon}   {scene.user}   {end}"
    title = f"{scene.driver.title} (* {scene.driver.mark})"
    last = ", ".join(f"{play.name} ({play.ago})" for play in scene.plays)
    plays = [f"last plays: {last}"] if last else []
    return "\n".join([head, title, *bars, *plays, *(slate_lines(shown) if shown else [])])
