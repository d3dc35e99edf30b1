"""Ways to search a catalogue that are timed find the same; the command writes what it timed."""

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from recsim_env.agents.generative.catalogue_trie import CatalogueTrie
from recsim_env.agents.generative.decoding import beam_search
from recsim_env.experiments import cli, figure
from recsim_env.experiments.results import Results
from recsim_env.experiments.suite import decode_bench as bench

pytestmark = pytest.mark.extra


def test_what_is_timed_finds_the_same():
    rng = np.random.default_rng(0)
    codes = np.unique(rng.integers(0, 6, (60, 3)), axis=0)
    logits = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(0))
    trie = CatalogueTrie(codes, (6, 6, 6))

    def next_code(level, parents, codes):
        return logits[level].unsqueeze(1).expand(-1, codes.shape[1], -1)

    items, log_pi = beam_search(trie, next_code, 4, 5, width=5)
    beams, scores = bench.search_by_dictionary(bench.dictionary(codes), logits, 5)
    torch.testing.assert_close(scores, log_pi)
    assert [[tuple(codes[item]) for item in row] for row in items.tolist()] == beams
    best = bench.search_all(trie.codes, logits, 5).indices
    share = torch.log_softmax(logits, dim=2)
    total = sum(share[level][:, codes[:, level]] for level in range(3))
    assert torch.equal(best, total.topk(5, dim=1).indices)


def run(*more):
    return cli.main(["run", "decode_bench", *map(str, more)])


def test_the_command(tmp_path, capsys):
    small = ["--sizes", "30,50", "--codes", 8, "--users", 2, "--beams", 3, "--seconds", 0.001]
    assert run(*small, "--out", tmp_path / "run") == 0
    shown = capsys.readouterr().out
    found = Results.read(tmp_path / "run" / "results.csv").curves
    assert found["trie"].keys() == {"step_2_ms", "step_3_ms", "search_ms", "index_seconds"}
    assert found["score_all"]["search_ms"].steps.tolist() == [30, 50]
    assert (found["dictionary"]["step_2_ms"].values > 0).all()
    assert "          30  score_all" in shown
    assert (tmp_path / "run" / "figure.png").stat().st_size > 5000
    assert run(*small, "--out", tmp_path / "run", "--resume") == 0
    assert capsys.readouterr().out == shown
    results = Results.read(tmp_path / "run" / "results.csv")
    _, (axes,) = figure.new_figure(1)
    bench.draw(axes, results, bench.Settings())
    low, high = axes.get_ylim()  # curves must fill what is drawn: a logarithmic axis may not be asked for 0
    times = np.concatenate([curves["search_ms"].values.ravel() for curves in results.curves.values()])
    assert times.min() / 3 < low < times.min() < times.max() < high < 3 * times.max()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sizes", "many"], "sizes must be whole numbers"),
        (["--sizes", "5"], "sizes must be 20 (beams) or more"),
        (["--levels", 1], "levels must be 2 or more"),
        (["--seconds", 0], "seconds must be positive"),
    ],
)
def test_wrong_flags(tmp_path, capsys, options, message):
    assert run(*options, "--out", tmp_path / "run") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
