"""Tests of dermaface.model.hub: modules in every format, which the tests write themselves."""

from dermaface.evaluation.predictions import predict_tflite
from dermaface.model import build, hub
from dermaface.quiet_tensorflow import keras, tf
from dermaface.tflite import convert
import numpy as np
import pytest


@pytest.fixture(scope="module")
def features():
    """Return a small network with BatchNormalization, from pixels 0..255 to seven features."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(pixels)
    x = keras.layers.Conv2D(5, 3, strides=2)(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Conv2D(7, 3, strides=2, activation="relu")(x)
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x))


@pytest.fixture(scope="module")
def module(features, tmp_path_factory):
    return hub.save_module(features, str(tmp_path_factory.mktemp("hub ü") / "module"))


@pytest.fixture(scope="module")
def pictures():
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (12, 32, 32, 3)).astype("float32")
    return pixels, np.eye(3, dtype="float32")[generator.integers(0, 3, 12)]


@pytest.fixture
def model(module):
    keras.utils.set_random_seed(0)
    return build.build_model(3, backbone=module, image_size=32)


def test_the_module_gives_the_networks_features(features, module, pictures):
    layer = hub.HubFeatures(module)
    np.testing.assert_allclose(layer(pictures[0] / 255), features(pictures[0]), atol=1e-5)
    assert len(layer.trainable_weights) == 6 and len(layer.non_trainable_weights) == 2


def test_the_model_scales_for_the_module(features, model, pictures):
    assert [layer.name for layer in model.layers] == (
        ["image", "scaling", "hub", "pooling", "dropout", "probabilities"]
    )
    pooled = keras.Model(model.input, model.get_layer("pooling").output)
    np.testing.assert_allclose(pooled(pictures[0]), features(pictures[0]), atol=1e-5)


@pytest.mark.parametrize(("first", "moving"), [("pooling", 0), ("hub", 6)])
def test_frozen_or_trained_and_its_statistics_never_move(model, pictures, first, moving):
    build.set_trainable(model, first)
    model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
    layer = model.get_layer("hub")
    before = [weight.numpy() for weight in layer.weights]
    model.fit(*pictures, epochs=2, verbose=0)
    moved = [
        not np.array_equal(old, new.numpy()) for old, new in zip(before, layer.weights, strict=True)
    ]
    # A convolution's bias in front of BatchNormalization may or may not move; nothing else stays.
    assert moving - 1 <= sum(moved) <= moving
    assert not any(moved[-2:]) or sum(moved) == 0
    for weight, changed in zip(layer.weights, moved, strict=True):
        assert weight.trainable or not changed


def test_a_saved_model_answers_alike_after_training(model, pictures, tmp_path):
    build.set_trainable(model, "hub")
    model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
    model.fit(*pictures, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = build.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(pictures[0], verbose=0), model.predict(pictures[0], verbose=0), atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("variant", convert.VARIANTS)
def test_every_variant_answers_like_keras(model, pictures, variant, tmp_path):
    # With the kernel as it was drawn, the answers hardly differ from picture to picture.
    kernel, bias = model.get_layer("probabilities").get_weights()
    model.get_layer("probabilities").set_weights([10 * kernel, bias])
    expected = model.predict(pictures[0], verbose=0)
    assert np.ptp(expected, axis=0).max() > 0.3
    convert.export_saved_model(model, tmp_path / "saved_model")
    calibration = pictures[0].astype("uint8")
    content = convert.convert(tmp_path / "saved_model", variant, calibration)
    dataset = tf.data.Dataset.from_tensor_slices(pictures).batch(4)
    answers = predict_tflite({variant: content}, dataset)[variant]
    tolerance = {"float32": 1e-5, "float16": 0.005}.get(variant, 0.05)
    assert np.abs(answers - expected).max() <= tolerance


def test_what_keras_exports_is_a_module_too(features, pictures, tmp_path):
    features.export(tmp_path / "exported", verbose=False)
    layer = hub.HubFeatures(str(tmp_path / "exported"))
    np.testing.assert_allclose(layer(pictures[0]), features(pictures[0]), atol=1e-5)
    assert len(layer.weights) == 8


def test_a_module_of_the_old_format(tmp_path, pictures):
    module = tf.Module()
    module.kernel = tf.Variable(tf.ones((3, 4)), name="kernel")
    default = tf.function(
        lambda images: {"default": tf.reduce_mean(images, (1, 2)) @ module.kernel},
        input_signature=[tf.TensorSpec((None, 32, 32, 3), name="images")],
    )
    tf.saved_model.save(module, str(tmp_path), signatures={"default": default})
    layer = hub.HubFeatures(str(tmp_path))
    expected = pictures[0].mean(axis=(1, 2)).sum(axis=1)
    np.testing.assert_allclose(layer(pictures[0])[:, 0], expected, rtol=1e-4)
    assert len(layer.weights) == 1


def test_a_module_with_a_training_argument_runs_in_inference_mode(tmp_path, pictures):
    module = tf.train.Checkpoint()
    module.__call__ = tf.function(
        lambda images, training=False: tf.reduce_mean(images, (1, 2)) + (100.0 if training else 0)
    )
    for training in (False, True):
        module.__call__.get_concrete_function(
            tf.TensorSpec((None, 32, 32, 3), name="images"), training=training
        )
    tf.saved_model.save(module, str(tmp_path))
    layer = hub.HubFeatures(str(tmp_path))
    np.testing.assert_allclose(layer(pictures[0]), pictures[0].mean(axis=(1, 2)), rtol=1e-4)


def test_a_wrong_image_size_is_reported(module):
    with pytest.raises(ValueError, match=r"shape \(48, 48, 3\): set image_size"):
        build.build_model(3, backbone=module, image_size=48)


def test_an_output_that_is_no_vector_is_reported(tmp_path):
    pixels = keras.Input((32, 32, 3))
    grid = hub.save_module(keras.Model(pixels, keras.layers.ReLU()(pixels)), str(tmp_path / "m"))
    with pytest.raises(ValueError, match="not one vector per picture"):
        build.build_model(3, backbone=grid, image_size=32)


@pytest.mark.parametrize("handle", ["https://127.0.0.1:9/module/1", "no/such/folder"])
def test_a_handle_out_of_reach_names_the_ways_out(handle):
    with pytest.raises(ValueError) as caught:
        build.build_model(3, backbone=handle, image_size=32)
    for word in (handle, "TFHUB_CACHE_DIR", "folder", "mobilenet_v2"):
        assert word in str(caught.value)


def test_a_kaggle_handle_becomes_an_address(monkeypatch):
    import tensorflow_hub

    seen = []
    monkeypatch.setattr(tensorflow_hub, "load", lambda handle: seen.append(handle) or str)
    hub.load_module("google/mobilenet-v2/tensorFlow2/100-224-feature-vector/2")
    assert seen == [
        "https://www.kaggle.com/models/google/mobilenet-v2/tensorFlow2/100-224-feature-vector/2"
    ]


def test_weights_do_not_go_with_a_module(module):
    with pytest.raises(ValueError, match="brings its own weights"):
        build.build_model(3, backbone=module, image_size=32, weights="random")
