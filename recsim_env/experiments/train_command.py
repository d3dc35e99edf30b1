"""The command `recsim-env train`: a policy of a reinforcement learning library, measured while it learns.

    recsim-env train --library sb3 --out runs/sb3
    recsim-env train --library rllib --runners 2 --out runs/rllib
    recsim-env train --library rllib --env recsim_env:CascadeRec-v0 --runners 2 --address auto
    recsim-env train --resume runs/rllib

`--library NAME --help` lists the options of one. What comes of it is a run like those of `recsim-env run`:
`results.csv`, `figure.png`, `tensorboard/`, so that `recsim-env compare DIR DIR` draws several together. A
run that was killed goes on with `--resume DIR`.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from recsim_env.errors import InputError, unknown_name
from recsim_env.experiments.settings import add_options, from_options, from_run

LIBRARIES = ("sb3", "rllib")  # modules of this package, each shaped as an experiment: see `run`


def libraries() -> dict[str, ModuleType]:
    """The libraries by name; the libraries themselves are imported only when something is trained."""
    return {name: import_module(f"recsim_env.experiments.{name}") for name in LIBRARIES}


def add_train_command(verbs: Any, arguments: Sequence[str]) -> None:
    """Add the command to the parser of `recsim-env`.

    Args:
        verbs: the commands.
        arguments: of the command line, in which the library is looked up: each has options of its own.
    """
    verb = verbs.add_parser(
        "train",
        help="train a policy of Stable-Baselines3 or RLlib, or go on with one",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_argument("--library", choices=LIBRARIES, help="sb3 (Stable-Baselines3) or rllib (Ray RLlib)")
    verb.add_argument("--resume", type=Path, metavar="DIR", help="go on with the run in this directory")
    verb.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="directory for what comes of it (default: runs/LIBRARY-DATE-TIME)",
    )
    verb.set_defaults(do=_train, module=None)
    if "train" not in arguments[:1]:
        return
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument("--library", default=None)
    try:
        name = first.parse_known_args(list(arguments[1:]))[0].library
    except argparse.ArgumentError:  # no name after it: the whole parser says so
        return
    if name in LIBRARIES:
        module = import_module(f"recsim_env.experiments.{name}")
        add_options(verb.add_argument_group(f"options of {name}"), module.Settings)
        verb.set_defaults(module=module)
    else:
        verb.add_argument(
            "--address",
            default="",
            metavar="HOST:PORT",
            help="with --resume: of the Ray cluster to go on with",
        )


def _train(options: argparse.Namespace) -> None:
    if options.resume is not None:
        if options.out is not None or options.library is not None:
            raise InputError(
                "--resume DIR goes alone, or with --address: run.json in DIR says what is trained"
            )
        _go_on(options)
        return
    if options.module is None:
        raise InputError(f"train needs --library, one of {', '.join(LIBRARIES)}, or --resume DIR")
    module = options.module
    if options.out is None:
        options.out = Path("runs") / f"{module.NAME}-{time.strftime('%Y%m%d-%H%M%S')}"
    module.run(from_options(module.Settings, options), options.out, False)


def _go_on(options: argparse.Namespace) -> None:
    from recsim_env.experiments.run_directory import read_run

    options.out = options.resume
    document = read_run(options.out)
    if document["experiment"] not in LIBRARIES:
        raise unknown_name("library", document["experiment"], LIBRARIES)
    module = import_module(f"recsim_env.experiments.{document['experiment']}")
    settings = from_run(module.Settings, document["settings"])
    if getattr(options, "address", ""):
        if not hasattr(settings, "address"):
            raise InputError(f"--address is for rllib, and {options.out} holds a run of {module.NAME}")
        settings = replace(settings, address=options.address)
    module.run(settings, options.out, True)
