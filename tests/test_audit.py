"""`recsim-env audit`: what it prints and writes, for a directory, a log of slates and the shipped set."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsim_env.experiments.audit import audit
from recsim_env.experiments.audit_report import document, markdown, picture, text
from recsim_env.experiments.audit_verdict import claims, last_item_keeps, verdict
from recsim_env.experiments.cli import main
from recsim_env.simulators.log import Log
from recsim_env.simulators.log_files import write_log
from recsim_env.simulators.shortcut_bench import succession_law, succession_log


def _directory(folder: Path, lag: int = 1, branching: int = 3, users: int = 1500) -> Path:
    """A data set of 300 items in 30 categories: an item and its nearest neighbours share one."""
    law = succession_law(num_items=300, branching=branching, lag=lag, world_seed=2)
    log = succession_log(law, num_users=users, length=7, seed=3)
    folder.mkdir()
    pd.DataFrame(
        {"user_id": log.user, "item_id": 10 * log.slate[:, 0], "order": log.time.astype(int)}
    ).to_parquet(folder / "interactions.parquet")
    kind = (law.features @ law.features[:30].T).argmax(axis=1)
    items = pd.DataFrame(
        {"item_id": 10 * np.arange(300), "category": kind, "price": np.arange(300) % 7 + 0.5}
    )
    items.to_parquet(folder / "items.parquet")
    return folder


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = _directory(tmp_path / "bench"), tmp_path / "out"
    assert main(["audit", str(data), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert "popularity" in printed.err  # the bar
    assert "bench: 10,500 events of 1,500 users and 300 items, 1,500 users asked" in printed.out
    for word in ("Markov-1", "Markov-2", "item-kNN", "features alone, attributes", "TGH-1, co-occurrence"):
        assert word in printed.out
    assert "VERDICT: A model below " in printed.out
    assert all(len(line) <= 110 for line in printed.out.splitlines()[:-1])
    assert sorted(path.name for path in out.iterdir()) == ["figure.png", "report.json", "report.md"]
    assert (out / "figure.png").read_bytes()[:4] == b"\x89PNG"
    report = json.loads((out / "report.json").read_text())
    assert report["baselines"]["TGH-1, attributes"]["history_masked"] is False
    assert report["report"]["leaks"][0]["name"] == "copied events"
    page = (out / "report.md").read_text()
    assert page.startswith("## bench\n\n**A model below ")
    assert "`recsim-env audit bench`" in page
    assert report["verdict"] in page

    assert main(["audit", str(data), "--out", str(out)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["audit", str(data), "--seed", "-1"]) == 2
    assert main(["audit", "no-such-set"]) == 2
    assert "there is no data set 'no-such-set'" in capsys.readouterr().err


def test_what_it_finds_fits_the_data(tmp_path: Path) -> None:
    easy = audit(str(_directory(tmp_path / "easy")))
    value = {one.name: float(one.ndcg.value) for one in easy.baselines}
    assert value["Markov-1"] > 0.5 > 0.1 > value["popularity"]
    assert easy.best.ndcg.value == max(value.values())
    assert last_item_keeps(easy) > 0.95
    assert not easy.report.alarms
    yes, no = claims(easy)
    assert "the order of events" in yes
    assert "long histories" in no
    assert "leaks" not in verdict(easy)
    again = audit(str(tmp_path / "easy"))
    assert document(again) == document(easy)

    late = audit(str(_directory(tmp_path / "late", lag=2)))
    assert max(float(one.ndcg.value) for one in late.baselines if one.name.startswith("Markov")) < 0.1
    assert last_item_keeps(late) < 0.9
    assert "long histories" in claims(late)[0]


def test_a_planted_leak_is_in_the_verdict(tmp_path: Path) -> None:
    data = _directory(tmp_path / "copy")
    table = pd.read_parquet(data / "interactions.parquet")
    pd.concat([table, table[table.order == 6]]).to_parquet(data / "interactions.parquet")
    items = pd.read_parquet(data / "items.parquet")
    held = table[table.order == 6].item_id.value_counts()
    items["seen"] = items.item_id.map(held).fillna(0)
    items.to_parquet(data / "items.parquet")
    found = audit(str(data))
    names = {leak.name for leak in found.report.alarms}
    assert names >= {"copied events", "column seen"}
    assert "column price" not in names
    assert "the leaks must be mended or ruled out: copied events" in verdict(found)
    for words in (text(found), markdown(found)):
        assert "ALARM, copied events: 100.00% of the held-out events" in words


def test_a_column_that_names_the_next_item_by_the_ids_of_the_source(tmp_path: Path) -> None:
    data = _directory(tmp_path / "named")
    table = pd.read_parquet(data / "interactions.parquet")
    last, target = (table.item_id.to_numpy()[table.order == order] for order in (5, 6))
    items = pd.read_parquet(data / "items.parquet")
    items["next"] = items.item_id.map(dict(zip(last, target, strict=True))).fillna(-1).astype(int)
    items.to_parquet(data / "items.parquet")
    assert {leak.name for leak in audit(str(data)).report.alarms} == {"column next as an id"}


def test_a_log_of_slates(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    slate = np.stack([rng.permutation(40)[:4] for _ in range(2000)])
    clicked = rng.random((2000, 4)) < 0.5
    log = Log(np.repeat(np.arange(200), 10), np.tile(np.arange(10.0), 200), slate, clicked)
    write_log(log, tmp_path / "log.parquet")
    found = audit(str(tmp_path / "log.parquet"))
    assert found.report.num_events == clicked.sum()
    assert found.report.tied_share > 0.3
    assert "Ties: " in text(found)
    assert "clicks of 2,000 slates" in text(found)
    assert len(picture(found).axes) == 3
    write_log(Log(log.user, log.time, slate, np.zeros_like(clicked)), tmp_path / "none.parquet")
    assert main(["audit", str(tmp_path / "none.parquet")]) == 2


@pytest.mark.slow
def test_the_shipped_groceries_are_sorted_by_popularity() -> None:
    found = audit("complete-journey")
    names = {leak.name for leak in found.report.alarms}
    assert names >= {"ids by popularity", "popularity in ties", "id in ties"}
    assert not found.baselines[0].masked
    assert found.report.tied_targets > 0.8
    assert "the order of events" in claims(found)[1]
