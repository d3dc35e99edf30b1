"""Work on several processes or machines, which Ray carries; nothing else of the package knows Ray.

Without an address the workers are processes of this machine, which end with the command. With one they are
those of a running cluster: its machines must have the package in the same version and see the directory of
the run under the same path. A worker that dies is replaced and its cell goes on from its checkpoint.

Each worker computes with one thread: there is one for every core, and sums do not depend on how
many there are.
"""

import argparse
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import recsim_env
from recsim_env.errors import InputError, require

T = TypeVar("T")
ATTEMPTS = 4  # of a cell whose worker dies, the first one counted
ANSWER_SECONDS = 10.0  # that a cluster has to answer
LOOK_SECONDS = 0.5  # between two looks at what is done
OBJECT_STORE = 100_000_000  # bytes; cells are small, and results go through files
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Workers:
    """How a run is carried; what it finds does not depend on it."""

    count: int  # cells at a time
    address: str = ""  # HOST:PORT of a Ray cluster, or auto for that of this machine; none = this machine


def add_workers(parser: argparse.ArgumentParser) -> None:
    """The options `--workers` and `--address`, which are no settings: a run may go on with others."""
    parser.add_argument(
        "--workers",
        type=int,
        default=argparse.SUPPRESS,  # else the default of an experiment would hide what was given before it
        metavar="N",
        help="processes that share the work, carried by Ray (extra `ray`); results do not depend on it "
        "(default: none, this process)",
    )
    parser.add_argument(
        "--address",
        default=argparse.SUPPRESS,
        metavar="HOST:PORT",
        help="of a running Ray cluster, or auto for that of this machine; it must see the directory of the "
        "run (default: workers on this machine)",
    )


def workers_of(options: argparse.Namespace) -> Workers | None:
    """What the options say; None = this process."""
    count, address = getattr(options, "workers", None), getattr(options, "address", "")
    if count is None and address:
        raise InputError("--address needs --workers N, how many cells are played at a time")
    if count is not None and count < 1:
        raise InputError(f"--workers must be at least 1, got {count}")
    return None if count is None else Workers(count, address)


def on_workers(
    jobs: Sequence[T], work: Callable[[T], None], workers: Workers, *, seen: Path
) -> Generator[tuple[T, bool]]:
    """Do every job on a worker.

    Args:
        jobs: what `work` is called with.
        work: a function of a module.
        workers: how many, and where.
        seen: a file that every machine must see.

    Yields:
        (job, True) of every job that is done, as they come, and (job, False) now and then of those at work.

    Raises:
        InputError: ray is missing, the cluster does not answer or lacks the package or the file; an
            InputError of a job; or a worker died `ATTEMPTS` times with the same job.
        OSError, MemoryError: of a job.
    """
    with cluster(replace(workers, count=min(workers.count, len(jobs)))) as ray:
        remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(_attempt_by_value())
        waiting: list[T] = list(jobs)[::-1]
        working: dict[Any, T] = {}
        try:
            while waiting or working:
                while waiting and len(working) < workers.count:
                    job = waiting.pop()
                    sent = pickle.dumps((work, job)), recsim_env.__version__, str(seen.resolve())
                    working[remote.remote(*sent)] = job
                done, _ = ray.wait(list(working), timeout=LOOK_SECONDS)
                for reference in done:
                    job = working.pop(reference)
                    try:
                        error = ray.get(reference)
                    except ray.exceptions.RayTaskError as failure:  # a defect of ours: with its traceback
                        raise failure from None
                    except ray.exceptions.RayError as failure:
                        raise InputError(_gave_up(failure)) from None
                    if error is not None:
                        raise error
                    yield job, True
                for job in working.values():
                    yield job, False
        finally:  # such as Ctrl-C: cells keep their checkpoints
            for reference in working:
                ray.cancel(reference, force=True)


def _attempt_by_value() -> Callable[[bytes, str, str], Exception | None]:
    """The function that a worker calls; it travels itself, so that it can say that the package is missing."""

    def attempt(sent: bytes, version: str, seen: str) -> Exception | None:
        import pathlib
        import pickle
        import socket

        try:
            import recsim_env
            from recsim_env.errors import InputError
        except ImportError as error:
            return ValueError(f"{socket.gethostname()} cannot import recsim_env {version} ({error})")
        if recsim_env.__version__ != version:
            return InputError(
                f"{socket.gethostname()} has recsim-env {recsim_env.__version__}, this machine {version}: "
                "install the same version on all"
            )
        if not pathlib.Path(seen).is_file():
            return InputError(
                f"{socket.gethostname()} does not see {seen}: choose an --out on a file system that all "
                "machines share, under the same path"
            )
        try:
            work, job = pickle.loads(sent)
            work(job)
        except (InputError, OSError, MemoryError) as error:
            return error
        return None

    return attempt


@contextmanager
def cluster(workers: Workers) -> Iterator[Any]:
    """Ray, connected; one that this process was connected to before is used as it is, and stays.

    Raises:
        InputError: ray is missing, or the cluster does not answer.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a command tells nobody that it ran
    require("ray", "ray")
    import ray

    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    source = {"PYTHONPATH": _python_path()}
    if workers.address:
        check_answers(workers.address)
        try:
            ray.init(workers.address, runtime_env={"env_vars": {**source, **_one_thread()}}, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InputError(_no_answer(workers.address, str(error))) from None
    else:
        with _environment({**source, **_one_thread()}):  # which the workers inherit
            ray.init(
                "local",
                num_cpus=workers.count,
                include_dashboard=False,
                object_store_memory=OBJECT_STORE,
                **quiet,
            )
    try:
        yield ray
    finally:
        ray.shutdown()


def check_answers(address: str) -> None:
    """Ask whether a cluster is there, within seconds: Ray itself tries for minutes and then ends the process.

    Raises:
        InputError: it is no address, nobody listens there, or who does is no cluster.
    """
    place = address.removeprefix("ray://")
    host, colon, port = place.rpartition(":")
    if address != "auto":
        if not (host and colon and port.isdecimal()):
            raise InputError(f"--address must be HOST:PORT, ray://HOST:PORT or auto, got {address!r}")
        try:
            socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise InputError(_no_answer(address, str(error))) from None
    if address.startswith("ray://"):
        return  # a client of Ray, which gives up in 30 seconds
    ask = "from ray.scripts.scripts import main; main()"
    try:
        done = subprocess.run(
            [sys.executable, "-c", ask, "health-check", "--address", address],
            capture_output=True,
            timeout=3 * ANSWER_SECONDS,  # most of which is the import of ray
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(_no_answer(address, "nobody answers as Ray does")) from None
    if done.returncode:
        reason = "there is none on this machine" if address == "auto" else "who listens there is no cluster"
        raise InputError(_no_answer(address, reason))


def _no_answer(address: str, reason: str) -> str:
    return (
        f"no Ray cluster answers at {address} ({reason}): start one with `ray start --head --port=6379` and "
        "give its address, or leave out --address to use this machine"
    )


def _gave_up(failure: Exception) -> str:
    """What to say of a worker that died again and again, or a machine that was lost."""
    reason = str(failure).strip().splitlines()[0] if str(failure).strip() else type(failure).__name__
    if type(failure).__name__ == "LocalRayletDiedError":  # no worker's fault, and none can be replaced
        return f"Ray ended on this machine ({reason}): go on with --resume"
    return (
        f"a worker died {ATTEMPTS} times with the same cell ({type(failure).__name__}: {reason}): if memory "
        "is short, ask for fewer --workers, and go on with --resume"
    )


def _python_path() -> str:
    """Where the package was imported from comes first, so that workers run the same source."""
    here = str(Path(recsim_env.__file__).resolve().parents[1])
    return os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])


def _one_thread() -> dict[str, str]:
    return dict.fromkeys(ONE_THREAD, "1")


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """The environment with these variables, for processes that begin inside the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
