"""Tests of dermaface.tflite.convert: every variant of a small model."""

from dermaface.tflite import convert, runtime
from dermaface.tflite import file as tflite_file
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


def test_the_answers_can_tell_a_bad_file_from_a_good_one(keras_answers, sample_pictures):
    highest = keras_answers.max(axis=1)
    assert (keras_answers.argmax(axis=1) == sample_pictures[1]).mean() >= 0.95
    assert np.ptp(highest) > 0.3 and 0.7 < highest.mean() < 0.95


# What a file may change in 48 answers: how many turn, and how far a probability moves, at most and
# on average. Kernels on other processors round differently, so each limit is at least one and a
# half times what was found, and what wrong ranges do is far beyond it.
LIMITS = {
    "float32": (0, 1e-4, 1e-5),
    "float16": (0, 0.01, 0.001),
    "dynamic": (0, 0.06, 0.006),
    "int8": (1, 0.2, 0.015),
    "int8_weights": (0, 0.05, 0.0019),
}


@pytest.fixture(scope="module")
def changes(sample_pictures, keras_answers):
    """Return a function that measures what a file changes in Keras's answers, as in `LIMITS`."""

    def measure(content):
        answers = ask(content, sample_pictures[0])
        turned = answers.argmax(axis=1) != keras_answers.argmax(axis=1)
        off = np.abs(answers - keras_answers)
        return np.array([turned.sum(), off.max(), off.mean()])

    return measure


@pytest.mark.parametrize("variant", convert.VARIANTS)
def test_variants_answer_like_keras(tflite_files, changes, variant):
    assert (changes(tflite_files[variant]) <= LIMITS[variant]).all()


measure_ranges = convert.measure_ranges


def cut_ranges(rounded, tensors, calibration):
    """Return every range but the input's cut to 40 %."""
    ranges = measure_ranges(rounded, tensors, calibration)
    return np.concatenate([ranges[:1], 0.4 * ranges[1:]])


def ranges_of_black_pictures(rounded, tensors, calibration):
    return measure_ranges(rounded, tensors, np.zeros_like(calibration))


@pytest.mark.parametrize("wrong_ranges", [cut_ranges, ranges_of_black_pictures])
def test_wrong_ranges_would_be_seen(rounded, calibration, changes, monkeypatch, wrong_ranges):
    monkeypatch.setattr(convert, "measure_ranges", wrong_ranges)
    turned, largest, mean = changes(convert.quantize(rounded, calibration)) / LIMITS["int8"]
    assert turned > 4 and largest > 2 and mean > 5


def test_rounding_by_black_pictures_would_be_seen(converted, calibration, changes):
    content = convert.round_weights(converted["float32"], np.zeros_like(calibration))
    assert changes(content)[-1] > 1.2 * LIMITS["int8_weights"][-1]


@pytest.mark.parametrize("variant", convert.VARIANTS)
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
    # Weights that lie after the flatbuffer would be lost in repacking, and the file too small.
    assert 0.3 * size["float32"] < size["int8_weights"] < 0.45 * size["float32"]


@pytest.mark.parametrize("variant", convert.VARIANTS)
def test_every_variant_is_what_its_name_says(tflite_files, variant):
    assert tflite_file.audit(tflite_files[variant]).kind == variant


def test_the_first_calibration_picture_reaches_both_ends_of_the_range(rounded):
    grey = np.full((3, 96, 96, 3), 128, np.uint8)
    (picture,) = tflite_file.unpack(rounded).subgraphs[0].inputs
    batches = [batch for (batch,) in convert.observe(rounded, [picture], grey)]
    assert [(b.min(), b.max()) for b in batches] == [(0, 255), (128, 128), (128, 128)]
    assert batches[0].shape == (1, 96, 96, 3) and batches[0].dtype == np.float32


def test_wrong_arguments():
    with pytest.raises(ValueError, match="no variant 'int4'; known: float32"):
        convert.convert("folder", "int4")
    for variant in ("int8", "int8_weights"):
        with pytest.raises(ValueError, match="at least one calibration image"):
            convert.convert("folder", variant)


def test_rounding_in_turn_stays_on_the_grid_and_keeps_the_output():
    rng = np.random.default_rng(0)
    # Inputs with a mean that follow a few causes, as after a ReLU.
    inputs = np.maximum(1 + 0.5 * rng.normal(0, 1, (500, 5)) @ rng.normal(0, 1, (5, 40)), 0)
    inputs[:, 1] = inputs[:, 0]
    inputs[:, 5] = 0
    weights = rng.normal(0, 1, (6, 40)).astype(np.float32)
    weights[2] = 0
    step = np.maximum(np.abs(weights).max(axis=1, keepdims=True) / 127, 1e-6)
    rounded = convert.round_in_turn(weights, step, inputs.T @ inputs)
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


def test_kernel_levels_are_those_of_the_largest_pointwise_convolution(converted, rounded):
    trained, stored = convert.kernel_levels(converted["float32"], rounded)
    assert trained.shape == stored.shape == (1280, 112)
    np.testing.assert_allclose(np.abs(trained).max(axis=1), 127, rtol=1e-5)
    np.testing.assert_allclose(stored, np.rint(stored), atol=1e-3)
    assert 0 < (np.rint(trained) != np.rint(stored)).mean() < 0.5
    assert np.abs(trained - stored).mean() < 0.6


def test_rounded_weights_answer_alike_and_are_kept_by_a_quantizer(
    converted, rounded, tflite_files, calibration
):
    before = ask(converted["float32"], calibration)
    after = ask(rounded, calibration)
    assert 0 < np.abs(after - before).max() <= LIMITS["int8_weights"][1]
    again = ask(tflite_files["int8_weights"], calibration)
    np.testing.assert_allclose(again, after, atol=5e-3)
