"""What the machine has: GPUs, half precision, several GPUs at once, and memory."""

from collections.abc import Iterable
from pathlib import Path

from dermaface.model import build
from dermaface.processors import count_processors
from dermaface.quiet_tensorflow import keras, tf
import numpy as np
import psutil


def load_model(
    path: Path, mixed_precision: bool = True, mirrored: bool = False, steps_per_execution: int = 1
) -> keras.Model:
    """Load a model that `build_model` made, to train it on what this machine has.

    With `mirrored`, whatever is built, compiled and fitted from here on lives on all GPUs. Set the
    precision of the model back to "float32" before it is saved, with `set_precision`.

    Args:
        path: of the model's file.
        mixed_precision: whether to compute in half precision where the GPUs are made for it.
        mirrored: as for `make_strategy`.
        steps_per_execution: as for `make_strategy`.

    Raises:
        ValueError: as from `make_strategy` and `build.load_model`.
    """
    tf.distribute.experimental_set_strategy(None)
    if mirrored:
        tf.distribute.experimental_set_strategy(make_strategy(mirrored, steps_per_execution))
    model = build.load_model(path)
    set_precision(model, choose_precision(mixed_precision))
    return model


def describe() -> str:
    """Return in words on what TensorFlow computes here."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return f"no GPU, {count_processors()} processor cores"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return f"{len(gpus)} GPU: " + ", ".join(d.get("device_name", "unknown") for d in details)


def make_strategy(mirrored: bool, steps_per_execution: int = 1) -> tf.distribute.Strategy:
    """Return the strategy under whose scope a model is loaded, compiled and trained.

    Args:
        mirrored: whether to train on all GPUs of this machine at once, each with a share of every
            batch (on several logical processors where there is no GPU, for tests).
        steps_per_execution: as it will be passed to `compile`.

    Raises:
        ValueError: `mirrored` and only one device, or with `steps_per_execution` above 1, which
            Keras 3 cannot do together.
    """
    if not mirrored:
        return tf.distribute.get_strategy()
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) < 2:
        raise ValueError(
            "mirrored trains on several GPUs at once, and this machine has "
            f"{len(tf.config.list_logical_devices('GPU'))}. Set mirrored to false."
        )
    if steps_per_execution != 1:
        raise ValueError(
            f"mirrored needs steps_per_execution 1 and got {steps_per_execution}: Keras cannot "
            "combine the two yet."
        )
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def evaluation_batch_size(count: int, batch_size: int, replicas: int | None = None) -> int:
    """Return the largest batch size up to `batch_size` whose last batch feeds every replica.

    Args:
        count: images.
        batch_size: wanted.
        replicas: devices that share each batch, those of the strategy in use if not given; an
            empty share would stop the training.

    Raises:
        ValueError: there are fewer images than replicas.
    """
    if replicas is None:
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
    for size in range(min(batch_size, count), replicas - 1, -1):
        if not 0 < count % size < replicas:
            return size
    raise ValueError(f"{replicas} devices cannot share {count} images; set mirrored to false.")


def choose_precision(mixed_precision: bool) -> str:
    """Return "mixed_float16" if wanted and fast on every GPU, else "float32".

    It is fast from compute capability 7.0 on (NVIDIA Volta, 2017), says Keras's guide to mixed
    precision.
    """
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    fast = gpus and all(d.get("compute_capability", (0, 0)) >= (7, 0) for d in details)
    return "mixed_float16" if mixed_precision and fast else "float32"


def set_precision(model: keras.Model, policy: str) -> None:
    """Let a model compute in another precision; its weights stay float32.

    Compile the model afterwards. Set it back to "float32" before it is saved, so that what is
    converted for the phone has no trace of it.

    Args:
        model: any model.
        policy: "float32" or "mixed_float16". The last layer stays in float32 in any case, because
            probabilities near 0 would vanish.
    """
    for layer in (model, *model.layers[:-1]):
        layer.dtype_policy = policy


def available_memory() -> int:
    """Return the bytes of main memory that are free, within the limit of a container if there is.

    Sources: psutil for the machine, `/sys/fs/cgroup` for a container (control groups 2 and 1).
    """
    free = psutil.virtual_memory().available
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            values = [int(Path("/sys/fs/cgroup", name).read_text()) for name in (limit, used)]
        except (OSError, ValueError):  # no such file, or "max"
            continue
        free = min(free, max(values[0] - values[1], 0))
    return free


def training_memory(model: keras.Model, batch_size: int) -> int:
    """Return a rough count of the bytes that one training step needs.

    The outputs of all layers that learn, and of those after them, are kept for the way back, and
    about as much again is in use on the way; a frozen front keeps two of its outputs at a time.
    Weights count four times: themselves, the gradient, and two averages of Adam.

    Args:
        model: with `trainable` set as it will be trained.
        batch_size: images per step.
    """
    sizes = [values_in(layer.output.shape) for layer in model.layers]
    first = next((n for n, layer in enumerate(model.layers) if layer.trainable_weights), len(sizes))
    frozen = 2 * max(sizes[:first], default=0)
    weights = model.count_params() + 3 * sum(values_in(w.shape) for w in model.trainable_weights)
    return 4 * (batch_size * (frozen + 2 * sum(sizes[first:])) + weights)


def values_in(shape: Iterable[int | None]) -> int:
    """Return the number of values in a tensor, the batch left out."""
    return int(np.prod([size for size in shape if size], dtype=np.int64))


def check_memory(model: keras.Model, batch_size: int) -> None:
    """Make sure that a training step fits into main memory, where the processor trains.

    Raises:
        ValueError: it does not; the message names a batch size that fits.
    """
    if tf.config.list_physical_devices("GPU"):
        return
    free = available_memory()
    needed = training_memory(model, batch_size)
    if needed <= free:
        return
    fitting = batch_size
    while fitting > 1 and training_memory(model, fitting) > free:
        fitting //= 2
    advice = (
        f"Set batch_size to {fitting}, or image_size to a smaller number."
        if training_memory(model, fitting) <= free
        else "Not even a batch of one photo fits: set a smaller image_size or another backbone."
    )
    raise ValueError(
        f"A training step with {batch_size} photos needs about {needed / 1e9:.1f} GB of memory, "
        f"and {free / 1e9:.1f} GB are free; the system would end the kernel in the middle. {advice}"
    )
