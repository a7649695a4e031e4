"""Tests that what notebook 06 says turns when its figures turn."""

from dermaface.evaluation.scores import choose_setting, mean_interval
from dermaface.readings import compare_settings as readings
import numpy as np
import pandas as pd
import pytest

START = {"learning_rate": 0.003, "inner_size": 0, "dropout_rate": 0.2, "augmentation": 1.0}


def test_a_setting_is_named_in_words():
    words = "learning rate 0.003, no inner layer, dropout 0.2, augmentation as in 02"
    assert readings.setting(START) == words
    other = {"learning_rate": 1e-5, "inner_size": 64, "dropout_rate": 0.0, "augmentation": 0}
    words = "learning rate 0.00001, inner layer of 64, no dropout, no augmentation"
    assert readings.setting(other) == words
    assert readings.setting({"augmentation": 1.5}) == "augmentation 1.5 times that of 02"


def test_a_setting_is_told_by_what_it_changes():
    assert readings.change(START | {"name": "a", "seed": 1}, START) == "start"
    assert readings.change(START | {"inner_size": 64}, START) == "inner layer of 64"
    both = START | {"dropout_rate": 0, "learning_rate": 0.03}
    assert readings.change(both, START) == "learning rate 0.03, no dropout"


def test_range_test():
    said = readings.range_test(0.0052, 0.61, [0.003, 0.0003, 0.03])
    assert "fastest near a learning rate of 0.005 and blows up near 0.6." in said
    assert "0.003 and 0.03 are worth trying;\n0.0003 is below a tenth" in said
    said = readings.range_test(0.0052, 0.15, [0.03, 0.1])
    assert said.endswith("0.03 and 0.1 are above a tenth of where it blows up, so expect "
                         "restless training.")  # fmt: skip
    said = readings.range_test(0.0052, None, [0.003, 5.0, 10.0])
    assert "never blows up" in said and said.endswith("0.003, 5 and 10 are worth trying.")


def test_early_stopping():
    said = readings.early_stopping(20, 25, True, 0.6151)
    assert "stopped by itself after 25 epochs" in said and "epoch 20, with" in said
    assert "0.615." in said
    said = readings.early_stopping(40, 40, False, 0.9)
    assert "had not converged when it was cut short after 40 epochs" in said


def test_unfinished():
    said = readings.unfinished(pd.Series({"a": True, "b": True}), 40)
    assert said == "None of the 2 training runs was cut short by compared_epochs."
    said = readings.unfinished(pd.Series({"a": True, "b": False}), 40)
    assert said.startswith("1 of 2 training runs") and "cut it short at 40" in said
    assert said.endswith("change the order:\nb")
    said = readings.unfinished(pd.Series([False, False, True], ["start", "start", "winner"]), 5)
    assert said.startswith("2 of 3") and "cut them short at 5" in said
    assert said.endswith("change the order:\nstart")
    said = readings.unfinished(pd.Series(False, list("abc")), 5)
    assert said.startswith("3 of 3") and said.endswith("change the order.")


def test_tried_values():
    table = pd.DataFrame(
        {"val_loss": [0.7, 0.612], "val_accuracy": [0.75, 0.5]}, ["dropout 0", "b"]
    )
    said = readings.tried_values(table, 68)
    assert said.startswith("B has the lowest validation loss, 0.612; the next is 0.088 higher.")
    assert said.endswith("The best and the worst accuracy differ by 17 of 68 photos.")
    near = table.assign(val_loss=[0.6149, 0.6146])
    assert "B has the lowest validation loss, 0.615; a tie" in readings.tried_values(near, 68)
    near = table.assign(val_loss=[0.6151, 0.6144])
    assert "0.614; the next is 0.001 higher." in readings.tried_values(near, 68)
    turned = table.assign(val_loss=[0.6, 0.7], val_accuracy=0.75)
    said = readings.tried_values(turned, 68)
    assert said.startswith("Dropout 0 has") and said.endswith(
        "are the same: 51 of 68 photos right."
    )
    said = readings.tried_values(table.iloc[:1], 68)
    assert said == "Dropout 0 is the only value tried, with a validation loss of 0.700."


def test_compared():
    tried = pd.DataFrame({"name": ["a", "b"], "accuracy": [0.9, 0.99], "val_accuracy": [0.8, 0.7]})
    said = readings.compared(tried, 0.75, 0.85)
    assert said.startswith("1 of 2 settings lies within") and "0.75 to 0.85" in said
    assert said.endswith('ahead of validation in the row "b":\n0.99 against 0.70.')
    said = readings.compared(tried.assign(accuracy=[0.8, 0.6]), 0.6, 0.9)
    assert (
        said.startswith("2 of 2 settings lie within")
        and "No setting does better in training" in said
    )


@pytest.mark.parametrize(
    ("over_seeds", "over_photos", "begins", "figures"),
    [
        (
            (-0.05, -0.01),
            (-0.06, -0.0),
            "No difference found: the interval over the photos",
            "0.030",
        ),
        ((-0.05, -0.01), (-0.059, -0.001), "A difference beyond chance", "0.030 lower"),
        (
            (-0.07, 0.01),
            (-0.05, -0.01),
            "No difference found: the interval over the seeds",
            "lower",
        ),
        ((-0.01, 0.066), (-0.04, 0.096), "No difference found: both", "0.028 higher"),
        ((0.01, 0.05), (-0.04, 0.1), "No better setting found", "0.030 higher"),
        (
            (-0.034, 0.0341),
            (-0.03, 0.03),
            "No difference found: both",
            "loss is equal to the start's",
        ),
        ((0.0, 0.0), (0.0, 0.0), "No difference found: the start itself", "lowest"),
    ],
)
def test_decision(over_seeds, over_photos, begins, figures):
    said = readings.decision(over_seeds, over_photos)
    assert said.startswith(begins) and figures in said


def test_the_decision_in_words_is_the_one_that_is_made():
    random = np.random.default_rng(0)
    chosen = []
    for lead in np.linspace(-0.2, 0.1, 100):
        differences = lead + random.normal(0, 0.1, (5, 1)) + random.normal(0, 0.5, (1, 60))
        chosen.append(choose_setting(differences))
        said = readings.decision(
            mean_interval(differences.mean(axis=1)), mean_interval(differences.mean(axis=0))
        )
        assert said.startswith("A difference beyond chance") == (chosen[-1] == "winner")
    assert {"start", "winner"} == set(chosen)


def test_photos_apart():
    said = readings.photos_apart(0.776, 0.791, 68, 0.66, 0.86)
    assert "answers 52.8 of 68 photos right on average, the winner 53.8." in said
    assert "that gets 53 right may truly deserve anything\nfrom 45 to 58 (95 % interval)" in said
    assert said.endswith("the winner's 53.8 is inside.")
    assert "61.2 is outside." in readings.photos_apart(0.776, 0.9, 68, 0.66, 0.86)
    assert "58.0 is inside." in readings.photos_apart(0.776, 0.8533, 68, 0.66, 0.8529)
    assert "on average, and so does" in readings.photos_apart(0.776, 0.776, 68, 0.66, 0.86)


def test_summary():
    said = readings.summary("start", 6, 68)
    assert "6 settings were compared on 68 validation photos: none beats the start" in said
    assert "settings.yaml holds the start" in said and "smaller lead" not in said
    said = readings.summary("winner", 6, 68)
    assert "beats the start beyond chance" in said and "holds the winner" in said
    assert said.endswith("expect a smaller lead on new ones.")
    assert readings.summary("start", 1, 68).startswith("Only the start was tried")
