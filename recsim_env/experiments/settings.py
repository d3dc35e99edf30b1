"""Settings of an experiment: a frozen dataclass whose fields are the options of the command line."""

import argparse
import shlex
from collections.abc import Collection
from dataclasses import MISSING, asdict, field, fields
from typing import Any, TypeVar

from recsim_env.errors import InputError, unknown_name

Settings = TypeVar("Settings")


def option(default: Any, help: str, each: str = "") -> Any:
    """A field with its line of `--help`.

    Args:
        default: a number or a text.
        help: the line.
        each: of a text of parts KEY=VALUE, the option that gives one and may be repeated; they are joined as
            a shell would read them (`parts`).
    """
    return field(default=default, metadata={"help": help, "each": each})


def add_options(parser: argparse.ArgumentParser, settings: type) -> None:
    """One option for every field: `num_items` becomes `--num-items`."""
    for f in fields(settings):
        if f.metadata["each"]:
            name, text = f.metadata["each"], f.metadata["help"]
            parser.add_argument(f"--{name}", dest=f.name, action="append", metavar="KEY=VALUE", help=text)
            continue
        default = None if f.default is MISSING else f.default
        parser.add_argument(
            f"--{f.name.replace('_', '-')}",
            dest=f.name,
            type=type(default),
            default=default,
            metavar={int: "N", float: "X"}.get(type(default), "TEXT"),
            help=f"{f.metadata['help']} (default: {default if default != '' else 'none'})",
        )


def from_options(settings: type[Settings], options: argparse.Namespace) -> Settings:
    """The settings that the options say."""
    given = {f.name: getattr(options, f.name) for f in fields(settings)}  # type: ignore[arg-type]
    for f in fields(settings):  # type: ignore[arg-type]
        if f.metadata["each"]:
            given[f.name] = shlex.join(given[f.name] or [])
    return settings(**given)


def parts(text: str) -> list[str]:
    """The parts of a setting whose option may be repeated."""
    return shlex.split(text)


def names_of(option: str, kind: str, text: str, choices: Collection[str]) -> list[str]:
    """The names in a comma-separated list, each one of the choices.

    Args:
        option: that has them, for the message: agents.
        kind: of what they name: agent.
        text: random,cascade_ts.
        choices: all there are.

    Raises:
        InputError: none, one twice, or one that is not known, with the nearest that is.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"{option} must name one or more, got {text!r}: known are {', '.join(choices)}")
    for i, name in enumerate(names):
        if name not in choices:
            raise unknown_name(kind, name, choices)
        if name in names[:i]:
            raise InputError(f"{option} names {name} twice")
    return names


def from_run(settings: type[Settings], saved: dict[str, Any]) -> Settings:
    """The settings of an old run, from its `run.json`.

    Raises:
        InputError: the run was made with settings that this version does not have.
    """
    known = {f.name for f in fields(settings)}  # type: ignore[arg-type]
    if saved.keys() != known:
        odd = sorted(saved.keys() ^ known)
        raise InputError(f"run.json has other settings than this version ({', '.join(odd)}): start a new run")
    return settings(**saved)


def as_json(settings: Any) -> dict[str, Any]:
    """The settings as `run.json` holds them."""
    return asdict(settings)


def positive(**values: int | float) -> None:
    """Refuse a setting that is not above 0."""
    for name, value in values.items():
        if not value > 0:
            raise InputError(f"{name} must be positive, got {value}")
