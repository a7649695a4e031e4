"""Tests that every reading turns when their figures turn."""

from dermaface import readings
from dermaface.evaluation.scores import class_frame, reference_frame
import numpy as np
import pandas as pd
import pytest

# 1. Explore the data

# 2. Build the model

# 3. Train the model

# 4. Analyze the curves

NAMES = ["acne", "herpes", "milia"]


def history_of(val_losses, losses=None, stages=None, accuracies=None):
    stages = stages or ["head"] * len(val_losses)
    return pd.DataFrame(
        {
            "stage": stages,
            "epoch": [stages[:n].count(stage) + 1 for n, stage in enumerate(stages)],
            "loss": losses or val_losses,
            "val_loss": val_losses,
            "val_accuracy": accuracies or [0.5] * len(val_losses),
        }
    )


@pytest.mark.parametrize(
    ("val_losses", "losses", "said"),
    [
        ([1.0], [1.0], "One epoch is a point"),
        ([1.0, 0.8, 0.6], [1.0, 0.8, 0.6], "in the last epoch, 3, at 0.600: it was still falling"),
        ([1.0, 0.6, 0.62], [1.0, 0.5, 0.4], "epoch 2 of 3, at 0.600, and ends little above, at 0."),
        ([1.0, 1.2, 0.6, 0.75], [1.0, 0.9, 0.5, 0.4], "it has levelled off"),
        ([1.0, 0.6, 0.9], [1.0, 0.5, 0.4], "rises by 50 % to 0.900 while training loss goes on"),
        ([0.6, 0.9], [0.5, 0.4], "overfitting after epoch 1."),
        ([0.6, 0.9], [0.5, 0.8], "training loss rises too: the later steps did harm"),
    ],
)
def test_the_shape_of_the_curves_is_named(val_losses, losses, said):
    told = readings.describe_curves(history_of(val_losses, losses))
    assert said in told
    assert ("overfitting" in told) == ("goes on" in told)


def test_a_jump_where_a_stage_begins_is_no_wave():
    losses, stages = [0.5, 0.9, 0.45, 0.6], ["head"] + ["fine_tune"] * 3
    history = history_of(losses, [0.5, 0.9, 0.4, 0.3], stages)
    assert "overfitting after epoch 3" in readings.describe_curves(history)
    assert "levelled off" in readings.describe_curves(history.assign(stage="head"))


def test_the_kept_epoch_is_counted_over_all_stages_as_in_the_figure():
    stages = ["head", "head", "fine_tune", "fine_tune", "full"]
    history = history_of([3, 2, 1, 1.2, 1.1], None, stages, [0.2, 0.4, 0.7, 0.8, 0.7])
    told = readings.describe_best_epoch(history, 10)
    assert told.startswith("Kept: epoch 3 (epoch 1 of stage fine_tune), with validation accuracy 0")
    assert "would have chosen epoch 4, for 1 photo more of 10." in told
    assert told.endswith("Stage full brought no lower loss and was taken back.")
    told = readings.describe_best_epoch(history.iloc[:2], 10)
    assert told == "Kept: epoch 2, with validation accuracy 0.400. No epoch has a higher accuracy."


@pytest.mark.parametrize(
    ("evaluated", "logged", "said"),
    [
        (0.9, 0.9, "90 by counting, 90 by `evaluate`, 90 in the training log. All three agree."),
        (0.9, 0.91, "91 in the training log. So small a difference comes from rounding"),
        (0.9, 0.86, "is not what that epoch left"),
        (0.1, 0.9, "do not stand in the same order"),
    ],
)
def test_three_ways_to_an_accuracy_are_compared(evaluated, logged, said):
    assert said in readings.describe_count(90, 100, evaluated, logged)


@pytest.mark.parametrize(
    ("train", "validation", "said"),
    [
        (0.99, 0.7, "29 points higher, above validation's interval"),
        (0.75, 0.7, "inside validation's interval, so these photos show no overfitting"),
        (0.8, 0.95, "below validation's interval, so nothing points to overfitting"),
        (0.5, 0.5, "(underfitting)"),
        (0.5, 0.2, "(overfitting)"),
    ],
)
def test_the_gap_is_named(train, validation, said):
    interval = validation - 0.1, validation + 0.1
    told = readings.describe_gap(train, validation, interval)
    assert said in told and f"Training {train:.3f}, validation {validation:.3f}" in told


def test_ways_to_answer_are_compared_with_the_first():
    ways = {"majority class": (10, 0), "mean colour": (15, 1), "from scratch": (9, 6)}
    told = readings.describe_reference(
        reference_frame(ways | {"frozen": (60, 6), "fine-tuned": (90, 16)}, 100), 100
    )
    assert told.startswith("Against the majority class (0.10): mean colour +5 points, from scratch")
    assert "from scratch -1 points, frozen +50 points, fine-tuned +80 points." in told
    assert "Not shown to beat it: mean colour, from scratch." in told
    assert told.endswith("The interval of the best, fine-tuned, lies above all others.")
    ways = {"majority class": (10, 0), "frozen": (88, 6), "fine-tuned": (90, 16)}
    told = readings.describe_reference(reference_frame(ways, 100), 100)
    assert "Not shown" not in told
    assert "two best, fine-tuned and frozen, overlap: 100 photos cannot tell" in told
    assert told.endswith("Nothing was trained from scratch in this run (`scratch_epochs` is 0).")


def split_of(accuracy, low, high, **images):
    classes = {name: {"images": images.get(name, 5)} for name in NAMES}
    return {"accuracy": accuracy, "accuracy_interval": [low, high], "classes": classes}


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ((0.89, 0.79, 0.94), "test lies inside validation's interval, so chance explains"),
        ((0.80, 0.70, 0.87), "test lies below validation's interval, but the intervals overlap"),
        ((0.60, 0.50, 0.68), "test lies below validation's interval, and the two lie apart"),
        ((0.98, 0.90, 0.99), "test lies above validation's interval, but the intervals overlap"),
        ((0.99, 0.98, 1.00), "test lies above validation's interval, and the two lie apart"),
    ],
)
def test_the_test_accuracy_is_compared_with_validation_and_reported(test, said):
    metrics = {"validation": split_of(0.93, 0.84, 0.97), "test": split_of(*test)}
    told = readings.describe_splits(metrics)
    assert f"Validation 0.930, test {test[0]:.3f}: {said}" in told
    assert f"Report {test[0]:.3f}, with its 95 % interval" in told and "Not measured" not in told


def test_without_a_test_split_the_figure_is_marked():
    metrics = {"validation": split_of(0.93, 0.84, 0.97, herpes=0, milia=0)}
    told = readings.describe_splits(metrics)
    assert "0.930 is validation (also used to choose)" in told and "Report" not in told
    assert told.endswith("Not measured: no validation photo shows herpes, milia.")
    assert readings.describe_missing({"test": split_of(0.9, 0.8, 1)}) == []


@pytest.mark.parametrize(
    ("log_loss", "said"),
    [(0.45, "too sure of itself"), (0.05, "less sure than it could be"), (0.2, "as sure as it is")],
)
def test_a_model_is_as_sure_as_it_is_right_or_not(log_loss, said):
    told = readings.describe_sureness(log_loss, 0.17, 0.08)
    assert told.startswith(f"log loss {log_loss:.3f}, promised 0.170 ± 0.080: {said}")


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({}, "None of 15 answers is wrong"),
        ({(0, 1): 1}, "1 of 16 answers is wrong. No two classes are confused more than once"),
        ({(0, 1): 1, (2, 1): 1}, "2 of 17 answers are wrong. No two classes"),
        ({(0, 1): 2, (1, 0): 1}, "Most often, 3 times: acne and herpes are taken for each other."),
        ({(2, 0): 2, (1, 0): 1}, "Most often, 2 times: milia is taken for acne."),
        (
            {(0, 2): 2, (2, 1): 2},
            "Most often, 2 times each: acne is taken for milia; milia is taken for herpes.",
        ),
    ],
)
def test_the_most_frequent_confusion_is_named(cells, said):
    matrix = 5 * np.eye(3, dtype=int)
    for cell, count in cells.items():
        matrix[cell] = count
    assert said in readings.describe_confusions(matrix, NAMES)


def test_at_most_three_confusions_are_named():
    names, matrix = list("abcdef"), np.zeros((6, 6), int)
    for a, b in [(0, 1), (1, 2), (2, 3), (3, 4)]:
        matrix[a, b] = 2
    assert "(and 1 other pair)." in readings.describe_confusions(matrix, names)
    matrix[4, 5] = 2
    assert "(and 2 other pairs)." in readings.describe_confusions(matrix, names)


def classes_of(*found_of):
    classes = {
        name: {"images": n, "recall": found / n if n else None, "precision": None, "f1": None}
        for name, (found, n) in zip(NAMES, found_of, strict=True)
    }
    return class_frame({"classes": classes})


def test_the_weakest_class_is_named_with_its_interval():
    told = readings.describe_weakest(classes_of((5, 7), (9, 9), (5, 5)), 0.9)
    assert "Weakest: acne, 5 of 7 found (recall 0.71, 95 % interval 0.36 to 0.92). Its" in told
    assert "holds the accuracy of all, 0.90: it may be chance" in told
    assert told.endswith("With 5 to 9 photos per class, intervals are 0.30 to 0.56 wide.")
    told = readings.describe_weakest(classes_of((20, 100), (95, 100), (95, 100)), 0.7)
    assert "lies below the accuracy of all, 0.70: probably weaker" in told
    assert "With 100 photos per class" in told
    told = readings.describe_weakest(classes_of((1, 2), (2, 4), (3, 4)), 0.6)
    assert "Weakest: herpes, 2 of 4" in told and ", with 1 other class level. Its" in told
    told = readings.describe_weakest(classes_of((1, 1), (0, 0), (1, 1)), 1.0)
    assert told.startswith("Every photo of every class was found. With 1 photo per class, inter")
    assert told.endswith("are 0.79 wide.")


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ((0, 68, 0, 60), "No mistake in 68 answers. The next photo"),
        ((1, 68, 0, 0), "1 of 68 answers is wrong. No answer at all was given with 90 % or more."),
        (
            (12, 68, 0, 60),
            "12 of 68 answers are wrong. Of the 60 answers given with 90 % or more, ",
        ),
        ((12, 68, 0, 60), "or more, none is wrong."),
        ((12, 68, 1, 1), "Of the 1 answer given with 90 % or more, 1 is wrong."),
        ((12, 68, 12, 60), "or more, 12 are wrong."),
    ],
)
def test_mistakes_and_the_sure_ones_among_them_are_counted(figures, said):
    assert said in readings.describe_mistakes(*figures, 0.9)


# 5. Convert and test TFLite

# 6. Compare settings
