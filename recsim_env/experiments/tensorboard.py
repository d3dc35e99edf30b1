"""Curves for TensorBoard: `tensorboard --logdir DIR`."""

import shutil
from pathlib import Path

from recsim_env.evaluation.intervals import mean_estimate
from recsim_env.experiments.files import naming
from recsim_env.experiments.results import Curve


def write_events(directory: Path, agent: str, curves: dict[str, Curve]) -> None:
    """Write the mean over replicates of every curve to `directory/agent`, and its error if they are several.

    The folder of the agent is made beside its place and then put there, in place of an older one.
    """
    from tensorboard.summary import Writer

    place, fresh, old = directory / agent, directory / f".new-{agent}", directory / f".old-{agent}"
    with naming(place):
        for left_over in (fresh, old):
            shutil.rmtree(left_over, ignore_errors=True)
        fresh.mkdir(parents=True)
        writer = Writer(str(fresh))
        for metric, curve in curves.items():
            estimate = mean_estimate(curve.values)
            series_of = {metric: estimate.value}
            if curve.values.shape[1] > 1:  # one has none, and may come with a curve of that name
                series_of[f"{metric}_std_error"] = estimate.std_error
            for name, series in series_of.items():
                for step, value in zip(curve.steps, series, strict=True):  # type: ignore[arg-type]
                    writer.add_scalar(name, float(value), int(step))
        writer.close()
        if place.exists():
            place.rename(old)
        fresh.rename(place)
        shutil.rmtree(old, ignore_errors=True)
