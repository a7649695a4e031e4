"""Tests of dermaface.tflite: every variant of a small model."""

from dermaface import runtime, tflite, tflite_file
import numpy as np
import pytest


def ask(content, pictures):
    """Return the probabilities that a file gives for pictures."""
    interpreter = runtime.open_interpreter(content)
    details = interpreter.get_input_details()[0]
    rows = []
    for image in pictures:
        interpreter.set_tensor(details["index"], image[None].astype(details["dtype"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.stack(rows)


@pytest.fixture(scope="module")
def answers(tflite_files, calibration):
    """Return the probabilities of every variant for the calibration pictures."""
    return {name: ask(content, calibration) for name, content in tflite_files.items()}


@pytest.mark.parametrize(
    ("variant", "tolerance"),
    [
        ("float32", 1e-5),
        ("float16", 1e-2),
        ("dynamic", 0.1),
        ("int8", 0.1),
        ("int8_weights", 1e-2),
    ],
)
def test_variants_answer_like_keras(answers, small_model, calibration, variant, tolerance):
    expected = small_model.predict(calibration.astype("float32"), verbose=0)
    assert np.abs(answers[variant] - expected).max() <= tolerance


@pytest.mark.parametrize("variant", tflite.VARIANTS)
def test_every_variant_takes_one_picture_of_raw_pixels(tflite_files, variant):
    details = runtime.open_interpreter(tflite_files[variant]).get_input_details()[0]
    assert details["shape"].tolist() == [1, 96, 96, 3]
    assert details["shape_signature"].tolist() == [1, 96, 96, 3]
    assert details["dtype"] == (np.uint8 if variant == "int8" else np.float32)


def test_sizes_fall_with_precision(tflite_files):
    size = {name: len(content) for name, content in tflite_files.items()}
    assert size["float16"] < 0.6 * size["float32"]
    assert size["dynamic"] < 0.45 * size["float32"]
    assert size["int8"] < 0.45 * size["float32"]
    # Weights that lie behind the flatbuffer would be lost in repacking, and the file too small.
    assert 0.3 * size["float32"] < size["int8_weights"] < 0.45 * size["float32"]


@pytest.mark.parametrize("variant", tflite.VARIANTS)
def test_every_variant_is_what_its_name_says(tflite_files, variant):
    assert tflite_file.audit(tflite_files[variant]).kind == variant


def test_the_first_calibration_picture_reaches_both_ends_of_the_range():
    grey = np.full((3, 8, 8, 3), 128, np.uint8)
    batches = [batch for (batch,) in tflite.representative_dataset(grey)]
    assert [(b.min(), b.max()) for b in batches] == [(0, 255), (128, 128), (128, 128)]
    assert batches[0].shape == (1, 8, 8, 3) and batches[0].dtype == np.float32


def test_wrong_arguments():
    with pytest.raises(ValueError, match="no variant 'int4'; known: float32"):
        tflite.convert("folder", "int4")
    for variant in ("int8", "int8_weights"):
        with pytest.raises(ValueError, match="at least one calibration image"):
            tflite.convert("folder", variant)


def test_rounding_in_turn_stays_on_the_grid_and_keeps_the_output():
    rng = np.random.default_rng(0)
    # Inputs with a mean that follow a few causes, as behind a ReLU.
    inputs = np.maximum(1 + 0.5 * rng.normal(0, 1, (500, 5)) @ rng.normal(0, 1, (5, 40)), 0)
    inputs[:, 1] = inputs[:, 0]
    inputs[:, 5] = 0
    weights = rng.normal(0, 1, (6, 40)).astype(np.float32)
    weights[2] = 0
    step = np.maximum(np.abs(weights).max(axis=1, keepdims=True) / 127, 1e-6)
    rounded = tflite.round_in_turn(weights, step, inputs.T @ inputs)
    levels = rounded / step
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
    assert np.abs(levels).max() <= 127.001
    largest = np.abs(weights).argmax(axis=1)
    kept = [0, 1, 3, 4, 5]
    np.testing.assert_allclose(
        rounded[kept, largest[kept]], weights[kept, largest[kept]], rtol=1e-5
    )
    nearest = np.rint(weights / step) * step

    def error(w):
        return np.abs(inputs @ (w - weights).T).mean()

    assert error(rounded) < 0.5 * error(nearest)


def test_rounded_weights_answer_alike_and_are_kept_by_a_quantizer(tflite_files, calibration):
    rounded = tflite.round_weights(tflite_files["float32"], calibration)
    before = ask(tflite_files["float32"], calibration)
    after = ask(rounded, calibration)
    assert 0 < np.abs(after - before).max() < 1e-2
    again = ask(tflite_files["int8_weights"], calibration)
    np.testing.assert_allclose(again, after, atol=2e-3)


def test_the_other_recipes(tflite_files, small_model, calibration):
    rounded = tflite.round_weights(tflite_files["float32"], calibration)
    recipes = tflite.further_recipes(rounded, calibration, 5)
    assert list(recipes) == [
        "converter, 10 photos",
        "litert-quantizer",
        "litert-quantizer, most sensitive layers in floats",
    ]
    expected = small_model.predict(calibration.astype("float32"), verbose=0)
    for recipe, kind in zip(recipes, ("int8", "int8", "int8_mixed"), strict=True):
        content = recipes[recipe]()
        found = tflite_file.audit(content)
        assert found.kind == kind and found.takes_raw_bytes
        assert bool(found.float_operators) == (kind == "int8_mixed")
        answers = ask(content, calibration)
        assert np.abs(answers - expected).max() < 0.1
