"""The core needs no extra, and no test of an extra is lost between the environments that run the tests."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import EXTRAS

HERE = Path(__file__).parent
ROOT = HERE.parent / "recsim_env"


def run_pytest(folder, *arguments, **environment):
    """Exit code and output of pytest on a test file of its own, with this folder's conftest.py."""
    (folder / "conftest.py").write_text((HERE / "conftest.py").read_text())
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    extra: needs an extra\n")
    kept = {name: value for name, value in os.environ.items() if name != "RECSIM_ENV_EXTRAS"}
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.returncode, shown.stdout


MISSING = """
import sys
import pytest
sys.modules["faiss"] = None  # as if it were not installed
{marker}
def test_one():
    pytest.importorskip("faiss")
"""


@pytest.mark.parametrize(
    ("marker", "extras", "code", "words"),
    [
        ("@pytest.mark.extra", "", 0, "1 skipped"),
        ("@pytest.mark.extra", "1", 1, "faiss"),  # where extras are installed, a missing one fails
        ("", "", 1, "needs faiss: give it the marker @pytest.mark.extra"),
        ("", "1", 1, "faiss"),
    ],
)
def test_what_is_missing_is_seen(tmp_path, marker, extras, code, words):
    (tmp_path / "test_it.py").write_text(MISSING.format(marker=marker))
    found, output = run_pytest(tmp_path, RECSIM_ENV_EXTRAS=extras)
    assert found == code, output
    assert words in output


NEEDS = re.compile(rf"pytest\.importorskip\(['\"]({'|'.join(EXTRAS)})['\".]")


def test_what_needs_an_extra_has_the_marker():
    """Tests, and whole files, whose skip `conftest.py` would not see."""
    for file in HERE.glob("test_*.py"):
        nodes = ast.parse(file.read_text()).body
        texts = {node: ast.unparse(node) for node in nodes if "MISSING" not in ast.unparse(node)}
        whole = any(text.startswith("pytestmark = ") and "mark.extra" in text for text in texts.values())
        for node, text in texts.items():
            if NEEDS.search(text) and not whole:
                assert isinstance(node, ast.FunctionDef), f"{file.name} needs a pytestmark with mark.extra"
                is_test = node.name.startswith("test_")
                assert not is_test or "mark.extra" in text.partition("def ")[0], f"{file.name}: {node.name}"


def modules():
    """Those of the package, `recsim_env.testing` for `testing/__init__.py`."""
    for file in sorted(ROOT.rglob("*.py")):
        yield ".".join(file.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def test_the_core_is_imported_without_extras():
    """Every module but those that are the face of one of these libraries, which nothing else may import."""
    code = f"""
import importlib, sys
class Missing:
    def find_spec(self, name, *_):
        if name.split(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError("not installed", name=name)
sys.meta_path.insert(0, Missing())
for name in {list(modules())!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        assert (error.name or "").split(".")[0] in {EXTRAS!r}, (name, error)
        print(name)
    except ValueError as error:  # InputError: it asks for the extra
        assert "pip install 'recsim-env[" in str(error), (name, error)
        print(name)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert not [name for name in shown.stdout.split() if not name.startswith(FACES)]


# modules whose first lines import an extra, since a class of theirs inherits from one of the library, or that
# are made of such classes
FACES = (
    "recsim_env.agents.deep_rl.",
    "recsim_env.agents.generative.",
    "recsim_env.agents.robust.adversarial_training",
    "recsim_env.agents.robust.fraud_detector",
    "recsim_env.agents.robust.fraud_network",
    "recsim_env.agents.robust.graphrfi_like",
    "recsim_env.agents.robust.lorec",
    "recsim_env.agents.sequential.neural.",
    "recsim_env.envs.sb3",
    "recsim_env.experiments.all_codes",
    "recsim_env.experiments.prefix_recall",
    "recsim_env.experiments.rllib.",
    "recsim_env.experiments.sb3_callback",
)


@pytest.mark.parametrize(
    "module",
    ["recsim_env", "recsim_env.envs.batched", "recsim_env.envs.single_user", "recsim_env.experiments.cli"],
)
def test_extras_are_imported_when_they_are_used(module):
    """Nor are tensorboard, matplotlib, pandas and scikit-learn imported earlier."""
    heavy = [*EXTRAS, "tensorboard", "pandas", "sklearn", "matplotlib", "minari", "pytest"]
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
