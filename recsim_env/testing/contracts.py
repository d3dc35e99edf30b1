"""What a contract is, and the report of those that were checked.

A contract is a function of a case (`WorldCase`, `AgentCase`). The first sentence of its docstring is the
promise, the rest says why it matters; it raises `Broken` with what was found and what to do.
"""

import time
import traceback
from collections.abc import Callable, Iterable
from inspect import getdoc
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
MEND_FIRST = "mend this first: what raises there cannot be checked"


class Broken(AssertionError):  # noqa: N818 - `raise Broken` says what it means
    """A contract does not hold.

    Args:
        found: what was seen, with its place and values.
        advice: what to do about it.
    """

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(f"{found}: {advice}")
        self.found = found
        self.advice = advice


class Result(NamedTuple):
    """One contract, checked."""

    contract: str  # its name, in words
    promise: str
    why: str
    found: str  # empty: it holds
    advice: str
    skipped: str  # why it was not checked; empty: it was
    seconds: float

    @property
    def broken(self) -> bool:
        """Whether it was checked and does not hold."""
        return bool(self.found)


class Report(NamedTuple):
    """All contracts of one world or agent; printed, a table."""

    subject: str
    results: tuple[Result, ...]

    @property
    def broken(self) -> tuple[Result, ...]:
        """Those that do not hold."""
        return tuple(result for result in self.results if result.broken)

    def __str__(self) -> str:
        """A line for each contract, and a paragraph for each that is broken."""
        width = max(len(result.contract) for result in self.results)
        lines = [_headline(self)]
        for result in self.results:
            word = "BROKEN" if result.broken else "skipped" if result.skipped else "holds"
            note = f"  ({result.skipped})" if result.skipped else ""
            lines.append(f"  {result.contract:{width}}  {word:8}{result.seconds:5.1f} s{note}")
        if len(self.broken) > 1:
            lines += ["", "The first that is broken is most often the cause of the others."]
        for result in self.broken:
            lines += [
                "",
                result.contract,
                f"  promise: {result.promise}",
                f"  why:     {result.why}",
                f"  found:   {result.found}",
                f"  to do:   {result.advice}",
            ]
        return "\n".join(lines)


class ContractError(AssertionError):
    """Some contracts are broken: the message is the report.

    Attributes:
        report: the `Report`.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(str(report))
        self.report = report


def check(
    subject: str,
    contracts: Iterable[Callable[[Any], None]],
    case: Any,
    skipped: dict[str, str],
    first: tuple[str, ...] = (),
) -> Report:
    """Check all contracts, whatever fails on the way.

    Args:
        subject: name of what is checked.
        contracts: see the module.
        case: that each is given.
        skipped: name of a function -> why it is left out.
        first: names of functions; where one fails, nothing else would make sense.

    Raises:
        ContractError: some are broken.
    """
    results: list[Result] = []
    stopped, raised = "", set()
    for contract in contracts:
        reason = skipped.get(contract.__name__, stopped)
        started = time.perf_counter()
        found, advice = ("", "") if reason else _outcome(contract, case)
        seconds = time.perf_counter() - started
        if advice == MEND_FIRST and found in raised:
            reason, found = "raises the same", ""
        raised.add(found)
        results.append(Result(title(contract), *_promise(contract), found, advice, reason, seconds))
        if found and contract.__name__ in first:
            stopped = f"not before {title(contract)}"
    report = Report(subject, tuple(results))
    if report.broken:
        raise ContractError(report)
    return report


def title(contract: Callable[[Any], None]) -> str:
    """Its name in words."""
    return contract.__name__.replace("_", " ")


def _promise(contract: Callable[[Any], None]) -> tuple[str, str]:
    """The first sentence of the docstring, and the rest."""
    text = " ".join((getdoc(contract) or "").split())
    promise, _, why = text.partition(". ")
    return promise.removesuffix(".") + ".", why


def _outcome(contract: Callable[[Any], None], case: Any) -> tuple[str, str]:
    """What was found and what to do, both empty if the contract holds."""
    try:
        contract(case)
    except Broken as broken:
        return broken.found, broken.advice
    except Exception as error:
        # the last place outside of this folder is where the user's own code, or what it calls, went wrong
        frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent != HERE]
        place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        words = " ".join(str(error).split())
        return (
            f"{type(error).__name__}{place}: {words}",
            MEND_FIRST,
        )
    return "", ""


def _headline(report: Report) -> str:
    count, total = len(report.broken), len(report.results)
    if count == 0:
        return f"{report.subject}: all contracts hold ({total})"
    return f"{report.subject}: {count} of {total} contracts {'is' if count == 1 else 'are'} broken"
