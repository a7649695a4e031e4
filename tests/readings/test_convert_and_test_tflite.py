"""Tests that what notebook 05 says turns when its figures turn."""

from dermaface.readings import convert_and_test_tflite as readings
import numpy as np
import pandas as pd
import pytest
import scipy.stats

FILES = pd.DataFrame(
    {
        "variant": ["float32", "float16", "int8"],
        "split": "validation",
        "images": 50,
        "bytes": [1_600_000, 800_000, 400_000],
        "accuracy_drop": [0.0, 0.0, 0.04],
        "drop_low": -0.02,
        "drop_high": 0.05,
        "changed": 0,
        "max_abs_diff": [1e-6, 0.004, 0.26],
        "latency_ms": [2.0, 3.0, 1.0],
    }
)
AUDITS = pd.DataFrame(
    {
        "it is": ["float32", "float16", "int8"],
        "output": "FLOAT32",
        "operators in floats": [67, 67, 0],
        "float islands": 0,
    },
    index=["float32", "float16", "int8"],
)


def test_rounding():
    trained = np.array([[0.4, 1.6, -2.2, 127.0]])
    assert readings.rounding(trained, np.rint(trained)) == (
        "Each of this layer's 4 weights went to its nearest level."
    )
    said = readings.rounding(trained, np.array([[1.0, 2.0, -2.0, 127.0]]))
    assert said == "Of this layer's 4 weights, 25.0 % went to a level other than their nearest."


def test_closer_names_the_file_that_moves_less_beyond_chance():
    near, far = np.linspace(0.001, 0.01, 40), np.linspace(0.02, 0.4, 40)
    said = readings.closer(pd.DataFrame({"stock": far, "careful": near}))
    assert said == (
        "Closer to the Keras model: careful.\nOf 40 photos, careful stayed closer on 40 and stock "
        "on 0 (sign test, p < 0.001).\nThe median photo's largest change in a probability is "
        "0.006; with stock it is 0.21."
    )
    turned = readings.closer(pd.DataFrame({"stock": near, "careful": far}))
    assert turned.startswith("Closer to the Keras model: stock.\n")


def test_closer_finds_no_difference_within_chance():
    one, other = np.array([0.1, 0.2, 0.3, 0.5]), np.array([0.2, 0.1, 0.4, 0.5])
    said = readings.closer(pd.DataFrame({"stock": one, "careful": other}))
    assert said == (
        "No difference beyond chance was found between stock and careful.\n"
        "Of 4 photos, stock stayed closer on 2 and careful on 1 (sign test, p = 1)."
    )
    alike = readings.closer(pd.DataFrame({"stock": one, "careful": one}))
    assert alike.startswith("No difference beyond chance") and "closer on 0 and" in alike


@pytest.mark.parametrize(("wins", "losses"), [(5, 0), (6, 0), (18, 15), (20, 9), (330, 11)])
def test_closer_measures_chance_as_a_binomial_test_does(wins, losses):
    signs = np.repeat([0.0, 1.0], [wins, losses])
    said = readings.closer(pd.DataFrame({"a": signs, "b": 0.5}))
    chance = scipy.stats.binomtest(wins, wins + losses).pvalue
    assert (f"p = {chance:.2g})" if chance >= 0.001 else "p < 0.001)") in said
    assert said.startswith("Closer to the Keras model: a.") == (chance < 0.05)


def test_recipes():
    tried = pd.DataFrame(
        {
            "recipe": ["a", "b", "c"],
            "accuracy_drop": [0.1, -0.004, 0.2],
            "agreement": [0.8, 0.98, 0.7],
            "passed": [False, True, False],
        }
    )
    first = readings.recipes(tried.iloc[1:2])
    assert first == (
        "The first recipe keeps to the limits, so no other was tried: b.\n"
        "It agrees on 98.0 % of the validation photos and gains 0.4 points of accuracy."
    )
    second = readings.recipes(tried.iloc[:2])
    assert second.startswith(
        "Beyond the limits: a.\nThe next keeps to them: b.\nIt agrees on 98.0 %"
    )
    third = readings.recipes(tried.assign(passed=[False, False, True], accuracy_drop=0.0))
    assert third.startswith("Beyond the limits: a and b.\nThe next keeps to them: c.\n")
    assert third.endswith("loses no accuracy.")
    none = readings.recipes(tried.assign(passed=False))
    assert none.startswith("None of 3 recipes keeps to the limits; the one that agrees best is")
    assert "is taken: b.\nIt agrees on 98.0 %" in none


def test_kinds():
    assert readings.kinds(AUDITS) == (
        "Every file is what its name says.\nWithout operators in floats: int8."
    )
    table = AUDITS.assign(**{"it is": ["float32", "float32", "int8_mixed"]})
    table["operators in floats"], table["float islands"] = [67, 67, 3], [0, 0, 2]
    assert readings.kinds(table) == (
        "Not what the name says: float16 is float32 and int8 is int8_mixed.\nEvery file has "
        "operators in floats.\nFloat islands: int8 (2)."
    )


def test_alike():
    said = readings.alike(AUDITS)
    assert said == "The same in every file: output FLOAT32 and float islands 0."
    one = readings.alike(AUDITS.drop(columns="output"))
    assert one == "The same in every file: float islands 0."
    assert readings.alike(AUDITS[["it is"]]) == "No column is the same in all."


def test_sizes():
    weights = pd.Series({"float32": 1500, "float16": 700, "int8": 300})
    assert readings.sizes(FILES, weights) == (
        "float32 takes 1,600 KB;\nof that, float16 50 % and int8 25 %.\nWeights and biases are 75 "
        "% of int8; the rest describes layers, scales and labels."
    )
    larger = FILES.assign(bytes=[1_000_000, 2_000_000, 310_000])
    said = readings.sizes(larger, weights.astype(object))
    assert "float16 200 % and int8 31 %.\nWeights and biases are 35 % of float16;" in said


def test_answers_changed():
    assert readings.answers_changed(FILES) == (
        "No file changed any of the 50 answers.\nThe largest change in a probability is 0.26, in "
        "int8."
    )
    some = readings.answers_changed(FILES.assign(changed=[0, 1, 3], max_abs_diff=[0, 0.004, 0]))
    assert some == (
        "Changed, of 50 answers: float16 1 and int8 3; float32 none.\nThe largest change in a "
        "probability is 0.004, in float16."
    )
    every = readings.answers_changed(FILES.assign(changed=2, max_abs_diff=1e-6))
    assert "float32 2, float16 2 and int8 2.\nThe largest" in every and "none" not in every
    assert "is less than 0.001, in float32." in every


def test_drops():
    assert readings.drops(FILES) == (
        "Every interval contains 0:\nno file's accuracy differs by more than chance on these 50 "
        "photos."
    )
    said = readings.drops(FILES.assign(drop_low=[-0.02, -0.02, 0.01]))
    assert said == "Worse than the Keras model by more than chance: int8 (4.0 points)."
    better = FILES.assign(drop_high=[0.05, -0.01, 0.05], accuracy_drop=[0, -0.03, 0])
    said = readings.drops(better)
    assert said == "Better than the Keras model by more than chance: float16 (3.0 points)."
    both = readings.drops(better.assign(drop_low=[-0.02, -0.05, 0.01]))
    assert both.startswith("Worse") and ".\nBetter than" in both


def test_speed():
    said = readings.speed(FILES)
    assert said == (
        "With two threads, int8 is fastest on this computer: 1.0 ms for one photo.\n"
        "Slowest is float16, 3.0 ms; int8 takes 0.5 times as long as float32."
    )
    slow = readings.speed(FILES.assign(latency_ms=[2, 3, 9]))
    assert "float32 is fastest on this computer: 2.0 ms" in slow
    assert slow.endswith("Slowest is int8, 9.0 ms; int8 takes 4.5 times as long as float32.")


def test_chosen():
    wanted = ["int8", "float16", "float32"]
    assert readings.chosen(wanted, "int8") == (
        "The most wanted variant keeps to all limits: int8 ships."
    )
    assert "but refused: int8.\nThe next" in readings.chosen(wanted, "float16")
    last = readings.chosen(wanted, "float32")
    assert "but refused: int8 and float16.\nThe next" in last and last.endswith("ships: float32.")


def test_both_answers():
    row = {"keras": "a", "keras_probability": 0.5, "file": "b", "file_probability": 0.6}
    (photo,) = pd.DataFrame([row | {"label": "c"}]).itertuples()
    assert readings.both_answers(photo) == "a 50 %\nnow b 60 %\n(is c)"


def test_recall_changes():
    rows = pd.DataFrame({"split": ["validation", "test"]})
    rows["recall_change_a"], rows["recall_change_b"] = [0.0, 0.0], [np.nan, 0.0]
    assert readings.recall_changes(rows) == "No class lost or gained recall."
    rows["recall_change_c"] = [-0.25, 0.1]
    assert readings.recall_changes(rows) == (
        "Lost most recall: c (validation), 25 points.\nGained most recall: c (test), 10 points."
    )
    rows["recall_change_c"] = [0.0, 0.1]
    assert readings.recall_changes(rows) == "Gained most recall: c (test), 10 points."


def test_changed_photos():
    changed = pd.DataFrame(
        {
            "label": ["a", "b", "c"],
            "keras": ["a", "a", "a"],
            "file": ["b", "b", "b"],
            "keras_probability": [0.9, 0.4, 0.45],
        }
    )
    said = readings.changed_photos(changed, 80, 0.5)
    assert said == (
        "3 of 80 photos got another answer.\nRight before and wrong now: 1; wrong before and right "
        "now: 1.\nThe model itself was sure (0.50 or more) of 1 of them."
    )
    assert readings.changed_photos(changed, 80, 0.95).endswith("sure (0.95 or more) of 0 of them.")
    assert readings.changed_photos(changed[:0], 80, 0.5) == (
        "Each of 80 photos got the model's own answer."
    )


def test_resizers():
    table = pd.DataFrame(
        {
            "resizer": ["rule", "linear", "area"],
            "accuracy": [0.9, 0.9, 0.9],
            "agreement": 1.0,
            "max_abs_diff": [0.0, 0.3, 0.1],
        }
    )
    assert readings.resizers(table) == (
        "No other resizer changed an answer.\nThe largest change in a probability is 0.30, with "
        "linear."
    )
    said = readings.resizers(table.assign(agreement=[1, 1, 0.96], accuracy=[0.9, 0.9, 0.87]))
    assert said == (
        "area changed the most answers, 4.0 % of them,\nand moved a probability by up to 0.10.\n"
        "With it, the accuracy is 0.870 instead of 0.900."
    )


def test_same_answer():
    first = np.array([0.2, 0.8])
    same = readings.same_answer(["a", "b"], first, first)
    assert same == "Both say b, 0.80; no probability differs."
    near = readings.same_answer(["a", "b"], first, np.array([0.25, 0.75]))
    assert near == "Both say b, 0.80; the probabilities lie up to 0.05 apart."
    other = readings.same_answer(["a", "b"], first, first[::-1])
    assert other == "They differ: b against a; a probability is 0.60 off."


def test_answers_to_shown_photos():
    assert readings.answer(("a", 0.934), "a") == "a\n93 %"
    assert readings.answer(("a", 0.934), "b") == "a\n93 %\n(is b)"
    guesses = [("a", 0.9), ("b", 0.8), ("a", 0.6)]
    assert readings.shown(guesses, ["a", "b", "a"]) == "Right: 3 of these 3."
    assert readings.shown(guesses, ["a", "a", "b"]) == (
        "Right: 1 of these 3; the surest wrong answer has 0.80."
    )


def test_strangers():
    told = {"pictures": 34, "sure": 30, "mean_confidence": 0.8}
    assert readings.strangers(told, 0.5) == (
        'Sure (0.50 or more) of 30 of 34 patterns: "not sure" stopped 4.'
    )
    assert readings.strangers(told | {"sure": 0}, 0.9) == (
        'Sure (0.90 or more) of 0 of 34 patterns: "not sure" stopped 34.'
    )


def test_shipped():
    both = pd.concat([FILES, FILES.assign(split="test", changed=2, max_abs_diff=0.1)])
    assert readings.shipped(both, "int8") == (
        "int8 ships: 400 KB, 25 % of float32.\nIt changed 2 of 100 answers; its largest change in "
        "a probability is 0.26."
    )
    said = readings.shipped(FILES, "float32")
    assert said.startswith(
        "float32 ships: 1,600 KB, 100 % of float32.\nIt changed 0 of 50 answers;"
    )
