"""Tests of dermaface.training."""

from dermaface import training
from dermaface.quiet_tensorflow import keras
import numpy as np
import pandas as pd
import pytest


def fit(checkpoint, learning_rate=0.1, patience=0, epochs=6):
    """Fit a small model on points that a line separates."""
    keras.utils.set_random_seed(0)
    points = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
    labels = np.eye(2, dtype="float32")[(points.sum(axis=1) > 0).astype(int)]
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
    model.compile(
        keras.optimizers.SGD(learning_rate), loss="categorical_crossentropy", metrics=["accuracy"]
    )
    callbacks = training.make_callbacks(checkpoint, patience)
    validation_data = (points[:16], 1 - labels[:16]) if patience else (points[:16], labels[:16])
    history = model.fit(
        points, labels, validation_data=validation_data, epochs=epochs, callbacks=callbacks,
        verbose=0,
    )  # fmt: skip
    return model, history, validation_data


def test_history_has_the_columns_of_the_contract(tmp_path):
    _, history, _ = fit(tmp_path / "a.npz")
    frame = training.history_frame(history, "head", 0.1)
    assert ",".join(frame.columns) == (
        "stage,epoch,loss,accuracy,val_loss,val_accuracy,learning_rate"
    )
    assert frame["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert set(frame["stage"]) == {"head"} and set(frame["learning_rate"]) == {0.1}


def test_early_stopping_ends_a_stage_and_the_checkpoint_keeps_the_best(tmp_path):
    # The validation labels are wrong, so every epoch makes the validation loss worse.
    model, history, validation_data = fit(tmp_path / "a.npz", patience=2)
    losses = history.history["val_loss"]
    assert len(losses) == 3 and losses[0] == min(losses)
    training.load_weights(model, tmp_path / "a.npz")
    assert model.evaluate(*validation_data, verbose=0)[0] == pytest.approx(losses[0], abs=1e-6)


def test_a_loss_that_became_nan_is_an_error(tmp_path):
    _, history, _ = fit(tmp_path / "a.npz", learning_rate=float("inf"))
    with pytest.raises(ValueError, match="became NaN.*lower one"):
        training.history_frame(history, "head", float("inf"))


def test_the_best_epoch_has_the_lowest_validation_loss():
    history = pd.DataFrame({"epoch": [1, 2, 1], "val_loss": [0.5, 0.2, 0.3]})
    assert training.best_epoch(history)["epoch"] == 2


@pytest.mark.parametrize(("name", "last"), [("cosine", 0.05), ("constant", 0.1)])
def test_a_schedule_sets_the_rate_of_every_epoch_and_history_records_it(name, last):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax")])
    model.compile(keras.optimizers.SGD(1.0), "categorical_crossentropy", metrics=["accuracy"])
    data = np.zeros((4, 2)), np.eye(2)[[0, 1, 0, 1]]
    history = model.fit(
        *data, validation_data=data, epochs=2, verbose=0,
        callbacks=[training.schedule(name, 0.1, 2)],
    )  # fmt: skip
    frame = training.history_frame(history, "fine_tune", 0.1)
    assert frame["learning_rate"].tolist() == pytest.approx([0.1, last])


def test_an_unknown_schedule():
    with pytest.raises(ValueError, match="no schedule 'cosin'; known: cosine, constant"):
        training.schedule("cosin", 0.1, 2)
