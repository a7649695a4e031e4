"""Tests of dermaface.model.backbones: scaling, weights and what they are worth."""

import sys

from dermaface.model import backbones, build
from dermaface.photos import images, sample
from dermaface.quiet_tensorflow import keras
from dermaface.training import datasets
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def extractor(name, image_size, weights="pretrained", alpha=1.0):
    """Return a model from pixels 0..255 to the mean of each feature."""
    pixels = keras.Input((image_size, image_size, 3))
    features = backbones.apply_backbone(name, pixels, weights, alpha)
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(features))


def test_picture(image_size):
    """Return colour ramps that use the whole range 0..255, float32 (1, size, size, 3)."""
    ramp = np.linspace(0, 255, image_size, dtype="float32")
    picture = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], ramp[::-1, None]), axis=2)
    return np.rint(picture)[None]


test_picture.__test__ = False


def check_features(name, image_size, mean, largest):
    """Compare the features of the ramps with pinned values: a changed scaling moves them."""
    features = extractor(name, image_size).predict(test_picture(image_size), verbose=0)[0]
    assert features.shape == (1280,)
    assert float(features.mean()) == pytest.approx(mean, rel=1e-3)
    assert {int(i): round(float(features[i]), 3) for i in np.argsort(-features)[:3]} == {
        index: pytest.approx(value, rel=2e-3) for index, value in largest.items()
    }


def test_features_of_tiny_are_what_they_were():
    check_features("tiny", 96, 0.0771, {1: 1.898, 1174: 1.546, 774: 1.330})


def test_features_of_mobilenet_v2_are_what_they_were(imagenet_weights):
    check_features("mobilenet_v2", 224, 0.4229, {593: 4.390, 99: 4.189, 405: 4.035})


@pytest.mark.parametrize("weights", ["pretrained", "random"])
def test_the_weights_file_has_every_variable(weights):
    model = extractor("tiny", 96, weights)
    variables = [variable for layer in model.layers for variable in layer.weights]
    assert len(variables) == 260
    theirs = keras.applications.MobileNetV2(
        (96, 96, 3), alpha=0.35, include_top=False, weights=backbones.TINY_WEIGHTS
    )
    kernel, known = (m.get_layer("Conv1").get_weights()[0] for m in (model, theirs))
    assert np.array_equal(kernel, known) == (weights == "pretrained")


def test_tiny_knows_more_than_random_weights(drawn_sets):
    def load(folder):
        root, frame = images.find_images(folder)
        return datasets.make_dataset(frame, root, list(sample.CLASS_NAMES), 96), frame["label"]

    (train_ds, train_labels), (fresh_ds, fresh_labels) = map(load, drawn_sets)
    accuracy = {}
    for weights in ("pretrained", "random"):
        keras.utils.set_random_seed(0)
        model = extractor("tiny", 96, weights)
        head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        head.fit(model.predict(train_ds, verbose=0), train_labels)
        accuracy[weights] = head.score(model.predict(fresh_ds, verbose=0), fresh_labels)
    assert accuracy["pretrained"] >= accuracy["random"] + 0.10
    assert accuracy["pretrained"] >= 0.7


def test_scaling_is_inside_and_the_graph_is_flat():
    model = extractor("tiny", 64, "random")
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    scaled = keras.Model(model.input, model.get_layer("scaling").output)
    black_and_white = np.stack([np.zeros((64, 64, 3)), np.full((64, 64, 3), 255.0)])
    out = scaled.predict(black_and_white, verbose=0)
    np.testing.assert_allclose(out.min(axis=(1, 2, 3)), [-1, 1], atol=1e-6)


@pytest.mark.parametrize("name", backbones.BACKBONES)
def test_scaling_is_what_keras_made_the_weights_for(name):
    levels = np.repeat(np.arange(256.0)[:, None], 3, axis=1)  # every grey level in every channel
    backbone = backbones.BACKBONES[name]
    module = sys.modules[getattr(keras.applications, backbone.application).__module__]
    expected = module.preprocess_input(levels.copy())
    if (expected == levels).all():  # These Keras networks scale in layers of their own.
        mode = {"-1..1": "tf", "imagenet": "torch"}[backbone.scaling]
        expected = keras.applications.imagenet_utils.preprocess_input(levels.copy(), mode=mode)
    scale, offset = map(np.array, backbones.SCALINGS[backbone.scaling])
    np.testing.assert_allclose(levels * scale + offset, expected, atol=1e-5)


def test_an_unknown_backbone_names_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'mobilenet_v2'"):
        backbones.get_backbone("mobilnet_v2")


@pytest.mark.parametrize(("name", "size"), [("tiny", 16), ("xception", 64)])
def test_an_image_size_that_is_too_small(name, size):
    smallest = backbones.get_backbone(name).smallest
    with pytest.raises(ValueError, match=f"at least {smallest} pixels; got {size}"):
        extractor(name, size, "random")


def test_where_the_weights_are(tmp_path):
    (tmp_path / "own.weights.h5").touch()
    for weights, path in (
        ("pretrained", backbones.TINY_WEIGHTS),
        (str(tmp_path / "own.weights.h5"), tmp_path / "own.weights.h5"),
        ("random", None),
    ):
        assert backbones.prepare_backbone("tiny", 96, weights) == path
    assert backbones.prepare_backbone("a/module", 1) is None


def test_weights_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"no weights file.*missing.h5"):
        extractor("tiny", 96, str(tmp_path / "missing.h5"))


def test_weights_of_another_network_do_not_fit(tmp_path):
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(ValueError, match="do not fit tiny"):
        extractor("tiny", 96, str(tmp_path / "other.weights.h5"))


@pytest.mark.slow
def test_weights_by_path_are_loaded(tmp_path):
    keras.utils.set_random_seed(1)
    model = extractor("tiny", 96, "random")
    model.save_weights(tmp_path / "own.weights.h5")
    copy = extractor("tiny", 96, str(tmp_path / "own.weights.h5"))
    picture = test_picture(96)
    np.testing.assert_allclose(
        copy.predict(picture, verbose=0), model.predict(picture, verbose=0), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v3_small", "efficientnet_b0"])
def test_if_imagenet_weights_cannot_be_reached_the_ways_out_are_named(tmp_path, monkeypatch, name):
    def offline(*args, **kwargs):
        raise Exception("URL fetch failure")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras.applications, backbones.get_backbone(name).application, offline)
    with pytest.raises(ValueError) as caught:
        backbones._published_weights(name, 1.0)
    file = backbones.published_weights_path(name)
    for word in (name, str(file), "KERAS_HOME", "weights=PATH", "tiny"):
        assert word in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "alpha"),
    [
        (name, alpha)
        for name, backbone in backbones.BACKBONES.items()
        if name != "tiny"
        for alpha in backbone.alphas
    ],
)
def test_keras_looks_for_the_weights_under_the_same_name(tmp_path, monkeypatch, name, alpha):
    class Asked(Exception):
        """Ends the build where Keras would download."""

    def get_file(file, *args, **kwargs):
        raise Asked(file)

    backbone = backbones.BACKBONES[name]
    function = getattr(keras.applications, backbone.application)
    modules = sys.modules[function.__module__], sys.modules["keras.src.applications.resnet"]
    monkeypatch.setattr(modules[1].file_utils, "get_file", get_file)
    for module in modules:
        # Keras asks once all layers are there; the model made of them is not needed.
        monkeypatch.setattr(module, "Functional", lambda *args, **kwargs: None, raising=False)
    options = {"alpha": alpha} if backbone.width is None else {}
    with pytest.raises(Asked) as asked:
        function(input_shape=(224, 224, 3), include_top=False, weights="imagenet", **options)
    assert str(asked.value) == backbones.published_weights_path(name, alpha).name


def test_a_width_without_published_weights():
    with pytest.raises(ValueError, match=r"mobilenet_v2 for alpha 0.6.*0.35, 0.5, 0.75, 1.0"):
        extractor("mobilenet_v2", 96, alpha=0.6)
    assert extractor("mobilenet_v2", 96, "random", alpha=0.6).count_params() < 1_600_000


@pytest.mark.parametrize(
    ("name", "alpha", "message"),
    [
        ("tiny", 0.5, "fixed width"),
        ("xception", 0.5, "fixed width"),
        ("mobilenet", -1.0, "must be positive"),
    ],
)
def test_a_width_that_is_impossible(name, alpha, message):
    with pytest.raises(ValueError, match=message):
        extractor(name, 96, "random", alpha=alpha)


@pytest.mark.slow
@pytest.mark.parametrize("name", backbones.BACKBONES)
def test_the_facts_in_the_table_are_those_of_the_network(name):
    backbone = backbones.BACKBONES[name]
    model = build.build_model(2, name, backbone.image_size, weights="random")
    head = sum(weight.shape.num_elements() for weight in model.layers[-1].weights)
    assert (model.count_params() - head) / 1e6 == pytest.approx(backbone.parameters, abs=0.006)
    assert round(build.multiply_adds(model) / 1e6) == backbone.multiply_adds
    assert backbone.top1 is None or 60 < backbone.top1 < 85
    # Fine-tuning starts right after a point at which the network can be cut in two.
    names = [layer.name for layer in model.layers]
    before = names[names.index(backbone.fine_tune_from) - 1]
    assert before in build.cut_points(model)

    scaling = keras.Model(model.input, scaled_by(model))
    black_and_white = np.stack([np.zeros((backbone.image_size,) * 2 + (3,)), np.full(
        (backbone.image_size,) * 2 + (3,), 255.0)])  # fmt: skip
    low, high = scaling(black_and_white).numpy()[:, 5, 5]
    if backbone.scaling == "imagenet":
        mean, std = np.array(backbones.IMAGENET_MEAN), np.array(backbones.IMAGENET_STD)
        np.testing.assert_allclose([low, high], [-mean / std, (1 - mean) / std], atol=1e-5)
    else:
        np.testing.assert_allclose([low, high], [[-1] * 3, [1] * 3], atol=1e-6)


def scaled_by(model):
    """Return the tensor that goes into a model's first convolution or the padding before it."""
    first = next(
        layer
        for layer in model.layers
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.ZeroPadding2D))
    )
    return first.input


def test_the_cost_table_has_a_row_for_every_backbone():
    table = backbones.cost_table()
    assert list(table.index) == list(backbones.BACKBONES)
    assert table.loc["mobilenet_v2", "multiply_adds"] == 299
    assert np.isnan(table.loc["tiny", "top1"])


def test_a_hub_handle_is_recognised_by_its_slash(tmp_path):
    for name in ("https://example.com/m/1", "a/b/c/d/1", str(tmp_path), "hub_mobilenet_v2"):
        assert backbones.is_hub_handle(name)
        assert backbones.get_backbone(name).fine_tune_from == "hub"
    assert not backbones.is_hub_handle("mobilenet_v2")
    for handle in backbones.HUB_HANDLES.values():
        assert handle.startswith("https://") and "feature_vector" in handle
