"""Tests that what notebook 05 says turns when its figures turn."""

from dermaface.evaluation import confidence
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
        "passed": True,
        "max_abs_diff": [1e-6, 0.004, 0.26],
        "latency_ms": [2.0, 3.0, 1.0],
        "latency_p90_ms": [2.1, 3.1, 1.1],
        "latency_1_thread_ms": [2.0, 3.0, 1.0],
        "latency_1_thread_p90_ms": [2.1, 3.1, 1.1],
    }
)
AUDITS = pd.DataFrame(
    {
        "it is": ["float32", "float16", "int8"],
        "output": "FLOAT32",
        "operators in floats": [67, 67, 0],
        "float islands": 0,
        "TF Lite from": ["1.6.0", "1.15.0", "1.6.0"],
    },
    index=["float32", "float16", "int8"],
)


def test_in_turn():
    wanted, near, far = np.array([1.0, 2.0]), np.array([1.1, 2.1]), np.array([1.5, 1.5])
    assert readings.in_turn(wanted, far, near) == (
        "The output is 0.500 off with nearest levels, 0.100 with errors pushed on:\npushing is "
        "closer."
    )
    assert readings.in_turn(wanted, near, far).endswith("pushing is not closer here.")
    assert readings.in_turn(wanted, near, near).endswith("pushing is not closer here.")


def test_rounding():
    trained = np.array([[0.4, 1.6, -2.2, 127.0]])
    assert readings.rounding(trained, np.rint(trained)) == (
        "The layer has 1 channel of 4 weights each.\nEach weight went to its nearest level."
    )
    said = readings.rounding(trained, np.array([[1.0, 2.0, -2.0, 127.0]]))
    assert said.endswith("\n25.0 % of the weights went to a level other than their nearest.")


def test_closer_names_the_file_that_moves_less_beyond_chance():
    near, far = np.linspace(0.001, 0.01, 40), np.linspace(0.02, 0.4, 40)
    said = readings.closer(pd.DataFrame({"stock": far, "careful": near}))
    assert said == (
        "Closer to the Keras model: careful.\nOf 40 photos, stock stayed closer on 0 and careful "
        "on 40 (sign test, p < 0.001).\nOn 0 neither was closer: both moved exactly as far.\nThe "
        "median photo's largest change in a probability is 0.0055; with stock it is 0.2100."
    )
    turned = readings.closer(pd.DataFrame({"stock": near, "careful": far}))
    assert turned.startswith("Closer to the Keras model: stock.\n")


def test_closer_finds_no_difference_within_chance():
    one, other = np.array([0.1, 0.2, 0.3, 0.5]), np.array([0.2, 0.1, 0.4, 0.5])
    said = readings.closer(pd.DataFrame({"stock": one, "careful": other}))
    assert said == (
        "No difference beyond chance was found between stock and careful.\n"
        "Of 4 photos, stock stayed closer on 2 and careful on 1 (sign test, p = 1).\n"
        "On 1 neither was closer: both moved exactly as far."
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
        "It agrees on 98.0 % of the validation photos; its accuracy differs by +0.4 points."
    )
    second = readings.recipes(tried.iloc[:2])
    assert second.startswith(
        "Beyond the limits: a.\nThe next keeps to them: b.\nIt agrees on 98.0 %"
    )
    third = readings.recipes(tried.assign(passed=[False, False, True], accuracy_drop=0.0))
    assert third.startswith("Beyond the limits: a and b.\nThe next keeps to them: c.\n")
    assert third.endswith("differs by +0.0 points.")
    none = readings.recipes(tried.assign(passed=False))
    assert none.startswith("None of 3 recipes keeps to the limits; the one that agrees best is")
    assert "is taken: b.\nIt agrees on 98.0 %" in none


def test_kinds():
    assert readings.kinds(AUDITS) == (
        "Every file is what its name says.\nWithout operators in floats: int8.\n"
        "The oldest TF Lite, 1.6.0, is enough for float32 and int8;\n"
        "the newest, 1.15.0, is needed by float16."
    )
    table = AUDITS.assign(**{"it is": ["float32", "float32", "int8_mixed"]})
    table["operators in floats"], table["float islands"] = [67, 67, 3], [0, 0, 2]
    table["TF Lite from"] = "2.1.0"
    assert readings.kinds(table) == (
        "Not what the name says: float16 is float32 and int8 is int8_mixed.\nEvery file has "
        "operators in floats.\nFloat islands: int8 (2).\nTF Lite 2.1.0 or newer runs every file."
    )


def test_alike():
    said = readings.alike(AUDITS)
    assert said == "The same in every file: output FLOAT32 and float islands 0."
    one = readings.alike(AUDITS.drop(columns="output"))
    assert one == "The same in every file: float islands 0."
    assert readings.alike(AUDITS[["it is"]]) == "No column is the same in all."


def test_oldest_runtimes():
    table = pd.DataFrame({"TF Lite from": ["1.6.0", "2.17.0", "2.7.0"]}, index=list("abc"))
    assert readings.oldest_runtimes(table) == (
        "The oldest TF Lite, 1.6.0, is enough for a;\nthe newest, 2.17.0, is needed by b."
    )
    turned = table.assign(**{"TF Lite from": ["2.7.0", "1.6.0", "2.7.0"]})
    assert readings.oldest_runtimes(turned).endswith(
        "for b;\nthe newest, 2.7.0, is needed by a and c."
    )
    said = readings.oldest_runtimes(table.assign(**{"TF Lite from": "1.6.0"}))
    assert said == "TF Lite 1.6.0 or newer runs every file."


def test_sizes():
    sizes, weights = [1600.0, 800.0, 400.0], [1500, 700, 300]
    table = AUDITS.assign(**{"size (KB)": sizes, "weights (KB)": weights})
    assert readings.sizes(table) == (
        "Of the 1,600 KB of float32,\nfloat16 takes 50 % and int8 takes 25 %.\nWeights and biases "
        "are 75 % of int8; the rest describes layers, scales and labels."
    )
    said = readings.sizes(table.assign(**{"size (KB)": [1000.0, 2000.0, 310.0]}))
    assert "float16 takes 200 % and int8 takes 31 %.\nWeights and biases are 35 % of float1" in said


def test_answers_changed():
    assert readings.answers_changed(FILES) == (
        "Changed, of 50 answers: float32 0, float16 0 and int8 0.\nThe largest change in a "
        "probability, by any of them, is 0.26."
    )
    some = readings.answers_changed(FILES.assign(changed=[0, 1, 3], max_abs_diff=[0, 0.004, 0]))
    assert some.startswith("Changed, of 50 answers: float32 0, float16 1 and int8 3.\n")
    assert some.endswith("is 0.004.")
    assert readings.answers_changed(FILES.assign(max_abs_diff=1e-6)).endswith("less than 0.001.")


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
    assert readings.speed(FILES) == (
        "With one thread, the fastest file takes 1.00 ms on this computer, the slowest 3.00 ms.\n"
        "1 of 3 are within 20 % of the fastest, and tie.\n"
        "0 of 6 times are erratic: a p90 of over twice the median."
    )
    tied = readings.speed(FILES.assign(latency_1_thread_ms=[0.35, 0.31, 0.4]))
    assert "takes 0.31 ms on this computer, the slowest 0.40 ms.\n2 of 3 are within" in tied
    assert "\n3 of 6 times are erratic" in tied
    assert "\n1 of 6 times" in readings.speed(FILES.assign(latency_p90_ms=[2, 9, 1]))


def test_beside_the_next():
    order = ["int8", "float16", "float32"]
    assert readings.beside_the_next(FILES, order, "int8") == (
        "int8: 400 KB, 1.00 ms with one thread, 0 of 50 answers changed.\n"
        "float16: 800 KB, 3.00 ms with one thread, 0 of 50 answers changed.\n"
        "float16 has 200 % of the bytes and takes 300 % of the time."
    )
    better = FILES.assign(bytes=[9, 300_000, 400_000], latency_1_thread_ms=[2.0, 1.1, 1.0])
    assert readings.beside_the_next(better, order, "int8").endswith(
        "\nfloat16 has 75 % of the bytes and takes 110 % of the time."
    )
    refused = FILES.assign(passed=[True, False, True])
    assert "\nfloat32: 1,600 KB" in readings.beside_the_next(refused, order, "int8")
    assert readings.beside_the_next(FILES, order, "float32") == "No less wanted variant passes."


def test_chosen():
    wanted = ["int8", "float16", "float32"]
    first = readings.chosen(FILES, wanted, "int8")
    assert first.startswith("The most wanted variant keeps to all limits: int8 ships.\nint8: 400")
    assert "but refused: int8.\nThe next" in readings.chosen(FILES, wanted, "float16")
    last = readings.chosen(FILES, wanted, "float32")
    assert "but refused: int8 and float16.\nThe next" in last
    assert last.endswith("ships: float32.\nNo less wanted variant passes.")


def test_both_answers():
    row = {"keras": "a", "keras_probability": 0.5, "file": "b", "file_probability": 0.6}
    (photo,) = pd.DataFrame([row | {"label": "c"}]).itertuples()
    assert readings.both_answers(photo) == "a 50 %\nnow b 60 %\n(is c)"


def test_recall_changes():
    photos = pd.DataFrame({"split": ["validation"] * 4 + ["test"], "label": "c"})
    rows = pd.DataFrame({"split": ["validation", "test"]})
    rows["recall_change_a"], rows["recall_change_b"] = [0.0, 0.0], [np.nan, 0.0]
    assert readings.recall_changes(rows, photos) == "On balance, no class lost or gained recall."
    rows["recall_change_c"] = [-0.25, 1.0]
    assert readings.recall_changes(rows, photos) == (
        "Lost most recall: c (validation), 1 of 4 photos.\n"
        "Gained most recall: c (test), 1 of 1 photo."
    )
    rows["recall_change_c"] = [0.5, 0.0]
    said = readings.recall_changes(rows, photos)
    assert said == "Gained most recall: c (validation), 2 of 4 photos."


def test_changed_photos():
    changed = pd.DataFrame(
        {
            "split": ["test", "test", "test"],
            "label": ["a", "b", "c"],
            "keras": ["a", "a", "a"],
            "file": ["b", "b", "b"],
            "keras_probability": [0.9, 0.4, 0.45],
        }
    )
    asked = pd.Series({"test": 63, "validation": 17})
    assert readings.changed_photos(changed, asked, 0.5) == (
        "Answers that changed: on test 3 of 63 and on validation 0 of 17.\n"
        "Right before and wrong now: 1; wrong before and right now: 1.\n"
        "The model itself was sure (0.50 or more) of 1 of them."
    )
    assert readings.changed_photos(changed, asked, 0.95).endswith("(0.95 or more) of 0 of them.")
    none = readings.changed_photos(changed[:0], asked, 0.5)
    assert none.startswith(
        "Answers that changed: on test 0 of 63 and on validation 0 of 17.\nRight"
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
        "Other resizers changed up to 0.0 % of the answers and moved a probability by up to 0.30.\n"
        "The accuracy is then 0.900 to 0.900 instead of 0.900."
    )
    said = readings.resizers(table.assign(agreement=[1, 1, 0.96], accuracy=[0.9, 0.91, 0.87]))
    assert "up to 4.0 % of" in said and "then 0.870 to 0.910 instead of 0.900." in said


def test_slips():
    slips = pd.Categorical(
        ["swapped"] * 4 + ["resized"] * 3, ["EXIF ignored", "resized", "swapped"]
    )
    changed = pd.DataFrame({"slip": slips})

    def photos(turned):
        return pd.DataFrame({"orientation": [6] * turned + [1] * (68 - turned)})

    assert readings.slips(changed, photos(2)) == (
        "Answers changed by one slip at a time, of 68:\nEXIF ignored 0, resized 3 and swapped 4.\n"
        "2 photos carry an EXIF note on turning."
    )
    assert readings.slips(changed, photos(1)).endswith("1 photo carries an EXIF note on turning.")
    assert readings.slips(changed[:0], photos(0)) == (
        "No slip changed any of the 68 answers.\nNo photo here carries an EXIF note."
    )


def test_slipped():
    row = {"slip": "swapped", "label": "c", "by_rule": "a", "by_rule_probability": 0.9}
    frame = pd.DataFrame([row | {"careless": "b", "careless_probability": 0.6}])
    assert readings.slipped(next(frame.itertuples())) == (
        "by the rule\na 90 %\n(is c)", "swapped\nb 60 %\n",
    )  # fmt: skip


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
    assert readings.shown(guesses, ["a", "a", "b"]) == "Right: 1 of these 3."


def test_strangers():
    told = {"pictures": 36, "sure": 30, "mean_confidence": 0.8, "drawn": True}
    assert readings.strangers(told, 0.5) == (
        "Of 36 drawn pictures of other things, 30 got a sure answer (0.50 or more);\n"
        '"not sure" stopped 6. The highest probability was 0.80 on average.'
    )
    assert readings.strangers(told | {"sure": 0, "drawn": False}, 0.9).startswith(
        'Of 36 photos of other things, 0 got a sure answer (0.90 or more);\n"not sure" stopped 36.'
    )


def test_shipped():
    told = {"pictures": 36, "sure": 32, "mean_confidence": 0.8, "drawn": True}
    both = pd.concat([FILES, FILES.assign(split="test", changed=2)])
    assert readings.shipped(both, "int8", "test", (0.006, 0.07), told) == (
        "What: int8, 25 % as large as float32.\nThis run: 2 of 50 test answers changed.\n"
        "How far to trust it: on photos like these, 0.6 % to 7.0 % of answers may change;\n"
        "on others, expect anything: of 36 drawn pictures of other things, 89 % got a sure answer."
    )
    said = readings.shipped(
        FILES, "float32", "validation", (0.0, 0.07), told | {"sure": 0, "drawn": False}
    )
    assert said.startswith(
        "What: float32, 100 % as large as float32.\nThis run: 0 of 50 validation"
    )
    assert said.endswith("of 36 photos of other things, 0 % got a sure answer.")


TRUST = {"sure_accuracy": 0.95, "min_confidence": 0.62, "set_threshold": 0.031}


@pytest.mark.parametrize(
    ("trust", "reached", "said"),
    [
        ({}, True, "Sure from 0.62 on: 58 of 62 answers, and 57 of these are right.\nThe interval "
         "of that share begins at 90.9 %; you asked for 95 %.\nClasses from 0.031 on belong to a "
         "set (0.040 if the temperature\nwere not fitted anew)."),
        ({}, False, "No limit makes sure answers right at 95 % by the lower end of the interval.\n"
         "The best is 0.62: 58 of 62 answers are sure, 57 of them right, from 90.9 % on.\n"),
        ({"min_confidence": 0.5}, True, "\nYou set 0.50 yourself, and that holds.\nClasses"),
        ({"set_threshold": 0.0}, True, "too few photos for sets: every class belongs to every set"),
    ],
)  # fmt: skip
def test_limits_are_told_with_what_they_rest_on(trust, reached, said):
    found = confidence.Trust(0.62, reached, sure=58, right=57, photos=62, low=0.909)
    assert said in readings.limits(TRUST | trust, found, 0.04)


def test_a_model_that_is_good_enough_without_a_limit_is_told():
    found = confidence.Trust(0.0, True, sure=62, right=61, photos=62, low=0.914)
    said = readings.limits(TRUST | {"sure_accuracy": 0.9, "min_confidence": 0.0}, found, 0.04)
    assert said.startswith(
        "Every answer is sure: 61 of 62 are right, and the interval begins at 91.4 %;\nyou asked "
        "for 90 %.\nClasses from"
    )


def test_calibration_errors_of_model_and_file_are_told():
    told = readings.calibrated({"before": 0.027, "now": 0.03, "chance": 0.041}, "test")
    assert told.startswith("Expected calibration error on test: Keras 0.027, the file 0.030;")
    assert told.endswith("still show about 0.041.")
