"""What is frozen is computed once: the features of every photo, or its pixels, kept on disk."""

import atexit
from collections.abc import Callable, Iterator, Mapping
import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import io
import itertools
import json
import os
from pathlib import Path
import shutil
import sys
import tempfile
import threading
import weakref
import zlib

from dermaface import runs
from dermaface.model import build
from dermaface.photos import images
from dermaface.processors import count_processors
from dermaface.progress import progress_bar
from dermaface.quiet_tensorflow import keras, tf
from dermaface.tflite import convert, runtime
from dermaface.training import datasets, devices
import filelock
import numpy as np
import pandas as pd

if sys.platform != "win32":  # which by itself deletes no file that is open
    import fcntl

# Converting a network for LiteRT takes as long as Keras needs for about so many multiply-adds.
WORTH_CONVERTING = 300e9
UNKNOWN_WORK = 300e6  # multiply-adds of one photo, where a Hub module hides them
AGREEMENT = 1e-3  # of LiteRT with Keras, as a share of the largest feature
FREE_GB = 1.0  # of the disk that stay free, at the least
VERSION = 1  # of the files' format


def cache_features(
    frozen: keras.Model,
    dataset: tf.data.Dataset,
    *,
    key: Mapping[str, object],
    views: int = 1,
    augment: functools.partial | None = None,
    path: str | Path | None = None,
    cache_gb: float = 10.0,
    seed: int | None = None,
    order: datasets.Order = datasets.IN_ORDER,
    live: tf.data.Dataset | None = None,
) -> tf.data.Dataset:
    """Run every photo through the frozen front once, keep the outcome on disk, and serve it.

    A pass over the result gives every photo once; with several views, another one in each pass.
    What lies on disk already is used again, if photos, network, augmentation and seed are the same
    and every byte is as it was written; what is missing or damaged is computed. On a processor a
    large front runs through LiteRT, which is faster than Keras, if both agree on the first batch.
    Where the features need more than `cache_gb` or the disk has room for, they are computed anew in
    every pass, from kept pixels if those fit, and a line says so. What is kept is in use as long as
    the result is: no process deletes it to make room, and if you do, the result can still be read.

    Args:
        frozen: the front, as from `build.split_model`.
        dataset: batches of (pixels, one-hot labels) as from `datasets.make_dataset`, in a fixed
            order and not augmented.
        key: what tells these photos and their order from others, as JSON values. The network, the
            views, the augmentation and the seed are added here.
        views: copies of each image; the first is unaugmented. Where no features are kept, more
            than one means that every pass augments all photos anew.
        augment: as from `datasets.make_augmentation`, for the other views.
        path: the folder of all caches; None takes a temporary one.
        cache_gb: how many gigabytes (of 10**9 bytes) the folder may hold. The caches that were not
            used for the longest time make room for a new one.
        seed: of the order and the augmentation, instead of that of `order`.
        order: of the result; that of `datasets.make_dataset` is the same.
        live: where not even pixels can be kept, what to compute features of instead of `dataset`:
            the same photos in this order, augmented as wanted.

    Returns:
        Batches of float32 (features, labels).

    Raises:
        ValueError: fewer than one view, several without `augment`, or `order` drops a batch that is
            not full, and none is.
    """
    if views < 1 or (views > 1 and augment is None):
        raise ValueError(
            f"views counts the copies of each photo, 1 or more, all but the first augmented; got "
            f"{views}{'' if augment else ' and no augmentation'}."
        )
    if views == 1:
        augment = None
    if seed is not None:
        order = dataclasses.replace(order, seed=seed)
    keep_pixels = functools.partial(
        cache_pixels, dataset, key=key, augment=augment, path=path, cache_gb=cache_gb, order=order,
        live=live,
    )  # fmt: skip
    if not frozen.weights:  # Nothing is computed there, so only the photos are worth keeping.
        return keep_pixels().map(lambda pixels, labels: (frozen(pixels), labels))
    pixels, labels = next(iter(dataset))
    batches = int(dataset.cardinality())
    front = functools.cache(lambda: make_front(frozen, pixels.numpy(), views * batches))
    shape = tuple(frozen.output.shape[1:])
    identity = {
        "version": VERSION,
        "key": dict(key),
        "network": hash_model(frozen),
        "precision": frozen.dtype_policy.name,
        "views": views,
        "augmentation": augment.keywords if augment else None,
        "seed": order.seed if views > 1 else None,
        "rows": len(pixels),
        "batches": batches,
        "values": [*shape, labels.shape[1]],
        # Half precision keeps three digits, which is enough for maps; vectors are small anyway.
        "dtype": "float16" if len(shape) > 1 else "float32",
    }
    cache = Cache(_folder(path), identity)
    try:
        cache.make_room(cache_gb)
        rows, count = cache.fill(front, dataset, augment, order.seed)
    except (NoRoomError, OSError) as error:
        print(f"Features are not kept but computed anew in every epoch: {_reason(error)}.")
        run = front()

        def compute(pixels: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            # In mixed precision, Keras computes in half precision.
            single = tf.numpy_function(lambda seen: np.float32(run(seen)), [pixels], tf.float32)
            return tf.ensure_shape(single, (None, *shape)), labels

        return keep_pixels().map(compute).prefetch(2)
    return cache.serve(rows, count, order)


def chosen_augmentation(run: runs.Run) -> functools.partial:
    """Return the augmentation whose strengths were chosen in notebook 02 of a run."""
    chosen = run.parameters("02_build_model")
    names = ("horizontal_flip", "rotation", "translation", "zoom", "contrast")
    return datasets.make_augmentation(**{name: chosen[name] for name in names})


def keep_features(
    run: runs.Run,
    frozen: keras.Model,
    order: datasets.Order,
    *,
    views: int = 1,
    augment: functools.partial | None = None,
    cache_gb: float = 10.0,
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Return what a frozen front makes of a run's photos: to train on, and to validate by.

    Both are kept as `cache_features` says, in a folder that all runs beside this one share. The
    validation photos come in the order of `images.csv`, one view each, in batches of at most the
    size that `order` says, none too small for the devices of the strategy in use. Where several
    devices share a batch, a last one that is not full is left out in training.

    Args:
        run: with `images.csv`.
        frozen: the front, from pixels (batch, image_size, image_size, 3) on.
        order: of the training photos.
        views: copies of each training photo; the first is unaugmented.
        augment: as from `datasets.make_augmentation`, for the other views.
        cache_gb: room for everything that is kept there, in gigabytes.

    Raises:
        ValueError: as from `cache_features`, or fewer validation photos than devices.
    """
    photos = {split: images.read_images(run, split) for split in ("train", "validation")}
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    size = devices.evaluation_batch_size(len(photos["validation"]), order.batch_size)
    order = dataclasses.replace(order, drop_remainder=order.drop_remainder or replicas > 1)
    read = functools.partial(
        datasets.make_dataset,
        root=run.data_root,
        class_names=run.class_names,
        image_size=frozen.input_shape[1],
    )
    live = read(photos["train"], order=order, augment=augment if views > 1 else None)
    varied = {"views": views, "augment": augment, "order": order, "live": live}
    in_order = datasets.Order(batch_size=size)
    fingerprint = run.read()["data"]["fingerprint"]
    train, validation = (
        cache_features(
            frozen, dataset, key={"photos": fingerprint, "split": split},
            path=run.folder.parent / ".cache" / "features", cache_gb=cache_gb, **options,
        )
        for split, dataset, options in (
            ("train", read(photos["train"]), varied),
            ("validation", read(photos["validation"], order=in_order), {"order": in_order}),
        )
    )  # fmt: skip
    return train, validation


def frozen_features(run: runs.Run, split: str) -> np.ndarray:
    """Return what a run's backbone made of the photos of a split before it was fine-tuned.

    Training may have kept that already, in the folder that `keep_features` names; what is missing
    is kept there, too.

    Args:
        run: with `images.csv` and `model_untrained.keras`.
        split: such as "train".

    Returns:
        The pooled features, float32 (n, features), in the order of `images.csv`.
    """
    frozen, _ = build.split_model(build.load_model(run.path("model_untrained.keras")))
    return describe_photos(
        frozen, images.read_images(run, split), run.data_root, run.class_names,
        key={"photos": run.read()["data"]["fingerprint"], "split": split},
        path=run.folder.parent / ".cache" / "features",
        cache_gb=run.parameters("03_train_model")["cache_gb"],
    )  # fmt: skip


def describe_photos(
    frozen: keras.Model,
    photos: pd.DataFrame,
    root: Path,
    class_names: list[str],
    *,
    key: Mapping[str, object],
    path: str | Path | None = None,
    cache_gb: float = 10.0,
) -> np.ndarray:
    """Return what a frozen model makes of photos, kept on disk as `cache_features` does.

    Args:
        frozen: from pixels (batch, image_size, image_size, 3), 0..255, to features.
        photos: rows of `images.csv`.
        root: the data root.
        class_names: the classes in index order.
        key: as for `cache_features`.
        path: as for `cache_features`.
        cache_gb: as for `cache_features`.

    Returns:
        float32 (n, features), in the order of the photos.
    """
    dataset = datasets.make_dataset(photos, root, class_names, image_size=frozen.input_shape[1])
    kept = cache_features(frozen, dataset, key=key, path=path, cache_gb=cache_gb)
    return np.concatenate([np.asarray(batch) for batch, _ in kept])


def cache_pixels(
    dataset: tf.data.Dataset,
    *,
    key: Mapping[str, object],
    augment: Callable | None = None,
    path: str | Path | None = None,
    cache_gb: float = 10.0,
    order: datasets.Order = datasets.IN_ORDER,
    live: tf.data.Dataset | None = None,
) -> tf.data.Dataset:
    """Decode and shrink every photo once, keep the pixels on disk, and serve them.

    For training that reads the photos anew in every epoch: large photos take longer to decode than
    all that follows. The arguments are those of `cache_features`. The result is float32 (pixels,
    labels) as `datasets.make_dataset` gives in the same order with the same augmentation, to the
    pixel. Where there is no room, it is `live` (or else `dataset`), and a line says so.

    Raises:
        ValueError: `order` drops a batch that is not full, and none is.
    """
    pixels, labels = dataset.element_spec
    identity = {
        "version": VERSION,
        "key": dict(key),
        "views": 1,
        "rows": len(next(iter(dataset))[0]),
        "batches": int(dataset.cardinality()),
        "values": [*pixels.shape[1:], labels.shape[1]],
        "dtype": "uint8",
    }
    cache = Cache(_folder(path), identity)
    try:
        cache.make_room(cache_gb)
        rows, count = cache.fill(
            lambda: lambda images: images, dataset, None, order.seed, "reading photos"
        )
    except (NoRoomError, OSError) as error:
        print(f"Photos are read anew in every epoch: {_reason(error)}.")
        return live or dataset
    return cache.serve(rows, count, order, augment)


class NoRoomError(ValueError):
    """What should be kept would need more room than there is."""


def _reason(error: NoRoomError | OSError) -> str:
    """Return why nothing could be kept, in words."""
    if isinstance(error, NoRoomError):
        return str(error)
    return f"the disk says: {error.strerror}" + (f" ({error.filename})" if error.filename else "")


def _folder(path: str | Path | None) -> Path:
    """Return the folder of all caches: the one given, or one that goes with the program."""
    if path is not None:
        return Path(path)
    folder = tempfile.mkdtemp(prefix="dermaface-features-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def hash_model(model: keras.Model) -> str:
    """Return the SHA-256 of a model's layers and weights."""
    digest = hashlib.sha256(model.to_json().encode())
    for array in model.get_weights():
        digest.update(array.tobytes())
    return digest.hexdigest()


def make_front(
    frozen: keras.Model, pixels: np.ndarray, batches: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the fastest way to run a frozen model over many photos.

    Args:
        frozen: pixels to features.
        pixels: an example, float32 (batch, image_size, image_size, 3), 0..255.
        batches: how many such batches there will be; a few are not worth a conversion.

    Returns:
        A function of pixels, float32 (batch, image_size, image_size, 3), to features, float32
        (batch, ...).
    """
    work = batches * len(pixels) * (build.multiply_adds(frozen) or UNKNOWN_WORK)
    if tf.config.list_physical_devices("GPU") or work < WORTH_CONVERTING:
        return frozen.predict_on_batch
    with tempfile.TemporaryDirectory() as folder:
        convert.export_saved_model(frozen, f"{folder}/saved_model")
        content = convert.convert(f"{folder}/saved_model", "float32")
    # One interpreter per core, each with a photo of its own, keeps all cores busy to the end.
    interpreters = [
        runtime.open_interpreter(content, num_threads=1) for _ in range(count_processors())
    ]
    pool = concurrent.futures.ThreadPoolExecutor(len(interpreters))

    def by_litert(images: np.ndarray) -> np.ndarray:
        features = np.empty((len(images), *frozen.output.shape[1:]), np.float32)

        def run_share(share: int) -> None:
            interpreter = interpreters[share]
            (given,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
            for number in range(share, len(images), len(interpreters)):
                interpreter.set_tensor(given["index"], images[number : number + 1])
                interpreter.invoke()
                features[number] = interpreter.get_tensor(answer["index"])[0]

        list(pool.map(run_share, range(len(interpreters))))
        return features

    expected = frozen.predict_on_batch(pixels)
    difference = np.abs(by_litert(pixels) - expected).max()
    if not difference <= AGREEMENT * max(1.0, np.abs(expected).max()):
        print(f"LiteRT and Keras differ by {difference:.1e} on the frozen part, so Keras runs it.")
        return frozen.predict_on_batch
    return by_litert


@dataclasses.dataclass(frozen=True)
class Cache:
    """The features of one set of photos on disk, batch after batch.

    A batch's rows, view after view, each hold the features and the one-hot label. A second file
    holds for each batch its number of rows and a checksum, written after the rows themselves: so
    the leading batches whose checksums fit are good, whatever interrupted or damaged the rest.

    Who reads or fills a cache has the rows open, with a lock shared by all who do, so that whoever
    wants to make room sees that they are in use. Who fills it also holds `.lock`, alone.

    Attributes:
        folder: of all caches.
        identity: all that the features follow from, as JSON values.
    """

    folder: Path
    identity: dict

    def path(self, suffix: str) -> Path:
        """Return one of the cache's files: `.json`, `.rows`, `.sums` or `.lock`."""
        text = json.dumps(self.identity, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}{suffix}"

    @property
    def width(self) -> int:
        """The numbers in a row: the features and the one-hot label."""
        *shape, num_classes = self.identity["values"]
        return int(np.prod(shape)) + num_classes

    @property
    def batch_bytes(self) -> int:
        """The bytes of a full batch in all its views."""
        numbers = self.identity["views"] * self.identity["rows"] * self.width
        return numbers * np.dtype(self.identity["dtype"]).itemsize

    def make_room(self, cache_gb: float) -> None:
        """Make sure that the cache fits, deleting older ones that are not in use if need be.

        Raises:
            NoRoomError: it needs more than the budget, less what is in use, or than the disk has.
            OSError: the folder cannot be written.
        """
        needed = self.identity["batches"] * self.batch_bytes
        if needed > cache_gb * 1e9:
            less = "; fewer views or a later fine_tune_from need less"
            raise NoRoomError(
                f"they need {needed / 1e9:.2f} GB and cache_gb allows {cache_gb}"
                f"{less if 'network' in self.identity else ''}"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        mine = self.path(".rows")
        if mine.exists():
            os.utime(mine)
            needed -= mine.stat().st_size
        older = sorted(
            (p for p in self.folder.glob("*.rows") if p != mine), key=lambda p: p.stat().st_mtime
        )
        held = sum(p.stat().st_size for p in older) + (mine.exists() and mine.stat().st_size)
        for oldest in older:
            if held + needed <= cache_gb * 1e9:
                break
            held -= _delete(oldest)
        if held + needed > cache_gb * 1e9:
            raise NoRoomError(
                f"they need {needed / 1e9:.2f} GB more, and of the {cache_gb} that cache_gb allows "
                f"{held / 1e9:.2f} GB are in use"
            )
        free = shutil.disk_usage(self.folder).free
        if needed > free - FREE_GB * 1e9:
            raise NoRoomError(
                f"they need {needed / 1e9:.2f} GB more and the disk has {free / 1e9:.2f} GB free, "
                f"of which {FREE_GB:.0f} stays free"
            )

    def open_rows(self) -> io.FileIO:
        """Return the file of the rows, empty where there was none, in use until it is closed."""
        while True:
            self.path(".rows").touch()
            rows = self.path(".rows").open("r+b", buffering=0)
            if sys.platform != "win32":
                fcntl.flock(rows, fcntl.LOCK_SH)
            if os.fstat(rows.fileno()).st_nlink:
                return rows
            rows.close()  # It was deleted before the lock was there.

    def good_batches(self, rows: io.FileIO) -> list[int]:
        """Return the photos of each leading batch that is there in full and undamaged."""
        good: list[int] = []
        if not self.path(".sums").is_file():
            return good
        sums = np.fromfile(self.path(".sums"), dtype=np.int64)
        rows.seek(0)
        for count, checksum in sums[: len(sums) // 2 * 2].reshape(-1, 2):
            full = 0 < count <= self.identity["rows"]
            content = rows.read(self.batch_bytes // self.identity["rows"] * count) if full else b""
            if not full or zlib.crc32(content) != checksum:
                break
            good.append(int(count))
        return good[: self.identity["batches"]]

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Let nobody else fill the cache inside the block; wait for who does."""
        lock = filelock.FileLock(self.path(".lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            print("Another run computes the same at this moment; this one waits for its outcome.")
            lock.acquire()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # on Windows, or deleted with the whole folder
                self.path(".lock").unlink()
            lock.release()

    def fill(
        self,
        make_front: Callable[[], Callable],
        dataset: tf.data.Dataset,
        augment: Callable | None,
        seed: int,
        what: str = "computing features",
    ) -> tuple[io.FileIO, int]:
        """Compute the batches that are missing.

        Args:
            make_front: returns the function to compute with; not called if nothing is missing.
            dataset: batches of (pixels, one-hot labels) in a fixed order and not augmented.
            augment: makes all views but the first.
            seed: of the augmentation.
            what: is being done, for the progress bar.

        Returns:
            The file of the rows, open and complete, and the number of photos in it.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        with self.lock(), contextlib.ExitStack() as closing:
            rows = closing.enter_context(self.open_rows())
            counts = self.good_batches(rows)
            if len(counts) < self.identity["batches"]:
                counts += self._compute(
                    rows, len(counts), make_front(), dataset, augment, seed, what
                )
            closing.pop_all()
        return rows, sum(counts)

    def _compute(
        self,
        rows: io.FileIO,
        done: int,
        front: Callable,
        dataset: tf.data.Dataset,
        augment: Callable | None,
        seed: int,
        what: str,
    ) -> list[int]:
        """Write all batches but the first `done` and return the photos of each."""
        if done == 0:
            runs.write_json(self.path(".json"), self.identity)
        views, dtype = self.identity["views"], np.dtype(self.identity["dtype"])
        total = self.identity["batches"] * self.identity["rows"] * views
        begun = done * self.identity["rows"] * views
        limit = (np.iinfo if dtype.kind == "u" else np.finfo)(dtype).max
        counts = []
        with (
            open(rows.fileno(), "r+b", closefd=False) as written,
            _open_for_update(self.path(".sums")) as sums,
            progress_bar(total, what, "pictures", begun) as bar,
        ):
            written.seek(done * self.batch_bytes)
            sums.seek(done * 16)
            for number, (pixels, labels) in enumerate(dataset.skip(done), start=done):
                checksum = 0
                for view in range(views):
                    view_seed = datasets.augmentation_seed(seed, view, number)
                    seen = augment(pixels, view_seed) if augment and view else pixels
                    features = front(np.asarray(seen)).reshape(len(pixels), -1)
                    row = np.concatenate([features, labels], axis=1)
                    content = np.clip(row, -limit, limit).astype(dtype).tobytes()
                    written.write(content)
                    checksum = zlib.crc32(content, checksum)
                    bar.update(len(pixels))
                written.flush()
                sums.write(np.array([len(pixels), checksum], dtype=np.int64).tobytes())
                sums.flush()
                counts.append(len(pixels))
        return counts

    def serve(
        self,
        rows: io.FileIO,
        count: int,
        order: datasets.Order,
        augment: Callable | None = None,
    ) -> tf.data.Dataset:
        """Return batches of what `fill` returned, augmented anew in each pass if so wanted."""
        batches = order.count_batches(count)
        views, in_full = self.identity["views"], self.identity["rows"]
        row_bytes = self.batch_bytes // in_full // views
        *shape, num_classes = self.identity["values"]
        epochs = itertools.count(order.first_epoch)
        reading = threading.Lock()

        def one_pass() -> Iterator[tuple[np.ndarray, int, int]]:
            epoch = next(epochs)
            ordered = order.of_epoch(count, epoch)
            for batch_number in range(batches):
                start = batch_number * order.batch_size
                numbers = ordered[start : start + order.batch_size]
                batch, place = numbers // in_full, numbers % in_full
                in_batch = np.minimum(in_full, count - batch * in_full)  # the last may be smaller
                view = (numbers + epoch) % views
                found = bytearray()
                # Read, not mapped: mapped pages count as the process's until others need them.
                with reading:
                    for row in batch * in_full * views + view * in_batch + place:
                        rows.seek(row * row_bytes)
                        found += rows.read(row_bytes)
                table = np.frombuffer(found, self.identity["dtype"])
                yield table.reshape(len(numbers), self.width), epoch, batch_number

        datasets.make_generators_quiet()
        signature = tf.TensorSpec((None, self.width), self.identity["dtype"])
        dataset = tf.data.Dataset.from_generator(
            one_pass, output_signature=(signature, datasets.SCALAR, datasets.SCALAR)
        )
        # TensorFlow never lets go of a generator, so the file would stay in use for ever.
        weakref.finalize(dataset, rows.close)

        def part(row: tf.Tensor, epoch: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, ...]:
            row = tf.cast(row, tf.float32)
            found = tf.reshape(row[:, :-num_classes], (-1, *shape))
            if augment is not None:
                found = augment(found, datasets.augmentation_seed(order.seed, epoch, number))
            return found, row[:, -num_classes:]

        dataset = dataset.map(part, num_parallel_calls=count_processors())
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
        return datasets.disable_autotuning(dataset.prefetch(4))


def _delete(rows: Path) -> int:
    """Delete a cache if nobody has its rows open, and return the bytes that this made free."""
    size = rows.stat().st_size
    try:
        if sys.platform != "win32":
            with rows.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for suffix in (".rows", ".sums", ".json"):
            rows.with_suffix(suffix).unlink(missing_ok=True)
    except OSError:
        pass  # It is in use, or not ours.
    return 0 if rows.exists() else size


def _open_for_update(path: Path) -> io.BufferedRandom:
    """Open a file for writing in the middle, making it if need be."""
    path.touch()
    return path.open("r+b")
