"""The answers of `.tflite` files, their speed, and what a careless client costs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import functools
from pathlib import Path
import time
from typing import Any

import cv2
from dermaface.evaluation.scores import prediction_frame
from dermaface.photos.pixels import decode_image, load_image, resize
from dermaface.tflite import runtime
import numpy as np
import pandas as pd
from PIL import Image


def predict_tflite(files: Mapping[str, bytes], dataset: Iterable) -> dict[str, np.ndarray]:
    """Return the probabilities that each `.tflite` file gives, reading every photo once.

    Args:
        files: the content of each file, by name.
        dataset: batches as from `datasets.make_dataset`, not augmented.

    Returns:
        For each name, float32 (n, num_classes) in the dataset's order.
    """
    interpreters = {name: runtime.open_interpreter(content) for name, content in files.items()}
    answers: dict[str, list[np.ndarray]] = {name: [] for name in files}
    for images, _ in dataset:
        for image in np.asarray(images):
            for name, interpreter in interpreters.items():
                answers[name].append(_invoke(interpreter, image[None]))
    return {name: np.concatenate(rows) for name, rows in answers.items()}


def _invoke(interpreter: Any, images: np.ndarray) -> np.ndarray:
    """Feed one image, float32 (1, size, size, 3), and return the probabilities (1, num_classes)."""
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], images.astype(details["dtype"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def judge_yes_or_no(
    model: Any, images: pd.DataFrame, pixels: np.ndarray, class_names: Sequence[str]
) -> pd.DataFrame:
    """Return the table of answers of a Keras model whose only output is the probability of "yes".

    Args:
        model: from pixels to (n, 1).
        images: rows of `images.csv`.
        pixels: of these images, (n, size, size, 3), 0..255; all at once, so not too many.
        class_names: the two classes; the second is "yes".

    Returns:
        As from `scores.prediction_frame`; at 0.5 exactly, the answer is the first class.
    """
    # Called once for all, a small network need not be compiled for `predict`.
    yes = np.asarray(model(pixels, training=False))
    return prediction_frame(images, np.hstack([1 - yes, yes]), class_names)


def measure_latency(content: bytes, num_threads: int = 2, repeats: int = 50) -> tuple[float, float]:
    """Return the time for one image in milliseconds, on this machine: median and 90th percentile.

    Args:
        content: the `.tflite` file.
        num_threads: processor threads for LiteRT.
        repeats: how many times it is measured, after five runs that do not count.
    """
    interpreter = runtime.open_interpreter(content, num_threads)
    shape = interpreter.get_input_details()[0]["shape"]
    image = np.random.default_rng(0).integers(0, 256, shape).astype("float32")
    seconds = []
    for _ in range(repeats + 5):
        start = time.perf_counter()
        _invoke(interpreter, image)
        seconds.append(time.perf_counter() - start)
    median, ninetieth = np.percentile(seconds[5:], [50, 90]) * 1000
    return float(median), float(ninetieth)


def latency_columns(files: Mapping[str, bytes], repeats: int = 50) -> pd.DataFrame:
    """Return the latency of each file with two threads and with one, one row per variant.

    Args:
        files: the content of each variant's file.
        repeats: how many times each is measured.

    Returns:
        `latency_ms` and `latency_p90_ms` (two threads), `latency_1_thread_ms` and
        `latency_1_thread_p90_ms`, indexed by variant.
    """
    names = "latency_ms latency_p90_ms latency_1_thread_ms latency_1_thread_p90_ms".split()
    rows = {
        variant: [*measure_latency(content, 2, repeats), *measure_latency(content, 1, repeats)]
        for variant, content in files.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=names)


# --- What another resizer costs -------------------------------------------------------------------


def resize_pillow(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """Resize as Pillow's BILINEAR does, which smooths first when the image gets smaller."""
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((image_size, image_size), Image.Resampling.BILINEAR))


def resize_opencv(pixels: np.ndarray, image_size: int, interpolation: int) -> np.ndarray:
    """Resize as OpenCV does, by one of its `INTER_` constants."""
    return cv2.resize(pixels, (image_size, image_size), interpolation=interpolation)


RESIZERS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "TensorFlow bilinear (the pixel rule)": resize,
    "OpenCV linear": functools.partial(resize_opencv, interpolation=cv2.INTER_LINEAR),
    "OpenCV area": functools.partial(resize_opencv, interpolation=cv2.INTER_AREA),
    "Pillow bilinear": resize_pillow,
}


def score_resizers(
    content: bytes, root: Path, photos: pd.DataFrame, class_names: Sequence[str]
) -> pd.DataFrame:
    """Score a `.tflite` file on photos that are resized in the ways that clients use.

    Each photo is decoded once, by the pixel rule, so only the resizer differs.

    Args:
        content: the file.
        root: the data root.
        photos: rows of `images.csv` with `path` and `label`.
        class_names: the classes in index order.

    Returns:
        One row per resizer: `resizer`, `accuracy`, `agreement` with the first one's answers, and
        `max_abs_diff`, the largest change in a probability from the first one's.
    """
    interpreter = runtime.open_interpreter(content)
    image_size = int(interpreter.get_input_details()[0]["shape"][1])
    answers: dict[str, list[np.ndarray]] = {name: [] for name in RESIZERS}
    for path in photos["path"]:
        pixels = decode_image(root / path, at_least=2 * image_size)
        for name, resizer in RESIZERS.items():
            answers[name].append(_invoke(interpreter, resizer(pixels, image_size)[None])[0])
    told = {name: np.stack(rows) for name, rows in answers.items()}
    reference = next(iter(told.values()))
    labels, names = photos["label"].to_numpy(), np.asarray(class_names)
    return pd.DataFrame(
        {
            "resizer": name,
            "accuracy": float((names[given.argmax(axis=1)] == labels).mean()),
            "agreement": float((given.argmax(axis=1) == reference.argmax(axis=1)).mean()),
            "max_abs_diff": float(np.abs(given - reference).max()),
        }
        for name, given in told.items()
    )


# --- What a careless client costs -----------------------------------------------------------------


def ignore_exif(path: Path, image_size: int) -> np.ndarray:
    """Read a photo as its pixels are stored, which may lie on their side."""
    with Image.open(path) as image:
        return resize(np.asarray(image.convert("RGB")), image_size)


def smooth_first(path: Path, image_size: int) -> np.ndarray:
    """Read a photo upright, but resize it at its full size as Pillow does."""
    return resize_pillow(decode_image(path), image_size)


def swap_channels(path: Path, image_size: int) -> np.ndarray:
    """Read a photo with blue in the place of red, the order in which OpenCV reads files."""
    return load_image(path, image_size)[..., ::-1]


def scale_to_one(path: Path, image_size: int) -> np.ndarray:
    """Read a photo and divide its pixels by 255, which the model does itself."""
    return load_image(path, image_size) / 255


SLIPS: dict[str, Callable[[Path, int], np.ndarray]] = {
    "EXIF ignored": ignore_exif,
    "resized by Pillow": smooth_first,
    "red and blue swapped": swap_channels,
    "divided by 255": scale_to_one,
}


def changed_by_slips(
    content: bytes, root: Path, photos: pd.DataFrame, class_names: Sequence[str]
) -> pd.DataFrame:
    """Ask a `.tflite` file about photos that are read with one slip at a time.

    Args:
        content: the file.
        root: the data root.
        photos: rows of `images.csv` with `path` and `label`.
        class_names: the classes in index order.

    Returns:
        One row per slip and photo that got another answer than by the pixel rule: `slip` (a
        categorical, in the order of `SLIPS`), `path`, `label`, `by_rule` and `by_rule_probability`
        (the answer by the rule, the surest first), `careless` and `careless_probability`.
    """
    interpreter = runtime.open_interpreter(content)
    image_size = int(interpreter.get_input_details()[0]["shape"][1])
    rows = []
    for photo in photos.itertuples():
        path = root / photo.path
        right = _invoke(interpreter, load_image(path, image_size)[None])[0]
        for slip, read in SLIPS.items():
            told = _invoke(interpreter, read(path, image_size)[None])[0]
            if told.argmax() != right.argmax():
                answers = [(class_names[int(p.argmax())], float(p.max())) for p in (right, told)]
                rows.append((slip, photo.path, photo.label, *answers[0], *answers[1]))
    columns = "slip path label by_rule by_rule_probability careless careless_probability".split()
    frame = pd.DataFrame(rows, columns=columns)
    frame["slip"] = pd.Categorical(frame["slip"], list(SLIPS))
    return frame.sort_values(["slip", "by_rule_probability"], ascending=[True, False])


def fed(photo: Any, root: Path, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what a file is fed for a photo by the pixel rule, and with the slip.

    Args:
        photo: a row of `changed_by_slips`, as from `itertuples`.
        root: the data root.
        image_size: side of the square in pixels.

    Returns:
        Two arrays (image_size, image_size, 3), 0..255.
    """
    path = root / photo.path
    return load_image(path, image_size), SLIPS[photo.slip](path, image_size)
