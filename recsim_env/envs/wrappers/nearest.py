"""The items nearest to a point, among up to millions: which of the searches is exact, and which is not.

    search       exact   how
    exact        yes     `CellSearch`: leaves out only cells that provably hold none of the K
    cells        no      `CellSearch(probes=P)`: the P cells with the nearest centres alone
    faiss        yes     `FaissSearch("Flat")`: every item, by faiss
    faiss_cells  no      `FaissSearch(INDEX)`: product-quantised cells, and what they find looked at again

Both metrics rank by one score, s(a, i) = f_i . a + o_i, with o_i = 0 for inner_product and -|f_i|^2 / 2 for
l2. Items are gathered into cells (k-means, about sqrt(N) of them). With c the centre and r the radius of a
cell, none of its items scores more than

    inner_product    c . a + |a| r                l2    (|a|^2 - max(0, |a - c| - r)^2) / 2

so a catalogue whose items lie in clusters is searched in a fraction of the time, and one without, to the end.
What is found in float32 is ranked anew in float64, the lower number first among equals, and where rounding
could have hidden an item the row is searched in float64: the exact searches agree to the last item, and no
row depends on the others. `python benchmarks/wrappers.py` prints time and recall of each.
"""

from collections.abc import Callable
from typing import Protocol

from recsim_env.arrays import Array, Ints
from recsim_env.envs.wrappers.cell_search import CellSearch
from recsim_env.envs.wrappers.faiss_search import INDEX, FaissSearch
from recsim_env.errors import unknown_name

PROBES = 64  # cells that are looked at where not all are, of about sqrt(N): 1,000 of a million items


class Search(Protocol):
    """N items that can be searched."""

    num_items: int
    metric: str

    def nearest(self, points: Array, K: int) -> Ints:
        """(B, K) items nearest to float32 points (B, D), nearest first."""


SEARCHES: dict[str, Callable[[Array, str], Search]] = {
    "exact": CellSearch,
    "cells": lambda features, metric: CellSearch(features, metric, PROBES),
    "faiss": FaissSearch,
    "faiss_cells": lambda features, metric: FaissSearch(features, metric, INDEX),
}


def build_search(name: str, features: Array, metric: str) -> Search:
    """The search of that name, with its defaults.

    Raises:
        InputError: there is none; faiss is not installed.
    """
    if name not in SEARCHES:
        raise unknown_name("search", name, SEARCHES)
    return SEARCHES[name](features, metric)
