"""The command `recsim-env board`: TensorBoard on one run, several, or a folder of runs."""

import argparse
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from recsim_env.errors import InputError
from recsim_env.experiments.compare_bandits import run_names

EVENTS = "*tfevents*"  # what TensorBoard calls its files


def add_board_command(verbs: Any) -> None:
    """Add the command to the parser of `recsim-env`."""
    verb = verbs.add_parser(
        "board",
        help="show runs in TensorBoard",
        description="Start TensorBoard on runs: curves, their bands (custom scalars), settings (hparams) and "
        "slates (images). Ctrl-C ends it.",
        epilog="example: recsim-env board runs --port 6007",
    )
    verb.add_argument(
        "directories",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="directories of runs or of `recsim-env compare`, or folders of them",
    )
    verb.add_argument(
        "--port", type=int, metavar="N", help="0 = any that is free (default: 6006, or the next that is free)"
    )
    verb.add_argument(
        "--host",
        default="localhost",
        metavar="NAME",
        help="0.0.0.0 lets other machines see it (default: localhost)",
    )
    verb.set_defaults(do=run)


def run(options: argparse.Namespace) -> None:
    """Show the runs until Ctrl-C.

    Raises:
        InputError: a directory without events, or a port or host that cannot be had.
    """
    if options.port is not None and not 0 <= options.port <= 65535:
        raise InputError(f"--port must be from 0 to 65535, got {options.port}")
    folders = event_folders(options.directories)
    with tempfile.TemporaryDirectory(prefix="recsim-env-board-") as logdir:
        for name, folder in folders.items():
            link = Path(logdir) / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(folder.resolve(), target_is_directory=True)
        url = serve(logdir, options.host, options.port)
        sys.stdout.write(f"TensorBoard shows {', '.join(folders)} at {url} (Ctrl-C ends it)\n")
        sys.stdout.flush()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: cleanly
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.stdout.write("TensorBoard has ended\n")


def serve(logdir: str, host: str, port: int | None) -> str:
    """Start TensorBoard in a thread; returns its address.

    Raises:
        InputError: the port is taken, or the host is not this machine.
    """
    from tensorboard import program

    check_address(host, port or 0)
    flags = ["--logdir", logdir, "--host", host]
    board = program.TensorBoard()
    board.configure(["", *flags, *([] if port is None else ["--port", str(port)])])
    try:
        return str(board.launch())
    except program.TensorBoardServerException as error:
        raise InputError(
            f"TensorBoard does not start ({error.msg}): choose another --port or --host"
        ) from None


def check_address(host: str, port: int) -> None:
    """Refuse an address that cannot be listened at.

    Raises:
        InputError: the port is taken or not permitted, or the host is not this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        place = f"{host}:{port}" if port else host
        raise InputError(
            f"nothing can listen at {place} ({error.strerror or error}): choose another --port or --host"
        ) from None


def event_folders(directories: Sequence[Path]) -> dict[str, Path]:
    """By name of the run, the folder that holds its events.

    Args:
        directories: a run, with its events in `tensorboard`; a folder of runs, at any depth; or any folder of
            events.

    Raises:
        InputError: one is not there, comes twice, or holds no events.
    """
    for directory in directories:
        if not directory.is_dir():
            raise InputError(f"{directory} is not a directory: give that of a run, or a folder of runs")
    found: dict[str, Path] = {}
    for directory, name in run_names(directories).items():
        for place, folder in _inside(directory):
            found[str(Path(name, place))] = folder
    return found


def _inside(directory: Path) -> Iterable[tuple[Path, Path]]:
    """The runs in a directory: where they are in it, and the folders of their events."""
    runs = [place.parent for place in sorted(directory.rglob("tensorboard")) if _has_events(place)]
    if directory in runs or (runs and not (directory / "run.json").exists()):
        runs = [directory] if directory in runs else runs
        return [(run.relative_to(directory), run / "tensorboard") for run in runs]
    if _has_events(directory):
        return [(Path(), directory)]
    raise InputError(
        f"{directory} holds no TensorBoard events: a run writes those of an agent when it has finished; "
        "give the directory of a run, or a folder of runs"
    )


def _has_events(folder: Path) -> bool:
    return folder.is_dir() and next(folder.rglob(EVENTS), None) is not None
