"""Any Keras image classifier to a `.tflite` file, in several variants."""

from collections.abc import Callable, Mapping
import contextlib
import io
from pathlib import Path
import re
import warnings

from dermaface.quiet import quiet
from dermaface.quiet_tensorflow import keras, tf
from dermaface.runs import Run, atomic_path
from dermaface.tflite import file as tflite_file
from dermaface.tflite import runtime
import numpy as np
from tensorflow.lite.python.convert import mlir_quantize

with quiet():
    from litert_quantizer import qtyping, quantizer, recipe_manager

# float32: as trained. float16: weights stored in half precision. dynamic: weights in 8 bits, what
# flows between layers too, but measured anew for each photo. int8: weights and activations in 8
# bits, raw bytes in. int8_weights: weights stored in 8 bits, the calculation in floats.
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
    is_int8 = variant in ("int8", "int8_weights")
    if is_int8 and (calibration is None or not len(calibration)):
        raise ValueError(f"The {variant} variant needs at least one calibration image.")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if variant in ("float16", "dynamic"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if variant == "float16":
        converter.target_spec.supported_types = [tf.float16]
    with quiet():
        content = converter.convert()
    if not is_int8:
        return content
    rounded = round_weights(content, calibration)
    return quantize(rounded, calibration) if variant == "int8" else quantize_weights(rounded)


def quantize(rounded: bytes, calibration: np.ndarray) -> bytes:
    """Return an int8 file, raw bytes in, by the converter's quantizer, with ranges measured here.

    The converter's own calibration reads each layer's range after the whole network has run, when
    elementwise layers (scaling, addition) have already put their result into the memory of their
    input: both then get the range of both. Behind a scaling from 0..255 to 0..1 that leaves two of
    the 256 levels. Here every tensor keeps its memory.

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
    tensors = flowing_tensors(model)
    ranges = measure_ranges(rounded, tensors, calibration)
    for index, (low, high) in zip(tensors, ranges, strict=True):
        model.subgraphs[0].tensors[index].quantization = tflite_file.schema.QuantizationParametersT(
            min=[low], max=[high]
        )
    with quiet():
        content = mlir_quantize(
            tflite_file.pack(model), input_data_type=tf.uint8, output_data_type=tf.float32
        )
    tflite_file.check_claim(content, "int8")
    return content


def flowing_tensors(model) -> list[int]:
    """Return the indices of the float tensors whose values do not lie in the file."""
    return [
        index
        for index, tensor in enumerate(model.subgraphs[0].tensors)
        if model.buffers[tensor.buffer].data is None
        and tflite_file.TYPE_NAMES[tensor.type] == "FLOAT32"
    ]


# --- Rounding weights -----------------------------------------------------------------------------


def round_weights(content: bytes, calibration: np.ndarray) -> bytes:
    """Put the weights of a float file's convolutions on the 8-bit grid so that answers stay.

    Quantizers round each weight to the nearest of its channel's 255 levels. Where the inputs of a
    layer are far from zero on average, as behind a ReLU6, hundreds of small errors add up to a
    shift of the output, the same for every photo; with MobileNetV2 that alone changed one answer in
    sixteen. So:

    - in 1x1 convolutions, weights are rounded one input channel after the other, and the error of
      each is made up for in those still to come, as far as the inputs go together (Frantar et al.,
      2022, GPTQ, after Hassibi and Stork's optimal brain surgeon);
    - the bias of every convolution takes back the mean error that is left (Nagel et al., 2019,
      Data-free quantization through weight equalization and bias correction).

    The result still is a float file; a quantizer finds its weights on the grid and keeps them.

    Args:
        content: a `.tflite` file in floats, which takes float32 (1, image_size, image_size, 3).
        calibration: training images by the pixel rule, uint8 (n, image_size, image_size, 3),
            0..255, at least one; the first `ROUNDING_IMAGES` of them are used.
    """
    model = tflite_file.unpack(content)
    graph = model.subgraphs[0]
    layers = [o for o in graph.operators if _name(model, o) in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    layers = [o for o in layers if _is_constant(model, o.inputs[1]) and o.inputs[2] >= 0]
    is_pointwise = [
        _name(model, o) == "CONV_2D" and list(graph.tensors[o.inputs[1]].shape[1:3]) == [1, 1]
        for o in layers
    ]
    statistics = input_statistics(
        content,
        [o.inputs[0] for o in layers],
        [tensor and i.inputs[0] for tensor, i in zip(is_pointwise, layers, strict=True)],
        calibration[:ROUNDING_IMAGES],
    )
    for layer, pointwise, (means, products) in zip(layers, is_pointwise, statistics, strict=True):
        weights = _values(model, layer.inputs[1])
        # A depthwise kernel is (1, height, width, channels), any other (channels, ..., inputs).
        depthwise = _name(model, layer) == "DEPTHWISE_CONV_2D"
        within = (0, 1, 2) if depthwise else (1, 2, 3)
        step = np.abs(weights).max(axis=within, keepdims=True) / 127
        step[step == 0] = 1
        if pointwise:
            flat = weights.reshape(len(weights), -1)
            rounded = round_in_turn(flat, step.reshape(-1, 1), products).reshape(weights.shape)
        else:
            rounded = np.rint(weights / step) * step
        error = rounded - weights
        if depthwise:
            shift = error.sum(axis=within) * np.repeat(means, weights.shape[3] // len(means))
        else:
            shift = error.sum(axis=(1, 2)) @ means
        _set_values(model, layer.inputs[1], rounded)
        _set_values(model, layer.inputs[2], _values(model, layer.inputs[2]) - shift)
    return tflite_file.pack(model)


def round_in_turn(weights: np.ndarray, step: np.ndarray, products: np.ndarray) -> np.ndarray:
    """Round the weights of a linear layer, making up for each error in the weights to come.

    Args:
        weights: (outputs, inputs).
        step: (outputs, 1), the distance of two levels; the largest weight of an output is 127
            steps, and stays so.
        products: (inputs, inputs), the sums of products of the layer's inputs over many photos.

    Returns:
        Multiples of the step, -127..127 times, (outputs, inputs).
    """
    # The inputs that matter most come first, while others are left that can make up for them.
    order = np.argsort(-np.diag(products))
    left = weights[:, order].astype(np.float64)
    is_largest = np.abs(left) >= 126.999 * step
    products = products[np.ix_(order, order)].astype(np.float64)
    # Inputs that are always zero leave the matrix singular; a hundredth of the mean does not.
    damped = products + np.eye(len(order)) * max(0.01 * np.diag(products).mean(), 1e-9)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    rounded = np.empty_like(left)
    # A block of inputs at a time, so that most of the making up is one product of matrices.
    for start in range(0, len(order), 64):
        block = slice(start, min(start + 64, len(order)))
        errors = np.zeros((len(left), block.stop - start))
        for number in range(start, block.stop):
            column = left[:, number, None]
            levels = np.clip(np.rint(column / step), -127, 127)
            # A quantizer reads the step off the largest weight, so that one must not shrink.
            keep = is_largest[:, number, None]
            levels[keep] = 127 * np.sign(weights[:, order[number], None][keep])
            rounded[:, number, None] = levels * step
            error = (column - levels * step) / upper[number, number]
            left[:, number + 1 : block.stop] -= error * upper[number, number + 1 : block.stop]
            errors[:, number - start, None] = error
        left[:, block.stop :] -= errors @ upper[block, block.stop :]
    return rounded[:, np.argsort(order)].astype(np.float32)


def input_statistics(
    content: bytes, tensors: list[int], with_products: list[int | bool], calibration: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Return what flows through tensors of a float file: means and, of some, sums of products.

    Args:
        content: a `.tflite` file that takes float32 (1, image_size, image_size, 3), 0..255.
        tensors: their indices; each is (1, height, width, channels).
        with_products: for each of them, False where products are not wanted.
        calibration: uint8 (n, image_size, image_size, 3), 0..255.

    Returns:
        For each tensor its mean a channel, (channels,), and the sums of products of its channels,
        (channels, channels), over up to 49 places of each image, or None.
    """
    interpreter = runtime.open_interpreter(content, keep_all_tensors=True)
    (given,) = interpreter.get_input_details()
    means = [0.0] * len(tensors)
    products = [None if wanted is False else 0.0 for wanted in with_products]
    for (batch,) in representative_dataset(calibration):
        interpreter.set_tensor(given["index"], batch)
        interpreter.invoke()
        for number, index in enumerate(tensors):
            values = interpreter.get_tensor(index)
            values = values.reshape(-1, values.shape[-1])
            means[number] = means[number] + values.mean(axis=0, dtype=np.float64)
            if products[number] is not None:
                some = values[:: max(1, len(values) // 49)]
                products[number] = products[number] + some.T @ some
    return [(mean / len(calibration), sums) for mean, sums in zip(means, products, strict=True)]


def _name(model, operator) -> str:
    """Return the name of an operator."""
    code = model.operatorCodes[operator.opcodeIndex]
    return tflite_file.OPERATOR_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _is_constant(model, index: int) -> bool:
    """Tell whether a tensor's values lie in the file, as floats."""
    tensor = model.subgraphs[0].tensors[index]
    has_values = model.buffers[tensor.buffer].data is not None
    return has_values and tflite_file.TYPE_NAMES[tensor.type] == "FLOAT32"


def _values(model, index: int) -> np.ndarray:
    """Return the floats of a tensor that lies in the file."""
    tensor = model.subgraphs[0].tensors[index]
    return np.frombuffer(bytes(model.buffers[tensor.buffer].data), "<f4").reshape(tensor.shape)


def _set_values(model, index: int, values: np.ndarray) -> None:
    """Put other floats into a tensor that lies in the file."""
    tensor = model.subgraphs[0].tensors[index]
    content = np.ascontiguousarray(values, "<f4").tobytes()
    model.buffers[tensor.buffer].data = np.frombuffer(content, np.uint8)


# --- With litert-quantizer ------------------------------------------------------------------------


def quantize_weights(rounded: bytes) -> bytes:
    """Return a file whose weights are stored in 8 bits and which calculates in floats.

    Args:
        rounded: a float file, as from `round_weights`.

    Raises:
        ValueError: the result is something else.
    """
    recipe = recipe_manager.RecipeManager()
    everything = qtyping.TFLOperationName.ALL_SUPPORTED
    recipe.add_weight_only_config(regex=".*", operation_name=everything, num_bits=8)
    content = _run_quantizer(rounded, recipe)
    tflite_file.check_claim(content, "int8_weights")
    return content


def quantize_static(rounded: bytes, calibration: np.ndarray, mixed: bool = False) -> bytes:
    """Return an int8 file by litert-quantizer, ranges from the smallest to the largest value.

    Args:
        rounded: a float file, as from `round_weights`.
        calibration: as in `quantize`.
        mixed: leave the most sensitive operators in floats, which makes it `int8_mixed`.

    Raises:
        ValueError: the result is something else, or would not take raw bytes.
    """
    ranges = _named_ranges(rounded, calibration)
    in_floats = most_sensitive_operators(rounded, ranges, calibration) if mixed else []
    model = tflite_file.unpack(_quantize_static(rounded, ranges, in_floats))
    graph = model.subgraphs[0]
    (entry,) = [o for o in graph.operators if graph.inputs[0] in o.inputs]
    if _name(model, entry) == "QUANTIZE":
        # The input becomes bytes that mean their own grey level; QUANTIZE takes these as well.
        given = graph.tensors[graph.inputs[0]]
        given.type = tflite_file.schema.TensorType.UINT8
        given.quantization = tflite_file.schema.QuantizationParametersT(
            scale=np.float32([1]), zeroPoint=np.int64([0])
        )
    content = tflite_file.pack(model)
    tflite_file.check_claim(content, "int8_mixed" if mixed else "int8")
    return content


def _quantize_static(rounded: bytes, ranges: dict, in_floats: list[str]) -> bytes:
    """Return a file in 8 bits, apart from the operators whose outputs are named; floats go in."""
    recipe = recipe_manager.RecipeManager()
    names, no = qtyping.TFLOperationName, "no_quantize"
    recipe.add_static_config(
        regex=".*", operation_name=names.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8
    )
    for border in (names.INPUT, names.OUTPUT):
        recipe.add_quantization_config(regex=".*", operation_name=border, algorithm_key=no)
    for name in in_floats:
        recipe.add_quantization_config(
            regex=re.escape(name), operation_name=names.ALL_SUPPORTED, algorithm_key=no
        )
    return _run_quantizer(rounded, recipe, ranges)


def _named_ranges(rounded: bytes, calibration: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Return the smallest and the largest value of what flows in a file, by tensor name.

    litert-quantizer's own calibration lets the ranges follow the photos slowly, and so cuts off
    the largest values.
    """
    model = tflite_file.unpack(rounded)
    flowing = flowing_tensors(model)
    found = {}
    for index, (low, high) in zip(
        flowing, measure_ranges(rounded, flowing, calibration), strict=True
    ):
        tensor = model.subgraphs[0].tensors[index]
        shape = [1] * len(tensor.shape)
        found[tensor.name.decode("utf-8")] = {
            "min": np.full(shape, low),
            "max": np.full(shape, high),
        }
    return found


def _run_quantizer(
    rounded: bytes, recipe: recipe_manager.RecipeManager, ranges: dict | None = None
) -> bytes:
    """Return what litert-quantizer makes of a file, weights inside the flatbuffer, in silence."""
    work = quantizer.Quantizer(rounded, recipe.get_quantization_recipe())
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")  # that keeping all tensors takes memory
        stack.enter_context(quiet())
        # Sizes and progress bars, which in a notebook do not go to the terminal.
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        content = bytes(work.quantize(ranges).quantized_model)
    model = tflite_file.unpack(content)
    unpacked = {
        o.opcodeIndex
        for o in model.subgraphs[0].operators
        if _name(model, o) == "DEQUANTIZE"
        and model.buffers[model.subgraphs[0].tensors[o.inputs[0]].buffer].data is not None
    }
    for number in unpacked:
        # Weights with a scale a channel need the fifth version of DEQUANTIZE; it writes 1, and an
        # old runtime would then unpack them wrongly instead of refusing the file.
        model.operatorCodes[number].version = max(model.operatorCodes[number].version, 5)
    return tflite_file.pack(model)


def most_sensitive_operators(
    rounded: bytes, ranges: dict, calibration: np.ndarray, together: int = 3
) -> list[str]:
    """Return the names of the outputs of those adjoining operators that gain most by floats.

    Every few operators are left in floats in turn. What counts is how far the answers to
    calibration images then are from those of the float file (Kullback-Leibler divergence).

    Args:
        rounded: the float file, as from `round_weights`.
        ranges: of what flows in it, as from `_named_ranges`.
        calibration: as in `convert`; the first `ROUNDING_IMAGES` are used.
        together: how many operators are tried at once.
    """
    model = tflite_file.unpack(rounded)
    graph = model.subgraphs[0]
    names = [graph.tensors[o.outputs[0]].name.decode("utf-8") for o in graph.operators]
    groups = [names[max(0, end - together) : end] for end in range(len(names), 0, -together)]
    images = calibration[:ROUNDING_IMAGES]
    wanted = _answers(rounded, images)

    def distance(group: list[str]) -> float:
        given = _answers(_quantize_static(rounded, ranges, group), images)
        return float((wanted * np.log((wanted + 1e-6) / (given + 1e-6))).sum(axis=1).mean())

    return min(groups, key=distance)


def _answers(content: bytes, images: np.ndarray) -> np.ndarray:
    """Return the probabilities (n, num_classes) that a file with float input gives for images."""
    interpreter = runtime.open_interpreter(content)
    (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for image in images:
        interpreter.set_tensor(given["index"], image[None].astype("float32"))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(answer["index"])[0])
    return np.stack(rows)


# --- Calibration ----------------------------------------------------------------------------------


def further_recipes(
    rounded: bytes, calibration: np.ndarray, first: int
) -> dict[str, Callable[[], bytes]]:
    """Return further ways to an 8-bit file, for where `quantize` misses the gate.

    Args:
        rounded: a float file, as from `round_weights`.
        calibration: as in `quantize`, more images than were used first.
        first: how many of them were used first.

    Returns:
        For each recipe, in words, a function that makes the file. All are int8 but the last, which
        is `int8_mixed`.
    """
    few = calibration[:first]
    return {
        f"converter, {len(calibration)} photos": lambda: quantize(rounded, calibration),
        "litert-quantizer": lambda: quantize_static(rounded, few),
        "litert-quantizer, most sensitive layers in floats": lambda: quantize_static(
            rounded, few, mixed=True
        ),
    }


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
