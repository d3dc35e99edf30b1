"""What a user did with a slate."""

from typing import NamedTuple

from recsim_env.arrays import Bools


class Response(NamedTuple):
    """Which slots were looked at and which were clicked; a clicked slot was looked at."""

    clicked: Bools  # (B, K)
    examined: Bools  # (B, K)
