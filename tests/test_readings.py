"""Tests that every reading turns when its figures turn."""

from dermaface import readings
from dermaface.evaluation import scores
from dermaface.evaluation.scores import accuracy_interval, class_frame, reference_frame
import numpy as np
import pandas as pd
import pytest
import scipy.stats

# 1. Explore the data


def rows(count=3, **columns):
    """Return rows as of images.csv, all alike but for the columns named."""
    values = {"label": "a", "split": "", "status": "kept", "reason": "", "flags": "", "copies": ""}
    values |= {"format": "JPEG", "orientation": 1, "width": 300, "height": 200}
    return pd.DataFrame(values, index=range(count)).assign(**columns)


def pairs(conflict=(), leak=()):
    return pd.DataFrame({"conflict": conflict, "leak": leak}, dtype=bool)


EXPLORED = {
    "came_without_a_split": (
        (readings.files_found, rows(label=["a", "b", "b"])),
        "3 files lie in 2 classes. No split was given, so one is made at the end.",
    ),
    "came_split": (
        (readings.files_found, rows(4, split=["test", "", "train", "validation"])),
        "4 files lie in 1 class. Given splits: train 2, validation 1 and test 1.",
    ),
    "one_file": (
        (readings.files_found, rows(1)),
        "1 file lies in 1 class. No split was given, so one is made at the end.",
    ),
    "all_accounted": (
        (
            readings.files_accounted,
            {
                "kept": 3,
                "excluded": 0,
                "system files": 0,
                "files beside the class folders": 0,
                "on disk": 3,
            },
        ),
        "Of 3 files on disk, 3 can be used.",
    ),
    "others_accounted": (
        (
            readings.files_accounted,
            {
                "kept": 3,
                "excluded": 2,
                "system files": 2,
                "files beside the class folders": 1,
                "on disk": 8,
            },
        ),
        "Of 8 files on disk, 3 can be used, 2 cannot, 2 are system files and 1 is not on the list.",
    ),
    "none_excluded": (
        (readings.files_excluded, rows()),
        "Every file on the list was read to its end.",
    ),
    "some_excluded": (
        (
            readings.files_excluded,
            rows(
                4,
                label=["a", "a", "b", "a"],
                status=["excluded", "kept", "excluded", "excluded"],
                reason=["is not an image.", "", "is empty", "is empty"],
            ),
        ),
        "3 of 4 files (75 %) cannot be used; the most frequent reason (2): is empty.\n"
        "The class 'b' loses the largest share, 1 of 1.",
    ),
    "upright": (
        (readings.formats_found, rows()),
        "Stored as 3 JPEG, all of them upright.",
    ),
    "turned": (
        (readings.formats_found, rows(format=["PNG", "JPEG", "JPEG"], orientation=[1, 6, 1])),
        "Stored as 2 JPEG and 1 PNG; a note turns or mirrors 1 of 3 photos (33 %).",
    ),
    "equal_classes": (
        (readings.class_balance, {"a": 40, "b": 40}),
        "Each of the 2 classes has 40 photos. One answer for all would be right for 50 %.",
    ),
    "even_classes": (
        (readings.class_balance, pd.Series({"a": 10, "b": 30})),
        "The largest class is b (30), the smallest a (10), 3.0 times: even enough.\n"
        "Always answering b would be right for 75 %.",
    ),
    "imbalanced_classes": (
        (readings.class_balance, {"a": 9990, "b": 10}),
        "The largest class is a (9990), the smallest b (10), 999.0 times: imbalanced.\n"
        "Always answering a would be right for more than 99 %.",
    ),
    "shown": (
        (readings.photos_shown, rows(2, label=["a", "b"]), rows(label=["a", "b", "c"])),
        "2 of 3 photos, from 2 of 3 classes.",
    ),
    "blur_falls": (
        (readings.blur_by_size, pd.DataFrame([[30, 9, 3], [50, 20, 5]], columns=[112, 224, 448])),
        "At 448 px, 2 of 2 photos score lower than at 112 px (median 4 against 40).\n"
        "A threshold is good for one size only.",
    ),
    "blur_does_not_fall": (
        (readings.blur_by_size, pd.DataFrame([[3, 30], [50, 5]], columns=[112, 448])),
        "At 448 px, 1 of 2 photos scores lower than at 112 px (median 18 against 26).\n"
        "That is unusual; look at these photos.",
    ),
    "none_flagged": ((readings.photos_flagged, rows()), "None of the 3 photos is flagged."),
    "one_flagged": (
        (readings.photos_flagged, rows(label=["a", "b", "b"], flags=["dark", "", ""])),
        "1 of 3 photos (33 %) is flagged: 1 as dark.\n"
        "No class has more of them than a: 1 of its 1 photo.",
    ),
    "some_flagged": (
        (readings.photos_flagged, rows(label=["a", "b", "b"], flags=["dark", "blur dark", "blur"])),
        "3 of 3 photos (100 %) are flagged: 2 as dark and 2 as blur.\n"
        "No class has more of them than b: 2 of its 2 photos.",
    ),
    "one_size": (
        (readings.photo_sizes, rows(), (96, 224)),
        "The shorter sides measure 200 px, and the longer ones up to 1.50 times as much.\n"
        "Of 3 photos, too small are 0 for 96 px and 3 for 224 px.",
    ),
    "sizes": (
        (readings.photo_sizes, rows(2, width=[90, 500], height=[180, 500]), (96, 224)),
        "The shorter sides measure 90 to 500 px, and the longer ones up to 2.00 times as much.\n"
        "Of 2 photos, too small are 1 for 96 px and 1 for 224 px.",
    ),
    "hash_tells": (
        (readings.hash_distances, {"the photo": 0, "half": 2, "mirrored": 2, "another": 3}),
        "The copies differ from the photo in 2 of 64 bits, another in 3.\n"
        "Every copy lies closer than another.",
    ),
    "hash_misses_one": (
        (readings.hash_distances, {"the photo": 0, "half": 2, "mirrored": 13, "another": 13}),
        "The copies differ from the photo in 2 to 13 of 64 bits, another in 13.\n"
        "No closer than another lies: mirrored.",
    ),
    "hash_misses_all": (
        (readings.hash_distances, {"the photo": 0, "half": 2, "mirrored": 13, "another": 1}),
        "The copies differ from the photo in 2 to 13 of 64 bits, another in 1.\n"
        "No closer than another lie: half and mirrored.",
    ),
    "no_copies": (
        (readings.copies_found, rows(), pairs()),
        "No copy was found among 3 files.",
    ),
    "copies": (
        (
            readings.copies_found,
            rows(copies=["a/1.jpg", "a/1.jpg", ""]),
            pairs(conflict=[True], leak=[False]),
        ),
        "2 of 3 files have a copy, which makes 1 pair.\n"
        "Pairs in two classes: 1, in two given splits: 0.",
    ),
    "none_left_out": (
        (readings.photos_left_out, 0, 3),
        "The rules leave out 0 of 3 photos; 3 remain.",
    ),
    "some_left_out": (
        (readings.photos_left_out, 2, 3),
        "The rules leave out 2 of 3 photos; 1 remains.",
    ),
    "moved": (
        (readings.photos_moved, 0, 45, 100, 11),
        "When 11 photos join 100, the hash moves 0 of the old ones, a new shuffle 45 (45 %).",
    ),
    "not_moved": (
        (readings.photos_moved, 3, 0, 9, 1),
        "When 1 photo joins 9, the hash moves 3 of the old ones, a new shuffle 0 (0 %).",
    ),
    "too_few_to_move": (
        (readings.photos_moved, 0, 0, 0, 1),
        "There are too few photos to try it.",
    ),
    "three_splits": (
        (readings.split_shares, rows(50, split="train train train validation test".split() * 10)),
        "Train 30 (60 %), validation 10 (20 %) and test 10 (20 %).\n"
        "An accuracy of 90 % on 10 test photos would have a 95 % interval from 60 % to 98 %.",
    ),
    "no_test_split": (
        (readings.split_shares, rows(1000, split=["train"] * 999 + ["validation"])),
        "Train 999 (more than 99 %) and validation 1 (less than 1 %); there is no test split.\n"
        "An accuracy of 90 % on 1 validation photo would have a 95 % interval from 17 % to more "
        "than 99 %.",
    ),
    "smallest_class": (
        (readings.smallest_class, pd.DataFrame({"test": [7, 3]}, ["a", "b"]), "test"),
        "No class has fewer test photos than b: 3.\n"
        "It can only score 0, 33, 67 or 100 %; after a full score, 44 % would still be possible.",
    ),
    "smallest_class_of_one": (
        (readings.smallest_class, pd.DataFrame({"test": [1, 3]}, ["a", "b"]), "test"),
        "No class has fewer test photos than a: 1.\n"
        "It can only score 0 or 100 %; after a full score, 21 % would still be possible.",
    ),
    "smallest_class_is_large": (
        (readings.smallest_class, pd.DataFrame({"validation": [80, 90]}, ["a", "b"]), "validation"),
        "No class has fewer validation photos than a: 80.\n"
        "Each photo moves its score by 1.2 points; after a full score, 95 % would still be "
        "possible.",
    ),
    "smallest_class_is_missing": (
        (readings.smallest_class, pd.DataFrame({"test": [0, 90]}, ["a", "b"]), "test"),
        "No test photo shows a, so nothing is measured for it.",
    ),
    "agreement": (
        (readings.split_agreement, 3, 3),
        "The package puts 3 of 3 photos where your function does.",
    ),
    "disagreement": (
        (readings.split_agreement, 2, 3),
        "The package puts 2 of 3 photos where your function does.\n"
        "The others follow a copy, a group or an earlier split.",
    ),
    "given_splits": (
        (readings.split_agreement, 0, 0),
        "Every photo came with a split, and the package keeps it.",
    ),
}


@pytest.mark.parametrize("name", EXPLORED)
def test_what_is_said_of_the_data_turns_with_its_figures(name):
    (reading, *figures), expected = EXPLORED[name]
    assert reading(*figures) == expected


@pytest.mark.parametrize(("right", "total"), [(0, 5), (3, 7), (9, 10), (63, 63), (1, 1)])
def test_the_interval_is_the_one_of_the_scores(right, total):
    expected = scores.accuracy_interval(right, total)
    assert readings._interval(right / total, total) == pytest.approx(expected, abs=1e-6)


# 2. Build the model


@pytest.mark.parametrize(
    ("formats", "orientations", "said"),
    [
        (["JPEG", "PNG"], [1, 1], "Of 2 training photos, none has another format than JPEG or PNG,"
         "\nand none lies turned or mirrored in the file: the five lines would do for these."),
        (["WEBP", "PNG"], [1, 1], "1 has another format than JPEG or PNG,\nand none lies turned"),
        (["JPEG"], [6], "Of 1 training photo, none has another format than JPEG or PNG,\nand 1 "),
        (["WEBP", "MPO", "JPEG"], [3, 1, 8], "2 have another format"),
    ],
)  # fmt: skip
def test_what_the_plain_pipeline_misreads(formats, orientations, said):
    photos = pd.DataFrame({"format": formats, "orientation": orientations})
    told = readings.plain_pipeline(photos)
    assert said in told
    wrong = sum(f in ("WEBP", "MPO") or o > 1 for f, o in zip(formats, orientations, strict=True))
    assert ("would do for these" in told) == (wrong == 0)
    assert not wrong or told.endswith(f"leave out or misread {wrong} of them.")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (1, 255, "2 photos of 8 x 4 pixels, from 1 to 255: raw, as the model wants them."),
        (0, 1, "from 0 to 1: divided already"),
        (-1, 1, "from -1 to 1: some are below 0"),
        (0, 65535, "from 0 to 65535: more than a byte holds"),
    ],
)
def test_whether_a_batch_is_raw(low, high, said):
    pixels = np.full((2, 4, 8, 3), low, "float32")
    pixels[1] = high
    assert said in readings.batch_range(pixels)


def test_which_augmentation_was_faster():
    ahead = readings.augmentation_speed(0.030, 0.010)
    assert ahead == (
        "A batch takes 30 ms in Keras's layers and 10 ms in one warp:\n"
        "one warp is 3.0 times as fast on this machine."
    )
    assert "Keras's layers are 2.0 times as fast" in readings.augmentation_speed(0.01, 0.02)
    assert "about the same" in readings.augmentation_speed(0.0105, 0.01)


def test_a_backbone_is_one_line():
    assert readings.backbone("tiny", 155, 410208, 10_650_000) == (
        "tiny: 155 layers, 410,208 parameters, 11 million multiply-adds for one photo."
    )
    assert readings.backbone("x/y", 1, 7, 0) == (
        "x/y: 1 layer, 7 parameters, work that its module hides."
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (90, 0, "Before, 90 of 1,000 parameters could learn; now none can."),
        (90, 5, "5 of 1,000 parameters can still learn: it is not frozen."),
        (0, 0, "None of 1,000 parameters could learn even before: it came frozen."),
    ],
)
def test_whether_a_backbone_is_frozen(before, after, said):
    counts = [{"parameters": 1000, "trainable": count} for count in (before, after)]
    assert readings.frozen_backbone(*counts) == said


def test_whether_a_frozen_backbone_moves_in_training():
    assert "the same features" in readings.same_in_training(0.0)
    assert "differ by up to 0.31" in readings.same_in_training(0.3141)


def test_how_much_the_head_has_to_learn():
    assert readings.head_size(14091, 424299, 309) == (
        "14,091 of 424,299 parameters learn (3.3 %), 45.6 for each of 309 training photos."
    )
    assert "1,500.0 for each of 1 training photo.\nThat is a lot" in readings.head_size(
        1500, 2000, 1
    )


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (2.4, "undecided, as it should be."),
        (2.0, "undecided, as it should be."),
        (2.9, "nearly undecided"),
        (5.0, "well above"),
        (1.2, "well below"),
    ],
)
def test_whether_an_untrained_model_is_undecided(loss, said):
    told = readings.untrained(loss, 11)
    assert told.startswith(f"Untrained loss {loss} against ln 11 = 2.4: {said}")


def test_which_features_put_a_class_side_by_side():
    classes = np.repeat(np.arange(4), 5)
    many, few = np.arange(20) < 16, np.arange(20) < 6
    told = readings.alike_neighbours({"the backbone's features": many, "colours": few}, classes)
    assert told == (
        "Nearest neighbours of the same class: 16 of 20 by the backbone's features,\n"
        "6 by colours, about 4 by guessing.\n"
        "The difference is clear: the backbone's features tell your classes apart better."
    )
    turned = readings.alike_neighbours({"the backbone's features": few, "colours": many}, classes)
    assert "clear: colours tell" in turned
    for other in (many, np.arange(20) < 14):
        assert "no more than chance" in readings.alike_neighbours({"a": many, "b": other}, classes)


def test_whether_the_packaged_model_is_the_same():
    assert "is yours" in readings.same_model(True, 0.0)
    other_head = readings.same_model(True, 0.25)
    assert "is not yours: as many" in other_head and "by up to 0.25" in other_head
    assert "not as many" in readings.same_model(False, 0.0)


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
        (
            [1.0, 0.8, 0.6],
            [1.0, 0.8, 0.6],
            "epoch 3 of 3, at 0.600.\nThat is the last one: it was still",
        ),
        ([1.0, 0.6, 0.62], [1.0, 0.5, 0.4], "epoch 2 of 3, at 0.600, and ends little above, at 0."),
        ([1.0, 1.2, 0.6, 0.75], [1.0, 0.9, 0.5, 0.4], "It has levelled off"),
        (
            [1.0, 0.6, 0.9],
            [1.0, 0.5, 0.4],
            "rises by 50 % to 0.900.\nTraining loss goes on falling: over",
        ),
        ([0.6, 0.9], [0.5, 0.4], "overfitting after epoch 1."),
        ([0.6, 0.9], [0.5, 0.8], "Training loss rises, too: the later steps did harm"),
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
    assert "would have chosen epoch 4, where 1 more photo of 10 was right." in told
    assert told.endswith("Stage full brought no lower loss and was taken back.")
    assert "where 100 more photos of 1000 were" in readings.describe_best_epoch(history, 1000)
    told = readings.describe_best_epoch(history.iloc[:2], 10)
    assert told == "Kept: epoch 2, with validation accuracy 0.400.\nNo epoch has a higher accuracy."


@pytest.mark.parametrize(
    ("evaluated", "logged", "said"),
    [
        (0.9, 0.9, "90 by counting, 90 by `evaluate`, 90 in the training log.\nAll three agree."),
        (0.9, 0.91, "91 in the training log.\nSo small a difference comes from rounding"),
        (0.9, 0.86, "is not what that epoch left"),
        (0.1, 0.9, "do not stand in the same order"),
    ],
)
def test_three_ways_to_an_accuracy_are_compared(evaluated, logged, said):
    assert said in readings.describe_count(90, 100, evaluated, logged)


@pytest.mark.parametrize(
    ("train", "validation", "said"),
    [
        (0.99, 0.7, "29 points higher, above the interval of validation, 0.600 to 0.800.\nThe"),
        (0.99, 0.7, "knows its training photos better than new ones"),
        (0.75, 0.7, "inside the interval of validation, 0.600 to 0.800.\nNo gap"),
        (0.8, 0.95, "below the interval of validation, 0.850 to 1.050.\nNo gap"),
        (0.5, 0.5, "inside the interval of validation, 0.400 to 0.600.\nUnderfitting"),
        (0.5, 0.2, "30 points higher"),
    ],
)
def test_the_gap_is_named(train, validation, said):
    interval = validation - 0.1, validation + 0.1
    told = readings.describe_gap(train, validation, interval)
    assert said in told and told.startswith(f"Training {train:.3f} lies")


def test_ways_to_answer_are_compared_with_the_first():
    ways = {"majority class": (10, 0), "mean colour": (15, 1), "from scratch": (9, 6)}
    told = readings.describe_reference(
        reference_frame(ways | {"frozen": (60, 6), "fine-tuned": (90, 16)}, 100), 100
    )
    assert told.startswith("In points above the majority class (0.10):\nmean colour +5, from scr")
    assert "from scratch -1, frozen +50, fine-tuned +80.\n" in told
    assert "Not shown to beat it: mean colour, from scratch.\n" in told
    assert told.endswith("Best: fine-tuned, above frozen by more than chance explains.")
    ways = {"majority class": (10, 0), "frozen": (88, 6), "fine-tuned": (90, 16)}
    told = readings.describe_reference(reference_frame(ways, 100), 100)
    assert "Not shown" not in told
    assert "Fine-tuned and frozen are too close for 100 photos to tell which is better." in told
    assert told.endswith("Nothing was trained from scratch in this run.")


def test_one_accuracy_beats_another_where_the_interval_of_their_difference_says_so():
    def way(right, total):
        return right / total, *accuracy_interval(right, total)

    # Newcombe (1998), Statistics in Medicine 17, 873-890, table II, method 10: the lower bounds of
    # these differences are 0.0524, 0.1705, 0.0582 and -0.0381.
    assert readings._beats(way(56, 70), way(48, 80))
    assert readings._beats(way(9, 10), way(3, 10))
    assert readings._beats(way(6, 7), way(2, 7))
    assert not readings._beats(way(5, 56), way(0, 29))
    assert not readings._beats(way(48, 80), way(56, 70))
    # Intervals that overlap a little do not hide a difference, those that overlap a lot do.
    assert way(900, 1000)[1] < way(870, 1000)[2] and readings._beats(way(900, 1000), way(870, 1000))
    assert not readings._beats(way(90, 100), way(87, 100))


def split_of(accuracy, low, high, **images):
    classes = {name: {"images": images.get(name, 5)} for name in NAMES}
    return {"accuracy": accuracy, "accuracy_interval": [low, high], "classes": classes}


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ((0.89, 0.79, 0.94), "inside validation's interval, 0.840 to 0.970.\nChance alone can"),
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
    told = readings.describe_splits(metrics)
    assert f"Validation 0.930, test {test[0]:.3f}: test lies {said}" in told
    assert f"Report {test[0]:.3f} with its 95 % interval" in told and "Not measured" not in told


def test_a_test_accuracy_far_above_validation_is_no_chance_either():
    metrics = {"validation": split_of(0.6, 0.55, 0.65), "test": split_of(0.9, 0.85, 0.94)}
    assert "\nChance does not explain that" in readings.describe_splits(metrics)


def test_without_a_test_split_the_figure_is_marked():
    metrics = {"validation": split_of(0.93, 0.84, 0.97, herpes=0, milia=0)}
    told = readings.describe_splits(metrics)
    assert (
        "no test split: 0.930 is validation (also used to choose)." in told and "Report" not in told
    )
    assert told.endswith("Not measured: no validation photo shows herpes, milia.")
    assert readings.describe_missing({"test": split_of(0.9, 0.8, 1)}) == []


@pytest.mark.parametrize(
    ("log_loss", "said"),
    [
        (0.45, "too sure of itself"),
        (0.05, "less sure than it could be"),
        (0.2, "as sure as it is right"),
    ],
)
def test_a_model_is_as_sure_as_it_is_right_or_not(log_loss, said):
    told = readings.describe_sureness(log_loss, 0.17, 0.08)
    assert told.startswith(f"log loss {log_loss:.3f}, promised 0.170 ± 0.080: {said}")


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
    assert said in readings.describe_confusions(matrix, NAMES)


def test_at_most_three_confusions_are_named():
    names, matrix = list("abcdef"), np.zeros((6, 6), int)
    for a, b in [(0, 1), (1, 2), (2, 3), (3, 4)]:
        matrix[a, b] = 2
    assert ";\nand 1 other pair." in readings.describe_confusions(matrix, names)
    matrix[4, 5] = 2
    assert ";\nand 2 other pairs." in readings.describe_confusions(matrix, names)


def classes_of(*found_of):
    classes = {
        name: {"images": n, "recall": found / n if n else None, "precision": None, "f1": None}
        for name, (found, n) in zip(NAMES, found_of, strict=True)
    }
    return class_frame({"classes": classes})


def test_the_weakest_class_is_named_with_its_interval():
    told = readings.describe_weakest(classes_of((5, 7), (9, 9), (5, 5)), 0.9)
    assert told.startswith("Weakest: acne, 5 of 7 found.\nIts interval, 0.359 to 0.918, holds")
    assert "holds the accuracy of all (0.900): it may be chance.\n" in told
    assert told.endswith("With 5 to 9 photos per class, intervals are 0.30 to 0.56 wide.")
    told = readings.describe_weakest(classes_of((20, 100), (95, 100), (95, 100)), 0.7)
    assert "lies below the accuracy of all (0.700): probably weaker." in told
    assert "With 100 photos per class" in told
    told = readings.describe_weakest(classes_of((1, 2), (2, 4), (3, 4)), 0.6)
    assert "Weakest: herpes, 2 of 4 found, level with 1 other class.\n" in told
    told = readings.describe_weakest(classes_of((1, 1), (0, 0), (1, 1)), 1.0)
    assert told.startswith("Every photo of every class was found.\nWith 1 photo per class, inter")
    assert told.endswith("are 0.79 wide.")


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ((0, 68, 0, 60), "No mistake in 68 answers. The next photo"),
        ((1, 68, 0, 0), "1 of 68 answers is wrong.\nNo answer at all was given with 90 % or more."),
        (
            (12, 68, 0, 60),
            "12 of 68 answers are wrong.\nOf the 60 answers given with 90 % or more, ",
        ),
        ((12, 68, 0, 60), "or more, none is wrong."),
        ((12, 68, 1, 1), "Of the 1 answer given with 90 % or more, 1 is wrong."),
        ((12, 68, 12, 60), "or more, 12 are wrong."),
    ],
)
def test_mistakes_and_the_sure_ones_among_them_are_counted(figures, said):
    assert said in readings.describe_mistakes(*figures, 0.9)


def test_the_analysis_is_told_in_four_lines():
    history, classes = history_of([3, 2, 2.5]), classes_of((5, 7), (9, 9), (5, 5))
    reference = reference_frame({"majority class": (2, 0), "frozen": (18, 3)}, 20)
    metrics = {"validation": split_of(0.9, 0.8, 1), "test": split_of(0.95, 0.9, 0.98)}
    metrics = {split: figures | {"images": 21} for split, figures in metrics.items()}
    assert readings.describe_analysis(history, reference, metrics, classes).splitlines() == [
        "Kept: epoch 2 of 3.",
        "On the validation photos: majority class 0.10, best (frozen) 0.90.",
        "To report: 0.950 (0.900 to 0.980) of 21 test photos.",
        "Lowest recall: acne, 5 of 7.",
    ]
    del metrics["test"]
    told = readings.describe_analysis(history, reference, metrics, classes)
    assert "0.900 (0.800 to 1.000) of 21 validation photos (also used to choose)." in told


# 5. Convert and test TFLite

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
    assert said == "Of this layer's 4 weights, 25.0 % went to another level than the nearest."


def test_closer_names_the_file_that_moves_less_where_chance_would_not_bring_it():
    near, far = np.linspace(0.001, 0.01, 40), np.linspace(0.02, 0.4, 40)
    said = readings.closer(pd.DataFrame({"stock": far, "careful": near}))
    assert said == (
        "Closer to the Keras model: careful.\nOf 40 photos, careful stayed closer on 40 and stock "
        "on 0 (sign test, p < 0.001).\nThe median photo's largest change of a probability is "
        "0.006, with stock 0.21."
    )
    turned = readings.closer(pd.DataFrame({"stock": near, "careful": far}))
    assert turned.startswith("Closer to the Keras model: stock.\n")


def test_closer_finds_no_difference_in_what_chance_would_bring():
    one, other = np.array([0.1, 0.2, 0.3, 0.5]), np.array([0.2, 0.1, 0.4, 0.5])
    said = readings.closer(pd.DataFrame({"stock": one, "careful": other}))
    assert said == (
        "No difference was found between stock and careful that is more than chance.\n"
        "Of 4 photos, stock stayed closer on 2 and careful on 1 (sign test, p = 1)."
    )
    alike = readings.closer(pd.DataFrame({"stock": one, "careful": one}))
    assert alike.startswith("No difference was found") and "closer on 0 and" in alike


@pytest.mark.parametrize(("wins", "losses"), [(5, 0), (6, 0), (18, 15), (20, 9), (330, 11)])
def test_closer_takes_chance_as_a_binomial_test_does(wins, losses):
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
        "It agrees on 98.0 % of the validation photos and wins 0.4 points of accuracy."
    )
    second = readings.recipes(tried.iloc[:2])
    assert second.startswith(
        "Beyond the limits: a.\nThe next keeps to them: b.\nIt agrees on 98.0 %"
    )
    third = readings.recipes(tried.assign(passed=[False, False, True], accuracy_drop=0.0))
    assert third.startswith("Beyond the limits: a and b.\nThe next keeps to them: c.\n")
    assert third.endswith("loses no accuracy.")
    none = readings.recipes(tried.assign(passed=False))
    assert none.startswith("None of 3 recipes keeps to the limits; the one that agrees best goes")
    assert "goes on: b.\nIt agrees on 98.0 %" in none


def test_kinds():
    assert readings.kinds(AUDITS) == (
        "Every file is what its name says.\nWithout an operator in floats: int8."
    )
    table = AUDITS.assign(**{"it is": ["float32", "float32", "int8_mixed"]})
    table["operators in floats"], table["float islands"] = [67, 67, 3], [0, 0, 2]
    assert readings.kinds(table) == (
        "Not what the name says: float16 is float32 and int8 is int8_mixed.\nEach of them has "
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
        "float32 takes 1,600 KB; of that, float16 50 % and int8 25 %.\nWeights and biases are 75 % "
        "of int8; the rest describes layers, scales and labels."
    )
    larger = FILES.assign(bytes=[1_000_000, 2_000_000, 310_000])
    said = readings.sizes(larger, weights.astype(object))
    assert "float16 200 % and int8 31 %.\nWeights and biases are 35 % of float16;" in said


def test_answers_changed():
    assert readings.answers_changed(FILES) == (
        "No file changed any of the 50 answers.\nThe largest change of a probability is 0.26, in "
        "int8."
    )
    some = readings.answers_changed(FILES.assign(changed=[0, 1, 3], max_abs_diff=[0, 0.004, 0]))
    assert some == (
        "Changed, of 50 answers: float16 1 and int8 3; float32 none.\nThe largest change of a "
        "probability is 0.004, in float16."
    )
    every = readings.answers_changed(FILES.assign(changed=2, max_abs_diff=1e-6))
    assert "float32 2, float16 2 and int8 2.\nThe largest" in every and "none" not in every
    assert "is less than 0.001, in float32." in every


def test_drops():
    assert readings.drops(FILES) == (
        "Every interval holds 0: no file's accuracy differs by more than chance on these 50 photos."
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
    assert readings.recall_changes(rows) == "No class lost or won recall."
    rows["recall_change_c"] = [-0.25, 0.1]
    assert readings.recall_changes(rows) == (
        "Lost most recall: c (validation), 25 points.\nWon most recall: c (test), 10 points."
    )
    rows["recall_change_c"] = [0.0, 0.1]
    assert readings.recall_changes(rows) == "Won most recall: c (test), 10 points."


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
        "now: 1.\nThe model itself had been sure (0.50 or more) of 1 of them."
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
        "No other resizer changed an answer.\nThe largest change of a probability is 0.30, with "
        "linear."
    )
    said = readings.resizers(table.assign(agreement=[1, 1, 0.96], accuracy=[0.9, 0.9, 0.87]))
    assert said == (
        "area changed the most answers, 4.0 % of them, and moved a probability by up to 0.10.\n"
        "With it the accuracy is 0.870 instead of 0.900."
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
        "int8 ships: 400 KB, 25 % of float32.\nIt changed 2 of 100 answers; its largest change of "
        "a probability is 0.26."
    )
    said = readings.shipped(FILES, "float32")
    assert said.startswith(
        "float32 ships: 1,600 KB, 100 % of float32.\nIt changed 0 of 50 answers;"
    )


# 6. Compare settings
