"""Tests of dermaface.models."""

from dermaface import models
from dermaface.quiet_tensorflow import keras
import numpy as np
import pytest


@pytest.fixture(scope="module")
def pictures():
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (8, 96, 96, 3)).astype("float32")
    return pixels, np.eye(4, dtype="float32")[generator.integers(0, 4, 8)]


def test_a_model_goes_from_pixels_to_probabilities(small_model, pictures):
    assert small_model.input_shape == (None, 96, 96, 3)
    probabilities = small_model.predict(pictures[0], verbose=0)
    assert probabilities.shape == (8, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_the_head_has_the_layers_asked_for():
    model = models.build_model(
        3, backbone="tiny", image_size=96, dense_units=[16, 8], dropout_rate=0.4, l2=0.01
    )
    names = [layer.name for layer in model.layers]
    head = names[names.index("pooling") :]
    assert head == (
        ["pooling", "dropout_1", "dense_1", "relu_1", "dropout_2", "dense_2", "relu_2"]
        + ["dropout", "probabilities"]
    )
    assert model.get_layer("dense_1").units == 16
    assert model.get_layer("dropout").rate == 0.4
    assert float(model.get_layer("probabilities").kernel_regularizer.l2) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 1}, "at least two classes"),
        ({"dropout_rate": 1.0}, "dropout_rate"),
        ({"l2": -1.0}, "l2 must not be negative"),
        ({"dense_units": [0]}, "dense_units"),
        ({"backbone": "tinny"}, "'tiny'"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        models.build_model(**{"num_classes": 3, "backbone": "tiny", "image_size": 96} | options)


def test_only_what_is_set_free_learns_and_batch_normalization_never_moves(pictures):
    model = models.build_model(4, backbone="tiny", image_size=96)
    for first, some_learn in (("pooling", False), ("block_13_expand", True)):
        models.set_trainable(model, first)
        model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
        before = {layer.name: layer.get_weights() for layer in model.layers}
        model.fit(*pictures, epochs=2, verbose=0)
        names = [layer.name for layer in model.layers]
        moved = {
            layer.name
            for layer in model.layers
            if any(
                not np.array_equal(a, b)
                for a, b in zip(before[layer.name], layer.get_weights(), strict=True)
            )
        }
        assert "probabilities" in moved
        assert ("block_13_expand" in moved) == some_learn
        assert all(names.index(name) >= names.index(first) for name in moved)
        frozen = [x.name for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
        assert len(frozen) == 52 and not moved & set(frozen)


def test_a_normalised_head_learns_its_own_statistics(pictures):
    model = models.build_model(
        4, "tiny", 96, dense_units=[8], batch_normalization=True, weights="random"
    )
    names = [layer.name for layer in model.layers]
    assert names[names.index("pooling") :] == (
        ["pooling", "normalization", "dropout_1", "dense_1", "normalization_1", "relu_1"]
        + ["dropout", "probabilities"]
    )
    models.set_trainable(model)
    model.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
    before = [
        model.get_layer(name).get_weights() for name in ("normalization", "Conv1", "bn_Conv1")
    ]
    model.fit(*pictures, verbose=0)
    after = [model.get_layer(name).get_weights() for name in ("normalization", "Conv1", "bn_Conv1")]
    same = [
        all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
        for a, b in zip(before, after, strict=True)
    ]
    assert same == [False, True, True]


def test_cut_points_are_where_one_tensor_carries_everything():
    pixels = keras.Input((8, 8, 3), name="image")
    a = keras.layers.Conv2D(4, 1, name="a")(pixels)
    b = keras.layers.Conv2D(4, 1, name="b")(a)
    added = keras.layers.Add(name="added")([a, b])
    # Arithmetic is an operation without a layer, and counts as well.
    gated = keras.layers.Multiply(name="gated")([added, keras.layers.ReLU(name="gate")(added) + 3])
    pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(gated)
    model = keras.Model(pixels, keras.layers.Dense(2, name="probabilities")(pooled))
    assert models.cut_points(model) == ["image", "a", "added", "gated", "pooling"]
    assert models.block_ends(model) == ["added"]
    assert models.multiply_adds(model) == 64 * (12 + 16) + 8


def test_an_unknown_first_layer_names_the_blocks(small_model):
    with pytest.raises(ValueError, match="pooling .the head alone.*block_2_add, block_4_add"):
        models.set_trainable(small_model, "block_99")


def test_a_saved_model_answers_alike(small_model, pictures, tmp_path):
    small_model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(pictures[0], verbose=0), small_model.predict(pictures[0], verbose=0)
    )


def test_parameters_are_counted():
    model = models.build_model(4, backbone="tiny", image_size=96)
    models.set_trainable(model)
    counts = models.count_parameters(model)
    assert counts == {"parameters": 410_208 + 1280 * 4 + 4, "trainable": 1280 * 4 + 4}
