"""Named feature extractors: their layers, weights, input scaling and cost."""

import dataclasses
import difflib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dermaface.quiet_tensorflow import keras
    import pandas as pd

# Keras is imported where it is used, so that the command can check a backbone's name without it.

TINY_WEIGHTS = Path(__file__).with_name("tiny.weights.h5")  # float16

# How the pixels 0..255 are scaled inside the model: by a scale and an offset per channel.
# "imagenet" subtracts the mean of ImageNet's photos and divides by their standard deviation.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SCALINGS = {
    "-1..1": (1 / 127.5, -1.0),
    "0..1": (1 / 255, 0.0),
    "imagenet": (
        [1 / (255 * std) for std in IMAGENET_STD],
        [-mean / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True)],
    ),
}


@dataclasses.dataclass(frozen=True)
class Backbone:
    """What the project knows about a feature extractor.

    Attributes:
        application: its function in `keras.applications`; "" for a TensorFlow Hub module.
        image_size: the side, in pixels, for which its weights were made.
        fine_tune_from: the layer at which fine-tuning starts by default.
        weights_file: the name under which Keras keeps its ImageNet weights.
        scaling: a key of `SCALINGS`.
        smallest: the smallest side of an image that it takes, in pixels.
        width: its fixed `alpha`; None if any is possible.
        alphas: the widths with published weights.
        parameters: how many millions, without the top, at alpha 1.
        multiply_adds: how many millions for one image of `image_size`, at alpha 1.
        int8_mb: megabytes of its strict int8 file with 11 classes, measured by
            `benchmarks/backbones.py`.
        top1: published ImageNet accuracy in percent, from the table at keras.io/api/applications
            (MobileNetV3: from Keras's own documentation of it); None if there is none.
    """

    application: str = ""
    image_size: int = 224
    fine_tune_from: str = "hub"
    weights_file: str = ""
    scaling: str = "-1..1"
    smallest: int = 32
    width: float | None = 1.0
    alphas: tuple[float, ...] = (1.0,)
    parameters: float | None = None
    multiply_adds: int | None = None
    int8_mb: float | None = None
    top1: float | None = None


BACKBONES = {
    "tiny": Backbone(
        "MobileNetV2", 96, "block_4_expand",
        width=0.35, alphas=(0.35,), parameters=0.41, multiply_adds=11, int8_mb=0.6,
    ),
    "mobilenet": Backbone(
        "MobileNet", 224, "conv_dw_12", "mobilenet_{alpha}_224_tf_no_top.h5",
        width=None, alphas=(0.25, 0.5, 0.75, 1.0),
        parameters=3.23, multiply_adds=568, int8_mb=3.5, top1=70.4,
    ),
    "mobilenet_v2": Backbone(
        "MobileNetV2", 224, "block_12_expand",
        "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_224_no_top.h5",
        width=None, alphas=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
        parameters=2.26, multiply_adds=299, int8_mb=2.7, top1=71.3,
    ),
    "mobilenet_v3_small": Backbone(
        "MobileNetV3Small", 224, "expanded_conv_8_expand",
        "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5",
        parameters=0.94, multiply_adds=55, int8_mb=1.2, top1=68.1,
    ),
    "mobilenet_v3_large": Backbone(
        "MobileNetV3Large", 224, "expanded_conv_12_expand",
        "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
        parameters=3.0, multiply_adds=214, int8_mb=3.5, top1=75.6,
    ),
    "efficientnet_b0": Backbone(
        "EfficientNetB0", 224, "block6a_expand_conv", "efficientnetb0_notop.h5", "imagenet",
        parameters=4.05, multiply_adds=385, int8_mb=4.9, top1=77.1,
    ),
    "efficientnet_v2_b0": Backbone(
        "EfficientNetV2B0", 224, "block6a_expand_conv", "efficientnetv2-b0_notop.h5", "imagenet",
        parameters=5.92, multiply_adds=717, int8_mb=7.1, top1=78.7,
    ),
    "xception": Backbone(
        "Xception", 299, "block14_sepconv1",
        "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
        smallest=71, parameters=20.86, multiply_adds=8355, int8_mb=22.2, top1=79.0,
    ),
    "resnet50_v2": Backbone(
        "ResNet50V2", 224, "conv5_block1_preact_bn",
        "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
        parameters=23.56, multiply_adds=3480, int8_mb=24.3, top1=76.0,
    ),
}  # fmt: skip

# Well-known feature-vector modules; any other handle works, too. All take pixels 0..1.
HUB_HANDLES = {
    "hub_mobilenet_v2": "https://tfhub.dev/google/imagenet/mobilenet_v2_100_224/feature_vector/5",
    "hub_mobilenet_v3_small": (
        "https://tfhub.dev/google/imagenet/mobilenet_v3_small_100_224/feature_vector/5"
    ),
    "hub_efficientnet_v2_b0": (
        "https://tfhub.dev/google/imagenet/efficientnet_v2_imagenet1k_b0/feature_vector/2"
    ),
    "hub_resnet_v2_50": "https://tfhub.dev/google/imagenet/resnet_v2_50/feature_vector/5",
}


def is_hub_handle(name: str) -> bool:
    """Tell whether a backbone is a TensorFlow Hub module: a short name, a URL, or a path."""
    return name in HUB_HANDLES or "/" in name or os.sep in name


def get_backbone(name: str) -> Backbone:
    """Return a backbone by its name or handle.

    Raises:
        ValueError: the name is unknown; the message names the nearest one.
    """
    if is_hub_handle(name):
        return Backbone(scaling="0..1", smallest=1)
    if name not in BACKBONES:
        known = [*BACKBONES, *HUB_HANDLES]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
        raise ValueError(
            f"There is no backbone {name!r}. Did you mean {near!r}? Known: {', '.join(known)}, "
            "or the handle of a TensorFlow Hub module: a URL or a folder, with a slash in it."
        )
    return BACKBONES[name]


def cost_table() -> "pd.DataFrame":
    """Return a table of all named backbones to choose from."""
    import pandas as pd

    columns = ["image_size", "parameters", "multiply_adds", "int8_mb", "top1"]
    table = pd.DataFrame({name: vars(b) for name, b in BACKBONES.items()}).T[columns]
    return table.astype(float).astype({"image_size": int, "multiply_adds": int})


def apply_backbone(
    name: str, pixels: "keras.KerasTensor", weights: str = "pretrained", alpha: float = 1.0
) -> "keras.KerasTensor":
    """Put a backbone, with its input scaling, on top of a tensor of pixels.

    Args:
        name: a key of `BACKBONES`, or the handle of a TensorFlow Hub feature-vector module: a key
            of `HUB_HANDLES`, a URL, a Kaggle handle, or the path of a SavedModel folder.
        pixels: Keras tensor of shape (batch, image_size, image_size, 3), 0..255.
        weights: "pretrained" (ImageNet; for `tiny`, the project's own), "random", or the path of a
            Keras weights file for the same layers. A Hub module brings its own weights.
        alpha: width of the layers, for `mobilenet` and `mobilenet_v2`.

    Returns:
        The Keras tensor of its last feature map, (batch, height, width, channels), or of a Hub
        module's features, (batch, features). The graph that ends there holds its layers one by one;
        a Hub module is one layer, named "hub".

    Raises:
        ValueError: an unknown backbone, an image size or width that it cannot take, or weights that
            cannot be reached or do not fit.
    """
    backbone = get_backbone(name)
    weights_file = prepare_backbone(name, pixels.shape[1], weights, alpha)
    if is_hub_handle(name):
        return _apply_hub(name, pixels)

    from dermaface.quiet_tensorflow import keras

    options = {}
    if backbone.width is None or name == "tiny":
        options["alpha"] = backbone.width or alpha
    if backbone.application in ("MobileNetV3Small", "MobileNetV3Large", "EfficientNetV2B0"):
        options["include_preprocessing"] = False
    if backbone.application == "EfficientNetB0":
        scaled = pixels  # Its own first layers do the scaling.
    else:
        scale, offset = SCALINGS[backbone.scaling]
        scaled = keras.layers.Rescaling(scale, offset, name="scaling")(pixels)
    base = getattr(keras.applications, backbone.application)(
        input_tensor=scaled, include_top=False, weights=None, **options
    )
    if weights_file is not None:
        _load_weights(base, name, weights_file)
    if backbone.application == "EfficientNetB0":
        _set_imagenet_normalization(base)
    return base.output


def prepare_backbone(
    name: str, image_size: int, weights: str = "pretrained", alpha: float = 1.0
) -> Path | None:
    """Check that `apply_backbone` can do as asked, and fetch the weights that Keras lacks.

    Args:
        name: as for `apply_backbone`.
        image_size: side of the square input in pixels.
        weights: as for `apply_backbone`.
        alpha: as for `apply_backbone`.

    Returns:
        The weights file; None with random weights or a Hub module, which have none.

    Raises:
        ValueError: as for `apply_backbone`.
    """
    backbone = get_backbone(name)
    if image_size < backbone.smallest:
        raise ValueError(
            f"{name} needs an image_size of at least {backbone.smallest} pixels; got {image_size}."
        )
    if backbone.width is not None and alpha != 1.0:
        raise ValueError(
            f"{name} has a fixed width, so alpha must be 1.0; got {alpha}. Other widths are for "
            "mobilenet and mobilenet_v2."
        )
    if not alpha > 0:
        raise ValueError(f"alpha must be positive; got {alpha}.")
    if is_hub_handle(name):
        if weights != "pretrained":
            raise ValueError(
                "A TensorFlow Hub module brings its own weights, so weights must be 'pretrained' "
                f"with {name!r}; got {weights!r}."
            )
        return None
    if weights == "random":
        return None
    if weights == "pretrained":
        return _published_weights(name, alpha)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ValueError(
            f"There is no weights file {str(path)!r}. weights must be 'pretrained', 'random' or "
            "the path of a Keras weights file (.h5 or .weights.h5)."
        )
    return path


def _apply_hub(name: str, pixels: "keras.KerasTensor") -> "keras.KerasTensor":
    """Put a TensorFlow Hub module on top of a tensor of pixels."""
    from dermaface.model.hub import HubFeatures
    from dermaface.quiet_tensorflow import keras

    scaled = keras.layers.Rescaling(*SCALINGS["0..1"], name="scaling")(pixels)
    return HubFeatures(HUB_HANDLES.get(name, name), name="hub")(scaled)


def _set_imagenet_normalization(base: "keras.Model") -> None:
    """Make EfficientNetB0's own scaling the same whether or not weights were loaded.

    Keras's function repairs a mistake in the stored variances (they hold standard deviations) with
    an extra layer, but only when it loads the weights itself.
    """
    from dermaface.quiet_tensorflow import keras

    layer = next(x for x in base.layers if isinstance(x, keras.layers.Normalization))
    layer.adapt_mean.assign(IMAGENET_MEAN)
    layer.adapt_variance.assign([std**2 for std in IMAGENET_STD])
    layer.finalize_state()


def _load_weights(base: "keras.Model", name: str, path: Path) -> None:
    """Load a weights file into a backbone's layers."""
    try:
        base.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"The weights in {str(path)!r} do not fit {name}: {error}") from error


def published_weights_path(name: str, alpha: float = 1.0) -> Path:
    """Return where the pretrained weights of a backbone are, or will be once Keras has them.

    Raises:
        ValueError: there are none for this width.
    """
    if name == "tiny":
        return TINY_WEIGHTS
    backbone = get_backbone(name)
    if not any(math.isclose(alpha, known) for known in backbone.alphas):
        raise ValueError(
            f"There are no published weights of {name} for alpha {alpha}, only for "
            f"{', '.join(map(str, backbone.alphas))}. Choose one of these, or weights='random'."
        )
    # MobileNet's files write 0.75 as 7_5; the others write it as it is.
    spelt = {0.25: "2_5", 0.5: "5_0", 0.75: "7_5", 1.0: "1_0"} if name == "mobilenet" else {}
    file = backbone.weights_file.format(alpha=spelt.get(alpha, float(alpha)))
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()
    return home / "models" / file


def _published_weights(name: str, alpha: float) -> Path:
    """Return the file with the ImageNet weights, downloading it if Keras does not have it yet."""
    path = published_weights_path(name, alpha)
    if not path.is_file():
        from dermaface.quiet_tensorflow import keras

        backbone = get_backbone(name)
        options = {"alpha": alpha} if backbone.width is None else {}
        try:
            # Keras fetches the file into its own folder; the model it builds is not needed.
            getattr(keras.applications, backbone.application)(
                input_shape=(224, 224, 3), include_top=False, weights="imagenet", **options
            )
        except Exception as error:  # Keras raises a bare Exception when a download fails.
            raise ValueError(
                f"The ImageNet weights of {name} cannot be reached: Keras did not find {path} and "
                "could not download it. Either put that file there (Keras looks in models/ under "
                "the folder that the environment variable KERAS_HOME names), or pass the path of a "
                "copy with weights=PATH (on the command line: -p weights PATH), or use the "
                "built-in backbone with backbone='tiny' and image_size=96."
            ) from error
    return path
