"""Tests of dermaface.training.stages."""

from dermaface import runs
from dermaface.quiet_tensorflow import keras, tf
from dermaface.training import stages
import numpy as np
import pandas as pd
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


def prepare(stage="head", epochs=8, schedule="constant", patience=0, rate=0.1, **options):
    """Return the callbacks of a stage for `fit`: Keras's own and, as the last, a checkpoint."""
    steering = stages.make_callbacks(schedule, rate, epochs, patience)
    return [*steering, stages.Checkpoint(stage, epochs, steering, **options)]


def fit(model, callbacks, wrong=False, after=()):
    """Fit, with wrong validation labels if asked, and return the checkpoint."""
    checkpoint = callbacks[-1]
    model.fit(
        POINTS, LABELS, validation_data=validation_data(wrong), epochs=checkpoint.epochs,
        initial_epoch=checkpoint.initial_epoch, callbacks=[*callbacks, *after], verbose=0,
        shuffle=False,
    )  # fmt: skip
    return checkpoint


def validation_data(wrong=False):
    return POINTS[:16], 1 - LABELS[:16] if wrong else LABELS[:16]


def test_history_has_the_columns_of_the_contract():
    model = make_model()
    history = stages.keep_if_better(model, fit(model, prepare(epochs=3)))
    assert ",".join(history.columns) == (
        "stage,epoch,loss,accuracy,val_loss,val_accuracy,learning_rate"
    )
    assert history["epoch"].tolist() == [1, 2, 3] and set(history["stage"]) == {"head"}
    assert history["learning_rate"].to_list() == pytest.approx([0.1] * 3)


def test_early_stopping_ends_a_stage_and_the_best_weights_are_kept(tmp_path):
    # The validation labels are wrong, so every epoch makes the validation loss worse.
    model = make_model()
    options = {"epochs": 9, "patience": 2, "folder": tmp_path}
    checkpoint = fit(model, prepare(**options), wrong=True)
    losses = [row["val_loss"] for row in checkpoint.rows]
    assert len(losses) == 3 and losses[0] == min(losses)
    loss = model.evaluate(*validation_data(wrong=True), verbose=0)[0]
    assert loss == pytest.approx(losses[0], abs=1e-6)
    # The stage is over: it is not trained again, and its best weights are put back.
    again = prepare(**options)
    other = make_model()
    assert again[-1].initial_epoch == 9
    assert fit(other, again, wrong=True).rows == checkpoint.rows
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_patience_0_never_ends_a_stage():
    assert len(fit(make_model(), prepare(epochs=6, patience=0), wrong=True).rows) == 6


def test_a_stage_that_brings_nothing_is_rolled_back():
    model = make_model()
    history = stages.keep_if_better(model, fit(model, prepare(epochs=6)))
    before = model.get_weights()
    second = fit(model, prepare("fine_tune", 3), wrong=True)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    history = stages.keep_if_better(model, second, history)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(history) == 9 and stages.best_epoch(history)["stage"] == "head"


def test_a_stage_that_brings_something_is_kept():
    model = make_model(learning_rate=0.01)
    history = stages.keep_if_better(model, fit(model, prepare(epochs=2, rate=0.01)))
    second = fit(model, prepare("fine_tune", 3, rate=0.01))
    best = model.get_weights()
    history = stages.keep_if_better(model, second, history)
    for one, other in zip(best, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(history) == 5 and stages.best_epoch(history)["stage"] == "fine_tune"


class Killed(Exception):
    """Stands for the end of the process."""


class Kill(keras.callbacks.Callback):
    """Ends the training in the middle of an epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations == 9:  # the first batch of the fifth epoch
            raise Killed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "schedule", "wrong"),
    [
        ("adamw", "cosine", False), ("sgd", "constant", False), ("adamw", "plateau", False),
        ("adamw", "plateau", True), ("sgd", "cosine", True),
    ],
)  # fmt: skip
def test_a_killed_stage_goes_on_as_if_nothing_had_been(tmp_path, optimizer, schedule, wrong):
    # With wrong validation labels, the rate is halved and the stage ends some epochs after the
    # kill, if what Keras's callbacks had counted before it is not forgotten.
    options = {"schedule": schedule, "patience": 5 if wrong else 0}
    model = make_model(optimizer)
    whole = fit(model, prepare(**options), wrong)

    options |= {"folder": tmp_path, "key": "a"}
    with pytest.raises(Killed):
        fit(make_model(optimizer), prepare(**options), wrong, after=[Kill()])
    resumed = prepare(**options)
    assert resumed[-1].initial_epoch == 4
    other = make_model(optimizer)
    other.predict(POINTS, verbose=0)
    fit(other, resumed, wrong)
    assert resumed[-1].rows == whole.rows and len(whole.rows) == (6 if wrong else 8)
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_what_keras_keeps_would_not_be_enough(tmp_path):
    # Should this fail one day, `Checkpoint` can go.
    def fit_with_backup(model, *after):
        (stopping,) = stages.make_callbacks("constant", 0.1, 8, 5)
        backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
        history = model.fit(
            POINTS, LABELS, validation_data=validation_data(wrong=True), epochs=8, verbose=0,
            shuffle=False, callbacks=[stopping, backup, *after],
        )  # fmt: skip
        return history.epoch

    with pytest.raises(Killed):
        fit_with_backup(make_model(), Kill())
    assert fit_with_backup(make_model()) == [4, 5, 6, 7]  # and not [4, 5]


@pytest.mark.parametrize(
    "change", ["another key", "damaged", "damaged at the end", "cut short", "empty"]
)
def test_a_file_of_something_else_or_damaged_is_not_used(tmp_path, change):
    path = tmp_path / "head.npz"
    fit(make_model(), prepare(epochs=2, folder=tmp_path, key="a"))
    assert prepare(epochs=2, folder=tmp_path, key="a")[-1].initial_epoch == 2
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
    assert prepare(epochs=2, folder=tmp_path, key=key)[-1].initial_epoch == 0


def test_a_loss_that_became_nan_is_an_error():
    with pytest.raises(ValueError, match=r"became NaN.*learning rate 1e.30 .*lower one"):
        fit(make_model("sgd", 1e30), prepare(epochs=3, rate=1e30))


@pytest.mark.parametrize("before", [[], [0.5]], ids=["first epoch", "second epoch"])
def test_a_validation_loss_that_is_nan_is_an_error(tmp_path, before):
    callbacks = prepare(epochs=3, folder=tmp_path)
    callbacks[-1].rows = [{"val_loss": loss} for loss in before]
    with pytest.raises(ValueError, match=r"The validation loss of stage 'head' became NaN.*lower"):
        make_model().fit(
            POINTS, LABELS, validation_data=(POINTS[:16], LABELS[:16] * np.nan), epochs=3,
            callbacks=callbacks, verbose=0,
        )  # fmt: skip
    assert len(callbacks[-1].rows) == len(before) and not callbacks[-1].path.exists()


def test_of_equal_validation_losses_the_first_is_kept_and_reported():
    model = make_model()
    callbacks = prepare(epochs=4)
    for callback in callbacks:
        callback.set_model(model)
        callback.on_train_begin()
    for epoch, loss in enumerate([0.7, 0.5, 0.5, 0.6]):
        model.set_weights([np.full_like(weight, epoch) for weight in model.get_weights()])
        logs = {"loss": 1.0, "accuracy": 0.5, "val_loss": loss, "val_accuracy": epoch / 10}
        for callback in callbacks:
            callback.on_epoch_end(epoch, logs)
    for callback in callbacks:
        callback.on_train_end()
    history = stages.keep_if_better(model, callbacks[-1])
    assert stages.best_epoch(history)["epoch"] == 2
    assert all((weight == 1).all() for weight in model.get_weights())
    # Equal to the best before is no better: the stage is taken back.
    second = stages.Checkpoint("fine_tune", 1)
    second.start = [np.full_like(weight, 7) for weight in model.get_weights()]
    second.rows = [history.iloc[1].to_dict() | {"stage": "fine_tune"}]
    stages.keep_if_better(model, second, history)
    assert all((weight == 7).all() for weight in model.get_weights())


def rates_of(schedule, val_losses):
    """Return the learning rate of each epoch with these validation losses, 0.1 at first."""
    model = make_model()
    callbacks = prepare(epochs=len(val_losses), schedule=schedule)
    for callback in callbacks:
        callback.set_model(model)
        callback.on_train_begin()
    for epoch, loss in enumerate(val_losses):
        logs = {"loss": 1.0, "accuracy": 0.5, "val_loss": loss, "val_accuracy": 0.5}
        for callback in callbacks:
            callback.on_epoch_begin(epoch)
        for callback in callbacks:
            callback.on_epoch_end(epoch, logs)
    return [row["learning_rate"] for row in callbacks[-1].rows]


def test_schedules():
    assert rates_of("constant", [1, 1, 1]) == pytest.approx([0.1] * 3)
    expected = [0.1, 0.085355, 0.05, 0.014645]
    assert rates_of("cosine", [1, 1, 1, 1]) == pytest.approx(expected, abs=1e-6)
    assert rates_of("plateau", [3, 2, 1, 1]) == pytest.approx([0.1] * 4)
    assert rates_of("plateau", [3, 4, 3.5, 1]) == pytest.approx([0.1, 0.1, 0.1, 0.05])
    expected = [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025]
    assert rates_of("plateau", [3, 4, 3, 2, 2, 2, 2]) == pytest.approx(expected)
    # However little it is lower, it is lower.
    assert rates_of("plateau", [3, 2.99999, 2.99998, 1]) == pytest.approx([0.1] * 4)


def test_a_packaged_fit_does_what_a_checkpoint_says(tmp_path):
    by_hand = make_model()
    expected = fit(by_hand, prepare(epochs=4, schedule="cosine"))
    *_, checkpoint = prepare(epochs=4, schedule="cosine", folder=tmp_path)
    model = make_model()
    data = [
        tf.data.Dataset.from_tensor_slices(pair).batch(32)
        for pair in ((POINTS, LABELS), validation_data())
    ]
    stages.fit_stage(model, data, checkpoint, shuffle=False, verbose=0)
    assert checkpoint.rows == expected.rows and (tmp_path / "head.npz").is_file()


def test_history_and_what_was_trained_from_random_numbers_are_written(tmp_path):
    run = runs.open_run("a", tmp_path)
    model = make_model()
    history = stages.keep_if_better(model, fit(model, prepare(epochs=2)))
    stages.write_history(run, history, history.assign(stage="from_scratch"))
    scratch = pd.read_csv(run.path("scratch.csv"))
    assert list(scratch.columns) == list(stages.read_history(run).columns)
    assert set(scratch["stage"]) == {"from_scratch"} and len(scratch) == 2
    stages.write_history(run, history, history[:0])
    assert not run.path("scratch.csv").exists() and len(stages.read_history(run)) == 2


def test_what_a_stage_freezes_keeps_and_trains(small_model):
    total = small_model.count_params()
    frozen, shape, learning = stages.measure_cut(small_model, "head")
    assert shape == (1280,) and frozen + learning == total
    frozen, shape, learning = stages.measure_cut(small_model, "Conv1")
    assert frozen == 0 and shape[-1] == 3 and learning > 0.9 * total


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stages.make_optimizer("adam", 0.1), "no optimizer 'adam'; known: adamw, sgd"),
        (lambda: stages.make_optimizer("sgd", 0), "must be positive"),
        (lambda: stages.make_optimizer("sgd", 0.1, -1), "must not be negative"),
        (lambda: prepare(schedule="cosin"), "known: constant, cosine, plateau"),
        (lambda: prepare(epochs=-1), "must not be negative"),
        (lambda: prepare(patience=-1), "must not be negative"),
        (
            lambda: stages.Checkpoint("head", 1, [keras.callbacks.CSVLogger("a.csv")]),
            "cannot be interrupted with CSVLogger",
        ),
    ],
)
def test_arguments_out_of_range(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_without_a_stage_there_is_no_best_epoch():
    model = make_model()
    history = stages.keep_if_better(model, fit(model, prepare(epochs=0)))
    with pytest.raises(ValueError, match="Nothing was trained"):
        stages.best_epoch(history)


def test_each_stage_of_an_order_frees_its_own_layers_and_the_way_of_the_kernels_is_measured():
    image = keras.Input((8, 8, 3))
    maps = keras.layers.Conv2D(2, 3, name="early")(image)
    maps = keras.layers.Conv2D(2, 3, name="late")(maps)
    pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(maps)
    model = keras.Model(image, keras.layers.Dense(1, name="yes")(pooled))
    seen = []

    def fit(model, rate, epochs):
        free = [layer.name for layer in model.layers if layer.trainable_weights]
        seen.append((free, rate, epochs))
        if "late" in free:
            model.get_layer("late").kernel.assign(2 * model.get_layer("late").kernel)
        model.get_layer("yes").kernel.assign_add(keras.ops.ones((2, 1)))
        return pd.DataFrame({"loss": [rate]})

    early, late = (np.square(model.get_layer(name).kernel).sum() for name in ("early", "late"))
    order = [("pooling", 0.1), ("late", 0.01)]
    history, moved = stages.train_in_order(model, order, fit, epochs=3)
    assert seen == [(["yes"], 0.1, 3), (["late", "yes"], 0.01, 3)]
    assert history["loss"].tolist() == [0.1, 0.01]
    assert moved == pytest.approx(np.sqrt(late / (early + late)), rel=1e-5)
    _, moved = stages.train_in_order(model, order[:1], fit, epochs=3)
    assert moved == 0  # the answer's own kernel does not count
