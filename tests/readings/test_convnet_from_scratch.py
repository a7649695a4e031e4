"""Tests that what the walkthrough "A convnet from scratch" says turns when its figures turn."""

from dermaface.readings import convnet_from_scratch as readings
import numpy as np
import pandas as pd


def test_photos():
    train = pd.DataFrame({"label": ["a"] * 4 + ["b"] * 3})
    said = readings.photos(train, pd.DataFrame({"label": ["a", "b", "b"]}), ["a", "b"])
    assert "7 photos to learn from: 4 of a and 3 of b\n3 photos to judge by: 1 of a" in said
    assert said.endswith("A split of 70 % and 30 %. Class 0 is a, class 1 is b.")
    assert "2 of b and 1 of a" in readings.photos(train, train[3:6], ["b", "a"])


def test_boxes():
    boxes = readings.boxes(["Conv2D", "MaxPooling2D"], [(62, 62, 16), (31, 31, 16)])
    assert boxes == [("Conv2D\n62 x 62 x 16", "learns"), ("Max\nPooling2D\n31 x 31 x 16", "step")]


def test_layers():
    table = readings.layers(["Conv2D"], [((4, 4, 2), 56)], [((4, 4, 2), 57)])
    assert table.values.tolist() == [["Conv2D", "4 x 4 x 2", 56, 57]]


def test_counted_by_hand():
    names, rows = ["Conv2D", "Dense"], [((4, 4, 2), 56), ((1,), 33)]
    said = readings.counted_by_hand(names, rows, list(rows))
    assert said.startswith("Keras has the same shapes and parameters in all 2 rows.\n")
    assert said.endswith("Of 89 parameters, 63 % are in one layer, a Conv2D.")
    said = readings.counted_by_hand(names, rows, [rows[0], ((1,), 32)])
    assert said == "Keras counts otherwise in row 2 (Dense): find the mistake."
    assert "row 1 (Conv2D)" in readings.counted_by_hand(names, rows, [((5, 4, 2), 56), rows[1]])


def test_untrained():
    said = readings.untrained(0.7, 0.7, np.array([0.41, 0.58]))
    assert "0.700000; Keras has the same." in said and "between 0.41 and 0.58" in said
    assert "Keras says 0.800000" in readings.untrained(0.7, 0.8, np.array([0.5]))


def history(val_loss, loss=0.01):
    columns = {"accuracy": 1.0, "val_accuracy": 0.7, "loss": loss, "val_loss": val_loss}
    return pd.DataFrame(columns)


def test_overfitting():
    said = readings.overfitting(history([0.6, 0.5, 0.9, 1.0, 1.1]))
    assert "In the last of 5 epochs, training accuracy is 1.00" in said
    assert "fell to 0.50 by epoch 2 and rose to 1.00" in said and "2.0 times" in said
    assert said.endswith("That is overfitting.")
    wobble, slow = history([0.6, 0.5, 0.5, 0.5, 0.6]), history([0.6, 0.5, 1.0], loss=0.8)
    for without in (wobble, slow):
        said = readings.overfitting(without)
        assert "does not overfit" in said and "That is overfitting" not in said
        assert "0.50 in epoch 2" in said


def measured(*losses):
    return pd.DataFrame({"val_loss": losses, "val_accuracy": [1 - x / 2 for x in losses]})


def test_remedies():
    table = pd.DataFrame({"lower loss": [True], "fewer mistakes": [True]}, ["L2"])
    ways = {"no remedy": measured(0.4, 0.8), "L2": measured(0.1, 0.1)}
    said = readings.remedies(ways, table, 60).splitlines()
    assert said[0] == "With no remedy, 2 seeds end between 0.60 and 0.80 validation accuracy:"
    assert said[1] == "12 of 60 photos apart, by luck alone."
    assert said[2] == "A lower loss with every seed than no remedy with any: L2."
    assert said[4] == "Fewer mistakes beyond both kinds of chance: L2."
    ways["L2"] = measured(0.1, 0.5)
    assert "no remedy with any: none." in readings.remedies(ways, table, 60)
    assert "0 of 60 photos apart" in readings.remedies({"a": measured(0.4, 0.4)}, table, 60)


def test_beyond_chance():
    table = pd.DataFrame(
        {"lower loss": [True, True, False], "fewer mistakes": [False, True, False]},
        ["L2", "dropout", "augmentation"],
    )
    said = readings.beyond_chance(table).splitlines()
    assert said[0] == "A lower loss beyond both kinds of chance: L2 and dropout."
    assert said[1] == "Fewer mistakes beyond both kinds of chance: dropout."
    assert said[2] == "A lower loss alone, from mistakes made with less certainty: L2."
    said = readings.beyond_chance(table[2:])
    assert said.splitlines() == [
        "A lower loss beyond both kinds of chance: none.",
        "Fewer mistakes beyond both kinds of chance: none.",
    ]
    assert "from mistakes" not in readings.beyond_chance(table[1:2])


def test_thresholds():
    table = pd.DataFrame(
        {"recall": [0.9, 0.5], "false alarms": [7, 1]}, pd.Index([0.2, 0.8], name="threshold")
    )
    said = readings.thresholds(table, 0.91, "acne")
    assert "From a threshold of 0.20 to one of 0.80, the recall of acne\ngoes from 0.90 to" in said
    assert "from 7 to 1.\n" in said and "ROC curve: 0.910" in said
    assert "from 0 to 0" in readings.thresholds(table.assign(**{"false alarms": 0}), 1, "b")


def test_unfrozen_first():
    ways = {"head first": measured(0.2, 0.4), "unfrozen first": measured(0.6, 1.0)}
    moved, frozen = {"head first": 0.02, "unfrozen first": 0.3}, measured(0.1)
    said = readings.unfrozen_first(ways, moved, [], frozen)
    assert "Stayed frozen: validation loss 0.10, accuracy 0.95; the kernels moved by 0 %." in said
    assert "Head first: validation loss 0.30, accuracy 0.85;" in said
    assert "Unfrozen first: validation loss 0.80" in said
    assert said.index("moved by 2 %") < said.index("moved by 30 %") and "one class" not in said
    said = readings.unfrozen_first(ways, moved, ["head first"], frozen)
    assert said.endswith("Head first: every network gives one class to all photos.")


def test_on_fresh():
    figures = {"accuracy": 0.9, "accuracy_interval": [0.8, 0.95]}
    table = readings.on_fresh({"L2": figures}, {"a": measured(0.2), "L2": measured(0.4, 0.6)})
    assert table.loc["L2"].to_dict() == {"fresh": 0.9, "low": 0.8, "high": 0.95, "held back": 0.7}


def test_fresh():
    table = pd.DataFrame({"held back": [0.9, 0.7], "low": [0.8, 0.8], "high": [0.95, 0.95]})
    row = pd.Series({"recall": 0.8, "low": 0.7, "high": 0.85})
    said = readings.fresh(table, 200, row, 0.9)
    assert said.startswith("On 200 photos that nothing was chosen by.") and ": 1 of 2. " in said
    assert "chosen for a recall of 0.90 has 0.80\nhere (0.70 to 0.85)." in said
    assert ": 2 of 2. " in readings.fresh(table.assign(high=0.99, low=0.6), 200, row, 0.9)


def test_saved():
    answers = np.array([[0.2], [0.6]])
    said = readings.saved(answers, answers, 1234567, ["sequential_7", "sequential"])
    assert "1,235 KB on disk" in said and "gives the same answers on 2 photos" in said
    assert "was sequential_7" in said and "counting starts again." in said
    said = readings.saved(answers, answers + 0.01, 100, ["sequential_7", "sequential_8"])
    assert "answers up to 0.01 apart" in said and "counting goes on." in said


def test_summary():
    table = pd.DataFrame({"fresh": [0.8], "low": [0.7], "high": [0.9]}, ["no remedy"])
    ways = {"no remedy": measured(0.4, 0.8), "L2": measured(0.1, 0.3)}
    said = readings.summary(ways, history([0.5, 1.0]), table)
    assert "loss was 0.50 at best and 1.00 at the end" in said
    assert "L2: loss 0.20 (0.10 to 0.30), accuracy 0.90 (0.85 to 0.95)" in said
    assert "no remedy: 0.80 (0.70 to 0.90)" in said
    assert "at best and 0.40 at the end" in readings.summary(ways, history([0.5, 0.4]), table)


def test_beside_the_source():
    ways = {"no remedy": measured(0.4, 0.8), "L2": measured(0.1, 0.3)}
    orders = {"head first": measured(0.2), "unfrozen first": measured(0.6)}
    table = readings.beside_the_source(ways, orders, 60, 200, 1234)
    assert "with 1 seeds" in table.loc["unfreezing", "here"]
    assert "2 seeds" in table.loc["remedies", "here"] and "0.60" in table.loc["remedies", "here"]
    assert "60 photos held back" in table.loc["figures", "here"]
    assert "200 fresh" in table.loc["figures", "here"]
