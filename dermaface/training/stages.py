"""Training in stages: optimizers, schedules, roll-back, and going on after a crash."""

from collections.abc import Callable, Sequence
import json
import math
from pathlib import Path
import time
from typing import Any
import zipfile

from dermaface.model import build
from dermaface.progress import progress_bar
from dermaface.quiet_tensorflow import keras, tf
from dermaface.runs import Run, atomic_path, write_csv
import numpy as np
import pandas as pd

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("constant", "cosine", "plateau")
HISTORY_COLUMNS = "stage epoch loss accuracy val_loss val_accuracy learning_rate".split()
# What Keras's callbacks know of a stage besides the model.
STATES = {
    keras.callbacks.EarlyStopping: ("best", "best_epoch", "best_weights", "stopped_epoch", "wait"),
    keras.callbacks.LearningRateScheduler: (),
    keras.callbacks.ReduceLROnPlateau: ("best", "cooldown_counter", "wait"),
}


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


def measure_cut(model: keras.Model, at: str | float) -> tuple[int, tuple[int, ...], int]:
    """Return what a stage freezes, keeps and trains if learning starts at `at`.

    Args:
        model: as from `build.build_model`.
        at: as for `build.split_model`, which is what happens to the model here.

    Returns:
        How many weights the frozen front has, the shape of what it makes of a photo, and how many
        weights learn.
    """
    frozen, rest = build.split_model(model, at)
    return frozen.count_params(), frozen.output_shape[1:], build.count_parameters(rest)["trainable"]


def make_callbacks(
    schedule: str, learning_rate: float, epochs: int, patience: int
) -> list[keras.callbacks.Callback]:
    """Return the Keras callbacks that steer a stage: when it ends, and how its rate changes.

    At the end, the weights of the epoch with the lowest validation loss are put back. Written out
    in notebook 03.

    Args:
        schedule: "constant"; "cosine", which falls from `learning_rate` towards 0 along half a
            cosine, epoch by epoch (Loshchilov and Hutter 2017, without restarts); or "plateau",
            which halves the rate whenever two epochs in a row have brought no lower validation
            loss.
        learning_rate: of the first epoch.
        epochs: of the stage, at the most.
        patience: epochs without a lower validation loss after which the stage ends; 0 is never.

    Raises:
        ValueError: there is no such schedule, or a number is out of range.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"There is no schedule {schedule!r}; known: {', '.join(SCHEDULES)}.")
    if epochs < 0 or patience < 0:
        raise ValueError(
            "The number of epochs and early_stopping_patience must not be negative; got "
            f"{epochs} and {patience}."
        )
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=patience or epochs, restore_best_weights=True
    )
    cosine = keras.optimizers.schedules.CosineDecay(learning_rate, decay_steps=max(epochs, 1))
    rates = {
        "constant": [],
        "cosine": [keras.callbacks.LearningRateScheduler(lambda epoch: float(cosine(epoch)))],
        "plateau": [keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=2, min_delta=0.0)],
    }
    return [stopping, *rates[schedule]]


class Checkpoint(keras.callbacks.Callback):
    """Lets a stage that was interrupted go on as if nothing had been, and notes its history.

    After each epoch it writes all that the next one depends on into a file, in one step: the
    weights, the optimizer, the random states of dropout, and what the other callbacks know, which
    Keras's own `BackupAndRestore` leaves out. A second `Checkpoint` on this file puts all of it
    back, and `fit` must be told to start at `initial_epoch`. It also stops a training whose loss
    became NaN or infinite.

    Attributes:
        rows: the epochs so far, with the columns of `history.csv`.
        initial_epoch: the epoch to go on with, from 0; the number of epochs if the stage is over.
        start: the weights that the stage began with.
        seconds: how long the last `fit` took.
    """

    def __init__(
        self,
        stage: str,
        epochs: int,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        folder: Path | None = None,
        key: str = "",
    ):
        """Prepare a stage.

        Args:
            stage: its name in `history.csv`.
            epochs: at the most.
            callbacks: the others that `fit` is given, of the kinds in `STATES`. In `fit`'s list
                they must stand before this one, for they forget all when the training begins.
            folder: where the file lies, named after the stage; None keeps nothing.
            key: what the stage depends on besides its weights; a file with another key is not used.

        Raises:
            ValueError: a callback of which it is not known what must be kept.
        """
        super().__init__()
        for callback in callbacks:
            if type(callback) not in STATES:
                raise ValueError(
                    f"A stage cannot be interrupted with {type(callback).__name__} in it; known: "
                    f"{', '.join(kind.__name__ for kind in STATES)}."
                )
        self.stage, self.epochs, self.callbacks = stage, epochs, callbacks
        self.path = None if folder is None else folder / f"{stage}.npz"
        self.key = key
        self.rows: list[dict] = []
        self.initial_epoch = 0
        self.start: list[np.ndarray] = []
        self.saved: list[np.ndarray] = []
        self.states: list[dict] = []
        self.seconds = 0.0
        self._read()

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Note the weights that the stage starts from, and put back what an earlier one wrote."""
        self.begun = time.monotonic()
        self.start = self.model.get_weights()
        # Where the first step has to make variables, TensorFlow builds its graph twice.
        self.model.optimizer.build(self.model.trainable_variables)
        nothing = np.zeros((1, *self.model.output_shape[1:]), np.float32)
        self.model.compute_metrics(None, nothing, nothing)
        self.model.reset_metrics()
        if self.saved:
            for variable, value in zip(self._variables(), self.saved, strict=True):
                variable.assign(value)
            for callback, state in zip(self.callbacks, self.states, strict=True):
                vars(callback).update(state)
        what = f"training, stage {self.stage}"
        self.bar = progress_bar(self.epochs, what, "epochs", self.initial_epoch)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Stop in the middle of an epoch whose loss became NaN or infinite.

        Raises:
            ValueError: it did.
        """
        if logs:
            self._check("loss", logs["loss"])

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Note the epoch's figures, and write the file.

        Raises:
            ValueError: the validation loss became NaN or infinite.
        """
        self._check("validation loss", logs["val_loss"])
        # A schedule may have set the next epoch's rate already; then it says which was this one's.
        rate = logs.get("learning_rate", self._learning_rate())
        figures = logs | {"stage": self.stage, "epoch": epoch + 1, "learning_rate": rate}
        self.rows.append({name: figures[name] for name in HISTORY_COLUMNS})
        self._write(over=self.model.stop_training)
        self.bar.update()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Put the progress bar away and stop the clock."""
        self.bar.close()
        self.seconds = time.monotonic() - self.begun

    def _check(self, name: str, loss: float) -> None:
        """Stop the training if a loss is NaN or infinite."""
        if not math.isfinite(loss):
            raise ValueError(
                f"The {name} of stage {self.stage!r} became NaN: the learning rate "
                f"{self._learning_rate():.3g} is too high for this model. Set "
                "a lower one and run the notebook again."
            )

    def _learning_rate(self) -> float:
        """Return the optimizer's learning rate, also where several devices hold it."""
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def _variables(self) -> list:
        """Return all that the next step depends on: weights, states of dropout, the optimizer's."""
        metrics = {id(variable) for variable in self.model.metrics_variables}
        own = [v for v in self.model.variables if id(v) not in metrics]
        return [*own, *self.model.optimizer.variables]

    def _write(self, over: bool) -> None:
        """Write the file, in one step."""
        if self.path is None:
            return
        arrays: dict[str, Any] = {
            f"variable_{n}": np.asarray(variable) for n, variable in enumerate(self._variables())
        }
        numbers: list[dict] = []
        for place, callback in enumerate(self.callbacks):
            state = {name: getattr(callback, name) for name in STATES[type(callback)]}
            weights = state.pop("best_weights", [])
            arrays |= {f"callback_{place}_{n}": weight for n, weight in enumerate(weights)}
            numbers.append(state)
        notes = {"key": self.key, "rows": self.rows, "over": over, "callbacks": numbers}
        with atomic_path(self.path) as temporary:
            np.savez(temporary, notes=np.array(json.dumps(notes)), **arrays)

    def _read(self) -> None:
        """Read the file, if it is there, whole, and of this very stage."""
        if self.path is None or not self.path.is_file():
            return
        try:
            with np.load(self.path) as arrays:
                notes = json.loads(str(arrays["notes"]))
                if notes["key"] != self.key:
                    return

                def read(kind: str) -> list[np.ndarray]:
                    return [arrays[name] for name in arrays.files if name.startswith(kind)]

                saved, states = read("variable_"), notes["callbacks"]
                for place, state in enumerate(states):
                    if weights := read(f"callback_{place}_"):
                        state["best_weights"] = weights
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return  # damaged: the stage starts anew
        self.rows, self.saved, self.states = notes["rows"], saved, states
        self.initial_epoch = self.epochs if notes["over"] else len(self.rows)


def fit_stage(
    model: keras.Model,
    data: tuple[tf.data.Dataset, tf.data.Dataset],
    checkpoint: Checkpoint,
    **fitting: Any,
) -> None:
    """Fit a compiled model as a checkpoint says; written out in notebook 03.

    Args:
        model: or the part of it that learns.
        data: to train on and to validate by, as from `features.keep_features`.
        checkpoint: of the stage, made with the other callbacks.
        fitting: what else `fit` is given.
    """
    train, validation = data
    # Both make variables when they first see data, and `fit` would trace its step anew for that.
    model.optimizer.build(model.trainable_variables)
    model.evaluate(validation.take(1), verbose=0)
    model.fit(
        train,
        validation_data=validation,
        epochs=checkpoint.epochs,
        initial_epoch=checkpoint.initial_epoch,
        callbacks=[*checkpoint.callbacks, checkpoint],
        **fitting,
    )


def keep_if_better(
    model: keras.Model, checkpoint: Checkpoint, history: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Take a stage back if its lowest validation loss is no lower than all before.

    Args:
        model: the one that was fitted with the checkpoint and with `make_callbacks`, so that it
            has the stage's best weights.
        checkpoint: of the stage.
        history: the rows of `history.csv` of the stages before.

    Returns:
        The history with the stage's rows added.
    """
    rows = pd.DataFrame(checkpoint.rows, columns=HISTORY_COLUMNS)
    if history is None or history.empty:
        return rows
    if rows.empty:
        return history
    if not rows["val_loss"].min() < history["val_loss"].min():
        model.set_weights(checkpoint.start)
    return pd.concat([history, rows], ignore_index=True)


def train_in_order(
    model: keras.Model,
    plan: Sequence[tuple[str, float]],
    fit: Callable[..., pd.DataFrame],
    **fitting: Any,
) -> tuple[pd.DataFrame, float]:
    """Train a whole model in stages, each with its own first layer that learns.

    Args:
        model: its last layer is the answer, and its first layer on pooled features is "pooling".
        plan: for each stage the first layer that learns, as for `build.set_trainable`, and the
            learning rate.
        fit: compiles a model with a learning rate, trains it and returns its history.
        fitting: what else `fit` is given.

    Returns:
        The history of all stages, and how far the backbone's kernels went from where they were, as
        a share of their length.
    """
    kernels = [w for x in model.layers[:-1] for w in x.weights if w.path.endswith("kernel")]
    before = [weights.numpy() for weights in kernels]
    histories = []
    for first, learning_rate in plan:
        build.set_trainable(model, first)
        histories.append(fit(model, learning_rate, **fitting))
    way = sum(np.square(w.numpy() - b).sum() for w, b in zip(kernels, before, strict=True))
    share = np.sqrt(way / sum(np.square(b).sum() for b in before))
    return pd.concat(histories, ignore_index=True), float(share)


def write_history(run: Run, history: pd.DataFrame, scratch: pd.DataFrame) -> None:
    """Write `history.csv`, and `scratch.csv` if there is a row for it; else an old one goes.

    Args:
        run: the run.
        history: of all stages.
        scratch: of the same network from random weights.
    """
    write_csv(run.path("history.csv"), history)
    if len(scratch):
        write_csv(run.path("scratch.csv"), scratch)
    else:
        run.path("scratch.csv").unlink(missing_ok=True)


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
