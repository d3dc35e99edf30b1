"""Names for the arrays of this package: what a function takes and returns, by dtype.

Shapes are written beside each argument with the letters of `docs/design.md`: B users stepped
together (always the first axis), K slots of a slate, N items, S states, H horizon, G slates per user.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
