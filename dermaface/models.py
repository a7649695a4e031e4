"""The head, the whole model, and which of its layers learn."""

from collections.abc import Sequence

from dermaface import backbones
from dermaface.quiet_tensorflow import keras


def build_model(
    num_classes: int,
    backbone: str = "mobilenet_v2",
    image_size: int = 224,
    dense_units: Sequence[int] = (),
    dropout_rate: float = 0.2,
    l2: float = 0.0,
    weights: str = "pretrained",
) -> keras.Model:
    """Build a classifier as one flat functional graph: pixels in, probabilities out.

    Printed in full in notebook 02.

    Args:
        num_classes: how many classes, at least 2.
        backbone: a key of `backbones.BACKBONES`.
        image_size: side of the square input in pixels.
        dense_units: sizes of optional ReLU layers between pooling and the probabilities.
        dropout_rate: share of the features dropped in training, 0..1.
        l2: weight of the L2 penalty on the kernels of the head.
        weights: "pretrained", "random", or the path of a weights file.

    Returns:
        A model from float32 (batch, image_size, image_size, 3), 0..255, to (batch, num_classes).
        The layer named "pooling" is the first of the head; all layers before it are the backbone.

    Raises:
        ValueError: an argument out of range, an unknown backbone, or weights out of reach.
    """
    if num_classes < 2:
        raise ValueError(f"A classifier needs at least two classes; got {num_classes}.")
    if not 0 <= dropout_rate < 1:
        raise ValueError(f"dropout_rate must lie from 0 up to below 1; got {dropout_rate}.")
    if l2 < 0 or any(units < 1 for units in dense_units):
        raise ValueError(
            f"l2 must not be negative and dense_units must be positive; got {l2}, {dense_units}."
        )
    regularizer = keras.regularizers.L2(l2) if l2 else None
    pixels = keras.Input((image_size, image_size, 3), name="image")
    x = backbones.apply_backbone(backbone, pixels, weights)
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
    for number, units in enumerate(dense_units, start=1):
        x = keras.layers.Dense(
            units, activation="relu", kernel_regularizer=regularizer, name=f"dense_{number}"
        )(x)
    x = keras.layers.Dropout(dropout_rate, name="dropout")(x)
    outputs = keras.layers.Dense(
        num_classes, activation="softmax", kernel_regularizer=regularizer, name="probabilities"
    )(x)
    return keras.Model(pixels, outputs, name=backbone)


def set_trainable(model: keras.Model, first: str = "pooling") -> None:
    """Let the layers from `first` on learn, and freeze those before it.

    BatchNormalization stays frozen everywhere: its statistics come from the millions of pictures
    of the pre-training, and a few hundred photos would spoil them (keras-team/keras#20285).
    A frozen BatchNormalization layer of Keras 3 also runs in inference mode. Compile the model
    afterwards.

    Args:
        model: as from `build_model`.
        first: name of a layer; "pooling" is the head.

    Raises:
        ValueError: the model has no such layer.
    """
    names = [layer.name for layer in model.layers]
    if first not in names:
        raise ValueError(
            f"The model has no layer {first!r}. Its blocks start at "
            + ", ".join(name for name in names if name.endswith("_expand"))
            + "; its head at pooling."
        )
    for position, layer in enumerate(model.layers):
        layer.trainable = position >= names.index(first) and not isinstance(
            layer, keras.layers.BatchNormalization
        )


def count_parameters(model: keras.Model) -> dict[str, int]:
    """Return how many numbers the model has, and how many of them learn."""
    trainable = sum(int(keras.ops.size(weight)) for weight in model.trainable_weights)
    return {"parameters": model.count_params(), "trainable": trainable}
