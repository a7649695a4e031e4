"""Tests of what the walkthrough in PyTorch says."""

import json
from types import SimpleNamespace

from dermaface.readings import same_model_in_pytorch as readings
from dermaface.runs import Run
import numpy as np
import pandas as pd
import pytest

ANSWERS = pd.DataFrame(
    {
        "path": list("abcd"),
        "split": ["validation", "test", "test", "test"],
        "label": list("xxyy"),
        "predicted": list("xxyx"),
    }
)


def test_what_the_usual_recipe_cuts_away():
    told = readings.cut_away([(100, 100), (200, 100)], np.array([-2.1, 2.6]))
    assert "these 2 photos, the usual recipe keeps 38 % to 77 %" in told
    assert told.endswith("Normalized, the levels go from -2.1 to 2.6.")


@pytest.mark.parametrize(
    ("off", "said"),
    [(2e-6, "is 2.0e-06. It is the same network."), (0.5, "NOT"), (float("nan"), "NOT")],
)
def test_another_network_is_told_from_the_same(off, said):
    first = np.full((3, 5), 0.25)
    assert said in readings.same_features(first, first + off)


def history_of(losses, stages):
    return pd.DataFrame({"stage": stages, "val_loss": losses, "val_accuracy": [0.5, 0.6, 0.9]})


def test_a_stage_is_judged_by_its_best_epoch_and_by_what_was_before():
    told = readings.stage(history_of([0.9, 0.7, 0.8], ["head"] * 3), 10)
    assert "0.70, in epoch 2 of 3" in told and "They answer 6 of 10" in told
    assert "The stage" not in told
    stages = ["head", "fine_tune", "fine_tune"]
    told = readings.stage(history_of([0.9, 0.7, 0.6], stages), 10)
    assert "0.60, in epoch 2 of 2" in told and "lowered the loss, which was 0.90" in told
    assert "did NOT lower the loss" in readings.stage(history_of([0.5, 0.7, 0.6], stages), 10)


def test_the_likeliest_classes_stand_below_the_right_one():
    best = SimpleNamespace(values=np.array([[0.9, 0.1]]), indices=np.array([[1, 0]]))
    assert readings.likeliest(best, [0], ["dark_eyes", "x"]) == [
        "dark eyes:\nx 90 %\ndark eyes 10 %"
    ]


def test_both_trainings_side_by_side(tmp_path):
    noted = {name: {"seconds": 20.4} for name in readings.KERAS}
    (tmp_path / "run.json").write_text(json.dumps({"notebooks": noted}))
    (tmp_path / "history.csv").write_text("stage,epoch\nhead,1\nhead,2\n")
    history = pd.DataFrame({"stage": ["head"]})
    table = readings.side_by_side(
        Run(tmp_path), ANSWERS, ANSWERS.assign(predicted="y"), history, 3.2
    )
    assert table.loc["Keras"].to_list()[:4] == ["2 of 3", "0.667", 2, 41]
    assert table.loc["PyTorch"].to_list()[:4] == ["2 of 3", "0.667", 1, 3]
    assert 100 < table.loc["PyTorch", "lines of code"] < table.loc["Keras", "lines of code"] < 400


def test_two_trainings_are_compared_photo_by_photo():
    told = readings.compared(ANSWERS, ANSWERS.assign(predicted="y"), lambda *counts: (-0.5, 0.6))
    assert "same answer" in told and told.startswith("They give 1 of 3 test photos")
    assert "Only Keras is right on 1, only PyTorch\non 1: +0.0 points" in told
    assert "(-60.0 to +50.0), which is not beyond chance" in told
    beyond = readings.compared(ANSWERS, ANSWERS, lambda *counts: (0.1, 0.2))
    assert beyond.endswith("which is beyond chance.")


def test_summary():
    figures = {"test": {"accuracy": 0.75, "images": 4, "accuracy_interval": (0.3, 0.95)}}
    assert readings.summary(figures, pd.DataFrame({"stage": ["head"] * 3})) == (
        "3 epochs in a loop of your own: 3 of 4 test photos right,\n"
        "accuracy 0.750, 95 % interval 0.300 to 0.950."
    )
