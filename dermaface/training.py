"""Training in stages: callbacks, history and the better of two models."""

import math
from pathlib import Path

from dermaface.quiet_tensorflow import keras
from dermaface.runs import Run, atomic_path
import numpy as np
import pandas as pd

SCHEDULES = ("cosine", "constant")
HISTORY_COLUMNS = "stage epoch loss accuracy val_loss val_accuracy learning_rate".split()


def make_callbacks(checkpoint: Path, early_stopping_patience: int = 0) -> list:
    """Return the callbacks of one stage.

    Args:
        checkpoint: an `.npz` file that always holds the weights with the lowest validation loss
            so far; `load_weights` reads it.
        early_stopping_patience: epochs without a lower validation loss after which the stage ends;
            0 trains all epochs.
    """
    callbacks = [BestWeights(checkpoint), keras.callbacks.TerminateOnNaN()]
    if early_stopping_patience:
        callbacks.append(
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=early_stopping_patience)
        )
    return callbacks


class BestWeights(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the lowest validation loss in a file.

    Keras's `ModelCheckpoint` does the same in HDF5, where every variable is a group of its own; for
    a small network that takes as long as a third of an epoch.
    """

    def __init__(self, path: Path):
        """Write to `path`, an `.npz` file."""
        super().__init__()
        self.path = path
        self.lowest = math.inf

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Write the weights if they are the best so far."""
        if logs and logs["val_loss"] < self.lowest:
            self.lowest = logs["val_loss"]
            with atomic_path(self.path) as temporary:
                np.savez(temporary, *self.model.get_weights())


def load_weights(model: keras.Model, path: Path) -> None:
    """Set a model's weights to those that `BestWeights` kept."""
    with np.load(path) as arrays:
        model.set_weights([arrays[name] for name in arrays.files])


def schedule(name: str, learning_rate: float, epochs: int) -> keras.callbacks.LearningRateScheduler:
    """Return the callback that sets the learning rate at the start of every epoch of a stage.

    Args:
        name: "cosine" falls from `learning_rate` towards 0 along half a cosine (Loshchilov and
            Hutter 2017, without restarts); "constant" stays.
        learning_rate: of the first epoch.
        epochs: of the stage.

    Raises:
        ValueError: there is no such schedule.
    """
    if name not in SCHEDULES:
        raise ValueError(f"There is no schedule {name!r}; known: {', '.join(SCHEDULES)}.")

    def rate(epoch: int) -> float:
        fall = (1 + math.cos(math.pi * epoch / epochs)) / 2 if name == "cosine" else 1.0
        return learning_rate * fall

    return keras.callbacks.LearningRateScheduler(rate)


def history_frame(
    history: keras.callbacks.History, stage: str, learning_rate: float
) -> pd.DataFrame:
    """Return what `fit` recorded as rows of `history.csv`.

    Args:
        history: what `fit` returned.
        stage: "head" or "fine_tune".
        learning_rate: the stage's, where no schedule recorded the rate of each epoch.

    Raises:
        ValueError: the loss became NaN, so there is nothing worth keeping.
    """
    frame = pd.DataFrame(history.history)
    if frame["loss"].isna().any() or "val_loss" not in frame:
        raise ValueError(
            f"The loss of stage {stage!r} became NaN: the learning rate {learning_rate} is too "
            "high for this model. Set a lower one and run the notebook again."
        )
    if "learning_rate" not in frame:
        frame["learning_rate"] = learning_rate
    frame = frame.assign(stage=stage, epoch=range(1, len(frame) + 1))
    return frame[HISTORY_COLUMNS]


def best_epoch(history: pd.DataFrame) -> pd.Series:
    """Return the row of `history.csv` with the lowest validation loss."""
    return history.loc[history["val_loss"].idxmin()]


def read_history(run: Run) -> pd.DataFrame:
    """Return `history.csv` of a run."""
    return pd.read_csv(run.path("history.csv"))
