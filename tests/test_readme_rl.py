"""The README's section on reinforcement learning works as pasted."""

import re
import shlex
from pathlib import Path

import pytest

from recsim_env.experiments.cli import main, parser
from recsim_env.experiments.settings import from_options

SECTION = (
    (Path(__file__).parents[1] / "README.md")
    .read_text(encoding="utf-8")
    .split("## Reinforcement learning\n")[1]
    .split("\n## ")[0]
)
BLOCKS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
COMMANDS = re.findall(r"^recsim-env (train .*)$", SECTION, re.MULTILINE)


def pasted(number):
    names = {"__name__": "pasted"}
    exec(compile(BLOCKS[number], "README.md", "exec"), names)
    return names


@pytest.mark.extra
def test_stable_baselines3_learns_as_pasted(capsys):
    torch = pytest.importorskip("torch")
    pytest.importorskip("stable_baselines3")
    torch.set_num_threads(1)
    pasted(0)
    earned = [float(word) for word in re.findall(r"ep_rew_mean +\| +(\S+)", capsys.readouterr().out)]
    first, last = sum(earned[:5]) / 5, sum(earned[-5:]) / 5  # one value is of few episodes
    assert first < 0.5
    assert last > 1.5 * first


@pytest.mark.extra
@pytest.mark.filterwarnings("ignore")  # Ray's own, in its processes and pipes
def test_rllib_trains_as_pasted(capsys, monkeypatch):
    torch = pytest.importorskip("torch")
    pytest.importorskip("ray.rllib")
    import ray

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    torch.set_num_threads(1)
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200_000_000, logging_level="ERROR")
    try:
        pasted(1)
    finally:
        ray.shutdown()
    earned = [float(line) for line in capsys.readouterr().out.split()[-5:]]
    assert len(earned) == 5
    assert all(0 < clicks < 3 * 20 for clicks in earned)


def test_there_are_blocks_for_both():
    assert len(BLOCKS) == len(COMMANDS) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_are_understood(command):
    options = parser(shlex.split(command)).parse_args(shlex.split(command))
    settings = from_options(options.module.Settings, options)
    assert settings.env == "CascadeRec-v0"
    assert options.out is not None


@pytest.mark.parametrize("library", ["sb3", "rllib"])
def test_both_libraries_have_the_same_options_for_the_same_things(library, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--library", library, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    for name in ("env", "env-arg", "algorithm", "steps", "num-envs", "evaluations", "episodes", "seed"):
        assert f"--{name} " in shown
