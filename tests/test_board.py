"""TensorBoard: events equal results.csv, one layout, settings, slates; `recsim-env board` serves them."""

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
from browser import browse
from PIL import Image

from recsim_env.envs.batched import BatchedEnv
from recsim_env.envs.rendering import picture
from recsim_env.envs.scene import Scene
from recsim_env.errors import InputError
from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments import run as loop
from recsim_env.experiments.agents import AGENTS, Task
from recsim_env.experiments.board_command import event_folders
from recsim_env.experiments.cli import main
from recsim_env.experiments.results import Curve, Results
from recsim_env.experiments.run import Race
from recsim_env.experiments.slates_shown import STEPS, as_png, slates_shown
from recsim_env.experiments.tensorboard import read_slates, write_events
from recsim_env.simulators.worlds.engagement_ladder import engagement_ladder


def events_of(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()


def series(events, tag):
    from tensorboard.util import tensor_util

    found = events.Tensors(tag)
    return [event.step for event in found], [tensor_util.make_ndarray(e.tensor_proto).item() for e in found]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    common = ["run", "bandits", "--rounds", "400", "--replicates", "5"]
    assert main([*common, "--agents", "ucb1,random", "--out", str(folder / "a")]) == 0
    assert main([*common, "--agents", "beta_ts", "--out", str(folder / "deep/b")]) == 0
    return folder


def test_events_equal_the_results(runs):
    results = Results.read(runs / "a/results.csv")
    for agent, curves in results.curves.items():
        events = events_of(runs / "a/tensorboard" / agent)
        for metric, curve in curves.items():
            estimate = mean_estimate(curve.values)
            low, high = estimate.interval
            expected = {
                metric: estimate.value,
                f"{metric}_std_error": estimate.std_error,
                f"interval/{metric}_low": low,
                f"interval/{metric}_high": high,
            }
            for tag, values in expected.items():
                steps, found = series(events, tag)
                assert steps == list(curve.steps)
                np.testing.assert_array_equal(np.float32(found), np.float32(values))


def test_only_what_was_measured_has_events(runs):
    from tensorboard.plugins.hparams import metadata as hparams

    tags = set(events_of(runs / "a/tensorboard/ucb1").Tags()["tensors"])
    metrics = {"regret", "reward", "realised_regret"}
    around = {f"{m}_std_error" for m in metrics} | {
        f"interval/{m}_{e}" for m in metrics for e in ("low", "high")
    }
    others = {hparams.SESSION_START_INFO_TAG, "slates", "custom_scalars__config__"}
    assert tags == metrics | around | others


def test_what_is_not_finite_has_no_event(tmp_path):
    values = np.array([[1.0, np.nan], [1.0, 3.0], [np.nan, 0.0]])
    write_events(tmp_path, "x", {"regret": Curve(np.array([1, 2, 3]), values)})
    assert series(events_of(tmp_path / "x"), "regret") == ([2], [2.0])


def test_errors_beside_a_curve_make_its_band(tmp_path):
    """As offline rankings have them: one value and its error, or the ends of its interval."""
    said = {"ndcg": 0.5, "ndcg_std_error": 0.1, "tau": 0.3, "tau_low": 0.1, "tau_high": 0.6, "gini": 0.2}
    write_events(tmp_path, "x", {name: Curve(np.array([10]), np.array([[v]])) for name, v in said.items()})
    events = events_of(tmp_path / "x")
    value = {
        tag: np.float32(series(events, tag)[1][0]) for tag in events.Tags()["tensors"] if "custom" not in tag
    }
    assert value["interval/ndcg_low"] == np.float32(0.5 - 1.959963984540054 * 0.1)
    assert value["ndcg_std_error"] == np.float32(0.1)
    assert value["interval/tau_high"] == np.float32(0.6)
    assert "interval/gini_low" not in value
    assert {chart.title: chart.WhichOneof("content") for chart in charts(events)} == {
        "ndcg": "margin", "tau": "margin", "gini": "multiline",
    }  # fmt: skip


def charts(events):
    from tensorboard.plugins.custom_scalar import layout_pb2

    (event,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    return [chart for category in layout.category for chart in category.chart]


def test_the_layout_has_a_band_for_each_metric_and_names_tags_that_exist(runs):
    events = events_of(runs / "a/tensorboard/ucb1")
    tags = set(events.Tags()["tensors"])
    found = charts(events)
    assert [chart.title for chart in found] == ["regret", "reward", "realised_regret"]
    for chart in found:
        (one,) = chart.margin.series
        assert {one.value, one.lower, one.upper} <= tags
        assert one.value == chart.title
    write = {"a.b@10": Curve(np.array([1]), np.array([[1.0]]))}
    write_events(runs / "other", "x", write)
    (chart,) = charts(events_of(runs / "other/x"))
    assert re.fullmatch(chart.multiline.tag[0], "a.b@10")
    assert not re.fullmatch(chart.multiline.tag[0], "axb@10")
    shutil.rmtree(runs / "other")


def test_settings_are_hyper_parameters(runs):
    from tensorboard.plugins.hparams import metadata

    contents = events_of(runs / "a/tensorboard/ucb1").summary_metadata
    content = contents[metadata.SESSION_START_INFO_TAG].plugin_data.content
    found = metadata.parse_session_start_info_plugin_data(content).hparams
    settings = json.loads((runs / "a/run.json").read_text())["settings"]
    assert set(found) == {"agent", "experiment", *settings}
    assert found["agent"].string_value == "ucb1"
    assert found["rounds"].number_value == 400
    assert found["env"].string_value == "BernoulliBandit-v0"


def test_writing_again_replaces(tmp_path):
    curve = {"reward": Curve(np.array([1, 2]), np.ones((2, 3)))}
    for _ in range(3):
        write_events(tmp_path / "tensorboard", "x", curve)
    assert series(events_of(tmp_path / "tensorboard/x"), "reward") == ([1, 2], [1.0, 1.0])
    assert len(list((tmp_path / "tensorboard/x").iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tensorboard"]  # and nothing beside


@pytest.mark.parametrize("count_rounds", [False, True])
def test_slates_are_those_of_the_run(tmp_path, monkeypatch, count_rounds):
    """The pictures are of the very slates that `play` showed to replicate 0."""
    world = engagement_ladder(3, 5, 2, 4)
    rows, race = 3, Race(200, count_rounds, seed=7, replicates=3)
    shown = []

    class Spied(BatchedEnv):
        def step(self, actions):
            before = self._state
            answer = super().step(actions)
            shown.append((before, self._state, actions.copy(), answer[4]))
            return answer

    def fresh(num_replicates):
        return AGENTS["cascade_ts"](Task(world, num_replicates, 200, 0.1))

    monkeypatch.setattr(loop, "BatchedEnv", Spied)
    loop.play(fresh, world, race, 0, rows, tmp_path / "x.npz", tmp_path / "saved.npz", lambda _: None)
    found = slates_shown(fresh(rows), world, rows, race)
    assert [one.step for one in found] == [1, 10]  # 100 is more than 5 % of the run
    for one in found:
        before, _, slates, info = shown[(one.step - 1) * (1 if count_rounds else world.horizon)]
        h = (one.step - 1) % world.horizon if count_rounds else 0
        luck = env_luck(rows, race.seed, (one.step - 1) // world.horizon if count_rounds else one.step - 1)
        again, outcome = world.respond(before, slates, luck.at(h))
        np.testing.assert_array_equal(outcome.response.clicked, info["clicked"])
        expected = picture(world, Scene(again, before, slates, outcome), 0)
        assert one == as_png(one.step, expected)
        drawn = np.asarray(Image.open(io.BytesIO(one.png)).convert("RGB"), float)
        assert np.abs(drawn - expected).mean() < 3.0  # of 64 colours


def env_luck(rows, seed, episode):
    from recsim_env.simulators.luck import Luck

    return Luck.from_seeds([seed + i for i in range(rows)]).of_episode(episode)


def test_short_runs_have_no_slates():
    world = engagement_ladder(3, 5, 2, 4)
    agent = AGENTS["random"](Task(world, 2, 19, 0.1))
    assert slates_shown(agent, world, 2, Race(19, False, 0, 2)) == []
    assert [s.step for s in slates_shown(agent, world, 2, Race(20, False, 0, 2))] == [STEPS[0]]


def test_slates_can_be_read_back(runs):
    found = read_slates(runs / "a/tensorboard/ucb1")
    assert [one.step for one in found] == [1, 10]
    assert Image.open(io.BytesIO(found[0].png)).size == (found[0].width, found[0].height) == (720, 480)
    assert read_slates(runs / "a/tensorboard/nobody") == []


def test_neither_torch_nor_tensorflow_is_imported(runs, tmp_path):
    code = f"""
import sys
sys.modules["torch"] = sys.modules["tensorflow"] = None  # an import of them fails
from pathlib import Path
from recsim_env.experiments.cli import main
from recsim_env.experiments.board_command import serve
options = ["--rounds", "30", "--replicates", "2", "--agents", "random"]
main(["run", "bandits", *options, "--out", r"{tmp_path}/r"])
assert main(["report", r"{tmp_path}/r", "--out", r"{tmp_path}/r.html"]) == 0
assert serve(r"{tmp_path}/r/tensorboard", "localhost", 0).startswith("http://localhost:")
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, timeout=120)
    light = "import sys, recsim_env.experiments.cli as c; c.parser(['board', 'x']); print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", light], check=True, capture_output=True, text=True)
    assert not {"torch", "tensorflow", "tensorboard", "matplotlib"} & set(out.stdout.split())


def test_event_folders(runs, tmp_path):
    assert event_folders([runs / "a"]) == {"a": runs / "a/tensorboard"}
    assert event_folders([runs]) == {
        f"{runs.name}/a": runs / "a/tensorboard", f"{runs.name}/deep/b": runs / "deep/b/tensorboard",
    }  # fmt: skip
    assert event_folders([runs / "a/tensorboard"]) == {"tensorboard": runs / "a/tensorboard"}
    assert main(["compare", str(runs / "a"), str(runs / "deep/b"), "--out", str(tmp_path / "cmp")]) == 0
    assert event_folders([tmp_path / "cmp", runs / "a"]) == {
        "cmp": tmp_path / "cmp/tensorboard", "a": runs / "a/tensorboard",
    }  # fmt: skip
    with pytest.raises(InputError, match="comes twice"):
        event_folders([runs / "a", runs / "a"])
    with pytest.raises(InputError, match="is not a directory"):
        event_folders([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no TensorBoard events"):
        event_folders([runs / "a", tmp_path / "empty"])


@pytest.fixture
def board(runs, tmp_path):
    """`recsim-env board` on both runs, started as a user would; its address and process."""
    command = [sys.executable, "-u", "-m", "recsim_env.experiments.cli", "board", str(runs / "a")]
    command += [str(runs / "deep/b"), "--port", "0"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        # a shell that runs the tests in the background has their children ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    ) as process:
        line = process.stdout.readline()
        yield re.search(r"http://\S+/", line).group(), process, line
        if process.poll() is None:
            process.kill()


def get(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"Content-Type": "application/json"}), timeout=30) as answer:
        return answer.read()


def wait_for_runs(address, number):
    for _ in range(120):
        found = json.loads(get(f"{address}data/runs"))
        if len(found) == number:
            return set(found)
        time.sleep(0.5)
    raise AssertionError(f"TensorBoard shows {found}")


def test_tensorboard_serves_the_plugins(board, runs, tmp_path):
    address, process, line = board
    assert "TensorBoard shows a, b at" in line
    assert wait_for_runs(address, 3) == {"a/ucb1", "a/random", "b/beta_ts"}
    plugin = f"{address}data/plugin"
    layout = json.loads(get(f"{plugin}/custom_scalars/layout"))
    (category,) = layout["category"]
    titles = [chart["title"] for chart in category["chart"]]
    assert sorted(titles) == ["realised_regret", "regret", "reward"]  # one each, of three agents
    curve = Results.read(runs / "a/results.csv").curves["ucb1"]["regret"]
    points = json.loads(get(f"{plugin}/scalars/scalars?run=a%2Fucb1&tag=regret"))
    assert [step for _, step, _ in points] == list(curve.steps)
    np.testing.assert_array_equal(np.float32([v for *_, v in points]), np.float32(curve.values.mean(axis=1)))
    body = {"startIndex": 0, "sliceSize": 10, "colParams": [], "allowedStatuses": ["STATUS_UNKNOWN"]}
    groups = json.loads(get(f"{plugin}/hparams/session_groups", body))["sessionGroups"]
    agents = {group["name"]: group["hparams"]["agent"] for group in groups}
    assert agents == {"a/ucb1": "ucb1", "a/random": "random", "b/beta_ts": "beta_ts"}
    final = {group["name"]: {m["name"]["tag"]: m["value"] for m in group["metricValues"]} for group in groups}
    assert np.float32(final["a/ucb1"]["regret"]) == np.float32(curve.values[-1].mean())
    images = json.loads(get(f"{plugin}/images/images?run=a%2Fucb1&tag=slates&sample=0"))
    assert [image["step"] for image in images] == [1, 10]
    png = get(f"{plugin}/images/individualImage?{images[-1]['query']}")
    assert png == read_slates(runs / "a/tensorboard/ucb1")[-1].png
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert "TensorBoard has ended" in process.stdout.read()
    assert list(tmp_path.glob("recsim-env-board-*")) == []  # its folder of links is gone


def test_the_custom_scalars_page_in_a_browser(board, tmp_path):
    address, _, _ = board
    wait_for_runs(address, 3)
    file = tmp_path / "page.png"
    window = "--window-size=1200,760"
    browse(f"--screenshot={file}", window, f"{address}#custom_scalars", profile=tmp_path / "p")
    picture = np.asarray(Image.open(file).convert("RGB"), int)[100:, 320:]  # where the charts are
    curves = np.ptp(picture, axis=2) > 100  # in colour; all else on the page is grey
    assert curves.sum() > 500
    assert curves.any(axis=0).sum() > 400  # of 880 columns: two charts beside each other


@pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated:DeprecationWarning")  # TensorBoard's
def test_bad_input(runs, capsys):
    def complaint(*arguments):
        assert main(["board", *map(str, arguments)]) == 2
        return capsys.readouterr().err

    assert "--port must be from 0 to 65535, got 70000" in complaint(runs / "a", "--port", 70000)
    assert "holds no TensorBoard events" in complaint(Path(__file__).parent)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert "choose another --port or --host" in complaint(
            runs / "a", "--port", port, "--host", "127.0.0.1"
        )
    assert "choose another --port or --host" in complaint(runs / "a", "--host", "192.0.2.1")
