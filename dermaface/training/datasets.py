"""Photos to `tf.data` batches, and their augmentation."""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import functools
import itertools
from pathlib import Path
import timeit
from typing import Any

from dermaface.photos.pixels import decode_image, reduction
from dermaface.processors import count_processors
from dermaface.quiet import quiet
from dermaface.quiet_tensorflow import tf
import numpy as np
import pandas as pd

SCALAR = tf.TensorSpec((), tf.int64)


@dataclasses.dataclass(frozen=True)
class Order:
    """In which batches and in which order images come.

    The order and the augmentation of an epoch follow from `seed` and the number of the epoch alone,
    so that a training that was interrupted can go on as if it had not been.

    Attributes:
        batch_size: images per batch; the last batch may be smaller.
        shuffle: whether every epoch has an order of its own; else it is that of the rows.
        drop_remainder: whether to leave out a last batch that is not full.
        seed: of the order and the augmentation.
        first_epoch: the number of the epoch that the first pass is, from 0.
        views_seed: of the augmentation, where it is not to follow from `seed`.
    """

    batch_size: int = 32
    shuffle: bool = False
    drop_remainder: bool = False
    seed: int = 0
    first_epoch: int = 0
    views_seed: int | None = None

    @property
    def augmentation_seed(self) -> int:
        """The seed of the augmentation."""
        return self.seed if self.views_seed is None else self.views_seed

    def of_epoch(self, count: int, epoch: int) -> np.ndarray:
        """Return the numbers 0..count-1 in the order of one epoch, int64 (count,)."""
        if not self.shuffle:
            return np.arange(count)
        return np.random.default_rng((self.seed, epoch)).permutation(count)

    def count_batches(self, count: int) -> int:
        """Return the number of batches that `count` images make.

        Raises:
            ValueError: `drop_remainder` with fewer images than a batch.
        """
        if self.drop_remainder and count < self.batch_size:
            raise ValueError(
                f"{count} photos do not fill a batch of {self.batch_size}. Set a smaller "
                "batch_size."
            )
        return count // self.batch_size if self.drop_remainder else -(-count // self.batch_size)


IN_ORDER = Order()  # as the rows stand


def make_dataset(
    images: pd.DataFrame,
    root: Path,
    class_names: list[str],
    image_size: int,
    order: Order = IN_ORDER,
    augment: Callable | None = None,
) -> tf.data.Dataset:
    """Return batches of (pixels, one-hot labels), read from disk in parallel and ahead of use.

    Args:
        images: rows with `path` (relative to `root`) and `label`, as in `images.csv`; with what
            else stands there, JPEG files are decoded faster, to the same pixels.
        root: the data root.
        class_names: the classes in index order.
        image_size: side of the square in pixels.
        order: of the images.
        augment: as from `make_augmentation`, applied to every batch.

    Returns:
        A dataset of float32 (batch, image_size, image_size, 3), whole grey levels 0..255 unless
        augmented, and float32 (batch, num_classes).

    Raises:
        ValueError: `order` drops a batch that is not full, and none is.
    """
    paths = [str(root / path) for path in images["path"]]
    batches = order.count_batches(len(paths))
    indices = [class_names.index(label) for label in images["label"]]
    ratios, turns = _decoders(images, image_size)
    # Only what occurs is built into the graph: a folder of upright JPEG files needs no choice.
    ratio_kinds, ratios = np.unique(ratios, return_inverse=True)
    turn_kinds, turns = np.unique(turns, return_inverse=True)
    if turn_kinds.max(initial=1) > 4:
        _make_turning_quiet()
    choices = ratios.astype(np.int32), turns.astype(np.int32)
    rows = tuple(map(tf.constant, (paths, indices, *choices)))

    def read(number: tf.Tensor, epoch: tf.Tensor) -> tuple[tf.Tensor, ...]:
        path, index, ratio, turn = (column[number] for column in rows)
        pixels = _choose(
            ratio, [functools.partial(_decode, path, image_size, kind) for kind in ratio_kinds]
        )
        pixels = _choose(turn, [functools.partial(_turn, pixels, kind) for kind in turn_kinds])
        pixels.set_shape((None, None, 3))
        pixels = tf.image.resize(pixels, (image_size, image_size))
        return pixels, tf.one_hot(index, len(class_names)), epoch

    def finish(number: tf.Tensor, batch: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, labels, epochs = batch
        pixels = tf.round(pixels)
        if augment is not None:
            pixels = augment(pixels, augmentation_seed(order.augmentation_seed, epochs[0], number))
        return pixels, labels

    dataset = _numbers(len(paths), order).unbatch()
    dataset = dataset.map(read, num_parallel_calls=count_processors())
    dataset = dataset.batch(order.batch_size, drop_remainder=order.drop_remainder)
    dataset = dataset.enumerate().map(finish, num_parallel_calls=count_processors())
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    return disable_autotuning(dataset.prefetch(4))


def load_arrays(
    images: pd.DataFrame, root: Path, class_names: list[str], image_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `make_dataset` gives, for sets that fit into memory, in the order of the rows.

    Args:
        images: as for `make_dataset`.
        root: the data root.
        class_names: the classes in index order.
        image_size: side of the square in pixels.

    Returns:
        float32 (n, image_size, image_size, 3), 0..255, and one-hot float32 (n, num_classes).
    """
    whole = Order(batch_size=len(images))
    pixels, labels = next(iter(make_dataset(images, root, class_names, image_size, whole)))
    return pixels.numpy(), labels.numpy()


def from_arrays(
    pixels: np.ndarray,
    labels: np.ndarray,
    order: Order = IN_ORDER,
    augment: Callable | None = None,
) -> tf.data.Dataset:
    """Return batches of photos in memory, ordered and augmented as those of `make_dataset`.

    Args:
        pixels: float32 (n, size, size, 3), 0..255.
        labels: float32 (n, anything).
        order: of the photos.
        augment: as from `make_augmentation`, applied to every batch.

    Raises:
        ValueError: `order` drops a batch that is not full, and none is.
    """
    rows = tf.constant(pixels), tf.constant(labels)

    def read(number: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        numbers, epochs = batch
        images, answers = (tf.gather(column, numbers) for column in rows)
        if augment is not None:
            images = augment(images, augmentation_seed(order.seed, epochs[0], number))
        return images, answers

    batches = order.count_batches(len(pixels))
    dataset = _numbers(len(pixels), order).unbatch()
    dataset = dataset.batch(order.batch_size, drop_remainder=order.drop_remainder)
    dataset = dataset.enumerate().map(read)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    return disable_autotuning(dataset.prefetch(2))


def _numbers(count: int, order: Order) -> tf.data.Dataset:
    """Return a dataset with one element per epoch, int64 (count,) twice.

    They are the images' numbers in order, and the number of the epoch repeated.
    """
    make_generators_quiet()
    epochs = itertools.count(order.first_epoch)

    def numbers() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        epoch = next(epochs)
        yield order.of_epoch(count, epoch), np.full(count, epoch)

    signature = tf.TensorSpec((count,), tf.int64)
    return tf.data.Dataset.from_generator(numbers, output_signature=(signature, signature))


def disable_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return the dataset with its numbers of threads and of batches ahead as they are.

    TensorFlow's thread that would tune them takes its time to find what one thread per processor
    core gives at once, and often sleeps on for two or three seconds when an epoch is over, while
    the next one waits for it.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


@functools.cache
def make_generators_quiet() -> None:
    """Let TensorFlow write its note on the first generator of a process, and hold it back."""
    with quiet():
        list(tf.data.Dataset.from_generator(lambda: iter([0]), output_signature=SCALAR))


@functools.cache
def _make_turning_quiet() -> None:
    """Let TensorFlow write its note on the first bytes transposed in a process, and hold it back.

    It says that oneDNN does not transpose bytes on this processor, so that Eigen does.
    """
    pixels = tf.data.Dataset.from_tensors(tf.zeros((1, 1, 3), tf.uint8))
    with quiet():
        list(pixels.map(functools.partial(_turn, orientation=5)))


def augmentation_seed(seed: int, epoch: tf.Tensor | int, number: tf.Tensor | int) -> tf.Tensor:
    """Return the seed, int64 (2,), with which a batch is augmented, unlike that of any other."""
    # Seeds are small and an epoch has fewer than a million batches, so no two seeds are equal.
    return tf.stack([tf.cast(seed, tf.int64), 1_000_000 * tf.cast(epoch, tf.int64) + number])


def _choose(index: tf.Tensor, choices: list[Callable]) -> tf.Tensor:
    """Return the outcome of one of several functions, without asking where there is only one."""
    return choices[0]() if len(choices) == 1 else tf.switch_case(index, choices)


def _decode(path: tf.Tensor, image_size: int, ratio: int) -> tf.Tensor:
    """Decode an image file, uint8 (height, width, 3).

    A plain JPEG file is decoded at 1/`ratio` of its size, as it lies, in parallel and without
    Python; with 0 for `ratio`, any file is decoded by Pillow, upright.
    """
    if ratio:
        # This method and Pillow's default give the same pixels; TensorFlow's default does not.
        return tf.io.decode_jpeg(
            tf.io.read_file(path), channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE"
        )
    return tf.numpy_function(
        lambda name: decode_image(name.decode(), at_least=2 * image_size),
        [path],
        tf.uint8,
        stateful=False,
    )


def _turn(pixels: tf.Tensor, orientation: int) -> tf.Tensor:
    """Make a photo upright, by its EXIF orientation, 1..8."""
    if orientation > 4:
        pixels = tf.transpose(pixels, (1, 0, 2))
    down, right = -1 if orientation in (3, 4, 7, 8) else 1, -1 if orientation in (2, 3, 6, 7) else 1
    return pixels[::down, ::right]


def _decoders(images: pd.DataFrame, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ratio for `_decode` and the orientation for `_turn` of each image, int (n,) each.

    Pillow turns by itself, and it reads what is not a plain JPEG file or is not described.
    """
    ratios, turns = np.zeros(len(images), int), np.ones(len(images), int)
    if not {"format", "mode", "orientation", "width", "height"} <= set(images.columns):
        return ratios, turns
    for number, row in enumerate(images.itertuples()):
        if row.format in ("JPEG", "MPO") and row.mode in ("RGB", "L"):
            ratios[number] = reduction(row.width, row.height, 2 * image_size)
            turns[number] = row.orientation if row.orientation in range(1, 9) else 1
    return ratios, turns


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
    strengths = dict(rotation=rotation, translation=translation, zoom=zoom, contrast=contrast)
    for (name, strength), limit in zip(strengths.items(), (0.5, 0.99, 0.99, 1.0), strict=True):
        if not 0 <= strength <= limit:
            raise ValueError(f"{name} must lie between 0 and {limit}; got {strength}.")
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
    """Change a batch of images as `make_augmentation` says."""
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


def scale_augmentation(strengths: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Return the arguments of `make_augmentation` for another strength.

    Args:
        strengths: those arguments as they are; what else is named in it is left out.
        factor: 0 is no augmentation and 1 the one given; no strength rises above 0.5, unless it is
            above that as given.
    """
    scaled = {"horizontal_flip": bool(factor) and strengths["horizontal_flip"]}
    for name in ("rotation", "translation", "zoom", "contrast"):
        scaled[name] = round(min(factor * strengths[name], max(strengths[name], 0.5)), 4)
    return scaled


def time_batch(change: Callable, images: np.ndarray) -> float:
    """Return the seconds that a change of a batch takes as `tf.data` runs it, the best of five."""
    graph = tf.function(change, autograph=False)
    graph(images).numpy()  # builds the graph, which is not measured
    return min(timeit.repeat(lambda: graph(images).numpy(), number=1, repeat=5))


def class_weights(images: pd.DataFrame, class_names: list[str]) -> dict[int, float]:
    """Return the weight per class that makes all count alike: n / (num_classes * n_class).

    Args:
        images: the training rows, with `label`.
        class_names: the classes in index order.
    """
    counts = images["label"].value_counts()
    return {
        index: len(images) / (len(class_names) * int(counts[name]))
        for index, name in enumerate(class_names)
    }
