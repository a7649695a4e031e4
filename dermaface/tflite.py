"""Any Keras image classifier to a `.tflite` file, in several variants."""

from collections.abc import Mapping
from pathlib import Path

from dermaface import runtime
from dermaface.quiet import quiet
from dermaface.quiet_tensorflow import keras, tf
from dermaface.runs import Run, atomic_path
import numpy as np

# float32: as trained. float16: weights stored in half precision. dynamic: weights in 8 bits, the
# rest in floats. int8: weights and activations in 8 bits, raw bytes in.
VARIANTS = ("float32", "float16", "dynamic", "int8")


def export_saved_model(model: keras.Model, folder: str | Path) -> None:
    """Write a model as a SavedModel that takes exactly one image, from which every variant is made.

    The batch is fixed at 1 because clients such as LiteRT.js refuse a model with an open batch.

    Args:
        model: takes float32 (batch, image_size, image_size, 3), 0..255.
        folder: a folder that does not exist yet.
    """
    signature = keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32", name="image")
    with quiet():
        model.export(folder, format="tf_saved_model", verbose=False, input_signature=[signature])


def convert(saved_model: str | Path, variant: str, calibration: np.ndarray | None = None) -> bytes:
    """Convert a SavedModel to one variant.

    Args:
        saved_model: folder from `export_saved_model`.
        variant: one of `VARIANTS`.
        calibration: for int8, training images by the pixel rule: uint8 (n, image_size, image_size,
            3), 0..255, at least one; their activations set the ranges of the 8-bit numbers.

    Returns:
        The content of the `.tflite` file.

    Raises:
        ValueError: unknown variant, int8 without calibration images, or an int8 result whose input
            is not raw bytes.
    """
    if variant not in VARIANTS:
        raise ValueError(f"There is no variant {variant!r}; known: {', '.join(VARIANTS)}.")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if variant != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if variant == "int8":
        if calibration is None or not len(calibration):
            raise ValueError("The int8 variant needs at least one calibration image.")
        # Nothing but int8 operations: where one has no int8 form, the conversion fails.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.representative_dataset = lambda: representative_dataset(calibration)
    with quiet():
        content = converter.convert()
    if variant == "int8":
        check_raw_bytes_in(content)
    return content


def representative_dataset(calibration: np.ndarray):
    """Yield calibration images one by one as the converter wants them.

    Args:
        calibration: uint8 (n, image_size, image_size, 3), 0..255.

    Yields:
        A list with one float32 array of shape (1, image_size, image_size, 3).
    """
    for number, image in enumerate(calibration):
        batch = image[None].astype("float32")
        if number == 0:
            # The input has scale 1 and zero point 0, so that a client may feed raw bytes, only if
            # the converter has seen both ends of the range: one corner goes black, one white.
            batch[0, 0, 0], batch[0, -1, -1] = 0.0, 255.0
        yield [batch]


def check_raw_bytes_in(content: bytes) -> None:
    """Make sure that an int8 file takes raw bytes: uint8 with scale 1 and zero point 0.

    Raises:
        ValueError: it does not.
    """
    details = runtime.open_interpreter(content).get_input_details()[0]
    scale, zero_point = details["quantization"]
    if details["dtype"] != np.uint8 or abs(scale - 1) > 1e-6 or zero_point != 0:
        raise ValueError(
            f"The int8 file takes {details['dtype'].__name__} with scale {scale} and zero point "
            f"{zero_point}; a client that feeds raw bytes would get wrong answers."
        )


def write_files(run: Run, files: Mapping[str, bytes]) -> None:
    """Write `tflite/VARIANT.tflite` for each variant, in one step.

    Args:
        run: where to write.
        files: a variant and the content of its file.
    """
    with atomic_path(run.path("tflite")) as folder:
        folder.mkdir()
        for variant, content in files.items():
            (folder / f"{variant}.tflite").write_bytes(content)
