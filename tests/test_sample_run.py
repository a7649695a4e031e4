"""Check the figures of the notebooks' run under nbval, which come from trained weights.

nbval compares what is the same on every machine. What training produced is compared here with the
bounds in tests/expected_metrics.json, which benchmarks/spread.py has measured.
"""

import json

from dermaface import pipeline, report
from dermaface.runs import open_run
import expected
import pandas as pd
import pytest
import refresh

EXPECTED = expected.read_table()


@pytest.fixture(scope="module")
def run():
    """Return the run that the notebooks have just made."""
    run = open_run("demo")
    if not run.path("release").is_dir():
        pytest.skip("the notebooks have not run: name notebooks/ before tests/, or neither")
    return run


def test_every_figure_is_within_its_bounds(run):
    assert len(EXPECTED) > 40
    assert expected.outside(expected.measure(run), EXPECTED) == []


def test_every_class_is_learnt(run):
    classes = json.loads(run.path("metrics.json").read_text(encoding="utf-8"))["test"]["classes"]
    assert len(classes) == 11
    assert sum(figures["recall"] < 0.5 for figures in classes.values()) <= 2


def test_the_first_recipe_made_the_released_file(run):
    described = json.loads(run.path("release/model.json").read_text(encoding="utf-8"))
    assert (described["variant"], described["recipe"]) == ("int8", "careful int8, 200 photos")


def test_the_report_advises_against_drawn_pictures_and_against_nothing_else(run):
    screen = report.examine(run)
    assert screen.verdict == "Do not ship yet"
    (serious,) = screen.serious
    assert serious.startswith("Trained on drawn pictures")


def test_the_readme_shows_the_figure_of_notebook_05():
    assert refresh.FIGURE.read_bytes() == refresh.readme_figure()
    readme = (refresh.ROOT / "README.md").read_text(encoding="utf-8")
    assert f"](notebooks/{refresh.FIGURE.name})" in readme


def test_the_chosen_setting_is_a_parameter_file_for_a_run(run):
    values = pipeline.read_parameters(run.path("settings.yaml"))
    assigned = pipeline.assign_parameters(values)
    assert assigned["03_train_model"]["epochs"] == values["epochs"]
    tried = pd.read_csv(run.path("settings.csv"))
    compared = tried[tried["setting"].isna()]
    assert len(compared) >= 5 and compared["val_accuracy"].max() >= 0.65
    chosen = tried[tried["chosen"].eq(True)]
    assert chosen["setting"].nunique() == chosen["name"].nunique() == 1 and len(chosen) >= 2
    setting = chosen.iloc[0]
    assert values["learning_rate"] == setting["learning_rate"]
    assert values["dense_units"] == ([int(setting["inner_size"])] if setting["inner_size"] else [])
    assert values["epochs"] == chosen["epoch"].max()
    for name, value in run.parameters("02_build_model").items():
        if name in ("backbone", "weights", "image_size", "rotation"):
            assert assigned["02_build_model"][name] == value
