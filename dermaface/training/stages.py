"""Training in stages: optimizers, schedules, the best weights, and going on after a crash."""

from collections.abc import Sequence
import json
import math
from pathlib import Path
from typing import Any
import zipfile

from dermaface.progress import progress_bar
from dermaface.quiet_tensorflow import keras
from dermaface.runs import Run, atomic_path
import numpy as np
import pandas as pd

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("constant", "cosine", "plateau")
PLATEAU_PATIENCE = 2  # epochs without a lower validation loss before the rate is halved
HISTORY_COLUMNS = "stage epoch loss accuracy val_loss val_accuracy learning_rate".split()


def make_optimizer(
    name: str, learning_rate: float, weight_decay: float = 0.0
) -> keras.optimizers.Optimizer:
    """Return an optimizer.

    Args:
        name: "adamw" (Loshchilov and Hutter 2019; Adam where `weight_decay` is 0) or "sgd", with
            Nesterov momentum of 0.9.
        learning_rate: at the start.
        weight_decay: share of each weight, times the learning rate, taken off in every step.

    Raises:
        ValueError: there is no such optimizer, or a number is out of range.
    """
    if learning_rate <= 0 or weight_decay < 0:
        raise ValueError(
            "The learning rate must be positive and weight_decay must not be negative; got "
            f"{learning_rate} and {weight_decay}."
        )
    if name == "adamw":
        return keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay)
    if name == "sgd":
        return keras.optimizers.SGD(
            learning_rate, momentum=0.9, nesterov=True, weight_decay=weight_decay or None
        )
    raise ValueError(f"There is no optimizer {name!r}; known: {', '.join(OPTIMIZERS)}.")


def learning_rate_at(
    schedule: str, learning_rate: float, epochs: int, val_losses: Sequence[float]
) -> float:
    """Return the learning rate of the next epoch of a stage.

    Args:
        schedule: "constant"; "cosine", which falls from `learning_rate` towards 0 along half a
            cosine (Loshchilov and Hutter 2017, without restarts); or "plateau", which halves the
            rate whenever two epochs in a row have brought no lower validation loss.
        learning_rate: of the first epoch.
        epochs: of the stage.
        val_losses: of the stage's epochs so far.

    Raises:
        ValueError: there is no such schedule.
    """
    if schedule == "constant":
        return learning_rate
    if schedule == "cosine":
        return learning_rate * (1 + math.cos(math.pi * len(val_losses) / epochs)) / 2
    if schedule == "plateau":
        lowest, waited, halvings = math.inf, 0, 0
        for loss in val_losses:
            waited = 0 if loss < lowest else waited + 1
            lowest = min(lowest, loss)
            if waited == PLATEAU_PATIENCE:
                waited, halvings = 0, halvings + 1
        return learning_rate / 2**halvings
    raise ValueError(f"There is no schedule {schedule!r}; known: {', '.join(SCHEDULES)}.")


class Checkpoint(keras.callbacks.Callback):
    """Steers one stage, keeps its best weights, and lets it go on after a crash.

    At the start of each epoch it sets the learning rate. At the end it keeps the weights if the
    validation loss was never lower, and ends the stage if it has not been for a while. With a file,
    it also writes there all that the next epoch depends on; a second `Checkpoint` on this file puts
    it back, and `fit` must be told to start at `initial_epoch`.
    """

    def __init__(
        self,
        stage: str,
        epochs: int,
        learning_rate: float,
        schedule: str = "constant",
        early_stopping_patience: int = 0,
        path: Path | None = None,
        key: str = "",
    ):
        """Prepare a stage.

        Args:
            stage: its name in `history.csv`.
            epochs: at the most.
            learning_rate: of the first epoch.
            schedule: as for `learning_rate_at`.
            early_stopping_patience: epochs without a lower validation loss after which the stage
                ends; 0 trains all epochs.
            path: the file, `.npz`; None keeps all in memory.
            key: what the stage depends on besides its weights; a file with another key is not used.

        Raises:
            ValueError: there is no such schedule, or an argument is out of range.
        """
        super().__init__()
        learning_rate_at(schedule, learning_rate, max(epochs, 1), [])
        if epochs < 0 or early_stopping_patience < 0:
            raise ValueError(
                "The number of epochs and early_stopping_patience must not be negative; got "
                f"{epochs} and {early_stopping_patience}."
            )
        self.stage, self.epochs, self.learning_rate = stage, epochs, learning_rate
        self.schedule, self.patience = schedule, early_stopping_patience
        self.path, self.key = path, key
        self.rows: list[dict] = []
        self.start: list[np.ndarray] = []
        self.best: list[np.ndarray] = []
        self.saved: list[np.ndarray] = []
        self._read()

    @property
    def initial_epoch(self) -> int:
        """The epoch to go on with, from 0; the number of epochs if the stage was over already."""
        return self.epochs if self._is_over() else len(self.rows)

    @property
    def val_losses(self) -> list[float]:
        """The validation loss of each epoch so far."""
        return [row["val_loss"] for row in self.rows]

    def _is_over(self) -> bool:
        """Tell whether the stage has had all its epochs or has not improved for too long."""
        losses = self.val_losses
        waited = len(losses) - 1 - int(np.argmin(losses)) if losses else 0
        return len(losses) >= self.epochs or bool(self.patience and waited >= self.patience)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Note the weights that the stage starts from, and put back what an earlier one wrote."""
        self.start = self.model.get_weights()
        if self.saved:
            self.model.optimizer.build(self.model.trainable_variables)
            for variable, value in zip(self._variables(), self.saved, strict=True):
                variable.assign(value)
        what = f"training, stage {self.stage}"
        self.bar = progress_bar(self.epochs, what, "epochs", len(self.rows))

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Set the learning rate of the epoch."""
        self.model.optimizer.learning_rate = learning_rate_at(
            self.schedule, self.learning_rate, self.epochs, self.val_losses
        )

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Stop in the middle of an epoch whose loss is no number any more.

        Raises:
            ValueError: it is none.
        """
        if logs:
            self._check("loss", logs["loss"])

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Note the epoch's figures and keep what has to be kept.

        Raises:
            ValueError: the validation loss is no number any more.
        """
        self._check("validation loss", logs["val_loss"])
        rate = float(self.model.optimizer.learning_rate)
        figures = {name: float(logs[name]) for name in HISTORY_COLUMNS if name in logs}
        self.rows.append(
            {"stage": self.stage, "epoch": epoch + 1, **figures, "learning_rate": rate}
        )
        # Of equal losses the first counts, here as in `keep_if_better` and `best_epoch`.
        if int(np.argmin(self.val_losses)) == len(self.rows) - 1:
            self.best = self.model.get_weights()
        if self._is_over():
            self.model.stop_training = True
        self._write()
        self.bar.update()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Put the progress bar away."""
        self.bar.close()

    def _check(self, name: str, loss: float) -> None:
        """Stop the training if a loss is no number."""
        if not math.isfinite(loss):
            raise ValueError(
                f"The {name} of stage {self.stage!r} became NaN: the learning rate "
                f"{self.learning_rate} is too high for this model. Set a lower one and run the "
                "notebook again."
            )

    def _variables(self) -> list:
        """Return all that the next step depends on: weights, states of dropout, the optimizer's."""
        metrics = {id(variable) for variable in self.model.metrics_variables}
        own = [v for v in self.model.variables if id(v) not in metrics]
        return [*own, *self.model.optimizer.variables]

    def _write(self) -> None:
        """Write the file, in one step."""
        if self.path is None:
            return
        arrays: dict[str, Any] = {f"best_{n}": weight for n, weight in enumerate(self.best)}
        arrays |= {f"variable_{n}": np.asarray(v) for n, v in enumerate(self._variables())}
        notes = json.dumps({"key": self.key, "rows": self.rows})
        with atomic_path(self.path) as temporary:
            np.savez(temporary, notes=np.array(notes), **arrays)

    def _read(self) -> None:
        """Read the file, if it is there, whole, and of this very stage."""
        if self.path is None or not self.path.is_file():
            return
        try:
            with np.load(self.path) as arrays:
                notes = json.loads(str(arrays["notes"]))
                if notes["key"] != self.key:
                    return
                saved, best = (
                    [arrays[name] for name in arrays.files if name.startswith(kind)]
                    for kind in ("variable_", "best_")
                )
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return  # damaged: the stage starts anew
        self.rows, self.saved, self.best = notes["rows"], saved, best


def keep_if_better(
    model: keras.Model, checkpoint: Checkpoint, history: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Give a model the best weights of a stage, or take the whole stage back, and say which.

    Args:
        model: the one that was fitted with the checkpoint.
        checkpoint: of the stage.
        history: the rows of `history.csv` of the stages before.

    Returns:
        The history with the stage's rows added.
    """
    rows = pd.DataFrame(checkpoint.rows, columns=HISTORY_COLUMNS)
    if history is None:
        history = rows[:0]
    if rows.empty:
        return history
    best = rows.loc[rows["val_loss"].idxmin()]
    found = f"validation loss {best['val_loss']:.3f}, accuracy {best['val_accuracy']:.3f}"
    if history.empty or best["val_loss"] < history["val_loss"].min():
        model.set_weights(checkpoint.best)
        print(f"kept: epoch {best['epoch']} of stage {checkpoint.stage} ({found})")
    else:
        model.set_weights(checkpoint.start)
        before = history.loc[history["val_loss"].idxmin()]
        print(
            f"rolled back: stage {checkpoint.stage} got no further than {found}; the weights are "
            f"those of stage {before['stage']} again, at {before['val_loss']:.3f} and "
            f"{before['val_accuracy']:.3f}"
        )
    return pd.concat([history, rows], ignore_index=True) if len(history) else rows


def best_epoch(history: pd.DataFrame) -> pd.Series:
    """Return the row of `history.csv` with the lowest validation loss.

    Raises:
        ValueError: no stage had an epoch.
    """
    if history.empty:
        raise ValueError("Nothing was trained: set epochs or fine_tune_epochs to 1 or more.")
    return history.loc[history["val_loss"].idxmin()]


def read_history(run: Run) -> pd.DataFrame:
    """Return `history.csv` of a run."""
    return pd.read_csv(run.path("history.csv"))
