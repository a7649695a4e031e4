"""Tests of the bounds that benchmarks/spread.py makes, and of those in the project."""

import expected
import pytest
import refresh

TABLE = expected.read_table()
VALUES = {name: row["value"] for name, row in TABLE.items()}
LOSSES = [name for name in TABLE if name.endswith("loss")]
FIGURES = {
    "test images": 50.0, "test accuracy": 0.9, "test log_loss": 0.3, "int8 bytes": 5e5,
    "int8 test passed": 1.0, "head mean learning_rate": 0.01,
}  # fmt: skip


def test_what_was_seen_is_within_the_bounds_and_they_are_not_wide():
    assert expected.outside(VALUES, TABLE) == []
    for row in TABLE.values():
        assert row["at_least"] <= row["lowest"] <= row["highest"] <= row["at_most"]


@pytest.mark.parametrize("name", LOSSES)
def test_a_doubled_loss_is_noticed(name):
    (said,) = expected.outside(VALUES | {name: 2 * VALUES[name]}, TABLE)
    assert said.startswith(f"{name} is ")


def test_every_split_has_a_log_loss_with_bounds():
    assert {"validation log_loss", "test log_loss"} <= set(LOSSES)


def test_bounds_are_half_a_range_wider_and_by_what_two_runs_may_differ():
    other = FIGURES | {"test accuracy": 0.94, "test log_loss": 0.2, "int8 bytes": 5e5 + 10}
    table = expected.make_table([FIGURES, other])
    # Of 50 photos, one is a share of 0.02; of the highest loss, a tenth is 0.03.
    assert table["test accuracy"] == {
        "value": 0.9, "lowest": 0.9, "highest": 0.94,
        "at_least": pytest.approx(0.8599), "at_most": pytest.approx(0.9801),
    }  # fmt: skip
    bounds = {name: (row["at_least"], row["at_most"]) for name, row in table.items()}
    assert bounds["test log_loss"] == pytest.approx((0.1199, 0.3801))
    assert bounds["int8 bytes"] == pytest.approx((498994.9999, 501015.0001))
    for name in ("test images", "int8 test passed", "head mean learning_rate"):
        assert bounds[name] == pytest.approx((FIGURES[name],) * 2, abs=1.1e-4)
    assert expected.outside(FIGURES | {"test images": 51}, table)
    assert expected.outside(FIGURES | {"int8 test passed": 0}, table)


def test_another_computer_widens_what_is_known():
    known = expected.make_table([FIGURES, FIGURES | {"test accuracy": 0.94}])
    table = expected.make_table([FIGURES | {"test accuracy": 0.92}], known)
    row = table["test accuracy"]
    assert (row["lowest"], row["value"], row["highest"]) == (0.9, 0.92, 0.94)
    assert row["at_least"] == known["test accuracy"]["at_least"]


def test_figures_that_do_not_belong_together_are_refused():
    fewer = {name: value for name, value in FIGURES.items() if name != "test accuracy"}
    with pytest.raises(ValueError, match="different figures"):
        expected.make_table([FIGURES, fewer])
    with pytest.raises(ValueError, match="different figures"):
        expected.make_table([fewer], expected.make_table([FIGURES]))
    table = expected.make_table([FIGURES])
    assert expected.outside(fewer, table) == ["test accuracy was not measured"]
    assert expected.outside(FIGURES, expected.make_table([fewer])) == [
        "test accuracy is not in expected_metrics.json"
    ]


def test_a_refresh_renews_values_keeps_bounds_and_says_what_leaves_them(
    monkeypatch, tmp_path, capsys
):
    table = expected.make_table([FIGURES])
    monkeypatch.setattr(expected, "FILE", tmp_path / "table.json")
    refresh.runs.write_json(expected.FILE, table)
    monkeypatch.setattr(
        expected, "measure", lambda run: FIGURES | {"test log_loss": 0.6, "test accuracy": 0.91}
    )
    refresh.renew_values(None)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and said[0].startswith("test log_loss is 0.6, expected 0.2")
    renewed = expected.read_table()
    assert renewed["test log_loss"] == table["test log_loss"] | {"value": 0.6}
    assert renewed["test accuracy"] == table["test accuracy"] | {"value": 0.91}
