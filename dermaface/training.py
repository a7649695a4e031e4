"""Training in stages: callbacks, history and the better of two models."""

import math
from pathlib import Path

from dermaface.quiet_tensorflow import keras
from dermaface.runs import Run
import pandas as pd

SCHEDULES = ("cosine", "constant")
HISTORY_COLUMNS = "stage epoch loss accuracy val_loss val_accuracy learning_rate".split()


def make_callbacks(checkpoint: Path, early_stopping_patience: int = 0) -> list:
    """Return the callbacks of one stage.

    Args:
        checkpoint: a `.weights.h5` file that always holds the weights with the lowest validation
            loss so far.
        early_stopping_patience: epochs without a lower validation loss after which the stage ends;
            0 trains all epochs.
    """
    callbacks = [
        keras.callbacks.ModelCheckpoint(
            checkpoint, monitor="val_loss", save_best_only=True, save_weights_only=True
        ),
        keras.callbacks.TerminateOnNaN(),
    ]
    if early_stopping_patience:
        callbacks.append(
            keras.callbacks.EarlyStopping(monitor="val_loss", patience=early_stopping_patience)
        )
    return callbacks


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
