"""Import TensorFlow and Keras once, without their start-up notes.

Every module that needs them takes them from here, so the notes about missing GPU drivers never
reach a notebook, whichever module is imported first.
"""

import os

from dermaface.quiet import quiet

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

with quiet():
    import keras
    import tensorflow as tf

    # Looking for a GPU is what prints; afterwards TensorFlow remembers the answer.
    tf.config.list_physical_devices()

# Python-side notes, such as "Assets written to"; errors are raised anyway.
tf.get_logger().setLevel("ERROR")

__all__ = ["keras", "tf"]
