"""Tests of dermaface.tflite: every variant of a small model."""

from dermaface import runtime, tflite
import numpy as np
import pytest


@pytest.fixture(scope="module")
def answers(tflite_files, calibration):
    """Return the probabilities of every variant for the calibration pictures."""
    out = {}
    for name, content in tflite_files.items():
        interpreter = runtime.open_interpreter(content)
        details = interpreter.get_input_details()[0]
        rows = []
        for image in calibration:
            interpreter.set_tensor(details["index"], image[None].astype(details["dtype"]))
            interpreter.invoke()
            rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
        out[name] = np.stack(rows)
    return out


@pytest.mark.parametrize(
    ("variant", "tolerance"),
    [("float32", 1e-5), ("float16", 1e-2), ("dynamic", 0.1), ("int8", 0.1)],
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


def test_int8_is_int8_inside(tflite_files):
    def float_tensors(content):
        details = runtime.open_interpreter(content).get_tensor_details()
        return [d["name"] for d in details if d["dtype"] in (np.float32, np.float16)]

    # Only the probabilities leave the file as floats.
    assert len(float_tensors(tflite_files["int8"])) == 1
    assert len(float_tensors(tflite_files["dynamic"])) > 10


def test_raw_bytes_go_in(tflite_files):
    tflite.check_raw_bytes_in(tflite_files["int8"])
    with pytest.raises(ValueError, match="float32.*wrong answers"):
        tflite.check_raw_bytes_in(tflite_files["float32"])


def test_the_first_calibration_picture_reaches_both_ends_of_the_range():
    grey = np.full((3, 8, 8, 3), 128, np.uint8)
    batches = [batch for (batch,) in tflite.representative_dataset(grey)]
    assert [(b.min(), b.max()) for b in batches] == [(0, 255), (128, 128), (128, 128)]
    assert batches[0].shape == (1, 8, 8, 3) and batches[0].dtype == np.float32


def test_wrong_arguments():
    with pytest.raises(ValueError, match="no variant 'int4'; known: float32"):
        tflite.convert("folder", "int4")
