"""Predictions, reports with intervals, and the comparison of Keras with TFLite."""

from collections.abc import Mapping, Sequence
import time

from dermaface import runtime
from dermaface.quiet_tensorflow import tf
from dermaface.runs import Run
import numpy as np
import pandas as pd
import scipy.stats
import sklearn.metrics

CONVERSION_COLUMNS = (
    "variant split bytes accuracy accuracy_drop agreement max_abs_diff latency_ms passed images"
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


def measure_latency(content: bytes, num_threads: int = 2, repeats: int = 50) -> float:
    """Return the median time for one image in milliseconds, on this machine."""
    interpreter = runtime.open_interpreter(content, num_threads)
    shape = interpreter.get_input_details()[0]["shape"]
    image = np.random.default_rng(0).integers(0, 256, shape).astype("float32")
    seconds = []
    for _ in range(repeats + 5):
        start = time.perf_counter()
        _invoke(interpreter, image)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[5:]) * 1000)


def accuracy_interval(correct: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy (Wilson 1927), as shares of 1.

    Raises:
        ValueError: there are no images.
    """
    if total < 1:
        raise ValueError("An accuracy needs at least one image.")
    interval = scipy.stats.binomtest(correct, total).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


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
    names = {"label": str, "predicted": str}
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
        `images`, `accuracy`, `accuracy_interval` (95 %), `macro_f1`, `log_loss` (nats), and
        `classes`: for each class its `images`, `precision`, `recall` and `f1`.
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
        "macro_f1": float(f1.mean()),
        "log_loss": float(-np.log(np.clip(truth, 1e-7, 1)).mean()),
        "classes": {
            name: {
                "images": int(counts[number]),
                "precision": float(precision[number]),
                "recall": float(recall[number]),
                "f1": float(f1[number]),
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
    """Return in words which of the splits is the one to report."""
    if "test" in metrics:
        return "Report the test figures: nothing was chosen by those photos."
    return (
        "There is no test split, so the figures are validation (also used to choose) and flatter a "
        "little. Put some photos into a test folder to get a figure that nobody chose."
    )


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
        minus variant), `agreement` (share of photos with the same first guess), `max_abs_diff` (of
        any probability).
    """
    keras_answers = probabilities_of(predictions, class_names)
    names = np.asarray(class_names)
    truth = predictions["label"].to_numpy()
    rows = []
    for variant, probabilities in answers.items():
        for split in predictions["split"].unique():
            here = (predictions["split"] == split).to_numpy()
            guess = names[probabilities[here].argmax(axis=1)]
            keras_guess = predictions.loc[here, "predicted"].to_numpy()
            accuracy = float((guess == truth[here]).mean())
            rows.append(
                {
                    "variant": variant,
                    "split": split,
                    "images": int(here.sum()),
                    "accuracy": accuracy,
                    "accuracy_drop": float((keras_guess == truth[here]).mean()) - accuracy,
                    "agreement": float((guess == keras_guess).mean()),
                    "max_abs_diff": float(np.abs(probabilities - keras_answers)[here].max()),
                }
            )
    return pd.DataFrame(rows)
