"""Tests that what notebook 03 says turns when its figures turn."""

from dermaface.readings import train_model as readings
import numpy as np
import pandas as pd
import pytest


def history(**stages):
    """Return a history with one row for each validation loss of each stage."""
    rows = [
        {"stage": stage, "epoch": epoch, "val_loss": loss, "accuracy": 0.5, "val_accuracy": 0.75}
        for stage, losses in stages.items()
        for epoch, loss in enumerate(losses, start=1)
    ]
    return pd.DataFrame(rows, columns=["stage", "epoch", "val_loss", "accuracy", "val_accuracy"])


@pytest.mark.parametrize(
    ("frozen", "learning", "said"),
    [
        (10_650_000, 14_080, "does 99.9 % of the work for a photo: 10.65 of 10.66 million"),
        (299_000_000, 12_800, "does more than 99.9 % of the work"),
        (1_000_000, 3_000_000, "does 25.0 % of the work for a photo: 1.00 of 4.00 million"),
        (0, 14_080, "cannot be seen"),
    ],
)
def test_frozen_share(frozen, learning, said):
    assert said in readings.frozen_share(frozen, learning)


@pytest.mark.parametrize(
    ("kept", "usual", "said"),
    [
        (0.5, 2.0, "took 2.00 s the usual way and 0.50 s with kept features,\ncomputing them "
         "included: 4.0 times as fast."),
        (2.0, 1.0, "2.0 times as long. It pays with more epochs"),
        (1.0, 1.05, "about the same. It pays with more epochs"),
    ],
)  # fmt: skip
def test_time_saved(kept, usual, said):
    assert said in readings.time_saved(128, 5, kept, usual)
    assert ("fast" in said) != ("pays" in said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((424_299, 14_091, 396_139, [14_080, 14_080], 0, (96, 96, 3), 0.0), "14,091 in the head, "
         "382,048 in the backbone.\nThe 28,160 weights of its 2 BatchNormalization layers stay "
         "frozen.\nAll its other layers are set free, so the pixels are kept: 96 x 96 x 3 per "
         "photo."),
        ((2_270_794, 14_091, 1_714_698, [12_800], 543_296, (14, 14, 96), 0.62), "1,700,607 in the "
         "backbone.\nThe 12,800 weights of its one BatchNormalization layer after the cut stay "
         "frozen.\nThe front with 543,296 weights, and 62 % of the work for a photo, is computed "
         "once:\n14 x 14 x 96 features per photo."),
        ((500, 20, 500, [], 0, (96, 96, 3), 0.0), "480 in the backbone.\nAll its layers are set "
         "free, so the pixels are kept: 96 x 96 x 3 per photo."),
        ((500, 20, 20, [], 480, (1280,), 0.0), "20 in the head, none in the backbone.\nThe front "
         "with 480 weights is computed once:\n1280 features per photo."),
    ],
)  # fmt: skip
def test_learning_part(arguments, said):
    total, _, learning, *_ = arguments
    begins = f"Of the model's {total:,} weights, {learning:,} learn:\n"
    told = readings.learning_part(*arguments)
    assert told.startswith(begins) and told.endswith(said)


@pytest.mark.parametrize(
    ("stages", "stage", "said"),
    [
        ({"head": [1.51, 1.0, 0.71]}, "head", "The validation loss of the head fell from 1.51 to "
         "0.71, in epoch 3 of 3.\nIt was still falling, so more epochs may lower it further."),
        ({"head": [1.51, 0.71, 0.8]}, "head", "fell from 1.51 to 0.71, in epoch 2 of 3.\nThe later "
         "epochs are not used."),
        ({"head": [0.71, 0.8]}, "head", "was lowest, 0.71, in epoch 1 of 2.\nThe later epochs are "
         "not used."),
        ({"head": [0.71]}, "head", "was lowest, 0.71, in its only epoch."),
        ({"fine_tune": [1.0]}, "head", "The head was left out: it had no epochs."),
        ({"fine_tune": [1.0, 0.5]}, "fine_tune", "loss of fine-tuning fell from 1.00 to 0.50"),
        ({"head": [0.71], "fine_tune": [0.9, 0.17]}, "fine_tune", "Fine-tuning lowered the "
         "validation loss from 0.71 to 0.17, in epoch 2 of 2:\nits weights are kept."),
        ({"head": [0.71], "fine_tune": [0.9, 0.7101]}, "fine_tune", "Fine-tuning got the "
         "validation loss no lower than 0.7101, in epoch 2 of 2,\nand before it was 0.7100: rolled "
         "back."),
        ({"head": [0.71], "fine_tune": [0.71]}, "fine_tune", "no lower than 0.71, in its only "
         "epoch,\nand before it was 0.71: rolled back."),
        ({"head": [0.71], "full": [0.5]}, "full", "The whole network lowered the"),
        ({"head": [0.71]}, "fine_tune", "Fine-tuning was left out: it had no epochs."),
    ],
)  # fmt: skip
def test_stage_outcome(stages, stage, said):
    assert said in readings.stage_outcome(history(**stages), stage)


@pytest.mark.parametrize(
    ("training", "validation", "said"),
    [
        ([0.4, 0.5, 0.6], [0.5, 0.6, 0.7], "in all 3 epochs;\nin the last one, it was 0.70 against "
         "0.60."),
        ([0.4, 0.5, 0.9], [0.5, 0.6, 0.7], "in 2 of the 3 epochs"),
        ([0.8, 0.8, 0.9], [0.7, 0.8, 0.7], "in none of the 3 epochs"),
        ([0.4], [0.5], "after the only epoch: 0.50 against 0.40."),
        ([], [], "There is no epoch to compare."),
    ],
)  # fmt: skip
def test_validation_beside_training(training, validation, said):
    rows = history(head=[1.0] * len(training)).assign(accuracy=training, val_accuracy=validation)
    assert said in readings.validation_beside_training(rows, "head")


@pytest.mark.parametrize(
    ("moved", "total", "said"),
    [
        (0, 52, "Of the backbone's 52 BatchNormalization layers, none moved."),
        (3, 52, "Of the backbone's 52 BatchNormalization layers, 3 moved."),
        (0, 1, "The backbone's one BatchNormalization layer did not move."),
        (1, 1, "The backbone's one BatchNormalization layer moved."),
        (0, 0, "The backbone shows no BatchNormalization layer"),
    ],
)
def test_normalization(moved, total, said):
    before = [[np.zeros(3), np.ones(3)] for _ in range(total)]
    after = [[np.zeros(3), np.ones(3) + (number < moved)] for number in range(total)]
    assert said in readings.normalization(before, after)


@pytest.mark.parametrize(
    ("reached", "stages", "said"),
    [
        ([0.1, 0.25], {"head": [0.7, 0.6, 0.5]}, "after 2 passes: 0.25 from random weights,\n0.75 "
         "for the head on the trained backbone after as many.\nThe trained backbone has a head "
         "start of 50 points; more passes may change it."),
        ([0.5, 0.6, 0.7], {"fine_tune": [0.7]}, "after 1 pass: 0.50 from random weights,\n0.75 for "
         "fine-tuning on the trained backbone"),
        ([0.74], {"head": [0.7]}, "a head start of 1 point; more"),
        ([0.76], {"head": [0.7]}, "brought no head start: it is 1 point behind."),
        ([0.75], {"head": [0.7]}, "after as many.\nThe trained backbone brought no head start."),
        ([0.75], {}, "no stage on the trained backbone"),
        ([], {"head": [0.7]}, "No network was trained from random weights"),
    ],
)  # fmt: skip
def test_from_scratch(reached, stages, said):
    scratch = history(from_scratch=[2.0] * len(reached)).assign(val_accuracy=reached)
    assert said in readings.from_scratch(scratch, history(**stages))


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [
        ([0.1, 0.2, 0.3], "training accuracy went from 0.20 to 0.30 in the last pass."),
        ([0.3, 0.1], "training accuracy went from 0.30 to 0.10 in the last pass."),
        ([0.3], "brought no head start."),
    ],
)
def test_how_training_from_scratch_ends(accuracy, said):
    scratch = history(from_scratch=[2.0] * len(accuracy)).assign(
        accuracy=accuracy, val_accuracy=0.75
    )
    assert readings.from_scratch(scratch, history(head=[0.7] * 3)).endswith(said)


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [
        (63 / 68, "gets 63 of 68 photos right;\nin the epoch that was kept it got 63. The two"),
        (62 / 68, "62 of 68 photos right;\nin the epoch that was kept it got 63. The two agree"),
        (40 / 68, "in the epoch that was kept it got 63. Rounding does not explain that"),
    ],
)
def test_whole_model(accuracy, said):
    assert said in readings.whole_model(accuracy, 63 / 68, 68)


def test_training_summary():
    rows = history(head=[1.51, 0.71], fine_tune=[0.5, 0.17, 0.2])
    assert readings.training_summary(rows, 68).splitlines() == [
        "Epochs: the head 2, fine-tuning 3.",
        "Kept: epoch 2 of fine-tuning, with a validation loss of 0.17",
        "(1.51 after the very first epoch).",
        "Right: 51 of 68 validation photos, by which this epoch was also chosen.",
    ]
    rows = history(head=[1.51, 0.71], fine_tune=[0.8])
    assert "Kept: epoch 2 of the head, with" in readings.training_summary(rows, 68)
