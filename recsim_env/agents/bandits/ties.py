"""What orders equal indices: a small draw for every item of every replicate, so that no id is favoured.

The draw is added to an index, and is too small to matter where indices differ. It would be lost in the digits
of a large number, so the index of an item never pulled is `UNSEEN * (1 + tie)`: 4 million different ones.
"""

from typing import TYPE_CHECKING

import numpy as np

from recsim_env.arrays import Floats

if TYPE_CHECKING:
    from recsim_env.simulators.luck import Luck

UNSEEN = 1e300  # index of what was never pulled, before its tie: above any other


def tie_breakers(ties: Floats, luck: "Luck", stream: str) -> Floats:
    """`ties` (B, ...) if they were drawn already, before the first round; else draws below 1e-9."""
    if ties.item(0) != 0.0:
        return ties
    return np.ascontiguousarray(1e-9 * luck.uniform(stream, ties.shape[1:]))
