"""Tests that what notebook 04 says turns when its figures turn."""

from dermaface.evaluation.scores import accuracy_interval, class_frame, reference_frame
from dermaface.readings import analyze_curves as readings
import numpy as np
import pandas as pd
import pytest

NAMES = ["acne", "herpes", "milia"]


def history_of(val_losses, losses=None, stages=None, accuracies=None, rates=None):
    stages = stages or ["head"] * len(val_losses)
    return pd.DataFrame(
        {
            "stage": stages,
            "epoch": [stages[:n].count(stage) + 1 for n, stage in enumerate(stages)],
            "loss": losses or val_losses,
            "val_loss": val_losses,
            "val_accuracy": accuracies or [0.5] * len(val_losses),
            "learning_rate": rates or [0.01] * len(val_losses),
        }
    )


@pytest.mark.parametrize(
    ("val_losses", "losses", "said"),
    [
        ([1.0], [1.0], "One epoch is a point"),
        (
            [1.0, 0.8, 0.6],
            [1.0, 0.8, 0.6],
            "epoch 3 of 3, at 0.600; the last epoch has 0.600.\nIt was still falling",
        ),
        ([1.0, 0.6, 0.62], [1.0, 0.5, 0.4], "epoch 2 of 3, at 0.600; the last epoch has 0.620."),
        ([1.0, 1.2, 0.6, 0.75], [1.0, 0.9, 0.5, 0.4], "It has levelled off"),
        (
            [1.0, 0.6, 0.9],
            [1.0, 0.5, 0.4],
            "rises by 50 % to 0.900.\nTraining loss keeps falling: over",
        ),
        ([0.6, 0.9], [0.5, 0.4], "overfitting after epoch 1."),
        ([0.6, 0.9], [0.5, 0.8], "Training loss rises, too: the later steps did harm"),
    ],
)
def test_the_shape_of_the_curves_is_named(val_losses, losses, said):
    told = readings.curves(history_of(val_losses, losses))
    assert said in told
    assert ("overfitting" in told) == ("keeps falling" in told)


def test_a_jump_where_a_stage_begins_does_not_count_as_a_wave():
    losses, stages = [0.5, 0.9, 0.45, 0.6], ["head"] + ["fine_tune"] * 3
    history = history_of(losses, [0.5, 0.9, 0.4, 0.3], stages)
    assert "overfitting after epoch 3" in readings.curves(history)
    assert "levelled off" in readings.curves(history.assign(stage="head"))


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        ([0.01, 0.004, 0.002], "It has levelled off: more epochs alone"),
        ([0.01, 0.005, 0.0005], "had fallen\nto 5 % of its start. So even a level curve would"),
    ],
)
def test_a_curve_that_is_level_because_the_steps_were_small_shows_little(rates, said):
    told = readings.curves(history_of([1.0, 0.6, 0.61], rates=rates))
    assert said in told
    assert ("double the epochs" in told) != ("levelled off" in told)
    falling = readings.curves(history_of([1.0, 0.6, 0.5], rates=rates))
    assert ("double the epochs" in falling) != ("still falling" in falling)
    turned = readings.curves(history_of([1.0, 0.6, 0.9], [1.0, 0.5, 0.4], rates=rates))
    assert "rises by 50 %" in turned and "double the epochs" not in turned


def test_the_learning_rate_is_compared_with_the_start_of_its_own_stage():
    history = history_of([1.0, 0.6, 0.61], None, ["head", "full", "full"], None, [1, 0.02, 0.01])
    assert "levelled off" in readings.curves(history)


def test_the_kept_epoch_is_counted_over_all_stages_as_in_the_figure():
    stages = ["head", "head", "fine_tune", "fine_tune", "full"]
    history = history_of([3, 2, 1, 1.2, 1.1], None, stages, [0.2, 0.4, 0.7, 0.8, 0.7])
    told = readings.best_epoch(history, 10)
    assert told.splitlines() == [
        "Kept: epoch 3 (epoch 1 of stage fine_tune), with 7 of 10 validation photos right.",
        "Highest accuracy: 8 of 10 right, first in epoch 4.",
        "Stage full did not lower the loss and was undone.",
    ]
    told = readings.best_epoch(history.iloc[:2], 10)
    assert told.splitlines() == [
        "Kept: epoch 2, with 4 of 10 validation photos right.",
        "Highest accuracy: 4 of 10 right, first in epoch 2.",
    ]


@pytest.mark.parametrize(
    ("evaluated", "logged", "said"),
    [
        (0.9, 0.9, "90 by counting (accuracy 0.900), 90 by `evaluate`, 90 in the"),
        (0.9, 0.9, "`evaluate` agree. The log is off by 0; up to 2, or 1 % of the photos,\nmay"),
        (0.9, 0.91, "91 in the training log.\nCounting and `evaluate` agree. The log is off by 1;"),
        (0.9, 0.86, "is not the model of that epoch"),
        (0.1, 0.9, "are not in the same order"),
    ],
)
def test_three_ways_to_an_accuracy_are_compared(evaluated, logged, said):
    assert said in readings.counts_agree(90, 100, evaluated, logged)


def test_the_gap_is_told_beside_the_reach_of_the_interval():
    assert readings.gap(0.99, 0.7, (0.6, 0.78)) == (
        "Training 0.990, validation 0.700: a gap of 29.0 points.\n"
        "The validation interval, 0.600 to 0.780, reaches 8.0 points up from its accuracy."
    )
    told = readings.gap(0.8, 0.95, (0.85, 0.99))
    assert "a gap of -15.0 points" in told and "reaches 4.0 points up" in told
    assert "Underfitting" not in readings.gap(0.7, 0.5, (0.4, 0.6))
    told = readings.gap(0.5, 0.5, (0.4, 0.6))
    assert "a gap of 0.0 points" in told and "\nUnderfitting: the model has not even" in told


def test_answers_without_a_look_are_counted():
    told = readings.guesses(["acne", "herpes", "herpes"], ["acne", "herpes"])
    assert told == (
        "Always answering herpes, the most frequent training class,\nis right for 1 of 2. "
        "Guessing at random would reach about 50 %,\nand a log loss of ln 2 = 0.693, if it gives "
        "each class the same probability."
    )
    told = readings.guesses(["milia", "herpes", "acne"], ["milia", "milia"])
    assert "answering acne, the most frequent training class (the first of several),\n" in told
    assert "is right for 0 of 2. Guessing at random would reach about 33 %,\n" in told
    assert "a log loss of ln 3 = 1.099, if" in told


def test_ways_to_answer_are_compared_with_what_costs_nothing():
    ways = {"majority class": (10, 0), "mean colour": (15, 1), "from scratch": (9, 6)}
    frame = reference_frame(ways | {"frozen": (60, 6), "fine-tuned": (90, 16)}, 100)
    told = readings.reference(frame, 100, 11)
    assert told.startswith("In points above the majority class (0.10):\nmean colour +5, from scr")
    assert "from scratch -1, frozen +50, fine-tuned +80.\n" in told
    assert "Not shown to beat it: mean colour, from scratch.\n" in told
    assert "Fine-tuned is 30.0 points above frozen (95 % interval 18." in told
    assert told.endswith("more than chance explains, but its epoch was chosen by these photos.")
    told = readings.reference(frame, 100, 8)
    assert told.startswith("In points above guessing at random (0.12):\nmean colour +2, from scr")
    ways = {"majority class": (10, 0), "frozen": (88, 6), "fine-tuned": (90, 16)}
    told = readings.reference(reference_frame(ways, 100), 100, 11)
    assert "Not shown" not in told and "chosen" not in told
    assert "Newcombe 1998):\ntoo close for 100 photos to tell which is better." in told
    assert told.endswith("Nothing was trained from scratch in this run.")
    ways = {"majority class": (3, 0), "frozen": (55, 6), "fine-tuned": (63, 16)}
    told = readings.reference(reference_frame(ways, 68), 68, 11)
    assert "is 11.8 points above frozen (95 % interval 0.2 to 23." in told
    assert "):\njust beyond chance, but its epoch was chosen" in told
    ways = {"majority class": (10, 0), "mean colour": (90, 1), "frozen": (20, 6)}
    told = readings.reference(reference_frame(ways, 100), 100, 11)
    assert "more than chance explains.\n" in told


def test_the_interval_of_a_difference_is_newcombes():
    def way(right, total):
        return right / total, *accuracy_interval(right, total)

    # Newcombe (1998), table II, method 10, its first example.
    low, high = readings._difference(way(56, 70), way(48, 80))
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


def test_one_accuracy_beats_another_if_the_interval_of_their_difference_says_so():
    def way(right, total):
        return right / total, *accuracy_interval(right, total)

    # Newcombe (1998), Statistics in Medicine 17, 873-890, table II, method 10: the lower bounds of
    # these differences are 0.0524, 0.1705, 0.0582 and -0.0381.
    assert readings._beats(way(56, 70), way(48, 80))
    assert readings._beats(way(9, 10), way(3, 10))
    assert readings._beats(way(6, 7), way(2, 7))
    assert not readings._beats(way(5, 56), way(0, 29))
    assert not readings._beats(way(48, 80), way(56, 70))
    # Intervals that overlap a little do not hide a difference; those that overlap a lot do.
    assert way(900, 1000)[1] < way(870, 1000)[2] and readings._beats(way(900, 1000), way(870, 1000))
    assert not readings._beats(way(90, 100), way(87, 100))


def split_of(accuracy, low, high, **images):
    classes = {name: {"images": images.get(name, 5)} for name in NAMES}
    return {"accuracy": accuracy, "accuracy_interval": [low, high], "classes": classes}


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (
            (0.89, 0.79, 0.94),
            "inside validation's interval, 0.840 to 0.970.\nChance alone",
        ),
        (
            (0.83, 0.70, 0.91),
            "below validation's interval, 0.840 to 0.970.\nIt may still be chance",
        ),
        ((0.60, 0.50, 0.68), "below validation's interval, 0.840 to 0.970.\nChance does not"),
        (
            (0.98, 0.90, 0.99),
            "above validation's interval, 0.840 to 0.970.\nIt may still be chance",
        ),
        (
            (0.99, 0.98, 1.00),
            "above validation's interval, 0.840 to 0.970.\nChance does not",
        ),
    ],
)
def test_the_test_accuracy_is_compared_with_validation_and_reported(test, said):
    metrics = {"validation": split_of(0.93, 0.84, 0.97), "test": split_of(*test)}
    told = readings.splits(metrics)
    assert f"Validation 0.930, test {test[0]:.3f}: test lies {said}" in told
    assert f"Report {test[0]:.3f} with its 95 % interval" in told and "Not measured" not in told


def test_a_test_accuracy_far_above_validation_is_not_chance_either():
    metrics = {"validation": split_of(0.6, 0.55, 0.65), "test": split_of(0.9, 0.85, 0.94)}
    assert "\nChance does not explain that" in readings.splits(metrics)


def test_without_a_test_split_the_figure_is_marked():
    metrics = {"validation": split_of(0.93, 0.84, 0.97, herpes=0, milia=0)}
    told = readings.splits(metrics)
    assert (
        "no test split: 0.930 is validation (also used to choose)." in told and "Report" not in told
    )
    assert told.endswith("Not measured: no validation photo shows herpes, milia.")
    assert readings.unmeasured({"test": split_of(0.9, 0.8, 1)}) == []


@pytest.mark.parametrize(
    ("log_loss", "said"),
    [
        (0.45, "too sure of itself"),
        (0.05, "less sure than it could be"),
        (0.2, "as sure as it is right"),
    ],
)
def test_a_model_is_as_sure_as_it_is_right_or_not(log_loss, said):
    told = readings.sureness(log_loss, 0.17, 0.08)
    assert told.startswith(f"log loss {log_loss:.3f}, promised 0.170 ± 0.080: {said}")


def answers_of(trues_of):
    rows = [
        {"split": split, "label": "acne", "p_acne": true, "p_herpes": 1 - true}
        for split, trues in trues_of.items()
        for true in trues
    ]
    return pd.DataFrame(rows)


def test_the_photos_that_make_up_half_of_the_log_loss_are_counted():
    told = readings.log_losses(answers_of({"validation": [0.9, 0.9], "test": [0.9, 0.9, 0.02]}))
    assert told.startswith("Log loss: validation 0.105, test 1.374.\nHalf of the loss on test ")
    assert told.endswith("comes from 1 of 3 photos, whose true class got at most 2 %.")
    told = readings.log_losses(answers_of({"validation": [0.5, 0.5, 0.5, 0.5]}))
    assert told.endswith("from 2 of 4 photos, whose true class got at most 50 %.")
    told = readings.log_losses(answers_of({"validation": [0.9], "test": [1.0]}))
    assert told.endswith("Every test photo was answered rightly, and with certainty.")


@pytest.mark.parametrize(
    ("validation", "test", "said"),
    [
        (
            [3, 2, 1, 2],
            [3, 2, 1.5, 2],
            "temperature 1.50; training, which leans towards 1, took 1.43.\nLog loss with "
            "1.50: validation 1.000 instead of 2.000;",
        ),
        ([3, 2, 1, 2], [3, 2, 1.5, 2], "1.000 instead of 2.000; test 1.500 instead of 2.000."),
        ([3, 2, 1, 2], [3, 1, 2, 2], "test 2.000 instead of 1.000."),
        (
            [3, 1, 2, 2],
            [3, 1, 2, 2],
            "temperature 1.00; training, which leans towards 1, took 1.43.\nLog loss with "
            "1.00: validation 1.000 instead of 1.000",
        ),
        ([1, 2, 3, 4], [1, 2, 3, 4], "temperature 0.50;"),
        ([1, 2, 3, 4], [1, 2, 3, 4], "edge of the range"),
        (
            [3, 2, 1, 2],
            None,
            "Log loss with 1.50: validation 1.000 instead of 2.000.\nThese photos",
        ),
    ],
)
def test_a_temperature_is_chosen_by_validation_and_judged_by_test(validation, test, said):
    losses = pd.DataFrame({"validation": validation}, index=[0.5, 1.0, 1.5, 2.0])
    if test:
        losses["test"] = test
    told = readings.temperature(losses, 1.43, np.array([0.1]))
    assert said in told
    assert ("edge" in told) == (losses["validation"].idxmin() in (0.5, 2.0))
    assert ("flatters" in told) == (test is None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ([-0.3, -0.2, -0.1], "On test, the 1.43 of training changes it by -0.200 (95 % interval "
         "-0.313 to -0.087):\nit lowers it."),
        ([0.3, 0.2, 0.1], ":\nit raises it."),
        ([-0.3, 0.0, 0.2], ":\nperhaps by chance."),
    ],
)  # fmt: skip
def test_chance_has_its_say_about_a_temperature(change, said):
    losses = pd.DataFrame({"validation": [2, 1], "test": [2, 1]}, index=[1.0, 1.5])
    assert said in readings.temperature(losses, 1.43, np.array(change))
    assert "changes it" not in readings.temperature(losses, 1.43, np.array(change[:1]))


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({}, "None of 15 answers is wrong"),
        ({(0, 1): 1}, "1 of 16 answers is wrong.\nNo two classes are confused more than once"),
        ({(0, 1): 1, (2, 1): 1}, "2 of 17 answers are wrong.\nNo two classes"),
        ({(0, 1): 2, (1, 0): 1}, "Most often, 3 times: acne and herpes are taken for each other."),
        ({(2, 0): 2, (1, 0): 1}, "Most often, 2 times: milia is taken for acne."),
        (
            {(0, 2): 2, (2, 1): 2},
            "Most often, 2 times each: acne is taken for milia;\nmilia is taken for herpes.",
        ),
    ],
)
def test_the_most_frequent_confusion_is_named(cells, said):
    matrix = 5 * np.eye(3, dtype=int)
    for cell, count in cells.items():
        matrix[cell] = count
    assert said in readings.confusions(matrix, NAMES)


def test_at_most_three_confusions_are_named():
    names, matrix = list("abcdef"), np.zeros((6, 6), int)
    for a, b in [(0, 1), (1, 2), (2, 3), (3, 4)]:
        matrix[a, b] = 2
    assert ";\nand 1 other pair." in readings.confusions(matrix, names)
    matrix[4, 5] = 2
    assert ";\nand 2 other pairs." in readings.confusions(matrix, names)


def classes_of(*found_of):
    classes = {
        name: {"images": n, "recall": found / n if n else None, "precision": None, "f1": None}
        for name, (found, n) in zip(NAMES, found_of, strict=True)
    }
    return class_frame({"classes": classes})


def test_the_weakest_class_is_named_with_its_interval():
    told = readings.weakest(classes_of((5, 7), (9, 9), (5, 5)), 0.9)
    assert told.startswith("Weakest: acne, 5 of 7 found.\nIts interval, 0.359 to 0.918, contains")
    assert "contains the overall accuracy (0.900): it may be chance.\n" in told
    assert told.endswith("With 5 to 9 photos per class, intervals are 0.30 to 0.56 wide.")
    told = readings.weakest(classes_of((20, 100), (95, 100), (95, 100)), 0.7)
    assert "lies below the overall accuracy (0.700): it may be weaker,\nor chance:" in told
    assert "With 100 photos per class" in told
    told = readings.weakest(classes_of((1, 2), (2, 4), (3, 4)), 0.6)
    assert "Weakest: herpes, 2 of 4 found, level with 1 other class.\n" in told
    told = readings.weakest(classes_of((1, 1), (0, 0), (1, 1)), 1.0)
    assert told.startswith("Every photo of every class was found.\nWith 1 photo per class, inter")
    assert told.endswith("are 0.79 wide.")


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ((0, 68, 0, 60), "0 of 68 answers wrong; of the 60 given with 90 % or more, 0 wrong."),
        ((1, 68, 0, 0), "1 of 68 answers wrong; of the 0 given with 90 % or more, 0 wrong."),
        ((12, 68, 1, 1), "12 of 68 answers wrong; of the 1 given with 90 % or more, 1 wrong."),
    ],
)
def test_mistakes_and_the_sure_ones_among_them_are_counted(figures, said):
    assert readings.mistakes(*figures, 0.9) == said


def test_the_analysis_is_summed_up_in_three_lines():
    history, classes = history_of([3, 2, 2.5]), classes_of((5, 7), (9, 9), (5, 5))
    reference = reference_frame({"majority class": (2, 0), "frozen": (18, 3)}, 20)
    metrics = {"validation": split_of(0.9, 0.8, 1), "test": split_of(0.95, 0.9, 0.98)}
    metrics = {name: figures | {"images": 21, "log_loss": 0.5} for name, figures in metrics.items()}
    promised = {"validation": (0.9, 0.1), "test": (0.2, 0.1)}
    told = readings.analysis(history, reference, metrics, classes, promised)
    assert told.splitlines() == [
        "Epoch 2 of 3 was kept: accuracy 0.950 on 21 test photos. For nothing: 0.33.",
        "On test it is too sure: log loss 0.50, promised 0.20 ± 0.10.",
        "Trust it as far as its interval, 0.90 to 0.98; a class's recall has one up to 0.56 wide.",
    ]
    promised["test"] = 0.45, 0.1
    told = readings.analysis(history, reference, metrics, classes, promised)
    assert "On test it is about as sure as it is right: log loss 0.50" in told
    del metrics["test"]
    told = readings.analysis(history, reference, metrics, classes, promised)
    assert "On validation it is less sure than it could be: log loss 0.50" in told
    assert told.endswith("wide.\nThese photos also chose the epoch, so that flatters.")


def test_it_is_said_on_how_many_photos_pictures_and_groups_a_figure_rests():
    figures = {"images": 63, "pictures": 63, "groups": 63, "independent": 63.0}
    assert readings.rests_on(figures, "test") == (
        "That rests on 63 test photos, 63 pictures.\nNo two of them are known to belong together."
    )
    figures |= {"pictures": 61, "groups": 40, "independent": 44.6}
    assert readings.rests_on(figures, "test") == (
        "That rests on 63 test photos, 61 pictures, 40 groups.\n"
        "For its interval they count as 45 independent photos."
    )
    figures["relatives"] = {"relatives": 1, "photos": 0, "groups": 0}
    assert readings.rests_on(figures, "test").endswith(
        "1 photo has relatives in training (of one group or picture).\n"
        "What that is worth cannot be measured: without them, too few are left."
    )


@pytest.mark.parametrize(
    ("alone", "interval", "said"),
    [
        (0.88, [0.01, 0.09], "+5.0 points (95 % interval 1.0 to 9.0).\nSo expect less of people"),
        (0.93, [-0.02, 0.02], "+0.0 points (95 % interval -2.0 to 2.0).\nChance alone can explain"),
        (0.98, [-0.09, -0.01], "-5.0 points (95 % interval -9.0 to -1.0).\nThey do harm"),
    ],
)
def test_what_relatives_in_training_are_worth_turns_with_the_figures(alone, interval, said):
    price = {"relatives": 332, "photos": 330, "groups": 98, "with": 0.93, "without": alone}
    lines = readings.relatives(price | {"drop_interval": interval})
    assert lines[0] == "332 photos have relatives in training (of one group or picture)."
    assert said in "\n".join(lines) and max(map(len, lines)) <= 92
    assert readings.relatives({"relatives": 0}) == readings.relatives({}) == []


@pytest.mark.parametrize(
    ("photos", "accuracy", "before", "now", "said"),
    [
        ([10, 50], [0.4, 0.92], 0.108, 0.027, "Of 50 test answers given with about 94 %, 92 % are"),
        ([50, 10], [0.4, 0.92], 0.027, 0.108, "Of 50 test answers given with about 60 %, 40 % are"),
    ],
)
def test_what_a_temperature_did_to_the_answers_is_told(photos, accuracy, before, now, said):
    table = pd.DataFrame({"photos": photos, "confidence": [0.6, 0.94], "accuracy": accuracy})
    told = readings.calibrated(table, {"before": before, "now": now, "chance": 0.031}, "test")
    assert told.startswith(said)
    assert f"{before:.3f} as trained, {now:.3f} with the temperature." in told
    assert told.endswith("would still show about 0.031.")


@pytest.mark.parametrize(
    ("again", "said"),
    [
        ([0.93, 0.95], "after\n0.960.\nThis run's is the best of them, so expect a little less"),
        ([0.97], "Trained again with 1 other seed: right for 0.970 of the same test photos, after "
         "0.960.\nThis run's is the lowest of them: it had no luck.\nAnother training: ± 0.7"),
        ([0.95, 0.97], "This run's lies among them: neither lucky nor unlucky.\nAnother training: "
         "± 1.0 points (standard deviation of 3). Other photos: -6.0 to +2.0."),
        ([], "No further training (training_seeds is empty)"),
    ],
)  # fmt: skip
def test_luck_in_training_is_told_beside_the_draw_of_photos(again, said):
    figures = {"accuracy": 0.96, "accuracy_interval": [0.90, 0.98]}
    figures["trained_again"] = {str(seed): value for seed, value in enumerate(again)}
    told = readings.trained_again(figures, "test")
    assert said in told and max(map(len, told.splitlines())) <= 92


@pytest.mark.parametrize(
    ("p", "again", "said"),
    [
        (0.2, [], "The draw of these photos alone can explain that difference."),
        (0.01, [], "The draw of photos does not explain that; another seed might."),
        (0.01, [0.85], "The draw of photos does not explain that, but another seed moved as much."),
        (0.01, [0.91], "Neither the draw of photos nor the further seeds explain that difference."),
    ],
)
def test_what_explains_a_difference_of_two_runs_turns_with_the_figures(p, again, said):
    compared = {"photos": 60, "first": 0.9, "second": 0.85, "won": 4, "lost": 1, "p": p}
    figures = {"accuracy": 0.9, "trained_again": dict(enumerate(again))}
    told = readings.runs_compared(compared, ("mine", "yours"), "test", figures)
    assert told == (
        "test, 60 photos in common: mine 0.900, yours 0.850.\nOnly mine is right for 4, only yours "
        f"for 1: McNemar p = {p:.3f}.\n{said}"
    )
    nothing = readings.runs_compared({"photos": 0}, ("mine", "yours"), "test", figures)
    assert nothing == "test: mine and yours have no photo in common."


@pytest.mark.parametrize(
    ("gain", "interval", "kept", "said"),
    [
        (0.03, [0.01, 0.05], "energy", "+3.0 points (+1.0 to +5.0).\nThat is beyond chance. The"),
        (0.01, [-0.01, 0.03], "probability", "+1.0 points (-1.0 to +3.0).\nThat is not beyond"),
        (-0.03, [-0.05, -0.01], "probability", "(-5.0 to -1.0).\nThat is worse beyond chance"),
    ],
)
def test_a_remedy_is_kept_only_where_it_wins(gain, interval, kept, said):
    found = {"classes": 10, "hardest": "shorts", "kept": kept, "gain": gain}
    found |= {"gain_interval": interval, "probability": 0.77, "energy": 0.77 + gain}
    found |= {"probability_interval": [0.72, 0.82], "energy_interval": [0.71, 0.84]}
    told = readings.unknown(found)
    assert said in told and max(map(len, told.splitlines())) <= 92
    assert "more in 0.770 (95 % interval 0.720 to 0.820) of pairs" in told
    assert "Hardest of 10 classes: shorts." in told
    assert readings.unknown({"classes": 1}).startswith("Too few classes to leave one out")
