"""Tests that what notebook 02 says turns when its figures turn."""

from dermaface.readings import build_model as readings
import numpy as np
import pandas as pd
import pytest


@pytest.mark.parametrize(
    ("formats", "orientations", "said"),
    [
        (["JPEG", "PNG"], [1, 1], "Of 2 training photos, none is in a format other than JPEG or"
         " PNG,\nand none is stored turned or mirrored:\nas far as that goes, the five lines would "
         "do for these."),
        (["WEBP", "PNG"], [1, 1], "1 is in a format other than JPEG or PNG,\nand none is stored"),
        (["JPEG"], [6], "Of 1 training photo, none is in a format other than JPEG or PNG,\nand 1 "),
        (["WEBP", "MPO", "JPEG"], [3, 1, 8], "2 are in a format other"),
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
        (0, 1, "from 0 to 1: already divided"),
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
        "x/y: 1 layer, 7 parameters, multiply-adds hidden in its module."
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


def test_the_summary_quotes_both_sets_of_features():
    many, few = np.arange(20) < 16, np.arange(20) < 6
    told = readings.summary("tiny", 14091, 1, {"its features": many, "colours": few})
    assert told == (
        "tiny, frozen, and a head of 14,091 parameters to learn from 1 photo.\n"
        "Neighbours of the same class: 80 % by its features and 30 % by colours.\n"
        "That is a hint from 20 training photos, not an accuracy: nothing is trained yet."
    )


def test_whether_the_packaged_model_is_the_same():
    assert "is yours" in readings.same_model(True, 0.0)
    other_head = readings.same_model(True, 0.25)
    assert "is not yours: as many" in other_head and "by up to 0.25" in other_head
    assert "more or fewer" in readings.same_model(False, 0.0)
