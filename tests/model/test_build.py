"""Tests of dermaface.model.build."""

from dermaface.evaluation import confidence
from dermaface.model import build
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
    model = build.build_model(
        3, backbone="tiny", image_size=96, dense_units=[16, 8], dropout_rate=0.4, l2=0.01
    )
    names = [layer.name for layer in model.layers]
    head = names[names.index("pooling") :]
    assert head == (
        "pooling dropout_1 dense_1 relu_1 dropout_2 dense_2 relu_2 dropout probabilities".split()
    )
    assert model.get_layer("dense_1").units == 16
    assert model.get_layer("dropout").rate == 0.4
    assert float(model.get_layer("probabilities").kernel_regularizer.l2) == pytest.approx(0.01)


def test_a_temperature_softens_the_answers_and_changes_none(pictures):
    keras.utils.set_random_seed(0)
    model = build.build_model(4, backbone="tiny", image_size=96)
    layer = model.get_layer("probabilities")
    layer.set_weights([layer.get_weights()[0], np.arange(4.0)])
    before, layers = model.predict(pictures[0], verbose=0), len(model.layers)
    build.fold_temperature(model, 2.0)
    after = model.predict(pictures[0], verbose=0)
    np.testing.assert_allclose(after, confidence.soften(before, 2.0), atol=1e-5)
    assert (after.argmax(axis=1) == before.argmax(axis=1)).all() and len(model.layers) == layers
    assert (after.max(axis=1) < before.max(axis=1)).all()
    with pytest.raises(ValueError, match="that of this model is 'pooling'"):
        build.fold_temperature(keras.Model(model.input, model.get_layer("pooling").output), 2.0)


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
        build.build_model(**{"num_classes": 3, "backbone": "tiny", "image_size": 96} | options)


@pytest.mark.slow
def test_only_what_is_set_free_learns_and_batch_normalization_never_moves(pictures):
    model = build.build_model(4, backbone="tiny", image_size=96)
    for first, some_learn in (("pooling", False), ("block_13_expand", True)):
        build.set_trainable(model, first)
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


@pytest.mark.slow
def test_a_normalised_head_learns_its_own_statistics(pictures):
    model = build.build_model(
        4, "tiny", 96, dense_units=[8], batch_normalization=True, weights="random"
    )
    names = [layer.name for layer in model.layers]
    assert (
        names[names.index("pooling") :]
        == (
            "pooling normalization dropout_1 dense_1 normalization_1 relu_1 dropout probabilities"
        ).split()
    )
    build.set_trainable(model)
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "image_size", "at"),
    [
        ("tiny", 96, "block_4_expand"),
        ("mobilenet_v2", 64, 0.5),
        ("mobilenet", 64, 0.8),
        ("xception", 71, "block14_sepconv1"),
        ("efficientnet_b0", 64, 0.7),
        ("efficientnet_v2_b0", 64, 0.9),
        ("mobilenet_v3_small", 64, "expanded_conv_8_expand"),
        ("resnet50_v2", 64, "conv5_block1_preact_bn"),
    ],
)
def test_front_then_rest_is_the_model(backbone, image_size, at):
    model = build.build_model(4, backbone, image_size, weights="random", dense_units=[8])
    pixels = np.random.default_rng(0).uniform(0, 255, (3, image_size, image_size, 3))
    whole = model(pixels.astype("float32")).numpy()
    for place in (at, "head"):
        frozen, rest = build.split_model(model, place)
        parts = rest(frozen(pixels.astype("float32"))).numpy()
        np.testing.assert_allclose(parts, whole, atol=1e-5)
        assert {id(w) for w in frozen.weights + rest.weights} == {id(w) for w in model.weights}
        assert not frozen.trainable_weights and rest.trainable_weights
    names = [layer.name for layer in build.split_model(model, at)[1].layers]
    assert isinstance(at, float) or at in names


def test_a_share_is_met_as_closely_as_the_blocks_allow(small_model):
    total = build.multiply_adds(small_model)
    shares = {}
    for share in (0.3, 0.6, "0.9"):
        frozen, _ = build.split_model(small_model, share)
        shares[float(share)] = build.multiply_adds(frozen) / total
    build.set_trainable(small_model)
    assert all(abs(wanted - found) < 0.08 for wanted, found in shares.items()), shares
    with pytest.raises(ValueError, match=r"within 0..1; got 80"):
        build.split_model(small_model, "80")


def test_a_cut_inside_a_block_is_made_at_its_start(small_model):
    frozen, rest = build.split_model(small_model, "block_14_depthwise")
    assert frozen.layers[-1].name == "block_13_project_BN"
    assert not rest.get_layer("block_14_expand").trainable
    assert rest.get_layer("block_14_depthwise").trainable
    build.set_trainable(small_model)


@pytest.mark.slow
def test_what_the_rest_learns_the_model_learns_and_normalization_stays(pictures):
    model = build.build_model(4, backbone="tiny", image_size=96)
    before = {layer.name: layer.get_weights() for layer in model.layers}
    frozen, rest = build.split_model(model, "block_13_expand")
    rest.compile(keras.optimizers.AdamW(0.01), "categorical_crossentropy")
    features = frozen.predict(pictures[0], verbose=0)
    rest.fit(features, pictures[1], epochs=2, verbose=0)
    np.testing.assert_allclose(
        model.predict(pictures[0], verbose=0), rest.predict(features, verbose=0), atol=1e-4
    )
    moved = {
        layer.name
        for layer in model.layers
        for a, b in zip(before[layer.name], layer.get_weights(), strict=True)
        if not np.array_equal(a, b)
    }
    names = [layer.name for layer in model.layers]
    assert {"block_13_expand", "probabilities"} <= moved
    assert min(names.index(name) for name in moved) == names.index("block_13_expand")
    assert not any("BN" in name or "bn" in name for name in moved)


def test_cut_points_are_where_one_tensor_carries_everything():
    pixels = keras.Input((8, 8, 3), name="image")
    a = keras.layers.Conv2D(4, 1, name="a")(pixels)
    b = keras.layers.Conv2D(4, 1, name="b")(a)
    added = keras.layers.Add(name="added")([a, b])
    # Arithmetic is an operation without a layer, and it counts as well.
    gated = keras.layers.Multiply(name="gated")([added, keras.layers.ReLU(name="gate")(added) + 3])
    pooled = keras.layers.GlobalAveragePooling2D(name="pooling")(gated)
    model = keras.Model(pixels, keras.layers.Dense(2, name="probabilities")(pooled))
    assert build.cut_points(model) == ["image", "a", "added", "gated", "pooling"]
    assert build.block_starts(model) == ["gate"]
    assert build.multiply_adds(model) == 64 * (12 + 16) + 8


def test_an_unknown_first_layer_names_the_blocks(small_model):
    with pytest.raises(ValueError, match=r"head .just the head.*block_3_expand, block_5_expand"):
        build.set_trainable(small_model, "block_99")


def test_a_saved_model_answers_alike(small_model, pictures, tmp_path):
    small_model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(pictures[0], verbose=0),
        small_model.predict(pictures[0], verbose=0),
        atol=1e-6,
    )


def test_parameters_are_counted():
    model = build.build_model(4, backbone="tiny", image_size=96)
    build.set_trainable(model)
    counts = build.count_parameters(model)
    assert counts == {"parameters": 410_208 + 1280 * 4 + 4, "trainable": 1280 * 4 + 4}


def test_a_head_alone_has_the_layers_of_the_whole_models_head():
    options = {"dense_units": [16], "dropout_rate": 0.4, "batch_normalization": True, "l2": 0.01}
    whole = build.build_model(3, "tiny", 96, **options)
    _, rest = build.split_model(whole)
    head = build.build_head(1280, 3, **options)
    assert [layer.name for layer in head.layers[1:]] == [layer.name for layer in rest.layers[1:]]
    assert head.count_params() == rest.count_params()
    with pytest.raises(ValueError, match="at least two classes"):
        build.build_head(1280, 1)
