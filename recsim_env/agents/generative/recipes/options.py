"""A part that a recipe names, and its options: arguments of what it makes, checked before it is made."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from recsim_env.agents.generative.recipes.recipe import Options
from recsim_env.errors import InputError, unknown_name


@dataclass(frozen=True)
class Part:
    """Something that a recipe names."""

    make: Callable[..., Any]  # what its arguments are, and what of them a recipe does not say
    of: Callable[..., Any]  # whose arguments are the options
    more: tuple[str, ...] = ()  # options of `make` alone


def checked(
    of: Callable[..., Any],
    given: Mapping[str, Any],
    where: str,
    hidden: tuple[str, ...] = (),
    more: tuple[str, ...] = (),
) -> Options:
    """Options that are arguments, of the types of their defaults.

    Args:
        of: whose arguments.
        given: the options.
        where: the part of a recipe, for errors.
        hidden: arguments that are no options.
        more: further names that are options.

    Raises:
        InputError: an option that is none, or of another type.
    """
    arguments = inspect.signature(of).parameters
    known = [*(name for name in arguments if name not in hidden), *more]
    for name, value in given.items():
        if name not in known:
            raise unknown_name(f"option of [{where}]", name, known)
        if name in arguments and not _fits(value, arguments[name]):
            like = arguments[name].default
            wanted = f"like {like!r}" if like is not inspect.Parameter.empty else "of another type"
            raise InputError(f"{name} of [{where}] must be {wanted}, got {value!r}")
    for name, argument in arguments.items():
        needed = argument.default is inspect.Parameter.empty and argument.kind is not argument.VAR_KEYWORD
        if name in known and needed and name not in given:
            raise InputError(f"[{where}] needs {name}")
    return dict(given)


def _fits(value: Any, argument: inspect.Parameter) -> bool:
    """Whether a value is of the type of an argument, as far as its default or annotation says."""
    bare = argument.default is inspect.Parameter.empty or argument.default is None
    kind = argument.annotation if bare else type(argument.default)
    if kind in (tuple, list):
        return isinstance(value, tuple | list)
    if kind not in (int, float, str, bool):
        return True
    kinds = (int, float) if kind is float else (kind,)
    return isinstance(value, kinds) and isinstance(value, bool) == (kind is bool)


def part_named(
    where: str, options: Options, choices: dict[str, Part], hidden: tuple[str, ...]
) -> tuple[Part, Options]:
    """The part, and its options."""
    name = options.get("name", "")
    if name not in choices:
        raise unknown_name(f"name of [{where}]", name, choices)
    part = choices[name]
    given = {option: value for option, value in options.items() if option != "name"}
    return part, checked(part.of, given, f"{where}: {name}", hidden, part.more)
