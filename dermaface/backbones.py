"""Named feature extractors: their layers, weights and input scaling."""

import dataclasses
import difflib
import os
from pathlib import Path

import numpy as np

# Keras is imported where it is used: the command checks the name of a backbone without it.

TINY_WEIGHTS = Path(__file__).with_name("tiny_weights.npz")


@dataclasses.dataclass(frozen=True)
class Backbone:
    """What the project knows of a feature extractor.

    Attributes:
        alpha: width multiplier of the MobileNetV2 layers.
        image_size: the side, in pixels, for which its weights were made.
        weights_file: the name under which Keras keeps its published weights, or "" for `tiny`.
        fine_tune_from: the layer at which fine-tuning starts unless told otherwise.
    """

    alpha: float
    image_size: int
    weights_file: str
    fine_tune_from: str


BACKBONES = {
    "tiny": Backbone(0.35, 96, "", "Conv1"),
    "mobilenet_v2": Backbone(
        1.0,
        224,
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        "block_13_expand",
    ),
}


def get_backbone(name: str) -> Backbone:
    """Return a backbone by its name.

    Raises:
        ValueError: the name is unknown; the message names the nearest.
    """
    if name not in BACKBONES:
        near = difflib.get_close_matches(name, BACKBONES, n=1, cutoff=0)[0]
        raise ValueError(
            f"There is no backbone {name!r}. Did you mean {near!r}? Known: {', '.join(BACKBONES)}."
        )
    return BACKBONES[name]


def apply_backbone(name: str, pixels, weights: str = "pretrained"):
    """Put a backbone, with its input scaling, on top of a tensor of pixels.

    Args:
        name: a key of `BACKBONES`.
        pixels: Keras tensor of shape (batch, image_size, image_size, 3), 0..255.
        weights: "pretrained" (ImageNet; for `tiny`, the project's own), "random", or the path of a
            Keras weights file for the same layers.

    Returns:
        The Keras tensor of its last feature map, (batch, height, width, channels). Its layers stand
        one by one in the graph that ends there.

    Raises:
        ValueError: unknown backbone, an image size it cannot take, or weights out of reach.
    """
    backbone = get_backbone(name)
    image_size = pixels.shape[1]
    if image_size < 32:
        raise ValueError(f"{name} needs an image_size of at least 32 pixels; got {image_size}.")

    from dermaface.quiet_tensorflow import keras

    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scaling")(pixels)
    base = keras.applications.MobileNetV2(
        input_tensor=scaled, alpha=backbone.alpha, include_top=False, weights=None
    )
    load_weights(base, name, weights)
    return base.output


def load_weights(base, name: str, weights: str) -> None:
    """Load a backbone's weights into its layers; see `apply_backbone` for the arguments."""
    if weights == "random":
        return
    if weights == "pretrained" and name == "tiny":
        _load_tiny_weights(base)
        return
    path = _published_weights(name) if weights == "pretrained" else Path(weights).expanduser()
    if not path.is_file():
        raise ValueError(
            f"There is no weights file {str(path)!r}. weights must be 'pretrained', 'random' or "
            "the path of a Keras weights file (.h5 or .weights.h5)."
        )
    try:
        base.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"The weights in {str(path)!r} do not fit {name}: {error}") from error


def _load_tiny_weights(base) -> None:
    """Load the float16 weights that come with the package."""
    with np.load(TINY_WEIGHTS) as arrays:
        for layer in base.layers:
            for variable in layer.weights:
                variable.assign(arrays[f"{layer.name}/{variable.name}"].astype("float32"))


def _published_weights(name: str) -> Path:
    """Return the file with the ImageNet weights, downloading it if Keras has not got it yet."""
    file = get_backbone(name).weights_file
    keras_home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    path = keras_home / "models" / file
    if not path.is_file():
        from dermaface.quiet_tensorflow import keras

        try:
            # Keras fetches the file into its own folder; the model it builds is not needed.
            keras.applications.MobileNetV2((224, 224, 3), include_top=False, weights="imagenet")
        except Exception as error:  # Keras raises a bare Exception when a download fails.
            raise ValueError(
                f"The ImageNet weights of {name} are out of reach: Keras looked for {path} and "
                "could not download it. Either put that file there (Keras looks in models/ under "
                "the folder that the environment variable KERAS_HOME names), or pass the path of a "
                "copy with weights=PATH (on the command line: -p weights PATH), or use the "
                "built-in backbone with backbone='tiny' and image_size=96."
            ) from error
    return path
