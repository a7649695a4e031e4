"""Any Keras image classifier to a `.tflite` file, in several variants."""

from collections.abc import Mapping
from pathlib import Path

from dermaface import runtime
from dermaface.quiet import quiet
from dermaface.quiet_tensorflow import keras, tf
from dermaface.runs import Run, atomic_path
import numpy as np
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.tools import flatbuffer_utils

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
        return quantize(converter, calibration)
    with quiet():
        return converter.convert()


def quantize(converter: tf.lite.TFLiteConverter, calibration: np.ndarray) -> bytes:
    """Convert to int8, raw bytes in, with ranges that are measured here.

    The converter's own calibration reads each layer's range after the whole network has run, when
    elementwise layers (scaling, addition) have already put their result into the memory of their
    input: both then get the range of both. Behind a scaling from 0..255 to 0..1 that leaves two of
    the 256 levels. Here every tensor keeps its memory.

    Args:
        converter: of a SavedModel, with the default optimizations and int8 operations alone.
        calibration: training images by the pixel rule: uint8 (n, image_size, image_size, 3),
            0..255, at least one.

    Returns:
        The content of the `.tflite` file.

    Raises:
        ValueError: the file would not take raw bytes.
    """
    # The converter's calibration marks the tensors that need a range; one image is enough for that.
    converter.representative_dataset = lambda: representative_dataset(calibration[:1])
    converter._experimental_calibrate_only = True
    with quiet():
        marked = bytes(converter.convert())
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(marked))
    tensors = {
        index: tensor.quantization
        for index, tensor in enumerate(model.subgraphs[0].tensors)
        if tensor.quantization is not None
        and tensor.quantization.min is not None
        and len(tensor.quantization.min) == 1
    }
    ranges = measure_ranges(marked, list(tensors), calibration)
    for parameters, (low, high) in zip(tensors.values(), ranges, strict=True):
        parameters.min, parameters.max = np.array([low]), np.array([high])
    with quiet():
        content = mlir_quantize(
            bytes(flatbuffer_utils.convert_object_to_bytearray(model)),
            input_data_type=tf.uint8,
            output_data_type=tf.float32,
        )
    check_raw_bytes_in(content)
    return content


def measure_ranges(content: bytes, tensors: list[int], calibration: np.ndarray) -> np.ndarray:
    """Return the smallest and the largest value of some tensors of a float32 file.

    Args:
        content: a `.tflite` file that takes float32 (1, image_size, image_size, 3), 0..255.
        tensors: their indices.
        calibration: uint8 (n, image_size, image_size, 3), 0..255.

    Returns:
        float32 (len(tensors), 2).
    """
    interpreter = runtime.open_interpreter(content, keep_all_tensors=True)
    (given,) = interpreter.get_input_details()
    low, high = np.full(len(tensors), np.inf), np.full(len(tensors), -np.inf)
    for (batch,) in representative_dataset(calibration):
        interpreter.set_tensor(given["index"], batch)
        interpreter.invoke()
        values = [interpreter.get_tensor(index) for index in tensors]
        low = np.minimum(low, [value.min() for value in values])
        high = np.maximum(high, [value.max() for value in values])
    return np.stack([low, high], axis=1).astype(np.float32)


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
