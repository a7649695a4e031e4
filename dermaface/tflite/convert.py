"""Convert any Keras image classifier to `.tflite` files, in several variants."""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import io
from pathlib import Path

from dermaface.quiet import quiet
from dermaface.quiet_tensorflow import keras, tf
from dermaface.runs import Run, atomic_path
from dermaface.tflite import file as tflite_file
from dermaface.tflite import runtime
import numpy as np
from tensorflow.lite.python.convert import mlir_quantize

with quiet():
    from litert_quantizer import qtyping, quantizer, recipe_manager

# float32: as trained. float16: weights stored in half precision. dynamic: weights in 8 bits, and
# what flows between layers too, with its range measured again for each photo. int8: weights and
# activations in 8 bits, raw bytes in. int8_weights: weights in 8 bits, the calculation in floats.
VARIANTS = ("float32", "float16", "dynamic", "int8", "int8_weights")

# Photos for choosing how weights are rounded; the mean of an activation needs fewer than its range.
ROUNDING_IMAGES = 64


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
        calibration: for int8 and int8_weights, training images by the pixel rule: uint8
            (n, image_size, image_size, 3), 0..255, at least one. They decide how weights are
            rounded and, for int8, the ranges of what flows between the layers.

    Returns:
        The content of the `.tflite` file.

    Raises:
        ValueError: unknown variant, no calibration images, or a result that is not what its name
            says.
    """
    if variant not in VARIANTS:
        raise ValueError(f"There is no variant {variant!r}; known: {', '.join(VARIANTS)}.")
    in_8_bits = variant in ("int8", "int8_weights")
    if in_8_bits and (calibration is None or not len(calibration)):
        raise ValueError(f"The {variant} variant needs at least one calibration image.")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if variant in ("float16", "dynamic"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    with quiet():
        content = converter.convert()
    if calibration is None or not in_8_bits:
        return content
    rounded = round_weights(content, calibration)
    return quantize(rounded, calibration) if variant == "int8" else quantize_weights(rounded)


def quantize(rounded: bytes, calibration: np.ndarray) -> bytes:
    """Return an int8 file that takes raw bytes: the converter's quantizer, ranges measured here.

    The converter's own calibration reads each layer's range after the whole network has run, when
    elementwise layers (scaling, addition) have already written their result into the memory of
    their input: each then gets the range of both. After scaling from 0..255 to 0..1, that leaves
    two of the 256 levels. Here every tensor keeps its own memory.

    Args:
        rounded: a float file, as from `round_weights`.
        calibration: training images by the pixel rule: uint8 (n, image_size, image_size, 3),
            0..255, at least one.

    Returns:
        The content of the `.tflite` file.

    Raises:
        ValueError: the file is not int8 throughout, or would not take raw bytes.
    """
    model = tflite_file.unpack(rounded)
    # With this note of LiteRT Torch, the quantizer would leave all weights in floats.
    model.metadata = [
        note for note in model.metadata or [] if note.name != b"keep_stablehlo_constant"
    ]
    graph = model.subgraphs[0]
    tensors = [i for i in range(len(graph.tensors)) if _holds_floats(model, i, stored=False)]
    ranges = measure_ranges(rounded, tensors, calibration)
    for index, (low, high) in zip(tensors, ranges, strict=True):
        graph.tensors[index].quantization = tflite_file.schema.QuantizationParametersT(
            min=[low], max=[high]
        )
    with quiet():
        content = mlir_quantize(
            tflite_file.pack(model), input_data_type=tf.uint8, output_data_type=tf.float32
        )
    tflite_file.check_claim(content, "int8")
    return content


def quantize_weights(rounded: bytes) -> bytes:
    """Return a file whose weights are stored in 8 bits and which calculates in floats.

    Args:
        rounded: a float file from the converter, as from `round_weights`.

    Raises:
        ValueError: the result is something else.
    """
    recipe = recipe_manager.RecipeManager()
    everything = qtyping.TFLOperationName.ALL_SUPPORTED
    recipe.add_weight_only_config(regex=".*", operation_name=everything, num_bits=8)
    work = quantizer.Quantizer(rounded, recipe.get_quantization_recipe())
    # It prints sizes and progress bars, which in a notebook do not go to the terminal.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        content = bytes(work.quantize().quantized_model)
    model = tflite_file.unpack(content)
    # Weights with one scale per channel need version 5 of DEQUANTIZE. litert-quantizer writes 1 and
    # keeps the float file's note of the release needed, so an old runtime would unpack the weights
    # wrongly instead of refusing the file.
    for code in model.operatorCodes:
        if tflite_file.operator_name(code) == "DEQUANTIZE":
            code.version = 5
    tflite_file.raise_min_runtime(model, "2.7.0")
    content = tflite_file.pack(model)
    tflite_file.check_claim(content, "int8_weights")
    return content


# --- Rounding weights -----------------------------------------------------------------------------


def round_weights(content: bytes, calibration: np.ndarray) -> bytes:
    """Put the weights of a float file's convolutions on the 8-bit grid, keeping its answers.

    Quantizers round each weight to the nearest of its channel's 255 levels. Where the inputs of a
    layer are far from zero on average, as after a ReLU6, hundreds of small errors add up to a
    shift in the output, the same for every photo; with MobileNetV2 that alone changed one answer in
    sixteen. So:

    - in 1x1 convolutions, weights are rounded one input channel after another, and the error of
      each is made up for in those still to come, as far as the inputs vary together (Frantar et
      al., 2022, GPTQ, after Hassibi and Stork's optimal brain surgeon);
    - the bias of every convolution makes up for the mean error that is left (Nagel et al., 2019,
      Data-free quantization through weight equalization and bias correction).

    The result is still a float file; a quantizer finds its weights on the grid and keeps them.

    Args:
        content: a `.tflite` file in floats that takes float32 (1, image_size, image_size, 3).
        calibration: training images by the pixel rule, uint8 (n, image_size, image_size, 3),
            0..255, at least one; the first `ROUNDING_IMAGES` of them are used.
    """
    model = tflite_file.unpack(content)
    graph = model.subgraphs[0]
    names = tflite_file.operator_names(model)
    layers = [
        (name, operator)
        for name, operator in zip(names, graph.operators, strict=True)
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D")
        and _holds_floats(model, operator.inputs[1], stored=True)
        and operator.inputs[2] >= 0
    ]
    statistics = input_statistics(
        content,
        [layer.inputs[0] for _, layer in layers],
        [
            name == "CONV_2D" and list(graph.tensors[layer.inputs[1]].shape[1:3]) == [1, 1]
            for name, layer in layers
        ],
        calibration[:ROUNDING_IMAGES],
    )
    for (name, layer), (means, products) in zip(layers, statistics, strict=True):
        weights = _values(model, layer.inputs[1])
        # A depthwise kernel is (1, height, width, channels), any other (channels, ..., inputs).
        within = (0, 1, 2) if name == "DEPTHWISE_CONV_2D" else (1, 2, 3)
        step = np.abs(weights).max(axis=within, keepdims=True) / 127
        step[step == 0] = 1
        if products is not None:
            flat = weights.reshape(len(weights), -1)
            rounded = round_in_turn(flat, step.reshape(-1, 1), products).reshape(weights.shape)
        else:
            rounded = np.rint(weights / step) * step
        error = rounded - weights
        if name == "DEPTHWISE_CONV_2D":
            shift = error.sum(axis=within) * np.repeat(means, weights.shape[3] // len(means))
        else:
            shift = error.sum(axis=(1, 2)) @ means
        _set_values(model, layer.inputs[1], rounded)
        _set_values(model, layer.inputs[2], _values(model, layer.inputs[2]) - shift)
    return tflite_file.pack(model)


def round_in_turn(weights: np.ndarray, step: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Round the weights of a linear layer, making up for each error in the weights still to come.

    Args:
        weights: (outputs, inputs).
        step: (outputs, 1), the distance between levels; the largest weight of an output is 127
            steps, and stays so.
        products: (inputs, inputs), the sums of products of the layer's inputs over many photos.

    Returns:
        Multiples of the step, by -127..127, (outputs, inputs).
    """
    # The inputs that matter most come first, while others are left to make up for them.
    order = np.argsort(-np.diag(products))
    left = weights[:, order].astype(np.float64)
    is_largest = np.abs(left) >= 126.999 * step
    products = products[np.ix_(order, order)].astype(np.float64)
    # Inputs that are always zero make the matrix singular; adding a hundredth of the mean helps.
    damped = products + np.eye(len(order)) * max(0.01 * np.diag(products).mean(), 1e-9)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    rounded = np.empty_like(left)
    # One block of inputs at a time, so that most of the work is one product of matrices.
    for start in range(0, len(order), 64):
        block = slice(start, min(start + 64, len(order)))
        errors = np.zeros((len(left), block.stop - start))
        for number in range(start, block.stop):
            column = left[:, number, None]
            levels = np.clip(np.rint(column / step), -127, 127)
            # A quantizer takes the step from the largest weight, so that one must not shrink.
            keep = is_largest[:, number, None]
            levels[keep] = 127 * np.sign(weights[:, order[number], None][keep])
            rounded[:, number, None] = levels * step
            error = (column - levels * step) / upper[number, number]
            left[:, number + 1 : block.stop] -= error * upper[number, number + 1 : block.stop]
            errors[:, number - start, None] = error
        left[:, block.stop :] -= errors @ upper[block, block.stop :]
    return rounded[:, np.argsort(order)].astype(np.float32)


def kernel_levels(content: bytes, rounded: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the largest convolution in levels, before and after rounding.

    It is the largest 1x1 convolution, if there is one: `round_weights` does most for these.

    Args:
        content: a `.tflite` file in floats.
        rounded: the same with its weights on the 8-bit grid, as from `round_weights`.

    Returns:
        Both (outputs, inputs), -127..127: floats, and whole numbers apart from float errors.

    Raises:
        ValueError: the file has no convolution.
    """
    model = tflite_file.unpack(content)
    tensors, names = model.subgraphs[0].tensors, tflite_file.operator_names(model)
    kernels = [
        operator.inputs[1]
        for name, operator in zip(names, model.subgraphs[0].operators, strict=True)
        if name == "CONV_2D" and _holds_floats(model, operator.inputs[1], stored=True)
    ]
    if not kernels:
        raise ValueError("The file has no convolution whose weights could be shown.")

    def importance(index: int) -> tuple[bool, int]:
        shape = tensors[index].shape
        return list(shape[1:3]) == [1, 1], int(np.prod(shape))

    kernel = max(kernels, key=importance)
    before, after = (
        values.reshape(len(values), -1)
        for values in (_values(model, kernel), _values(tflite_file.unpack(rounded), kernel))
    )
    step = np.abs(before).max(axis=1, keepdims=True) / 127
    step[step == 0] = 1
    return before / step, after / step


def _holds_floats(model: tflite_file.schema.ModelT, index: int, stored: bool) -> bool:
    """Tell whether a tensor holds floats that are stored in the file, or else that flow."""
    tensor = model.subgraphs[0].tensors[index]
    is_float = tflite_file.TYPE_NAMES[tensor.type] == "FLOAT32"
    return is_float and (model.buffers[tensor.buffer].data is not None) == stored


def _values(model: tflite_file.schema.ModelT, index: int) -> np.ndarray:
    """Return the floats of a tensor that is stored in the file."""
    tensor = model.subgraphs[0].tensors[index]
    return np.frombuffer(bytes(model.buffers[tensor.buffer].data), "<f4").reshape(tensor.shape)


def _set_values(model: tflite_file.schema.ModelT, index: int, values: np.ndarray) -> None:
    """Replace the floats of a tensor that is stored in the file."""
    tensor = model.subgraphs[0].tensors[index]
    content = np.ascontiguousarray(values, "<f4").tobytes()
    model.buffers[tensor.buffer].data = np.frombuffer(content, np.uint8)


# --- Calibration ----------------------------------------------------------------------------------


def measure_ranges(content: bytes, tensors: Sequence[int], calibration: np.ndarray) -> np.ndarray:
    """Return the smallest and the largest value of some tensors of a float32 file.

    Args:
        content: a `.tflite` file that takes float32 (1, image_size, image_size, 3), 0..255.
        tensors: their indices.
        calibration: uint8 (n, image_size, image_size, 3), 0..255.

    Returns:
        float32 (len(tensors), 2).
    """
    low, high = np.full(len(tensors), np.inf), np.full(len(tensors), -np.inf)
    for values in observe(content, tensors, calibration):
        low = np.minimum(low, [value.min() for value in values])
        high = np.maximum(high, [value.max() for value in values])
    return np.stack([low, high], axis=1).astype(np.float32)


def input_statistics(
    content: bytes,
    tensors: Sequence[int],
    with_products: Sequence[bool],
    calibration: np.ndarray,
) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Return what flows through tensors of a float32 file: means and, for some, sums of products.

    Args:
        content: a `.tflite` file that takes float32 (1, image_size, image_size, 3), 0..255.
        tensors: their indices; each is (1, height, width, channels).
        with_products: for each of them, whether products are wanted.
        calibration: uint8 (n, image_size, image_size, 3), 0..255.

    Returns:
        For each tensor the mean of each channel, (channels,), and the sums of products of its
        channels, (channels, channels), over 97 places of each image at most, or None.
    """
    means = [np.zeros(()) for _ in tensors]
    products = [np.zeros((), np.float32) if wanted else None for wanted in with_products]
    for observed in observe(content, tensors, calibration):
        for number, values in enumerate(observed):
            values = values.reshape(-1, values.shape[-1])
            means[number] = means[number] + values.mean(axis=0, dtype=np.float64)
            if (sums := products[number]) is not None:
                some = values[:: max(1, len(values) // 49)]
                products[number] = sums + some.T @ some
    return [(mean / len(calibration), sums) for mean, sums in zip(means, products, strict=True)]


def observe(
    content: bytes, tensors: Sequence[int], calibration: np.ndarray
) -> Iterator[list[np.ndarray]]:
    """Yield, image by image, the values of some tensors of a float32 file.

    Args:
        content: a `.tflite` file that takes float32 (1, image_size, image_size, 3), 0..255.
        tensors: their indices.
        calibration: uint8 (n, image_size, image_size, 3), 0..255.
    """
    interpreter = runtime.open_interpreter(content, keep_all_tensors=True)
    (given,) = interpreter.get_input_details()
    for number, image in enumerate(calibration):
        batch = image[None].astype("float32")
        if number == 0:
            # Only if both ends of the range are seen does the input get scale 1 and zero point 0,
            # so that a client may feed raw bytes: one corner goes black, another white.
            batch[0, 0, 0], batch[0, -1, -1] = 0.0, 255.0
        interpreter.set_tensor(given["index"], batch)
        interpreter.invoke()
        yield [interpreter.get_tensor(index) for index in tensors]


def write_files(run: Run, files: Mapping[str, bytes]) -> None:
    """Write `tflite/VARIANT.tflite` for each variant, all at once.

    Args:
        run: where to write.
        files: the content of each variant's file.
    """
    with atomic_path(run.path("tflite")) as folder:
        folder.mkdir()
        for variant, content in files.items():
            (folder / f"{variant}.tflite").write_bytes(content)
