"""Tests of dermaface.training.stages."""

from dermaface.quiet_tensorflow import keras
from dermaface.training import stages
import numpy as np
import pytest

GENERATOR = np.random.default_rng(0)
POINTS = GENERATOR.normal(size=(64, 2)).astype("float32")
LABELS = np.eye(2, dtype="float32")[(POINTS.sum(axis=1) > 0).astype(int)]


def make_model(optimizer="adamw", learning_rate=0.1):
    """Return a small compiled model for points that a line separates."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dropout(0.5),
         keras.layers.Dense(2, activation="softmax")]
    )  # fmt: skip
    model.compile(
        stages.make_optimizer(optimizer, learning_rate, 0.01),
        loss="categorical_crossentropy", metrics=["accuracy"],
    )  # fmt: skip
    return model


def fit(model, checkpoint, wrong=False, callbacks=()):
    """Fit, with wrong validation labels if asked, and return the validation data."""
    validation_data = POINTS[:16], 1 - LABELS[:16] if wrong else LABELS[:16]
    model.fit(
        POINTS, LABELS, validation_data=validation_data, epochs=checkpoint.epochs,
        initial_epoch=checkpoint.initial_epoch, callbacks=[checkpoint, *callbacks], verbose=0,
        shuffle=False,
    )  # fmt: skip
    return validation_data


def test_history_has_the_columns_of_the_contract(capsys):
    model, checkpoint = make_model(), stages.Checkpoint("head", 3, 0.1)
    fit(model, checkpoint)
    history = stages.keep_if_better(model, checkpoint)
    assert ",".join(history.columns) == (
        "stage,epoch,loss,accuracy,val_loss,val_accuracy,learning_rate"
    )
    assert history["epoch"].tolist() == [1, 2, 3] and set(history["stage"]) == {"head"}
    assert history["learning_rate"].to_list() == pytest.approx([0.1] * 3)
    assert "kept: epoch" in capsys.readouterr().out


def test_early_stopping_ends_a_stage_and_the_best_weights_are_kept():
    # The validation labels are wrong, so every epoch makes the validation loss worse.
    model = make_model()
    checkpoint = stages.Checkpoint("head", 9, 0.1, early_stopping_patience=2)
    validation_data = fit(model, checkpoint, wrong=True)
    losses = checkpoint.val_losses
    assert len(losses) == 3 and losses[0] == min(losses)
    assert checkpoint.initial_epoch == 9  # over: nothing is left to do
    stages.keep_if_better(model, checkpoint)
    loss = model.evaluate(*validation_data, verbose=0)[0]
    assert loss == pytest.approx(losses[0], abs=1e-6)


def test_a_stage_that_brings_nothing_is_rolled_back(capsys):
    model = make_model()
    first = stages.Checkpoint("head", 6, 0.1)
    fit(model, first)
    history = stages.keep_if_better(model, first)
    before = model.get_weights()
    second = stages.Checkpoint("fine_tune", 3, 0.1)
    fit(model, second, wrong=True)
    capsys.readouterr()
    history = stages.keep_if_better(model, second, history)
    printed = capsys.readouterr().out
    assert "rolled back: stage fine_tune" in printed and "stage head again" in printed
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(history) == 9 and stages.best_epoch(history)["stage"] == "head"


class Killed(Exception):
    """Stands for the end of the process."""


class Kill(keras.callbacks.Callback):
    """Ends the training in the middle of an epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == 7:  # the second batch of the fourth epoch
            raise Killed


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", stages.OPTIMIZERS)
@pytest.mark.parametrize("schedule", stages.SCHEDULES)
def test_a_killed_stage_goes_on_as_if_nothing_had_been(tmp_path, optimizer, schedule):
    whole = stages.Checkpoint("head", 8, 0.1, schedule)
    model = make_model(optimizer)
    fit(model, whole)

    options = {"path": tmp_path / "head.npz", "key": "a"}
    killed = make_model(optimizer)
    with pytest.raises(Killed):
        fit(killed, stages.Checkpoint("head", 8, 0.1, schedule, **options), callbacks=[Kill()])
    resumed = stages.Checkpoint("head", 8, 0.1, schedule, **options)
    assert resumed.initial_epoch == 3
    other = make_model(optimizer)
    other.predict(POINTS, verbose=0)
    fit(other, resumed)
    assert resumed.rows == whole.rows
    stages.keep_if_better(other, resumed)
    stages.keep_if_better(model, whole)
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    "change", ["another key", "damaged", "damaged at the end", "cut short", "empty"]
)
def test_a_file_of_something_else_or_damaged_is_not_used(tmp_path, change):
    path = tmp_path / "head.npz"
    fit(make_model(), stages.Checkpoint("head", 2, 0.1, path=path, key="a"))
    assert stages.Checkpoint("head", 2, 0.1, path=path, key="a").initial_epoch == 2
    content = path.read_bytes()
    if change == "damaged":
        path.write_bytes(content[:400] + b"x" * 300 + content[700:])
    if change == "damaged at the end":  # in the last of the arrays, whose checksum then fails
        last = content.rindex(b"NUMPY") + 130
        path.write_bytes(content[:last] + bytes([content[last] ^ 1]) + content[last + 1 :])
    if change == "cut short":
        path.write_bytes(content[:-500])
    if change == "empty":
        path.write_bytes(b"")
    key = "b" if change == "another key" else "a"
    assert stages.Checkpoint("head", 2, 0.1, path=path, key=key).initial_epoch == 0


def test_a_loss_that_became_nan_is_an_error():
    with pytest.raises(ValueError, match=r"became NaN.*learning rate 1e.30 .*lower one"):
        fit(make_model("sgd", 1e30), stages.Checkpoint("head", 3, 1e30))


@pytest.mark.parametrize("before", [[], [0.5]], ids=["first epoch", "second epoch"])
def test_a_validation_loss_that_is_nan_is_an_error(tmp_path, before):
    model, checkpoint = make_model(), stages.Checkpoint("head", 3, 0.1, path=tmp_path / "a.npz")
    checkpoint.rows = [{"val_loss": loss} for loss in before]
    with pytest.raises(ValueError, match=r"The validation loss of stage 'head' became NaN.*lower"):
        model.fit(
            POINTS, LABELS, validation_data=(POINTS[:16], LABELS[:16] * np.nan), epochs=3,
            callbacks=[checkpoint], verbose=0,
        )  # fmt: skip
    assert len(checkpoint.rows) == len(before) and not checkpoint.path.exists()


def test_of_equal_validation_losses_the_first_is_kept_and_reported(capsys):
    model, checkpoint = make_model(), stages.Checkpoint("head", 4, 0.1)
    checkpoint.set_model(model)
    checkpoint.on_train_begin()
    for epoch, loss in enumerate([0.7, 0.5, 0.5, 0.6]):
        model.set_weights([np.full_like(weight, epoch) for weight in model.get_weights()])
        checkpoint.on_epoch_end(
            epoch, {"loss": 1.0, "accuracy": 0.5, "val_loss": loss, "val_accuracy": epoch / 10}
        )
    checkpoint.on_train_end()
    history = stages.keep_if_better(model, checkpoint)
    assert "kept: epoch 2 of stage head (validation loss 0.500" in capsys.readouterr().out
    assert stages.best_epoch(history)["epoch"] == 2
    assert all((weight == 1).all() for weight in model.get_weights())


def test_schedules():
    def rates(schedule, losses):
        return [stages.learning_rate_at(schedule, 0.1, 4, losses[:n]) for n in range(4)]

    assert rates("constant", [1, 1, 1]) == [0.1] * 4
    assert rates("cosine", [1, 1, 1]) == pytest.approx([0.1, 0.085355, 0.05, 0.014645], abs=1e-6)
    assert stages.learning_rate_at("plateau", 0.1, 9, [3, 2, 1]) == 0.1
    assert stages.learning_rate_at("plateau", 0.1, 9, [3, 4, 3.5]) == 0.05
    assert stages.learning_rate_at("plateau", 0.1, 9, [3, 4, 3, 2, 2, 2]) == 0.025


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stages.make_optimizer("adam", 0.1), "no optimizer 'adam'; known: adamw, sgd"),
        (lambda: stages.make_optimizer("sgd", 0), "must be positive"),
        (lambda: stages.make_optimizer("sgd", 0.1, -1), "must not be negative"),
        (lambda: stages.Checkpoint("head", 2, 0.1, "cosin"), "known: constant, cosine, plateau"),
        (lambda: stages.Checkpoint("head", -1, 0.1), "must not be negative"),
    ],
)
def test_arguments_out_of_range(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_without_a_stage_there_is_no_best_epoch():
    history = stages.keep_if_better(make_model(), stages.Checkpoint("head", 0, 0.1))
    with pytest.raises(ValueError, match="Nothing was trained"):
        stages.best_epoch(history)
