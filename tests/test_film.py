"""Films of environments."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

from recsim_env.envs.describe import registered_ids
from recsim_env.errors import InputError
from recsim_env.experiments.cli import main
from recsim_env.experiments.film import film, played


@pytest.fixture(scope="module")
def make_pages():
    """The script that writes the pages of the environments."""
    spec = spec_from_file_location("make_pages", Path(__file__).parents[1] / "docs" / "make_pages.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_another_slate_size_can_be_filmed(tmp_path):
    out = tmp_path / "film.gif"
    changes = ["--env-arg", "slate_size=3", "--env-arg", "num_items=50"]
    assert main(["film", "SlateRec-v0", "--steps", "1", *changes, "--out", str(out)]) == 0
    small = film("SlateRec-v0", 1, env_args={"slate_size": 3, "num_items": 50})
    assert (small[1] != film("SlateRec-v0", 1)[1]).any()
    with Image.open(out) as image:
        image.seek(1)
        difference = np.asarray(image.convert("RGB")).astype(int) - small[1]
    assert np.abs(difference).mean() < 2  # but for the 64 colours


def test_where_the_film_is_to_stand_is_looked_at_before_it_is_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("recsim_env.experiments.film.film", None)
    (tmp_path / "mine.gif").write_text("mine")
    (tmp_path / "folder.gif").mkdir()
    for place, message in (
        ("mine.gif", "mine.gif is there already: delete it, or choose another --out"),
        ("folder.gif", "folder.gif is there already"),
        ("nowhere/film.gif", "nowhere is not a directory: make it, or choose another --out"),
    ):
        assert main(["film", "GroupSlate-v0", "--out", str(tmp_path / place)]) == 2
        assert message in capsys.readouterr().err
    assert (tmp_path / "mine.gif").read_text() == "mine"
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    assert main(["film", "GroupSlate-v0", "--out", str(tmp_path / "film.gif")]) == 2
    assert "may not be written to: permit it, or choose another --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["GroupSlate", "--out", "x.gif"], "did you mean GroupSlate-v0"),
        (["GroupSlate-v0", "--out", "x.png"], "--out must end in .gif, got x.png"),
        (["GroupSlate-v0", "--out", "x.gif", "--steps", "0"], "--steps must be at least 1, got 0"),
        (["GroupSlate-v0", "--out", "x.gif", "--seed", "-1"], "--seed must be 0 or more, got -1"),
        (["GroupSlate-v0", "--out", "x.gif", "--env-arg", "slate_siz=3"], "no parameter 'slate_siz'"),
        (["GroupSlate-v0", "--out", "x.gif", "--env-arg", "render_mode=ansi"], "no parameter 'render_mode'"),
        (["GroupSlate-v0", "--out", "x.gif", "--env-arg", "3"], "--env-arg must be KEY=VALUE"),
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


def texts(make_pages, env_id):
    """The film of a page, in text."""
    env = gym.make(env_id, render_mode="ansi").unwrapped
    return list(played(env, make_pages.STEPS, make_pages.SEEDS[env_id]))


def test_in_the_film_of_bored_users_a_topic_bores_and_interests_again(make_pages):
    bored = [re.search(r" bored, \d", frame) is not None for frame in texts(make_pages, "BoredUser-v0")]
    assert len(bored) == 11
    first = bored.index(True)
    assert first <= 5
    assert all(bored[first : first + 5])  # the default duration
    assert not all(bored[first:])


def test_in_the_film_of_slates_a_user_leaves_and_another_one_comes(make_pages):
    frames = texts(make_pages, "SlateRec-v0")
    assert len(frames) == 12
    [left] = [i for i, frame in enumerate(frames) if "the user left" in frame]
    assert 4 <= left <= 8
    assert frames[left + 1].startswith("step 0 of 20   user ")


@pytest.mark.parametrize("env_id", registered_ids())
def test_the_code_of_a_page_can_be_copied(env_id, make_pages):
    page = make_pages.page(env_id)
    [code] = re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    assert f'env = gym.make("{env_id}")' in code.splitlines()
    names = {}
    if env_id != "CascadeRec-MovieLens-v0":  # which needs a file
        exec(code.replace("4096", "2"), names)
        assert names["envs"].num_envs == 2
    compile(code, env_id, "exec")
    [words] = re.findall(r"^```text\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    assert words.startswith(("With default parameters", "The spaces are known once"))
    assert "\n    action " in words or env_id == "CascadeRec-MovieLens-v0"


def test_the_pages_are_written_with_films_of_ten_steps(make_pages, tmp_path, monkeypatch):
    monkeypatch.setattr(make_pages, "FOLDER", tmp_path / "pages")
    monkeypatch.setattr(make_pages, "registered_ids", lambda: ["SlateRec-v0", "CascadeRec-MovieLens-v0"])
    make_pages.main()
    page = (tmp_path / "pages" / "SlateRec-v0.md").read_text()
    command = "`recsim-env film SlateRec-v0 --steps 10 --seed 7 --out SlateRec-v0.gif` draws this film."
    assert page.startswith(
        f"# SlateRec-v0\n\n![ten steps of SlateRec-v0](SlateRec-v0.gif)\n\n{command}\n\n```python\n"
    )
    with Image.open(tmp_path / "pages" / "SlateRec-v0.gif") as image:
        assert image.n_frames == 12
    other = (tmp_path / "pages" / "CascadeRec-MovieLens-v0.md").read_text()
    assert other.startswith("# CascadeRec-MovieLens-v0\n\n```python\n")
