"""Runs on Ray workers: the bytes of one process, whoever is killed; clear words if no cluster answers."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recsim_env.errors import InputError
from recsim_env.experiments import workers as carried
from recsim_env.experiments.cli import main
from recsim_env.experiments.workers import Workers, check_answers, on_workers

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.extra, pytest.mark.filterwarnings("ignore")]  # Ray leaves sockets open

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "recsim_env.experiments.cli"]
LONG = [
    "bandits",
    "--rounds",
    "6000",
    "--replicates",
    "8",
    "--agents",
    "ucb1,beta_ts,random",
    "--bounds",
    "0",
]


def run(*arguments):
    assert main(["run", *map(str, arguments)]) == 0


def results(directory):
    return (directory / "results.csv").read_bytes()


@pytest.fixture(scope="module", autouse=True)
def _two_processes():
    """One Ray for all tests here but those that end it; the commands find it and leave it running."""
    before = dict(os.environ)
    os.environ.update(PYTHONPATH=str(ROOT), RAY_USAGE_STATS_ENABLED="0", OMP_NUM_THREADS="1")
    ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100_000_000,
        logging_level="ERROR",
        log_to_driver=False,
    )
    yield
    ray.shutdown()
    os.environ.clear()
    os.environ.update(before)


def test_two_workers_find_what_one_process_finds(tmp_path):
    asked = ["cascade_mdp", "--world", "num_states=3,num_items=5,slate_size=2,horizon=4", "--episodes", 60]
    asked += ["--replicates", 5, "--agents", "cascading_vi,cascade_ts,random"]
    run(*asked, "--out", tmp_path / "alone")
    run(*asked, "--out", tmp_path / "two", "--workers", 2)
    assert results(tmp_path / "two") == results(tmp_path / "alone")
    assert {p.name for p in (tmp_path / "two").iterdir()} == {p.name for p in (tmp_path / "alone").iterdir()}
    run(*asked, "--out", tmp_path / "two", "--workers", 2, "--resume")  # a finished run is only shown


def test_bad_input_inside_a_cell_is_one_line(tmp_path, capsys):
    asked = ["bandits", "--rounds", 30, "--replicates", 2, "--agents", "ucb1", "--bounds", 0]
    run(*asked, "--out", tmp_path / "done")
    out = tmp_path / "r"
    (out / "checkpoints").mkdir(parents=True)
    (out / "checkpoints" / "ucb1-0-2.npz").write_bytes(b"half a checkpoint")
    (out / "run.json").write_text((tmp_path / "done" / "run.json").read_text())
    capsys.readouterr()
    assert main(["run", "--resume", str(out), "--workers", "2"]) == 2
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert "ucb1-0-2.npz is not a checkpoint" in shown.splitlines()[-1]


def test_a_directory_that_workers_do_not_see_is_named(tmp_path):
    with pytest.raises(
        InputError, match=r"does not see .*nowhere: choose an --out on a file system that all"
    ):
        list(on_workers([1], print, Workers(1), seen=tmp_path / "nowhere"))


def test_another_version_on_a_worker_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("recsim_env.__version__", "99.0")
    with pytest.raises(InputError, match=r"has recsim-env .*, this machine 99.0: install the same version"):
        list(on_workers([1], print, Workers(1), seen=tmp_path))


def test_a_cell_that_kills_every_worker_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(carried, "ATTEMPTS", 2)
    (tmp_path / "here").touch()
    with pytest.raises(
        InputError, match=r"a worker died 2 times with the same cell .*ask for fewer --workers"
    ):
        list(on_workers([1], os._exit, Workers(1), seen=tmp_path / "here"))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nowhere", "must be HOST:PORT, ray://HOST:PORT or auto, got 'nowhere'"),
        ("127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1 .*refused.*ray start --head"),
        ("ray://127.0.0.1:1", "no Ray cluster answers at ray://127.0.0.1:1"),
        ("no-such-host.invalid:6379", "no Ray cluster answers at no-such-host.invalid:6379"),
    ],
)
def test_an_address_where_nobody_listens(address, said):
    start = time.monotonic()
    with pytest.raises(InputError, match=said):
        check_answers(address)
    assert time.monotonic() - start < 20


def test_an_address_where_somebody_listens_who_is_no_cluster(monkeypatch):
    monkeypatch.setattr(carried, "ANSWER_SECONDS", 3.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InputError, match=r"no Ray cluster answers at .*(nobody answers|is no cluster)"):
            check_answers(address)


def test_without_ray_the_extra_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    out = tmp_path / "r"
    assert main(["run", *LONG, "--out", str(out), "--workers", "2"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'recsim-env[ray]'" in line
    assert not out.exists()


def children(process):
    """Ids of all processes below one, with their names."""
    below, names = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(re.search(r"PPid:\s*(\d+)", (place / "status").read_text())[1])
            below.setdefault(parent, []).append(int(place.name))
            names[int(place.name)] = (place / "cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:
            continue
    found, left = {}, [process]
    while left:
        for child in below.get(left.pop(), []):
            found[child] = names.get(child, "")
            left.append(child)
    return found


def begin(out, *more):
    return subprocess.Popen(
        [*COMMAND, "run", *LONG, "--out", str(out), *more],
        env={**os.environ, "RECSIM_ENV_CHECKPOINT_SECONDS": "0.05"},
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(condition, process, seconds=180):
    """Wait until it holds, or the process has ended."""
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


@pytest.mark.slow
def test_kills_of_workers_and_of_the_driver_change_no_byte(tmp_path):
    """A worker is killed; then Ctrl-C; then the driver is killed; then one process finishes, without Ray."""
    run(*LONG, "--out", tmp_path / "whole")
    out = tmp_path / "cut"

    def begun():
        return len(list(out.glob("checkpoints/*.npz"))) > 0

    driver = begin(out, "--workers", "2")
    wait_for(begun, driver)
    at_work = [
        pid for pid, name in children(driver.pid).items() if name == "ray::attempt"
    ]  # not one of Ray's own
    assert at_work
    os.kill(at_work[0], signal.SIGKILL)
    done = len(list(out.glob("cells/*.npz")))
    wait_for(lambda: len(list(out.glob("cells/*.npz"))) > done, driver)
    ours = children(driver.pid)
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "interrupted: go on with: recsim-env run --resume" in said
    assert "Traceback" not in said
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ours), driver, 30)

    driver = begin(out, "--workers", "3", "--resume")
    wait_for(begun, driver)
    ours = children(driver.pid)
    driver.kill()
    driver.wait()
    end = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in ours) and time.monotonic() < end:
        time.sleep(0.1)
    left = [name for pid, name in children(1).items() if pid in ours and Path(f"/proc/{pid}").exists()]
    assert not left, "Ray's processes outlive the command"

    run(*LONG, "--out", out, "--resume")
    assert results(out) == results(tmp_path / "whole")
    assert {p.name for p in out.iterdir()} == {p.name for p in (tmp_path / "whole").iterdir()}


@pytest.mark.slow
def test_a_cluster_of_two_nodes_by_its_address(tmp_path):
    from ray.cluster_utils import Cluster

    asked = ["bandits", "--rounds", "200", "--replicates", "6", "--agents", "ucb1,beta_ts", "--bounds", "0"]
    run(*asked, "--out", tmp_path / "alone")
    two = ["--workers", "2", "--address"]
    node = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
        cluster.wait_for_nodes()
        done = subprocess.run(
            [*COMMAND, "run", *asked, "--out", str(tmp_path / "cluster"), *two, cluster.address],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
    finally:
        cluster.shutdown()
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "cluster") == results(tmp_path / "alone")


def test_the_cluster_of_the_page_is_one_that_ray_up_takes():
    import yaml
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((ROOT / "docs" / "scaling" / "cluster.yaml").read_text())
    validate_config(prepare_config(config))
    assert config["head_node_type"] in config["available_node_types"]
    config["available_node_typos"] = {}
    with pytest.raises(Exception, match="available_node_typos"):  # the schema is checked indeed
        validate_config(prepare_config(config))
