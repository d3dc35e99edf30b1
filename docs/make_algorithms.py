"""Write docs/algorithms/README.md: every algorithm with its feedback, bound, file and notebooks.

Run from the root of the repository: python docs/make_algorithms.py
"""

import ast
from pathlib import Path

from recsim_env.experiments.agents import AGENTS
from recsim_env.experiments.algorithm_fields import modules_of, read_fields
from recsim_env.experiments.bandit_agents import BANDITS
from recsim_env.experiments.bandits_by_world import algorithms_by_world
from recsim_env.experiments.deep_agents import DEEP_AGENTS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "algorithms" / "README.md"
HEAD = """\
# Algorithms

Written by `python docs/make_algorithms.py` from the tables of algorithms, the `Feedback:` and `Bound:` lines
of their modules, and the imports of the notebooks. T is the number of rounds, N of arms or items, K of slots.
"""


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The whole page, in Markdown."""
    names = _names_by_module()
    used = notebooks_by_module(sorted((ROOT / "notebooks").glob("*.py")))
    blocks = [HEAD]
    for title, command, modules in _sections(list(names)):
        rows = ["| algorithm | feedback | bound | file | notebooks |", "|---|---|---|---|---|"]
        for module in modules:
            fields = read_fields(module)
            file = Path(*module.split(".")).with_suffix(".py")
            links = " ".join(f"[{name[:2]}](../../notebooks/{name})" for name in used.get(module, []))
            # by its name on the command line; what no table makes, by its module
            name = ", ".join(f"`{name}`" for name in names.get(module, [])) or file.stem
            cells = [name, _cell(fields.feedback), _cell(fields.bound), f"[{file.name}](../../{file})", links]
            rows.append("| " + " | ".join(cells) + " |")
        blocks.append(f"## {title}\n\n{command}\n\n" + "\n".join(rows) + "\n")
    blocks.append("## Where they act\n\n" + _worlds())
    return "\n".join(blocks)


def agent_modules(folder: str) -> list[str]:
    """The modules of a folder of `recsim_env/agents` that define an agent, by name."""
    stems = sorted(path.stem for path in (ROOT / "recsim_env" / "agents" / folder).glob("*.py"))
    modules = [f"recsim_env.agents.{folder}.{stem}" for stem in stems if stem != "__init__"]
    return [module for module in modules if read_fields(module).defines_agent]


def notebooks_by_module(notebooks: list[Path]) -> dict[str, list[str]]:
    """File names of the notebooks that import each module."""
    found: dict[str, list[str]] = {}
    for notebook in notebooks:
        for node in ast.walk(ast.parse(notebook.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            else:
                continue
            for module in imported:
                if notebook.name not in found.setdefault(module, []):
                    found[module].append(notebook.name)
    return found


def _names_by_module() -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    makers = {**DEEP_AGENTS, **{name: agent.make for name, agent in BANDITS.items()}, **AGENTS}
    for name, make in makers.items():
        for module in modules_of(make):
            names.setdefault(module, []).append(name)
    return names


def _sections(named: list[str]) -> list[tuple[str, str, list[str]]]:
    def of(folder: str) -> list[str]:
        return sorted(module for module in named if f".agents.{folder}." in module)

    return [
        (
            "Bandits",
            "`recsim-env run bandits --env ID --agents a,b,c` plays those with a name in code letters.",
            sorted({*agent_modules("bandits"), *of("bandits")}),
        ),
        ("Planners", "`recsim-env run cascade_mdp --agents a,b,c` plays them.", of("tabular")),
        (
            "Deep agents",
            "`recsim-env run deep_slates --env ID --agents a,b,c` plays them; they need the extra `torch`.",
            of("deep_rl"),
        ),
        ("Baselines", "To compare with.", of("baselines")),
    ]


def _worlds() -> str:
    lines = ["| environment | bandits |", "|---|---|"]
    for env_id, names in algorithms_by_world().items():
        lines.append(
            f"| [{env_id}](../environments/{env_id}.md) | {', '.join(f'`{name}`' for name in names)} |"
        )
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.removesuffix(".").replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


if __name__ == "__main__":
    main()
