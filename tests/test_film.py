"""Films of environments."""

import numpy as np
import pytest
from PIL import Image

from recsim_env.errors import InputError
from recsim_env.experiments.cli import main
from recsim_env.experiments.film import film


@pytest.mark.parametrize("slates", ["best", "random", "mixed"])
def test_a_film_has_a_frame_for_each_step_and_each_beginning(slates):
    frames = film("CascadeRec-v0", 3, seed=1, slates=slates)
    assert len(frames) == 4
    assert all(frame.shape == (480, 720, 3) for frame in frames)
    assert all((one != other).any() for one, other in zip(frames[1:], frames[:-1], strict=True))
    again = film("CascadeRec-v0", 3, seed=1, slates=slates)
    assert all(np.array_equal(one, other) for one, other in zip(frames, again, strict=True))


def test_an_episode_that_ends_is_followed_by_the_next():
    frames = film("CascadeRec-v0", 21)  # episodes of 20 slates
    assert len(frames) == 1 + 21 + 1


def test_the_command_writes_an_animation(tmp_path, capsys):
    out = tmp_path / "film.gif"
    assert main(["film", "GroupSlate-v0", "--steps", "2", "--out", str(out)]) == 0
    assert "3 frames" in capsys.readouterr().out
    with Image.open(out) as image:
        assert image.n_frames == 3
        assert image.size == (720, 480)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["GroupSlate", "--out", "x.gif"], "did you mean GroupSlate-v0"),
        (["GroupSlate-v0", "--out", "x.png"], "--out must end in .gif, got x.png"),
        (["GroupSlate-v0", "--out", "x.gif", "--steps", "0"], "--steps must be at least 1, got 0"),
        (["GroupSlate-v0", "--out", "x.gif", "--seed", "-1"], "--seed must be 0 or more, got -1"),
        (["CascadeRec-MovieLens-v0", "--out", "x.gif"], "path must be the directory of a MovieLens"),
    ],
)
def test_bad_input(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["film", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_unknown_environment_is_refused():
    with pytest.raises(InputError, match="there is no environment"):
        film("Nothing-v0", 1)
