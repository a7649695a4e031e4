"""A TensorFlow Hub feature-vector module as a Keras 3 layer.

`hub.KerasLayer` is a layer of Keras 2 and raises inside a Keras 3 model.
"""

import os
import re
from typing import Any

from dermaface.quiet import quiet
from dermaface.quiet_tensorflow import keras, tf


@keras.saving.register_keras_serializable("dermaface")
class HubFeatures(keras.layers.Layer):
    """Calls a TensorFlow Hub module: images (batch, height, width, 3), 0..1, to its features.

    The module's variables are the layer's weights: they are frozen or trained by `trainable`,
    stored in a `.keras` file, and converted with the model. The module always runs in inference
    mode, so the statistics of its BatchNormalization never move. The `.keras` file names the
    handle, which must be available when the file is loaded.

    Args:
        handle: URL, Kaggle handle or folder of a module.
    """

    def __init__(self, handle: str, **kwargs: Any):
        """Load the module."""
        super().__init__(**kwargs)
        self.handle = handle
        self._module = load_module(handle)
        self._shared = [
            # A Keras variable made from a TensorFlow variable shares its value.
            keras.Variable(
                initializer=variable,
                trainable=trainable,
                dtype=variable.dtype.name,
                name=variable.name.split(":")[0].replace("/", "_"),
            )
            for variable, trainable in _variables(self._module)
        ]
        self.built = True

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Return the features, float32 (batch, features)."""
        try:
            features = self._run(images)
        except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
            raise ValueError(
                f"The module {self.handle!r} does not take images of shape "
                f"{tuple(images.shape[1:])}: set image_size to the size that it was made for, "
                f"which its page gives. ({str(error).strip().splitlines()[0]})"
            ) from error
        if isinstance(features, dict):
            features = features.get("default", next(iter(features.values())))
        if features.shape.rank != 2:
            raise ValueError(
                f"The module {self.handle!r} gives an output of shape {tuple(features.shape)}, not "
                "one vector per picture. Choose a feature-vector module."
            )
        return features

    def _run(self, images: tf.Tensor) -> tf.Tensor | dict[str, tf.Tensor]:
        """Call the module as its format requires."""
        module = self._module
        if callable(module):
            arguments = module.__call__.function_spec.fullargspec.args
            return module(images, training=False) if "training" in arguments else module(images)
        signature = module.signatures[_signature_name(module)]
        (name,) = signature.structured_input_signature[1]
        return signature(**{name: images})

    def get_config(self) -> dict:
        """Return what `from_config` needs."""
        return super().get_config() | {"handle": self.handle}


def load_module(handle: str) -> Any:
    """Load a TensorFlow Hub module.

    Args:
        handle: a URL, a Kaggle handle such as
            "google/mobilenet-v2/tensorFlow2/100-224-feature-vector/2", or a SavedModel folder.

    Raises:
        ValueError: it cannot be reached, or does not take images to features.
    """
    with quiet():
        import tensorflow_hub
    handle = os.path.expanduser(handle)
    if re.fullmatch(r"[\w.-]+(/[\w.-]+){4}", handle) and not os.path.isdir(handle):
        handle = f"https://www.kaggle.com/models/{handle}"
    try:
        with quiet():
            module = tensorflow_hub.load(handle)
    except Exception as error:  # what the network, the archive and the file system may raise
        raise ValueError(
            f"The TensorFlow Hub module {handle!r} cannot be reached "
            f"({str(error).strip().splitlines()[0]}). Check the handle and the network. Without a "
            "network, give the path of its unpacked folder, the one with saved_model.pb in it, as "
            "backbone; or set the environment variable TFHUB_CACHE_DIR to a folder into which it "
            "was downloaded before; or use a Keras backbone such as 'mobilenet_v2'."
        ) from error
    if not callable(module) and _signature_name(module) is None:
        raise ValueError(
            f"{handle!r} is a SavedModel, but not one that can be called with images. Choose a "
            "feature-vector module."
        )
    return module


def _signature_name(module: Any) -> str | None:
    """Return the signature to call: that of TensorFlow 1's format, or of what Keras exports."""
    names = getattr(module, "signatures", {})
    return next((name for name in ("default", "serving_default") if name in names), None)


def _variables(module: Any) -> list[tuple[tf.Variable, bool]]:
    """Return the variables that a module computes with, and whether each may be trained."""
    if hasattr(module, "variables"):  # what TensorFlow Hub's modules promise to have
        trainable = {id(variable) for variable in getattr(module, "trainable_variables", ())}
        return [(variable, id(variable) in trainable) for variable in module.variables]
    if callable(module):
        functions = module.__call__.concrete_functions
    else:
        functions = [module.signatures[_signature_name(module)]]
    found = {id(v): v for function in functions for v in function.graph.variables}
    return [(variable, variable.trainable) for variable in found.values()]


def save_module(model: keras.Model, folder: str) -> str:
    """Write a Keras model as a TensorFlow Hub module, which takes pixels 0..1.

    Args:
        model: float32 (batch, height, width, 3), 0..255, to features (batch, features).
        folder: a folder that does not exist yet.

    Returns:
        The folder, which is the module's handle.
    """
    module = tf.train.Checkpoint(model=model)
    module.__call__ = tf.function(
        lambda images: model(255 * images, training=False),
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), name="images")],
    )
    module.variables = [variable.value for variable in model.variables]
    module.trainable_variables = [variable.value for variable in model.trainable_variables]
    with quiet():
        tf.saved_model.save(module, folder)
    return folder
