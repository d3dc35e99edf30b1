"""Logs larger than memory: one file, or a directory of part files, read piece by piece.

A log can be written as parts, `log/part-0.parquet`, `log/part-1.parquet`, ..., each by `write_logs`, such as
one by every worker. `open_log` looks at the end of every part before anything is read, so that one that is
cut off, or differs from the others, is named before the first number is computed. A part that is missing
altogether leaves no trace: compare `num_rows` with what was written.

    total, rows = 0.0, 0
    for piece in open_log("log").pieces(columns=["reward"]):
        total += piece.require("reward").sum()
        rows += len(piece)

What is held in memory is a row group of one part, at most 2^18 rows as `write_logs` makes them, whatever the
number of rows (`python benchmarks/datasets.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Array
from recsim_env.errors import InputError
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_columns import kept_column
from recsim_env.simulators.log_files import COLUMNS, REQUIRED, damaged, numpy_column, open_log_file

PIECE_ROWS = 1 << 16


@dataclass(frozen=True)
class LogParts:
    """A log on disk, of which nothing but its description is in memory."""

    paths: tuple[Path, ...]  # of its parts, by name
    num_rows: int
    columns: tuple[str, ...]  # names of those it has
    slate_size: int
    metadata: dict[str, Any]

    def pieces(
        self,
        *,
        columns: Sequence[str] | None = None,
        users: Array | None = None,
        piece_rows: int = PIECE_ROWS,
    ) -> Iterator[Log]:
        """The log, piece by piece, each checked and sorted by user, then time; empty pieces are left out.

        The rows of one user may lie in several pieces: those of a generated log follow each other in time.

        Args:
            columns: which of the optional columns are read; user, time, slate and clicked always are. All
                by default.
            users: ids of the users whose rows are wanted; all by default.
            piece_rows: rows of a piece at most.

        Raises:
            InputError: at the call, a column the log lacks or a number out of range; when it is reached, a
                damaged part or a bad cell: file, row group (from 0), row in it and column.
        """
        if piece_rows < 1:
            raise InputError(f"piece_rows must be at least 1, got {piece_rows}")
        for name in columns or ():
            if name not in self.columns:
                raise InputError(f"log has no column {name!r}: it has {', '.join(self.columns)}")
        wanted = [name for name in self.columns if columns is None or name in (*REQUIRED, *columns)]
        ids = None if users is None else np.unique(kept_column("users", users, np.dtype(np.int64)))
        return self._pieces(wanted, ids, piece_rows)

    def _pieces(self, columns: list[str], users: Array | None, piece_rows: int) -> Iterator[Log]:
        import pyarrow as pa
        import pyarrow.dataset as ds

        scan = ds.ParquetFragmentScanOptions(page_checksum_verification=True, pre_buffer=False)
        parquet = ds.ParquetFileFormat(default_fragment_scan_options=scan)
        kept = None if users is None else ds.field("user").isin(pa.array(users))
        chosen = "" if users is None else " of the chosen users"
        for fragment in ds.dataset([str(path) for path in self.paths], format=parquet).get_fragments():
            path = Path(fragment.path)
            for number, group in enumerate(fragment.split_by_row_group()):
                start = 0
                try:
                    # one thread and no reading ahead: what is read ahead lies in memory
                    batches = group.to_batches(
                        columns=columns,
                        filter=kept,
                        batch_size=piece_rows,
                        batch_readahead=0,
                        fragment_readahead=0,
                        use_threads=False,
                    )
                    for batch in batches:
                        table = pa.table(batch)
                        arrays = {name: numpy_column(path, table.column(name), name) for name in columns}
                        if len(table):
                            yield Log(**arrays, metadata=self.metadata)
                        start += len(table)
                except (pa.ArrowException, OSError) as error:
                    raise damaged(path, error) from error
                except InputError as error:
                    place = f"{path}, row group {number}"
                    raise InputError(f"{place}, rows{chosen} from {start}: {error}") from None


def open_log(path: str | Path) -> LogParts:
    """Look at a log on disk without reading it.

    Args:
        path: of a file that `write_logs` made, or of a directory that holds such files, `*.parquet`, all
            with the same columns, slate size and metadata.

    Raises:
        InputError: no such path, an empty directory, a part that is still written, cut off, no log, of a
            later version, or differs from the first; the message names the part.
    """
    path = Path(path)
    paths: tuple[Path, ...] = (path,)
    if path.is_dir():
        paths = tuple(sorted(path.glob("*.parquet")))
        half = sorted(path.glob("*.parquet.part"))
        if half:
            raise InputError(
                f"{half[0]} is half a part: its writing goes on or was killed; wait or remove it"
            )
        if not paths:
            raise InputError(f"{path} holds no *.parquet: give a log, or the directory of its parts")
    num_rows, first = 0, None
    for part in paths:
        file, metadata = open_log_file(part)
        with file:
            schema = file.schema_arrow
            num_rows += file.metadata.num_rows
        found = (
            schema.field("slate").type.list_size,
            tuple(n for n in COLUMNS if n in schema.names),
            metadata,
        )
        first = first or found
        for what, one, other in zip(("slate size", "columns", "metadata"), found, first, strict=True):
            if one != other:
                raise InputError(f"{part} must have the {what} of {paths[0]}, {other}, got {one}")
    assert first is not None
    return LogParts(paths, num_rows, first[1], first[0], first[2])
