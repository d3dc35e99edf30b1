"""Two logs of one law do not differ, a shuffled one does; what does not apply is left out with the reason."""

import csv
import subprocess
import sys
from io import BytesIO, StringIO

import numpy as np
import pytest
from numpy.testing import assert_allclose

from recsim_env.errors import InputError
from recsim_env.evaluation.log_statistics import repeat_ratio
from recsim_env.simulators.calibration.fidelity import fidelity
from recsim_env.simulators.calibration.fidelity_report import FidelityReport, Row
from recsim_env.simulators.datasets import read_interactions
from recsim_env.simulators.log import Log


def _take(log: Log, keep: np.ndarray) -> Log:
    return Log(log.user[keep], log.time[keep], log.slate[keep], log.clicked[keep])


def _halves(log: Log, seed: int = 0) -> tuple[Log, Log]:
    """Two logs with half of the users each."""
    half = np.random.default_rng(seed).permutation(int(log.user.max()) + 1) % 2
    return _take(log, half[log.user] == 0), _take(log, half[log.user] == 1)


def _slates(users: int, decay: float, seed: int) -> Log:
    """People who come now and then and click the upper slots of five more often."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), 12)
    time = np.cumsum(rng.exponential(100, (users, 12)), axis=1).ravel()
    slate = np.argsort(rng.random((len(user), 20)), axis=1)[:, :5]
    clicked = rng.random(slate.shape) < 0.5 * decay ** np.arange(5)
    return Log(user, time, slate, clicked)


def _row(report: FidelityReport, statistic: str) -> Row:
    return next(row for row in report.rows if row.statistic == statistic)


def test_the_users_of_one_real_log_do_not_differ_and_shuffled_items_do() -> None:
    log = read_interactions("complete-journey").log
    few = _take(log, log.user < 500)
    one, other = _halves(few)
    same = fidelity(one, other)
    z = np.array([row.z for row in same.rows[3:]])  # users, events and items have no error
    assert np.isnan([row.z for row in same.rows[:3]]).all()
    assert (np.abs(z) < 4).all()
    assert (np.abs(z) < 2).mean() > 0.6
    assert not same.notes
    mixed = Log(other.user, other.time, np.random.default_rng(1).permutation(other.slate), other.clicked)
    report = fidelity(one, mixed)
    assert _row(report, "repeat ratio").z < -10
    assert _row(report, "NDCG@10 of p_top").z < -10
    # shuffling items leaves when people come, and how much they buy
    for statistic in ("events per visit", "gap between visits, 50% quantile"):
        assert _row(report, statistic) == _row(same, statistic)


def test_the_rows_are_the_statistics_of_the_logs() -> None:
    one, other = _slates(40, 0.8, 0), _slates(50, 0.8, 1)
    report = fidelity(one, other)
    row = _row(report, "repeat ratio")
    for log, value, error in (
        (one, row.real, row.real_std_error),
        (other, row.simulated, row.simulated_std_error),
    ):
        at, slot = np.nonzero(log.clicked)
        wanted = repeat_ratio(log.user[at], log.slate[at, slot], log.time[at])
        assert (value, error) == (wanted.value, wanted.std_error)
    assert _row(report, "click rate at position 2").real == one.clicked[:, 1].mean()
    assert _row(report, "users").simulated == 50
    assert _row(report, "events").real == one.clicked.sum()


def test_a_law_that_is_not_the_same_is_seen_where_it_differs() -> None:
    same = fidelity(_slates(300, 0.8, 0), _slates(300, 0.8, 1))
    assert max(abs(row.z) for row in same.rows[3:]) < 4
    steep = fidelity(_slates(300, 0.8, 0), _slates(300, 0.6, 1))
    assert abs(_row(steep, "click rate at position 1").z) < 4
    assert _row(steep, "click rate at position 3").z < -8


def test_z_by_hand() -> None:
    assert Row("x", 1.0, 3.0, 2.0, 4.0).z == 0.2
    assert Row("x", 1.0, 0.0, 1.0, 0.0).z == 0
    assert Row("x", 2.0, 0.0, 1.0, 0.0).z == -np.inf
    assert np.isnan(Row("x", 2.0, np.nan, 1.0, 0.1).z)


def test_what_does_not_apply_is_left_out_with_the_reason() -> None:
    rng = np.random.default_rng(2)
    user = np.repeat(np.arange(20), 10)
    bought = Log.from_interactions(user, rng.integers(0, 9, 200), np.tile(np.arange(10), 20))
    report = fidelity(bought, _slates(20, 0.8, 0))
    assert report.left_out == (
        "click rate by position: in the real log all that is listed is clicked: it has no slates",
        "gaps between visits: in the real log every gap is 1: its time counts events, it is no clock",
    )
    assert not any("position" in row.statistic or "gap" in row.statistic for row in report.rows)
    once = Log.from_interactions(np.arange(20), rng.integers(0, 9, 20), np.zeros(20))
    reasons = "\n".join(fidelity(bought, once).left_out)
    assert "predictability: in the simulated log no user has two visits" in reasons
    assert "events per visit: every visit is one event: give a session_gap" in reasons
    apart = Log.from_interactions(user, np.tile(np.arange(10), 20), rng.exponential(1, 200))
    assert (
        "return rate by gap: in the simulated log nobody comes back to an item"
        in fidelity(bought, apart).left_out
    )


def test_a_session_gap_makes_visits() -> None:
    log = _slates(60, 0.8, 3)
    alone, joined = fidelity(log, log), fidelity(log, log, session_gap=50.0)
    visits = _row(joined, "events per visit").real, _row(alone, "events per visit").real
    assert visits[0] > visits[1]
    assert _row(joined, "gap between visits, 10% quantile").real > 50
    assert all(row.z == 0 for row in joined.rows[3:])


def test_logs_of_different_sizes_are_noted() -> None:
    report = fidelity(_slates(40, 0.8, 0), _slates(20, 0.8, 1))
    assert report.notes[0].startswith("the logs differ in size (40 and 20 users), on which the Gini")
    assert report.notes[0] in report.text()
    assert f"- {report.notes[0]}" in report.markdown()


def test_the_table_as_text_markdown_and_csv() -> None:
    report = FidelityReport(
        (
            Row("users", 1234.0, np.nan, 20.0, np.nan),
            Row("gap, 50% quantile", 40000.0, 300.0, 50000.0, 400.0),
            Row("repeat ratio", 0.5, 0.01, 0.4876, 0.0),
        ),
        (),
        ("position: no slates",),
        (),
    )
    lines = str(report).splitlines()
    assert lines[0].split() == ["statistic", "real", "simulated", "z"]
    assert lines[1].split() == ["users", "1,234", "20"]
    assert lines[2].split("quantile")[1].split("  ")[-1] == "+20.0"
    assert [cell.strip() for cell in lines[3].split("  ") if cell] == [
        "repeat ratio",
        "0.5000 +- 0.0100",
        "0.4876 +- 0.0000",
        "-1.2",
    ]
    assert lines[-1] == "left out: position: no slates"
    assert len({len(line) for line in lines[:4]}) == 1
    assert (
        report.markdown().splitlines()[4] == "| repeat ratio | 0.5000 +- 0.0100 | 0.4876 +- 0.0000 | -1.2 |"
    )
    assert report.markdown().endswith("\n- left out: position: no slates\n")
    table = list(csv.DictReader(StringIO(report.csv())))
    assert [row["statistic"] for row in table] == ["users", "gap, 50% quantile", "repeat ratio"]
    assert_allclose(float(table[2]["z"]), -1.24)
    assert table[0]["real_std_error"] == "nan"


def test_the_picture_shows_every_panel_in_both_logs() -> None:
    report = fidelity(_slates(60, 0.8, 0), _slates(60, 0.7, 1))
    titles = [panel.title for panel in report.panels]
    assert titles == [
        "Position", "Repetition", "Coming back to an item", "Gaps", "Visits", "Popularity", "Predictability",
    ]  # fmt: skip
    figure = report.picture()
    drawn = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in drawn] == titles
    position = drawn[0].lines
    assert_allclose(position[0].get_ydata(), report.panels[0].real.value)
    assert_allclose(position[1].get_ydata(), report.panels[0].simulated.value)
    pixels = BytesIO()
    figure.savefig(pixels, format="png")
    assert pixels.getbuffer().nbytes > 10_000
    assert len(FidelityReport((), (), (), ()).picture().axes) == 1


def test_a_report_of_a_fit_that_is_not_to_be_trusted_says_so_wherever_it_is_written() -> None:
    row = Row("users", 12.0, np.nan, 20.0, np.nan)
    report = FidelityReport((row,), (), ("position: no slates",), ("small logs",), ("a bound", "no end"))
    distrust = ["NOT TO BE TRUSTED: a bound", "NOT TO BE TRUSTED: no end"]
    remarks = [*distrust, "left out: position: no slates", "small logs"]
    assert report.text().splitlines()[-4:] == remarks
    assert report.markdown().splitlines()[-4:] == [f"- {remark}" for remark in remarks]
    table = list(csv.DictReader(StringIO(report.csv())))
    assert [row["statistic"] for row in table] == [*distrust, "users"]
    assert {table[0][name] for name in list(table[0])[1:]} == {"nan"}
    figure = report.picture()
    assert figure.get_suptitle() == "NOT TO BE TRUSTED: a bound; no end"
    trusted = fidelity(_slates(40, 0.8, 0), _slates(40, 0.8, 1))
    assert "TRUSTED" not in trusted.text() + trusted.markdown() + trusted.csv()
    assert trusted.picture().get_suptitle() == ""


def test_importing_the_report_loads_no_matplotlib() -> None:
    code = "import sys, recsim_env.simulators.calibration.fidelity; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_bad_input() -> None:
    log = _slates(5, 0.8, 0)
    silent = Log(log.user, log.time, log.slate, np.zeros_like(log.clicked))
    with pytest.raises(InputError, match="the simulated log must hold a click, got none"):
        fidelity(log, silent)
    with pytest.raises(InputError, match=r"the real log shows item 19, but num_items = 10 \(0-9\)"):
        fidelity(log, log, num_items=10)
    with pytest.raises(InputError, match="session_gap must be 0 or more, got -1"):
        fidelity(log, log, session_gap=-1)
    with pytest.raises(InputError, match="k must be 1 or more, got 0"):
        fidelity(log, log, k=0)
