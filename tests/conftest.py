"""Two environments run the tests: one without extras, and one with all of them, which runs `-m extra` alone.

A test that needs torch, stable-baselines3, ray, faiss, transformers or trl calls `pytest.importorskip` and
has the marker `extra`.
"""

import importlib
import os
import pickle

import pytest

from recsim_env.experiments import cells, cli

EXTRAS = ("torch", "stable_baselines3", "ray", "faiss", "transformers", "trl")

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


@pytest.fixture
def elsewhere(monkeypatch):
    """Workers that are none: each cell goes through pickle, as to another process, the last one first."""
    names = []

    def on_workers(jobs, work, workers, *, seen):
        assert seen.is_file()
        for job in reversed(jobs):
            names.append(job.name)
            function, sent = pickle.loads(pickle.dumps((work, job)))
            yield job, False
            function(sent)
            yield job, True

    monkeypatch.setattr(cells, "on_workers", on_workers)
    monkeypatch.setattr(cli, "require", lambda module, extra: None)  # no Ray here
    return names
