"""Predictions, reports with intervals, and the comparison of Keras with TFLite."""

from collections.abc import Mapping, Sequence
from pathlib import Path
import time

from dermaface import runtime
from dermaface.quiet_tensorflow import tf
from dermaface.runs import Run
import numpy as np
import pandas as pd
from PIL import Image
import scipy.stats
import sklearn.metrics

# The columns of conversion.csv; behind them, for each class, `recall_change_CLASS`.
CONVERSION_COLUMNS = (
    "variant split bytes accuracy accuracy_drop agreement max_abs_diff latency_ms passed images "
    "drop_low drop_high changed latency_p90_ms latency_1_thread_ms latency_1_thread_p90_ms problem"
).split()


def predict_tflite(
    files: Mapping[str, bytes], dataset: tf.data.Dataset, num_threads: int = 2
) -> dict[str, np.ndarray]:
    """Return the probabilities that each `.tflite` file gives, reading every photo once.

    Args:
        files: a name and the content of each file.
        dataset: batches as from `datasets.make_dataset`, not augmented.
        num_threads: processor threads for LiteRT.

    Returns:
        For each name, float32 (n, num_classes) in the dataset's order.
    """
    interpreters = {
        name: runtime.open_interpreter(content, num_threads) for name, content in files.items()
    }
    answers = {name: [] for name in files}
    for images, _ in dataset.unbatch().batch(1).as_numpy_iterator():
        for name, interpreter in interpreters.items():
            answers[name].append(_invoke(interpreter, images))
    return {name: np.concatenate(rows) for name, rows in answers.items()}


def _invoke(interpreter, images: np.ndarray) -> np.ndarray:
    """Feed one image, float32 (1, size, size, 3), and return the probabilities (1, num_classes)."""
    details = interpreter.get_input_details()[0]
    interpreter.set_tensor(details["index"], images.astype(details["dtype"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def measure_latency(content: bytes, num_threads: int = 2, repeats: int = 50) -> tuple[float, float]:
    """Return the time for one image in milliseconds, on this machine: median and 90th percentile.

    Args:
        content: the `.tflite` file.
        num_threads: processor threads for LiteRT.
        repeats: how often it is measured, after five runs that do not count.
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
    """Return the latency of each file with two threads and with one, a row a variant.

    Args:
        files: a variant and the content of its file.
        repeats: how often each is measured.

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


def accuracy_interval(correct: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy (Wilson 1927), as shares of 1.

    Raises:
        ValueError: there are no images.
    """
    if total < 1:
        raise ValueError("An accuracy needs at least one image.")
    interval = scipy.stats.binomtest(correct, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def drop_interval(lost: int, won: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy drop between two models on the same images.

    The images on which both are right or both wrong say nothing about the difference; the interval
    follows from the others. It is Wald's with the adjustment of Bonett and Price (2012), Journal of
    Educational and Behavioral Statistics 37(4), 479-488, which Fagerland, Lydersen and Laake (2014)
    recommend for paired proportions.

    Args:
        lost: images on which only the first model is right.
        won: images on which only the second model is right.
        total: all images.

    Raises:
        ValueError: there are no images.
    """
    if total < 1:
        raise ValueError("An accuracy drop needs at least one image.")
    first, second = (lost + 1) / (total + 2), (won + 1) / (total + 2)
    half = scipy.stats.norm.ppf(0.975) * np.sqrt(
        (first + second - (first - second) ** 2) / (total + 2)
    )
    return float(max(first - second - half, -1)), float(min(first - second + half, 1))


def prediction_frame(
    images: pd.DataFrame, probabilities: np.ndarray, class_names: Sequence[str]
) -> pd.DataFrame:
    """Return the rows of `predictions.csv`.

    Args:
        images: rows of `images.csv`, in the order of the probabilities.
        probabilities: (n, num_classes).
        class_names: the classes in index order.

    Returns:
        `path`, `split`, `label`, `predicted`, and a column `p_CLASS` a class.
    """
    frame = images[["path", "split", "label"]].reset_index(drop=True)
    frame["predicted"] = [class_names[index] for index in probabilities.argmax(axis=1)]
    columns = pd.DataFrame(probabilities, columns=[f"p_{name}" for name in class_names])
    return pd.concat([frame, columns], axis=1)


def read_predictions(run: Run) -> pd.DataFrame:
    """Return `predictions.csv` of a run."""
    names = dict.fromkeys(("path", "split", "label", "predicted"), str)
    return pd.read_csv(run.path("predictions.csv"), keep_default_na=False, dtype=names)


def probabilities_of(predictions: pd.DataFrame, class_names: Sequence[str]) -> np.ndarray:
    """Return the probabilities in rows of `predictions.csv` as an array (n, num_classes)."""
    return predictions[[f"p_{name}" for name in class_names]].to_numpy()


def score(predictions: pd.DataFrame, class_names: Sequence[str]) -> dict:
    """Return the figures of one split for `metrics.json`.

    Args:
        predictions: rows as from `prediction_frame`.
        class_names: the classes in index order.

    Returns:
        `images`, `accuracy`, `accuracy_interval` (95 %), `macro_f1` (of the classes that have
        images), `log_loss` (nats), and `classes`: for each class its `images`, `precision`,
        `recall` and `f1`, which are None for a class without images.
    """
    labels, predicted = predictions["label"], predictions["predicted"]
    correct, total = int((labels == predicted).sum()), len(predictions)
    precision, recall, f1, counts = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, labels=list(class_names), zero_division=0
    )
    index = {name: number for number, name in enumerate(class_names)}
    truth = probabilities_of(predictions, class_names)[range(total), [index[x] for x in labels]]
    return {
        "images": total,
        "accuracy": correct / total,
        "accuracy_interval": list(accuracy_interval(correct, total)),
        "macro_f1": float(f1[counts > 0].mean()),
        "log_loss": float(-np.log(np.clip(truth, 1e-7, 1)).mean()),
        "classes": {
            name: {
                "images": int(counts[number]),
                "precision": float(precision[number]) if counts[number] else None,
                "recall": float(recall[number]) if counts[number] else None,
                "f1": float(f1[number]) if counts[number] else None,
            }
            for number, name in enumerate(class_names)
        },
    }


def summary_frame(metrics: Mapping[str, dict]) -> pd.DataFrame:
    """Return the figures of each split as a table to show."""
    return pd.DataFrame(
        {
            split: {
                "images": figures["images"],
                "accuracy": f"{figures['accuracy']:.3f}",
                "95 % interval": "{:.3f} to {:.3f}".format(*figures["accuracy_interval"]),
                "macro F1": f"{figures['macro_f1']:.3f}",
                "log loss": f"{figures['log_loss']:.3f}",
            }
            for split, figures in metrics.items()
        }
    ).T


def describe_splits(metrics: Mapping[str, dict]) -> str:
    """Return in words which of the splits is the one to report, and what none of them measures."""
    said = (
        "There is no test split, so the figures are validation (also used to choose) and flatter a "
        "little. Put some photos into a test folder to get a figure that nobody chose."
    )
    if "test" in metrics:
        said = "Report the test figures: nothing was chosen by those photos."
    return "\n".join([said, *describe_missing(metrics)])


def describe_missing(metrics: Mapping[str, dict]) -> list[str]:
    """Return a sentence for each split that lacks classes.

    Args:
        metrics: for each split its figures, as from `score`.
    """
    return [
        f"Not measured: no {split} photo shows {', '.join(missing)}."
        for split, figures in metrics.items()
        if (missing := [name for name, e in figures["classes"].items() if not e["images"]])
    ]


def confusion_matrix(predictions: pd.DataFrame, class_names: Sequence[str]) -> np.ndarray:
    """Return counts (num_classes, num_classes): a row a true class, a column a predicted one."""
    return sklearn.metrics.confusion_matrix(
        predictions["label"], predictions["predicted"], labels=list(class_names)
    )


def confident_mistakes(
    predictions: pd.DataFrame, class_names: Sequence[str], count: int = 8
) -> pd.DataFrame:
    """Return the wrong predictions with the highest probability, with it as `probability`."""
    best = probabilities_of(predictions, class_names).max(axis=1)
    wrong = predictions.assign(probability=best).query("label != predicted")
    return wrong.nlargest(count, "probability")


def describe_gap(train_accuracy: float, validation_accuracy: float) -> str:
    """Return in words what the gap between training and validation accuracy says.

    Args:
        train_accuracy: 0..1, in the same epoch as the validation accuracy.
        validation_accuracy: 0..1.
    """
    gap = 100 * (train_accuracy - validation_accuracy)
    figures = (
        f"{100 * train_accuracy:.0f} % in training, {100 * validation_accuracy:.0f} % in validation"
    )
    if gap > 10:
        return (
            f"Overfitting ({figures}): the model knows its training photos better than new ones. "
            "More photos, stronger augmentation or more dropout help."
        )
    if train_accuracy < 0.7:
        return (
            f"Underfitting ({figures}): the model has not even learnt its training photos. "
            "More epochs, a higher learning rate or more layers to fine-tune help."
        )
    return f"A good fit ({figures}): what the model learnt holds on photos it has not seen."


def compare(
    predictions: pd.DataFrame,
    answers: Mapping[str, np.ndarray],
    class_names: Sequence[str],
) -> pd.DataFrame:
    """Compare the answers of `.tflite` files with those of the Keras model, split by split.

    Args:
        predictions: the Keras model's, as from `prediction_frame`.
        answers: for each variant its probabilities (n, num_classes), in the same order.
        class_names: the classes in index order.

    Returns:
        A row a variant and split: `variant`, `split`, `images`, `accuracy`, `accuracy_drop` (Keras
        minus variant) with its 95 % interval `drop_low` and `drop_high`, `agreement` (share of
        images with the same first guess), `changed` (how many have another), `max_abs_diff` (of
        any probability), and `recall_change_CLASS` for each class (variant minus Keras; NaN where
        the split has no image of it).
    """
    keras_answers = probabilities_of(predictions, class_names)
    names = np.asarray(class_names)
    rows = []
    for variant, probabilities in answers.items():
        for split in predictions["split"].unique():
            here = (predictions["split"] == split).to_numpy()
            truth = predictions["label"].to_numpy()[here]
            guess = names[probabilities[here].argmax(axis=1)]
            keras_guess = predictions["predicted"].to_numpy()[here]
            right, keras_right = guess == truth, keras_guess == truth
            lost, won = int((keras_right & ~right).sum()), int((right & ~keras_right).sum())
            low, high = drop_interval(lost, won, len(truth))
            rows.append(
                {
                    "variant": variant,
                    "split": split,
                    "images": len(truth),
                    "accuracy": float(right.mean()),
                    "accuracy_drop": float(keras_right.mean() - right.mean()),
                    "drop_low": low,
                    "drop_high": high,
                    "agreement": float((guess == keras_guess).mean()),
                    "changed": int((guess != keras_guess).sum()),
                    "max_abs_diff": float(np.abs(probabilities - keras_answers)[here].max()),
                }
                | {
                    f"recall_change_{name}": float((right * 1.0 - keras_right)[of_class].mean())
                    if of_class.any()
                    else np.nan
                    for name in class_names
                    for of_class in [truth == name]
                }
            )
    return pd.DataFrame(rows)


def changed_answers(
    predictions: pd.DataFrame, probabilities: np.ndarray, class_names: Sequence[str]
) -> pd.DataFrame:
    """Return the images for which a file's first guess is another than the Keras model's.

    Args:
        predictions: the Keras model's, as from `prediction_frame`.
        probabilities: the file's (n, num_classes), in the same order.
        class_names: the classes in index order.

    Returns:
        `path`, `split`, `label`, `keras` and `keras_probability`, `file` and `file_probability`.
    """
    keras_answers = probabilities_of(predictions, class_names)
    frame = predictions[["path", "split", "label"]].assign(
        keras=predictions["predicted"],
        keras_probability=keras_answers.max(axis=1),
        file=np.asarray(class_names)[probabilities.argmax(axis=1)],
        file_probability=probabilities.max(axis=1),
    )
    return frame[frame["keras"] != frame["file"]]


# --- What another resizer costs -------------------------------------------------------------------


def resize_pillow(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """Resize as Pillow's BILINEAR does, which smooths first where the image gets smaller."""
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((image_size, image_size), Image.Resampling.BILINEAR))


def resize_opencv_linear(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """Resize as OpenCV's INTER_LINEAR does: without smoothing, with weights of 11 bits.

    About one value in eight differs by one from what OpenCV 5.1 gives, which rounds in between.
    """
    height, width = pixels.shape[:2]
    rows = _linear_weights(height, image_size)
    columns = _linear_weights(width, image_size)
    wide = np.tensordot(rows, pixels.astype(np.float64), 1)
    # (row, channel, column) after the product; the columns go back between the two.
    both = np.tensordot(wide, columns, ([1], [1])).transpose(0, 2, 1)
    return np.floor(both + 0.5).clip(0, 255).astype(np.uint8)


def _linear_weights(old_size: int, new_size: int) -> np.ndarray:
    """Return the share of each old pixel in each new one, (new_size, old_size), in 1/2048."""
    position = (np.arange(new_size) + 0.5) * old_size / new_size - 0.5
    first = np.floor(position).astype(int)
    along = np.rint((position - first) * 2048) / 2048
    weights = np.zeros((new_size, old_size))
    np.add.at(weights, (range(new_size), first.clip(0, old_size - 1)), 1 - along)
    np.add.at(weights, (range(new_size), (first + 1).clip(0, old_size - 1)), along)
    return weights


def resize_opencv_area(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """Resize as OpenCV's INTER_AREA does: the mean over the area that each new pixel covers.

    OpenCV falls back to a bilinear resize where a side would grow; so does this.
    """
    height, width = pixels.shape[:2]
    if min(height, width) < image_size:
        return resize_opencv_linear(pixels, image_size)
    wide = np.tensordot(_area_weights(height, image_size), pixels.astype(np.float64), 1)
    both = np.tensordot(wide, _area_weights(width, image_size), ([1], [1])).transpose(0, 2, 1)
    return np.rint(both).clip(0, 255).astype(np.uint8)


def _area_weights(old_size: int, new_size: int) -> np.ndarray:
    """Return the share of each old pixel in the area of each new one, (new_size, old_size)."""
    edges = np.arange(new_size + 1)[:, None] * old_size / new_size
    covered = np.clip(edges - np.arange(old_size), 0, 1)
    return np.diff(covered, axis=0) * new_size / old_size


RESIZERS = {
    "TensorFlow bilinear (the pixel rule)": runtime.resize,
    "OpenCV linear": resize_opencv_linear,
    "OpenCV area": resize_opencv_area,
    "Pillow bilinear": resize_pillow,
}


def score_resizers(
    content: bytes, root: Path, photos: pd.DataFrame, class_names: Sequence[str]
) -> pd.DataFrame:
    """Score a `.tflite` file on photos that were resized in the ways in which clients do it.

    Each photo is decoded once, by the pixel rule, so the resizer alone differs.

    Args:
        content: the file.
        root: the data root.
        photos: rows of `images.csv` with `path` and `label`.
        class_names: the classes in index order.

    Returns:
        A row a resizer: `resizer`, `accuracy`, and `agreement` with the answers under the first.
    """
    interpreter = runtime.open_interpreter(content)
    image_size = int(interpreter.get_input_details()[0]["shape"][1])
    answers = {name: [] for name in RESIZERS}
    for path in photos["path"]:
        pixels = runtime.decode_image(root / path, at_least=2 * image_size)
        for name, resize in RESIZERS.items():
            answers[name].append(_invoke(interpreter, resize(pixels, image_size)[None])[0])
    guesses = {
        name: np.asarray(class_names)[np.argmax(rows, axis=1)] for name, rows in answers.items()
    }
    reference = next(iter(guesses.values()))
    return pd.DataFrame(
        {
            "resizer": name,
            "accuracy": float((guess == photos["label"].to_numpy()).mean()),
            "agreement": float((guess == reference).mean()),
        }
        for name, guess in guesses.items()
    )
