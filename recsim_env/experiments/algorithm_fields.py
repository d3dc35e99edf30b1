"""What the module of an algorithm says of it: feedback, bound, source. It is read, not imported.

The module's docstring has the fields `Feedback:`, `Bound:` and `Source:`, each at the beginning of a line and
continued in indented ones; where the bound has constants, the docstring of `regret_bound` says where they
come from.
"""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from inspect import cleandoc
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

AGENTS = "recsim_env.agents."
FIELD = re.compile(r"^(Feedback|Bound|Source): *(.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)


@dataclass(frozen=True)
class AlgorithmFields:
    """Each on one line; empty where the module does not say it."""

    module: str
    feedback: str
    bound: str
    source: str
    constants: str  # of the bound: where they come from
    defines_agent: bool  # there is a class that acts


def read_fields(module: str) -> AlgorithmFields:
    """The fields of a module, such as `recsim_env.agents.bandits.ucb1`."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    found = {name: " ".join(text.split()) for name, text in FIELD.findall(ast.get_docstring(tree) or "")}
    constants, defines_agent = "", False
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "regret_bound":
            constants = _provenance(ast.get_docstring(node) or "")
        if isinstance(node, ast.ClassDef):
            defines_agent |= any(
                isinstance(part, ast.FunctionDef) and part.name == "act" for part in node.body
            )
    feedback, bound, source = (found.get(name, "") for name in ("Feedback", "Bound", "Source"))
    return AlgorithmFields(module, feedback, bound, source, constants, defines_agent)


def _provenance(doc: str) -> str:
    """What a docstring says before its arguments, without the summary if there is more than that."""
    paragraphs = [" ".join(part.split()) for part in cleandoc(doc).split("\n\n")]
    words = [part for part in paragraphs if not re.match(r"(Args|Returns|Raises):", part)]
    return " ".join(words[1:] or words)


def modules_of(make: Callable[..., Any]) -> list[str]:
    """The modules of the agents that a line of a table can make: those of the classes that it names."""
    if isinstance(make, type):
        return [make.__module__]
    if isinstance(make, partial):
        return modules_of(make.func)
    assert isinstance(make, FunctionType)
    found: list[str] = []
    for name in _names(make.__code__):
        value = make.__globals__.get(name)
        if name.startswith(AGENTS):  # imported where it is needed
            found.append(name)
        elif isinstance(value, type) and value.__module__.startswith(AGENTS):
            found.append(value.__module__)
        elif isinstance(value, FunctionType) and value.__module__ == make.__module__ and value is not make:
            found += modules_of(value)
    return list(dict.fromkeys(found))


def _names(code: CodeType) -> list[str]:
    inner = [
        name for constant in code.co_consts if isinstance(constant, CodeType) for name in _names(constant)
    ]
    return [*code.co_names, *inner]
