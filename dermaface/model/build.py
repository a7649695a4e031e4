"""The head, the whole model, and which of its layers learn."""

from collections.abc import Sequence
import itertools
import math
from pathlib import Path

from dermaface.model import backbones, hub
from dermaface.quiet_tensorflow import keras


def build_model(
    num_classes: int,
    backbone: str = "mobilenet_v2",
    image_size: int = 224,
    dense_units: Sequence[int] = (),
    dropout_rate: float = 0.2,
    l2: float = 0.0,
    weights: str = "pretrained",
    alpha: float = 1.0,
    batch_normalization: bool = False,
) -> keras.Model:
    """Build a classifier as one flat functional graph: pixels in, probabilities out.

    Printed in full in notebook 02.

    Args:
        num_classes: how many classes, at least 2.
        backbone: a key of `backbones.BACKBONES`, or the handle of a TensorFlow Hub module.
        image_size: side of the square input in pixels.
        dense_units: sizes of optional ReLU layers between pooling and the probabilities.
        dropout_rate: share of the features dropped before each layer of the head, 0..1.
        l2: weight of the L2 penalty on the kernels of the head.
        weights: "pretrained", "random", or the path of a weights file.
        alpha: width of the backbone's layers, for `mobilenet` and `mobilenet_v2`.
        batch_normalization: whether the head normalises the features and its own layers.

    Returns:
        A model from float32 (batch, image_size, image_size, 3), 0..255, to (batch, num_classes).
        The layer named "pooling" is the first of the head; all layers before it are the backbone.

    Raises:
        ValueError: an argument out of range, an unknown backbone, or weights that cannot be
            reached or do not fit.
    """
    pixels = keras.Input((image_size, image_size, 3), name="image")
    x = backbones.apply_backbone(backbone, pixels, weights, alpha)
    if len(x.shape) == 4:
        x = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
    else:  # A Hub module has pooled already.
        x = keras.layers.Flatten(name="pooling")(x)
    outputs = _attach_head(x, num_classes, dense_units, dropout_rate, l2, batch_normalization)
    return keras.Model(pixels, outputs, name="classifier")


def build_head(
    num_features: int,
    num_classes: int,
    dense_units: Sequence[int] = (),
    dropout_rate: float = 0.2,
    l2: float = 0.0,
    batch_normalization: bool = False,
) -> keras.Model:
    """Build the head of `build_model` alone, from pooled features to probabilities."""
    features = keras.Input((num_features,), name="features")
    outputs = _attach_head(
        features, num_classes, dense_units, dropout_rate, l2, batch_normalization
    )
    return keras.Model(features, outputs, name="head")


def _attach_head(
    x: keras.KerasTensor,
    num_classes: int,
    dense_units: Sequence[int],
    dropout_rate: float,
    l2: float,
    batch_normalization: bool,
) -> keras.KerasTensor:
    """Put the head on top of pooled features and return the tensor of probabilities."""
    if num_classes < 2:
        raise ValueError(f"A classifier needs at least two classes; got {num_classes}.")
    if not 0 <= dropout_rate < 1:
        raise ValueError(f"dropout_rate must be at least 0 and below 1; got {dropout_rate}.")
    if l2 < 0 or any(units < 1 for units in dense_units):
        raise ValueError(
            f"l2 must not be negative and dense_units must be positive; got {l2}, {dense_units}."
        )
    regularizer = keras.regularizers.L2(l2) if l2 else None
    if batch_normalization:
        x = keras.layers.BatchNormalization(name="normalization")(x)
    for number, units in enumerate(dense_units, start=1):
        x = keras.layers.Dropout(dropout_rate, name=f"dropout_{number}")(x)
        x = keras.layers.Dense(units, kernel_regularizer=regularizer, name=f"dense_{number}")(x)
        if batch_normalization:
            x = keras.layers.BatchNormalization(name=f"normalization_{number}")(x)
        x = keras.layers.ReLU(name=f"relu_{number}")(x)
    x = keras.layers.Dropout(dropout_rate, name="dropout")(x)
    outputs = keras.layers.Dense(
        num_classes, activation="softmax", kernel_regularizer=regularizer, name="probabilities"
    )(x)
    return outputs


def load_model(path: str | Path) -> keras.Model:
    """Load a model that `build_model` made, including a Hub module in it.

    Raises:
        ValueError: the file is not a model, or the Hub module that it names cannot be reached.
    """
    return keras.models.load_model(path, custom_objects={"HubFeatures": hub.HubFeatures})


def set_trainable(model: keras.Model, first: str = "pooling") -> None:
    """Let the layers from `first` on learn, and freeze those before it.

    The backbone's BatchNormalization layers always stay frozen: their statistics come from the
    millions of pictures seen in pre-training, and a few hundred photos would spoil them
    (keras-team/keras#20285). In Keras 3, a frozen BatchNormalization layer also runs in inference
    mode. Compile the model afterwards.

    Args:
        model: as from `build_model`.
        first: name of a layer; "pooling" is the head, "hub" a whole Hub module.

    Raises:
        ValueError: the model has no such layer.
    """
    names = [layer.name for layer in model.layers]
    if first not in names:
        raise ValueError(
            f"The model has no layer {first!r}. Fine-tuning may start at head (just the head), at "
            "a share of the backbone's work such as 0.8, or at any layer, ideally the first of a "
            f"block: {', '.join(block_starts(model)) or 'none here'}."
        )
    for position, layer in enumerate(model.layers):
        in_backbone = position < names.index("pooling")
        layer.trainable = position >= names.index(first) and not (
            in_backbone and isinstance(layer, keras.layers.BatchNormalization)
        )


def fold_temperature(model: keras.Model, temperature: float) -> None:
    """Divide the logits of a model by a temperature, in the weights of its last layer.

    Calling it twice divides twice.

    Args:
        model: as from `build_model`; changed in place. No operator is added to it.
        temperature: above 1 it softens the answers, below 1 it sharpens them; none changes.

    Raises:
        ValueError: the last layer is not a dense one with softmax.
    """
    layer = model.layers[-1]
    if not isinstance(layer, keras.layers.Dense) or layer.activation.__name__ != "softmax":
        raise ValueError(
            "A temperature goes into a last layer that is dense and has softmax; that of this "
            f"model is {layer.name!r}."
        )
    layer.set_weights([values / temperature for values in layer.get_weights()])


def split_model(model: keras.Model, at: str | float = "head") -> tuple[keras.Model, keras.Model]:
    """Split a model into two that share its layers: the front is frozen, the rest learns.

    The front's output need be computed only once for each photo, because nothing in it changes.
    What the rest learns, the whole model learns, since they share the same layers. Keras can cut
    only at a single tensor, so if `at` is inside a block of parallel branches, the cut is at the
    block's start, and the layers from there to `at` stay frozen in the rest. The backbone's
    BatchNormalization layers always stay frozen, as in `set_trainable`.

    Printed in full, for the head, in notebook 03.

    Args:
        model: as from `build_model`.
        at: where learning starts: "head", a layer's name, or the share of the backbone's
            multiply-adds to freeze, 0..1, which is met as closely as the blocks allow.

    Returns:
        The front, from pixels to features, and the rest, from features to probabilities.

    Raises:
        ValueError: there is no such layer, or `at` is a share and the backbone has no inner cut
            points, as in a Hub module.
    """
    first = first_layer(model, at)
    set_trainable(model, first)
    return cut_before(model, first)


def cut_before(model: keras.Model, first: str) -> tuple[keras.Model, keras.Model]:
    """Cut a model in two that share its layers, at the last place before a layer.

    Args:
        model: as from `build_model`; which of its layers learn stays as it is.
        first: the layer's name; "pooling" itself is still in the first part.

    Returns:
        The first part, from pixels to features, and the rest, from features to probabilities.
    """
    names = [layer.name for layer in model.layers]
    if first == "pooling":  # Pooling learns nothing, and a pooled vector is far smaller.
        cut = "pooling"
    else:
        before = set(names[: max(names.index(first), 1)])
        cut = [name for name in cut_points(model) if name in before][-1]
    features = model.get_layer(cut).output
    return (
        keras.Model(model.input, features, name="frozen"),
        keras.Model(features, model.output, name="trainable"),
    )


def first_layer(model: keras.Model, at: str | float) -> str:
    """Return the layer at which learning starts, for an `at` as in `split_model`.

    Raises:
        ValueError: a share outside 0..1, or a backbone without inner cut points.
    """
    try:
        share = float(at)
    except ValueError:
        return "pooling" if at == "head" else str(at)
    if not 0 <= share <= 1:
        raise ValueError(f"A share of the backbone to freeze must be within 0..1; got {at}.")
    starts = block_starts(model)
    if not starts:
        raise ValueError(
            f"This backbone has no inner cut points, so freezing a share of {at} is impossible. "
            'Fine-tune from "head" (just the head) or from its first layer with weights ("hub" for '
            "a whole TensorFlow Hub module)."
        )
    total = multiply_adds(model)
    names = [layer.name for layer in model.layers]
    before = {name: multiply_adds(model, names.index(name)) / total for name in starts}
    return min(starts, key=lambda name: abs(before[name] - share))


def cut_points(model: keras.Model) -> list[str]:
    """Return the layers whose output carries everything on its way from pixels to features.

    Between the layers up to such a point and those after it there is a single tensor, so the
    network can be cut there into two models.

    Args:
        model: a flat functional model.
    """
    last_use = {}
    for operation in model.operations:
        for node in operation._inbound_nodes:
            for tensor in node.input_tensors:
                last_use[tensor._keras_history.operation] = operation
    position = {operation: number for number, operation in enumerate(model.operations)}
    reach, names = -1, []
    for number, operation in enumerate(model.operations[:-1]):
        # No earlier output is needed any more, so this one carries everything.
        if reach <= number and isinstance(operation, keras.layers.Layer):
            names.append(operation.name)
        reach = max(reach, position[last_use[operation]])
    return names


def block_starts(model: keras.Model) -> list[str]:
    """Return the backbone's layers at which a block starts: the best places to cut.

    A block ends where branches meet again. A backbone without branches may be cut before any layer
    with a kernel.
    """
    names = [layer.name for layer in model.layers]
    layers = model.layers[: names.index("pooling")]
    cuts = set(cut_points(model))
    if any(isinstance(layer, keras.layers.Add) and layer.name in cuts for layer in layers):
        ends = [x for x in layers[:-1] if x.name in cuts and isinstance(x, keras.layers.Add)]
        return [names[names.index(layer.name) + 1] for layer in ends]
    return [
        layer.name
        for previous, layer in itertools.pairwise(layers)
        if previous.name in cuts
        and any(weight.name.endswith("kernel") for weight in layer.weights)
        and not isinstance(layer, hub.HubFeatures)
    ]


def multiply_adds(model: keras.Model, layers: int | None = None) -> int:
    """Return the multiply-add operations of convolutions and dense layers for one image.

    The layers of a Hub module are hidden and count as nothing.

    Args:
        model: any functional model.
        layers: count only this many layers, from the first on.
    """
    total = 0
    for layer in model.layers[:layers]:
        kernels = [w for w in layer.weights if w.name.endswith("kernel")]
        if isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
        elif len(layer.output.shape) == 4 and kernels:
            # Every weight of a convolution is used once for each place in its output.
            places = math.prod(layer.output.shape[1:3])
            total += places * sum(math.prod(kernel.shape) for kernel in kernels)
    return total


def count_parameters(model: keras.Model) -> dict[str, int]:
    """Return how many numbers the model has, and how many of them learn."""
    trainable = sum(int(keras.ops.size(weight)) for weight in model.trainable_weights)
    return {"parameters": model.count_params(), "trainable": trainable}
