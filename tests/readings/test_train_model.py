"""Tests that what notebook 03 says turns when its figures turn."""

from dermaface.readings import train_model as readings
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


def test_learning_part():
    cut = readings.learning_part(543_296, (14, 14, 96), 1_714_698, 2_270_794)
    assert cut == (
        "Of the model's 2,270,794 numbers, 1,714,698 learn.\nThe front with 543,296 of them is "
        "computed once: 14 x 14 x 96 features per photo."
    )
    uncut = readings.learning_part(0, (96, 96, 3), 396_139, 424_299)
    assert "no front to compute once, so the pixels are kept: 96 x 96 x 3" in uncut


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
    assert said in readings.normalization(moved, total)


@pytest.mark.parametrize(
    ("losses", "reached", "said"),
    [
        ([2.4, 2.2], 0.25, "reached a validation accuracy of 0.25 in 2 epochs,\n50 points below "
         "the 0.75 of the stages before.\nIts loss was lowest in the last epoch"),
        ([2.2, 2.4], 0.76, "0.76 in 2 epochs,\n1 point above the 0.75 of the stages before.\nIts "
         "loss was lowest in epoch 1 already."),
        ([2.4], 0.75, "0.75 in 1 epoch,\nas high as the stages before."),
        ([], 0.0, "No network was trained from random numbers"),
    ],
)  # fmt: skip
def test_from_scratch(losses, reached, said):
    scratch = history(from_scratch=losses).assign(val_accuracy=reached)
    assert said in readings.from_scratch(scratch, history(head=[0.7]))


@pytest.mark.parametrize(
    ("accuracy", "said"),
    [
        (63 / 68, "is right about 63 of 68 photos,\nas many as in the epoch that was kept."),
        (62 / 68, "62 of 68 photos;\nin the epoch that was kept it was 63:\na difference that"),
        (40 / 68, "in the epoch that was kept it was 63:\nmore than rounding explains"),
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
