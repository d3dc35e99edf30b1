"""The Lipschitz bandit: `LipschitzBandit-v0`, arms on an interval whose means change slowly along it."""

from dataclasses import dataclass

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.errors import InputError
from recsim_env.simulators.luck import check_world_seed, world_generator
from recsim_env.simulators.worlds.arms import ArmsWorld

KINDS = ("tent", "round", "peaks")


@dataclass(frozen=True)
class LipschitzWorld(ArmsWorld):
    """Arms at the points a / (N-1) of [0, 1], with |mu(x) - mu(y)| <= slope |x - y|.

    Raises:
        InputError: as `ArmsWorld`; a slope that is not above 0, or that the means exceed.
    """

    slope: float = 1.0  # L

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.slope < np.inf:
            raise InputError(f"slope must be above 0 and finite, got {self.slope}")
        if self.mean.ndim != 1:
            raise InputError(f"mean must have shape (N,), one of every arm, got {self.mean.shape}")
        steepest = float(np.abs(np.diff(self.mean)).max()) * (self.num_items - 1)
        if steepest > self.slope * (1.0 + 1e-9):
            raise InputError(f"slope must be at least that of the means, {steepest:.6g}, got {self.slope}")

    @property
    def position(self) -> Floats:
        """(N,) where the arms are in [0, 1]."""
        return np.arange(self.num_items) / (self.num_items - 1)


def lipschitz_bandit(
    num_items: int = 1001,
    kind: str = "tent",
    peak: float = 0.37,
    top: float = 0.9,
    floor: float = 0.1,
    slope: float = 4.0,
    num_peaks: int = 3,
    horizon: int = 10000,
    world_seed: int = 0,
) -> LipschitzWorld:
    """Find the peak of a function on an interval by pulling its points: neighbours are alike.

    Story:
        Which price, which volume, which mix of old and new songs? There are too many choices to try each, but
        what is near one that does badly does badly too. A learner that knows how fast the function can change
        may leave whole stretches alone and look closely where it is high.

    Slate (action):
        One arm, a in 0 to num_items - 1, at the point x = a / (num_items - 1) of [0, 1].

    Observation:
        `step`, rounds played.

    What the user does:
        Is pleased with probability mu(x):

            tent:   max(floor, top - slope |x - peak|)
            round:  max(floor, top - slope^2 / (4 (top - floor)) (x - peak)^2), of the same steepest slope
            peaks:  the highest of the tent and of num_peaks - 1 others at points drawn from [0, 1], whose
                    tops are drawn from [floor, top], the middle to nine tenths of it

    Reward:
        1 with probability mu(x), else 0.

    Episode end:
        Truncated after `horizon` rounds. Nothing changes at the end: an episode is only a stretch of rounds.

    Regret is measured against:
        The best of the arms, exactly.

    Parameters (default, range, source):
        num_items: N, points of the grid that stands for the interval (1001, at least 2; ours).
        kind: tent, round or peaks (tent).
        peak: where mu is highest (0.37, 0 to 1; off the middle and off the round numbers; ours).
        top: its height (0.9, above floor, at most 1; ours).
        floor: mu far from all peaks (0.1, from 0; ours).
        slope: L (4, above 0; the tent is (top - floor) / slope wide on either side; ours).
        num_peaks: of kind peaks (3, at least 2; ours).
        horizon: rounds of an episode (10000, at least 1; ours).
        world_seed: of the other peaks (0); tent and round do not depend on it.

    Known simplifications:
        The continuum is this fine grid: the best arm is within slope / (2 (N-1)) of the best point. All users
        are alike.

    Version history:
        v0: first version.

    Source: Kleinberg, "Nearly tight bounds for the continuum-armed bandit problem", NeurIPS 2004; Slivkins,
    "Introduction to multi-armed bandits", 2019, chapter 4. The functions are ours.

    Raises:
        InputError: a parameter out of range.
    """
    if num_items < 2:
        raise InputError(f"num_items must be at least 2, got {num_items}")
    if kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if not 0.0 <= peak <= 1.0:
        raise InputError(f"peak must be from 0 to 1, got {peak}")
    if not 0.0 <= floor < top <= 1.0:
        raise InputError(f"floor and top must be 0 <= floor < top <= 1, got floor {floor} and top {top}")
    if not 0.0 < slope < np.inf:
        raise InputError(f"slope must be above 0 and finite, got {slope}")
    if num_peaks < 2:
        raise InputError(f"num_peaks must be at least 2, got {num_peaks}: for one take kind='tent'")
    check_world_seed(world_seed)
    x = np.arange(num_items) / (num_items - 1)
    if kind == "round":
        fall = slope * np.abs(x - peak)  # of a straight line of this slope
        with np.errstate(over="ignore"):  # to infinity: far below the floor
            mean = top - fall * (fall / (4.0 * (top - floor)))
    else:
        mean = top - slope * np.abs(x - peak)
    if kind == "peaks":
        place, height = world_generator(world_seed).uniform(size=(2, num_peaks - 1, 1))
        other = floor + (0.5 + 0.4 * height) * (top - floor) - slope * np.abs(x - place)
        mean = np.maximum(mean, other.max(axis=0))
    return LipschitzWorld(np.maximum(mean, floor), horizon, slope=slope)
