"""What a world out of a calibration refuses: parameters beside the fitted ones, and untrusted fits."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

from recsim_env.errors import InputError


def refuse_beside_calibration(
    build: Callable[..., Any], given: Mapping[str, Any], fitted: Sequence[str]
) -> None:
    """Refuse what differs from its default and was fitted to the log.

    Args:
        build: the function that makes the world.
        given: its parameters by name, as it was called.
        fitted: those that the calibration says.

    Raises:
        InputError: there are some.
    """
    defaults = {name: parameter.default for name, parameter in signature(build).parameters.items()}
    conflicts = [f"{name}={given[name]!r}" for name in fitted if given[name] != defaults[name]]
    if conflicts:
        raise InputError(
            f"{', '.join(conflicts)} cannot stand beside calibration, which takes its place: "
            "leave one or the other out"
        )


def refuse_untrusted(problems: Sequence[str], *, force: bool) -> None:
    """Refuse a fit that says of itself that it should not be trusted.

    Args:
        problems: what speaks against it; empty if nothing does.
        force: refuse nothing.

    Raises:
        InputError: there are problems, and `force` is False.
    """
    if problems and not force:
        raise InputError(
            f"this calibration is not to be trusted ({'; '.join(problems)}): "
            "mend what is wrong or fit a longer log, or pass force=True to use it all the same"
        )
