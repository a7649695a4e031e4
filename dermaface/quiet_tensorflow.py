"""Import TensorFlow and Keras once, without their start-up messages.

Every module that needs them takes them from here, so the messages about missing GPU drivers
never reach a notebook, whichever module is imported first.
"""

import contextlib
import os
import warnings

from dermaface.quiet import quiet

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

with quiet():
    import keras
    import tensorflow as tf

    # Looking for a GPU is what prints; afterwards TensorFlow remembers the answer. Without memory
    # growth, the first kernel would take all memory of every GPU, and a second one would get none.
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # in use already
            tf.config.experimental.set_memory_growth(gpu, True)

# Messages from Python, such as "Assets written to"; errors are raised anyway.
tf.get_logger().setLevel("ERROR")
# tensorflow_hub imports it, and nobody here can help that.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

__all__ = ["keras", "tf"]
