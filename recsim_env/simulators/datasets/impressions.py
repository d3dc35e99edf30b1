"""Search sessions: the slates of results that were shown, and the clicks on them, one row a result."""

from pathlib import Path

import numpy as np

from recsim_env.errors import InputError
from recsim_env.simulators.datasets.columns import (
    dense,
    further_column,
    integers,
    read_parquet_columns,
    refuse,
)
from recsim_env.simulators.datasets.interactions import Interactions
from recsim_env.simulators.datasets.tables import flags
from recsim_env.simulators.log import Log

REQUIRED = ("session_id", "query_index", "position", "item_id", "clicked")


def read_search_sessions(directory: str | Path) -> Interactions:
    """Put the results of each query together: a session is a user, a query is a row, its number the clock.

    `columns["vertical_type"]` (R, K), where the file has it, is the kind of each result, nan in empty slots.
    Some slates of TianGong-ST hold an item twice; they are kept as they are.

    Source of the sample this was run on: TianGong-ST, 50 sessions of the Sogou engine with 114 queries, 1,140
    results and 106 clicks (J. Chen et al., CIKM 2019, http://www.thuir.cn/tiangong-st/). Terms: for research;
    not shipped.

    Args:
        directory: holds `impressions.parquet` with session_id, query_index, position (from 1), item_id and
            clicked (0 or 1); rows may stand in any order.

    Raises:
        InputError: a missing file or column, a position below 1 or that a query has twice, or a cell that is
            missing or not what it must be: file, row and column.
    """
    path = Path(directory) / "impressions.parquet"
    found = read_parquet_columns(path, REQUIRED, ["vertical_type"])
    if len(found["session_id"]) == 0:
        raise InputError(f"{path} has no rows")
    users = dense(integers(found["session_id"], path, "session_id"))
    items = dense(integers(found["item_id"], path, "item_id"))
    query = integers(found["query_index"], path, "query_index")
    position = integers(found["position"], path, "position")
    refuse(position < 1, found["position"], path, "position", "is below 1: positions count from 1")
    clicked = flags(found["clicked"], path, "clicked")
    slates, row = np.unique(np.stack([users[1], query], axis=1), axis=0, return_inverse=True)
    row, slot, K = row.reshape(-1), position - 1, int(position.max())
    order = np.lexsort((slot, row))
    again = np.zeros(len(row), np.bool_)
    again[order[1:]] = (np.diff(row[order]) == 0) & (np.diff(slot[order]) == 0)
    refuse(again, found["position"], path, "position", "stands twice in the same query")
    R = len(slates)
    slate = np.full((R, K), -1, np.int64)
    slate[row, slot] = items[1]
    shown_clicks = np.zeros((R, K), np.bool_)
    shown_clicks[row, slot] = clicked
    columns = {}
    if "vertical_type" in found:
        kind = np.full((R, K), np.nan)
        kind[row, slot] = further_column(found["vertical_type"], path, "vertical_type")
        columns["vertical_type"] = kind
    first = np.full(R, len(row), np.int64)
    np.minimum.at(first, row, np.arange(len(row)))
    log = Log(slates[:, 0], slates[:, 1].astype(np.float64), slate, shown_clicks)
    return Interactions(
        Path(directory).resolve().name,
        log,
        "query_index",
        users[0],
        items[0],
        None,
        ("session_id", "item_id"),
        first,
        columns,
    )
