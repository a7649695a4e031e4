"""Training in stages: callbacks, history and the better of two models."""

from pathlib import Path

from dermaface.quiet_tensorflow import keras
from dermaface.runs import Run
import pandas as pd

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


def history_frame(
    history: keras.callbacks.History, stage: str, learning_rate: float
) -> pd.DataFrame:
    """Return what `fit` recorded as rows of `history.csv`.

    Args:
        history: what `fit` returned.
        stage: "head" or "fine_tune".
        learning_rate: the stage's.

    Raises:
        ValueError: the loss became NaN, so there is nothing worth keeping.
    """
    frame = pd.DataFrame(history.history)
    if frame["loss"].isna().any() or "val_loss" not in frame:
        raise ValueError(
            f"The loss of stage {stage!r} became NaN: the learning rate {learning_rate} is too "
            "high for this model. Set a lower one and run the notebook again."
        )
    frame = frame.assign(stage=stage, epoch=range(1, len(frame) + 1), learning_rate=learning_rate)
    return frame[HISTORY_COLUMNS]


def best_epoch(history: pd.DataFrame) -> pd.Series:
    """Return the row of `history.csv` with the lowest validation loss."""
    return history.loc[history["val_loss"].idxmin()]


def read_history(run: Run) -> pd.DataFrame:
    """Return `history.csv` of a run."""
    return pd.read_csv(run.path("history.csv"))
