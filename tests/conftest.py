"""Two environments run the tests: one without extras, and one with all of them, which runs `-m extra` alone.

A test that needs torch, stable-baselines3, ray or faiss calls `pytest.importorskip` and has the marker
`extra`.
"""

import importlib
import os

import pytest

EXTRAS = ("torch", "stable_baselines3", "ray", "faiss")

if os.environ.get("RECSIM_ENV_EXTRAS"):  # set by `make test-extras`: there a library that is missing fails
    pytest.importorskip = lambda name, *_, **__: importlib.import_module(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that skips for want of an extra and lacks the marker would run in neither environment."""
    report = yield
    reason = str(call.excinfo.value) if report.skipped and call.excinfo else ""
    missing = [name for name in EXTRAS if reason.startswith(f"could not import '{name}")]
    if missing and item.get_closest_marker("extra") is None:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} needs {missing[0]}: give it the marker @pytest.mark.extra"
    return report
