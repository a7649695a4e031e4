"""Photos to `tf.data` batches, and their augmentation."""

from collections.abc import Callable
import functools
import itertools
from pathlib import Path

from dermaface.photos.pixels import decode_image, reduction
from dermaface.processors import count_processors
from dermaface.quiet import quiet
from dermaface.quiet_tensorflow import tf
import numpy as np
import pandas as pd


def make_dataset(
    images: pd.DataFrame,
    root: Path,
    class_names: list[str],
    image_size: int,
    batch_size: int = 32,
    shuffle: bool = False,
    augment: Callable | None = None,
    seed: int = 0,
    drop_remainder: bool = False,
    first_epoch: int = 0,
) -> tf.data.Dataset:
    """Return batches of (pixels, one-hot labels), read from disk in parallel and ahead of use.

    The order and the augmentation of an epoch follow from `seed` and the number of the epoch alone,
    so that a training that was interrupted can go on as if it had not been.

    Args:
        images: rows with `path` (relative to `root`) and `label`, as in `images.csv`; with what
            else stands there, JPEG files are decoded faster, to the same pixels.
        root: the data root.
        class_names: the classes in index order.
        image_size: side of the square in pixels.
        batch_size: images a batch; the last batch may be smaller.
        shuffle: whether every epoch sees the images in a new order.
        augment: as from `make_augmentation`, applied to every batch.
        seed: of the order and the augmentation.
        drop_remainder: whether to leave out a last batch that is not full.
        first_epoch: the number of the epoch that the first pass over the dataset is, from 0.

    Returns:
        A dataset of float32 (batch, image_size, image_size, 3), whole grey levels 0..255 unless
        augmented, and float32 (batch, num_classes).

    Raises:
        ValueError: `drop_remainder` with fewer images than a batch.
    """
    paths = [str(root / path) for path in images["path"]]
    if drop_remainder and len(paths) < batch_size:
        raise ValueError(
            f"{len(paths)} photos do not fill a batch of {batch_size}. Set a smaller batch_size."
        )
    indices = [class_names.index(label) for label in images["label"]]
    decoders, turns = _decoders(images, image_size)
    # Only what occurs is built into the graph: a folder of upright JPEG files needs no choice.
    kinds, decoders = np.unique(decoders, return_inverse=True)
    orientations, turns = np.unique(turns, return_inverse=True)
    choices = decoders.astype(np.int32), turns.astype(np.int32)
    rows = tuple(map(tf.constant, (paths, indices, *choices)))
    dataset = epoch_orders(len(paths), shuffle, seed, first_epoch).unbatch()

    def read(number, epoch):
        path, index, decoder, turn = (column[number] for column in rows)
        pixels = _choose(decoder, [functools.partial(DECODERS[k], path, image_size) for k in kinds])
        pixels = _choose(turn, [functools.partial(TURNS[o], pixels) for o in orientations])
        pixels.set_shape((None, None, 3))
        pixels = tf.image.resize(pixels, (image_size, image_size))
        return pixels, tf.one_hot(index, len(class_names)), epoch

    dataset = dataset.map(read, num_parallel_calls=count_processors())
    dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)

    def finish(number, batch):
        pixels, labels, epochs = batch
        pixels = tf.round(pixels)
        if augment is not None:
            pixels = augment(pixels, augmentation_seed(seed, epochs[0], number))
        return pixels, labels

    dataset = dataset.enumerate().map(finish, num_parallel_calls=count_processors())
    batches = len(paths) // batch_size if drop_remainder else -(-len(paths) // batch_size)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    return disable_autotuning(dataset.prefetch(4))


def epoch_orders(count: int, shuffle: bool, seed: int, first_epoch: int = 0) -> tf.data.Dataset:
    """Return a dataset with one element an epoch: the order of the images, and the epoch's number.

    Args:
        count: images.
        shuffle: whether the order is a new one in every epoch; else it is 0..count-1.
        seed: of the orders; that of an epoch does not hang on those before.
        first_epoch: the number of the first epoch.

    Returns:
        int64 (count,) twice: the images' numbers, and the epoch's number repeated.
    """
    make_generators_quiet()
    epochs = itertools.count(first_epoch)

    def orders():
        epoch = next(epochs)
        yield epoch_order(count, shuffle, seed, epoch), np.full(count, epoch)

    signature = tf.TensorSpec((count,), tf.int64)
    return tf.data.Dataset.from_generator(orders, output_signature=(signature, signature))


def disable_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return the dataset with its numbers of threads and of batches ahead as they are.

    TensorFlow's thread that would tune them takes its time to find what a processor core each gives
    at once, and often sleeps on for two or three seconds when an epoch is over, while the next one
    waits for it.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


@functools.cache
def make_generators_quiet() -> None:
    """Let TensorFlow write its note on the first generator of a process, and hold it back."""
    with quiet():
        list(tf.data.Dataset.from_generator(lambda: iter([0]), output_signature=SCALAR))


SCALAR = tf.TensorSpec((), tf.int64)


def epoch_order(count: int, shuffle: bool, seed: int, epoch: int) -> np.ndarray:
    """Return the order of the images in one epoch, int64 (count,); see `epoch_orders`."""
    if not shuffle:
        return np.arange(count)
    return np.random.default_rng((seed, epoch)).permutation(count)


def augmentation_seed(seed: int, epoch, number) -> tf.Tensor:
    """Return the seed, int64 (2,), with which a batch is augmented, unlike that of any other."""
    # Seeds are small and an epoch has fewer than a million batches, so no two seeds are equal.
    return tf.stack([tf.cast(seed, tf.int64), 1_000_000 * tf.cast(epoch, tf.int64) + number])


def _choose(index: tf.Tensor, choices: list[Callable]) -> tf.Tensor:
    """Return the outcome of one of several functions, without asking where there is only one."""
    return choices[0]() if len(choices) == 1 else tf.switch_case(index, choices)


def _by_pillow(path: tf.Tensor, image_size: int) -> tf.Tensor:
    """Decode any image file, upright, uint8 (height, width, 3)."""
    return tf.numpy_function(
        lambda name: decode_image(name.decode(), at_least=2 * image_size),
        [path],
        tf.uint8,
        stateful=False,
    )


def _by_tensorflow(path: tf.Tensor, image_size: int, ratio: int) -> tf.Tensor:
    """Decode a plain JPEG file at a part of its size, as it lies, uint8 (height, width, 3).

    In parallel and without Python. `INTEGER_ACCURATE` and Pillow's default give the same pixels;
    TensorFlow's default does not.
    """
    return tf.io.decode_jpeg(
        tf.io.read_file(path), channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE"
    )


# 0 is for any file; else, what a plain JPEG file's sides are divided by.
DECODERS = {0: _by_pillow} | {
    ratio: functools.partial(_by_tensorflow, ratio=ratio) for ratio in (1, 2, 4, 8)
}
# What makes a photo upright, by its EXIF orientation.
TURNS = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: tf.transpose(pixels, (1, 0, 2)),
    6: lambda pixels: tf.transpose(pixels, (1, 0, 2))[:, ::-1],
    7: lambda pixels: tf.transpose(pixels, (1, 0, 2))[::-1, ::-1],
    8: lambda pixels: tf.transpose(pixels, (1, 0, 2))[::-1],
}


def _decoders(images: pd.DataFrame, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the key in `DECODERS` and in `TURNS` for each image, int (n,) each.

    Pillow turns by itself, and it reads what is not a plain JPEG file or is not described.
    """
    decoders, turns = np.zeros(len(images), int), np.ones(len(images), int)
    if not {"format", "mode", "orientation", "width", "height"} <= set(images.columns):
        return decoders, turns
    for number, row in enumerate(images.itertuples()):
        if row.format in ("JPEG", "MPO") and row.mode in ("RGB", "L"):
            decoders[number] = reduction(row.width, row.height, 2 * image_size)
            turns[number] = row.orientation if row.orientation in TURNS else 1
    return decoders, turns


def make_augmentation(
    horizontal_flip: bool = True,
    rotation: float = 0.1,
    translation: float = 0.1,
    zoom: float = 0.1,
    contrast: float = 0.2,
) -> functools.partial:
    """Return a function that changes a batch of images at random, each in its own way.

    Flip, rotation, translation and zoom are one warp, so an image is resampled once; what comes in
    from outside is its mirror image. Contrast scales the distance from the image's mean grey level.

    Args:
        horizontal_flip: whether half of the images are mirrored.
        rotation: largest turn to either side, as a fraction of a full turn.
        translation: largest shift in either direction, as a fraction of the side.
        zoom: largest change of scale to either side, as a fraction.
        contrast: largest change of contrast to either side, as a fraction.

    Returns:
        A function of float32 images (batch, size, size, 3), 0..255, and an integer seed of shape
        (2,); it returns images of the same shape and range, the same for the same seed. Its
        `keywords` are the arguments here.

    Raises:
        ValueError: a strength is out of range.
    """
    limits = {"rotation": 0.5, "translation": 0.99, "zoom": 0.99, "contrast": 1.0}
    strengths = {
        "rotation": rotation, "translation": translation, "zoom": zoom, "contrast": contrast,
    }  # fmt: skip
    for name, limit in limits.items():
        if not 0 <= strengths[name] <= limit:
            raise ValueError(f"{name} must lie between 0 and {limit}; got {strengths[name]}.")

    return functools.partial(_augment, horizontal_flip=horizontal_flip, **strengths)


def _augment(
    images: tf.Tensor,
    seed: tf.Tensor,
    horizontal_flip: bool,
    rotation: float,
    translation: float,
    zoom: float,
    contrast: float,
) -> tf.Tensor:
    """Change a batch of images; see `make_augmentation`."""
    batch = tf.shape(images)[0]
    centre = (tf.cast(tf.shape(images)[1], tf.float32) - 1) / 2
    draws = tf.random.stateless_uniform((6, batch), seed, -1, 1)
    mirror = tf.where(draws[0] < 0, -1.0, 1.0) if horizontal_flip else tf.ones(batch)
    angle = draws[1] * rotation * 2 * np.pi
    scale = 1 + draws[2] * zoom
    # The transform maps output to input coordinates: around the centre, turn and scale, mirror.
    cosine, sine = tf.cos(angle) * scale, tf.sin(angle) * scale
    a, b, c, d = mirror * cosine, -mirror * sine, sine, cosine
    shift_x = centre + draws[3] * translation * 2 * centre - (a + b) * centre
    shift_y = centre + draws[4] * translation * 2 * centre - (c + d) * centre
    zero = tf.zeros(batch)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([a, b, shift_x, c, d, shift_y, zero, zero], axis=1),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    mean = tf.reduce_mean(warped, axis=(1, 2, 3), keepdims=True)
    factor = (1 + draws[5] * contrast)[:, None, None, None]
    return tf.clip_by_value((warped - mean) * factor + mean, 0.0, 255.0)


def class_weights(images: pd.DataFrame, class_names: list[str]) -> dict[int, float]:
    """Return a weight a class that makes all classes count alike: n / (num_classes * n_class).

    Args:
        images: the training rows, with `label`.
        class_names: the classes in index order.
    """
    counts = images["label"].value_counts()
    return {
        index: len(images) / (len(class_names) * int(counts[name]))
        for index, name in enumerate(class_names)
    }
