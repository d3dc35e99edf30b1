"""What a user did with a slate."""

from dataclasses import dataclass

from recsim_env.arrays import Bools


@dataclass(frozen=True, slots=True)
class Response:
    """Which slots were looked at and which were clicked; a clicked slot was looked at."""

    clicked: Bools  # (B, K)
    examined: Bools  # (B, K)
