"""Tests of dermaface.training.devices."""

import json
import subprocess
import sys

from dermaface.model import build
from dermaface.quiet_tensorflow import keras, tf
from dermaface.training import devices
import numpy as np
import pytest


@pytest.mark.parametrize(
    ("count", "batch_size", "replicas", "expected"),
    [(64, 32, 2, 32), (65, 32, 2, 31), (65, 32, 1, 32), (7, 32, 2, 7), (9, 4, 3, 3), (2, 32, 2, 2)],
)
def test_no_replica_goes_without_images(count, batch_size, replicas, expected):
    size = devices.evaluation_batch_size(count, batch_size, replicas)
    assert size == expected
    assert count % size == 0 or count % size >= replicas


def test_fewer_images_than_devices():
    with pytest.raises(ValueError, match="4 devices cannot share 3 images"):
        devices.evaluation_batch_size(3, 32, 4)


def test_mirrored_needs_several_devices():
    assert devices.make_strategy(False) is tf.distribute.get_strategy()
    with pytest.raises(ValueError, match="this machine has 0"):
        devices.make_strategy(True)


def test_a_model_is_loaded_in_the_precision_of_the_machine(tmp_path, monkeypatch):
    build.build_model(3, "tiny", 32).save(tmp_path / "model.keras")
    assert devices.load_model(tmp_path / "model.keras").compute_dtype == "float32"
    monkeypatch.setattr(devices, "choose_precision", {True: "mixed_float16", False: "float32"}.get)
    assert devices.load_model(tmp_path / "model.keras").compute_dtype == "float16"
    assert devices.load_model(tmp_path / "model.keras", False).compute_dtype == "float32"
    with pytest.raises(ValueError, match="this machine has 0"):
        devices.load_model(tmp_path / "model.keras", mirrored=True)


TRAIN_ON_TWO_DEVICES = """
import json, sys
import pandas as pd
from dermaface.model import build
from dermaface.photos import images
from dermaface.quiet_tensorflow import keras, tf
from dermaface.training import datasets, devices
import numpy as np

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
path = sys.argv[2]
root, frame = images.find_images(sys.argv[1])
class_names = sorted(set(frame["label"]))
train, validation = frame[frame.index % 3 > 0], frame[frame.index % 3 == 0]
out = {}
build.build_model(len(class_names), "tiny", 64, dropout_rate=0.0).save(path)
for mirrored in (False, True, False):
    keras.utils.set_random_seed(0)
    # All that follows lives where the model does.
    model = devices.load_model(path, mirrored=mirrored)
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    # Both see the same batches: Keras starts a shuffled dataset once more for several devices.
    train_ds = datasets.make_dataset(
        train.sample(frac=1, random_state=0), root, class_names, 64,
        datasets.Order(16, drop_remainder=True),
    )
    size = devices.evaluation_batch_size(len(validation), 43)
    assert size == 43 - mirrored
    validation_ds = datasets.make_dataset(validation, root, class_names, 64, datasets.Order(size))
    build.set_trainable(model)
    model.compile(keras.optimizers.Adam(0.003), "categorical_crossentropy", metrics=["accuracy"])
    epochs = 1 if replicas in out else 6  # the third only shows that one device works again
    history = model.fit(
        train_ds, validation_data=validation_ds, epochs=epochs, shuffle=False, verbose=0
    )
    out.setdefault(replicas, history.history["val_accuracy"][-1])
    out["devices"] = out.get("devices", []) + [replicas]
    assert devices.describe().startswith("no GPU")
try:
    devices.make_strategy(True, steps_per_execution=2)
except ValueError as error:
    out["error"] = str(error)
print(json.dumps(out | {"images": len(validation)}))
"""


@pytest.mark.slow
def test_two_devices_train_like_one(sample_folder, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", TRAIN_ON_TWO_DEVICES, str(sample_folder), f"{tmp_path}/a.keras"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    accuracy = json.loads(done.stdout.splitlines()[-1])
    assert accuracy["images"] == 44 and accuracy["devices"] == [1, 2, 1] and accuracy["1"] > 0.4
    assert abs(accuracy["1"] - accuracy["2"]) * 44 <= 2 + 1e-6
    assert "steps_per_execution 1 and got 2" in accuracy["error"]


def test_half_precision_is_for_fast_gpus_alone(monkeypatch):
    assert devices.choose_precision(True) == "float32"
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a", "b"])
    for capabilities, expected in (
        ([(7, 0), (8, 6)], "mixed_float16"), ([(6, 1), (8, 6)], "float32"),
    ):  # fmt: skip
        details = dict(zip("ab", capabilities, strict=True))
        monkeypatch.setattr(
            tf.config.experimental, "get_device_details",
            lambda gpu, details=details: {"compute_capability": details[gpu]},
        )  # fmt: skip
        assert devices.choose_precision(True) == expected
        assert devices.choose_precision(False) == "float32"


@pytest.mark.slow
def test_half_precision_trains_and_leaves_no_trace(tmp_path):
    keras.utils.set_random_seed(0)
    model = build.build_model(3, "tiny", 32)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3)).astype("float32")
    expected = model(pixels).numpy()

    devices.set_precision(model, "mixed_float16")
    halved = model(pixels).numpy()
    assert halved.dtype == np.float32 and np.abs(halved - expected).max() < 0.02
    assert (halved != expected).any()
    build.set_trainable(model)
    model.compile(keras.optimizers.Adam(), "categorical_crossentropy")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    model.fit(pixels, np.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1]], verbose=0)

    devices.set_precision(model, "float32")
    model.save(tmp_path / "model.keras")
    loaded = build.load_model(tmp_path / "model.keras")
    assert "float16" not in loaded.to_json()
    assert loaded.compute_dtype == "float32"
    np.testing.assert_array_equal(
        loaded.predict(pixels, verbose=0), model.predict(pixels, verbose=0)
    )


def test_a_step_that_does_not_fit_names_a_batch_size_that_does(small_model, monkeypatch):
    build.set_trainable(small_model, "Conv1")
    needed = devices.training_memory(small_model, 64)
    monkeypatch.setattr(devices, "available_memory", lambda: needed // 3)
    with pytest.raises(ValueError, match=r"64 photos.*Set batch_size to 16") as caught:
        devices.check_memory(small_model, 64)
    assert "GB are free" in str(caught.value)
    devices.check_memory(small_model, 16)
    monkeypatch.setattr(devices, "available_memory", lambda: 1000)
    with pytest.raises(ValueError, match="Not even a batch of one photo"):
        devices.check_memory(small_model, 64)


def test_a_frozen_backbone_needs_less_memory(small_model):
    build.set_trainable(small_model)
    frozen = devices.training_memory(small_model, 32)
    build.set_trainable(small_model, "Conv1")
    assert devices.training_memory(small_model, 32) > 3 * frozen
    build.set_trainable(small_model)


def test_free_memory_is_plausible():
    assert 10**8 < devices.available_memory() < 10**13
