"""What TensorBoard shows of an agent: `recsim-env board DIR`, or `tensorboard --logdir DIR`.

One folder an agent, with one event file:

    scalars         `<metric>`, the mean over replicates; `<metric>_std_error`; the ends of its 95 % interval,
                    `interval/<metric>_low` and `interval/<metric>_high`; what is not finite has no event
    custom scalars  the layout: a chart of every metric, the mean with the band of its interval
    hparams         the settings in `run.json`, beside the agent's name and what it came to
    images          `slates`: what it showed to the first user

Written without torch and TensorFlow: the plugins' protocol buffers are filled here. The wall time of an event
is that of the writing; the axis is the step.
"""

import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recsim_env.arrays import Floats
from recsim_env.experiments.files import naming
from recsim_env.experiments.results import Curve
from recsim_env.experiments.run_directory import read_run
from recsim_env.experiments.slates_shown import Shown
from recsim_env.experiments.tags import TAGS, estimate_of, has_interval, metrics_of

CATEGORY = "mean and 95 % interval"  # of charts whose metric has no folder in its name


def write_events(
    directory: Path,
    agent: str,
    curves: Mapping[str, Curve],
    slates: Sequence[Shown] = (),
    run: Path | None = None,
) -> None:
    """Write what TensorBoard shows of an agent to `directory/agent`.

    The folder of the agent is made beside `directory` and then put in its place, so that a run that goes on
    replaces its events and never has them twice.

    Args:
        directory: such as `<run>/tensorboard`.
        agent: its name.
        curves: by metric.
        slates: pictures, by step.
        run: where the `run.json` with the settings is (default: the parent of `directory`, if it has one).
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    place = directory / agent
    fresh, old = (directory.parent / f".{age}-{directory.name}-{agent}" for age in ("new", "old"))
    home = directory.parent if run is None else run
    with naming(place):
        for left_over in (fresh, old):
            shutil.rmtree(left_over, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
        now = time.time()
        writer = EventFileWriter(str(fresh))
        for step, value in _values(agent, curves, slates, home, now):
            writer.add_event(Event(wall_time=now, step=step, summary=Summary(value=[value])))
        writer.close()
        if place.exists():
            place.rename(old)
        fresh.rename(place)
        shutil.rmtree(old, ignore_errors=True)


def read_slates(folder: Path) -> list[Shown]:
    """The slates that `write_events` has written for an agent, by step; none if there are none.

    Args:
        folder: of the agent.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not folder.is_dir():
        return []
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    if "slates" not in events.Tags()["tensors"]:
        return []
    found = []
    for event in events.Tensors("slates"):
        width, height, png = event.tensor_proto.string_val
        found.append(Shown(event.step, png, int(width), int(height)))
    return found


def _values(
    agent: str, curves: Mapping[str, Curve], slates: Sequence[Shown], home: Path, now: float
) -> Iterator[tuple[int, Any]]:
    """Every step and `Summary.Value`."""
    yield 0, _layout(curves)
    if (home / "run.json").is_file():
        yield 0, _session(agent, read_run(home), now)
    for metric in metrics_of(curves):
        estimate = estimate_of(metric, curves)
        yield from _scalars(metric, curves[metric], estimate.value, TAGS.get(metric, ""))
        yield from _scalars(f"{metric}_std_error", curves[metric], estimate.std_error)  # of one there is none
        if has_interval(metric, curves):
            for end, series in zip(_ends(metric), estimate.interval, strict=True):
                yield from _scalars(end, curves[metric], series)
    for shown in slates:
        yield shown.step, _picture(shown)


def _ends(metric: str) -> tuple[str, str]:
    return f"interval/{metric}_low", f"interval/{metric}_high"


def _scalars(tag: str, curve: Curve, series: float | Floats, meaning: str = "") -> Iterator[tuple[int, Any]]:
    from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_SCALAR
    from tensorboard.plugins.scalar.metadata import create_summary_metadata

    metadata = create_summary_metadata(display_name="", description=meaning)
    metadata.data_class = DATA_CLASS_SCALAR
    for step, value in zip(curve.steps, np.atleast_1d(series), strict=True):
        if np.isfinite(value):
            yield int(step), _value(tag, metadata, np.float32(value))


def _layout(curves: Mapping[str, Curve]) -> Any:
    """A chart of every metric; TensorBoard merges the layouts of all agents, chart by chart."""
    from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_TENSOR
    from tensorboard.plugins.custom_scalar import layout_pb2 as pb
    from tensorboard.plugins.custom_scalar import metadata as plugin

    charts: dict[str, list[Any]] = {}
    for metric in metrics_of(curves):
        if has_interval(metric, curves):
            low, high = _ends(metric)
            series = pb.MarginChartContent.Series(value=metric, lower=low, upper=high)
            chart = pb.Chart(title=metric, margin=pb.MarginChartContent(series=[series]))
        else:
            tags = [f"^{re.escape(metric)}$"]
            chart = pb.Chart(title=metric, multiline=pb.MultilineChartContent(tag=tags))
        folder, slash, _ = metric.partition("/")
        charts.setdefault(folder if slash else CATEGORY, []).append(chart)
    layout = pb.Layout(category=[pb.Category(title=title, chart=found) for title, found in charts.items()])
    metadata = plugin.create_summary_metadata()
    metadata.data_class = DATA_CLASS_TENSOR
    return _value(plugin.CONFIG_SUMMARY_TAG, metadata, layout.SerializeToString())


def _session(agent: str, document: Mapping[str, Any], now: float) -> Any:
    """The settings as hyper-parameters."""
    from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_TENSOR, Summary
    from tensorboard.plugins.hparams import metadata as plugin
    from tensorboard.plugins.hparams import plugin_data_pb2

    start = plugin_data_pb2.SessionStartInfo(start_time_secs=now)
    for name, value in {"agent": agent, "experiment": document["experiment"], **document["settings"]}.items():
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
        elif isinstance(value, int | float):
            start.hparams[name].number_value = value
        else:
            start.hparams[name].string_value = str(value)
    metadata = plugin.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_start_info=start))
    metadata.data_class = DATA_CLASS_TENSOR
    return Summary.Value(tag=plugin.SESSION_START_INFO_TAG, metadata=metadata, tensor=plugin.NULL_TENSOR)


def _picture(shown: Shown) -> Any:
    from tensorboard.compat.proto.summary_pb2 import DATA_CLASS_BLOB_SEQUENCE
    from tensorboard.plugins.image.metadata import create_summary_metadata

    metadata = create_summary_metadata("", "what was shown to the first user, and what they clicked")
    metadata.data_class = DATA_CLASS_BLOB_SEQUENCE
    size = [str(shown.width).encode(), str(shown.height).encode()]
    return _value("slates", metadata, [*size, shown.png])


def _value(tag: str, metadata: Any, content: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.util.tensor_util import make_tensor_proto

    return Summary.Value(tag=tag, metadata=metadata, tensor=make_tensor_proto(content))
