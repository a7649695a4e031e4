"""Every sentence that the notebooks make from figures; each function returns one as a string.

Prose in a notebook says how to read a result. What *this* run shows is said by one of these, from
the figures themselves, so that it is true of any data set and turns when the figures turn.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# 1. Explore the data

# 2. Build the model

# 3. Train the model

# 4. Analyze the curves


def describe_curves(history: "pd.DataFrame") -> str:
    """Return in words which shape the curves have, by the validation loss.

    A rise after the lowest value counts only where it is larger than any rise from one epoch to the
    next before it, and than 5 % of the lowest value.

    Args:
        history: `history.csv`.
    """
    losses = history["val_loss"].tolist()
    epochs, best = len(losses), losses.index(min(losses))
    if epochs == 1:
        return "One epoch is a point and not a curve: it does not show whether more would help."
    lowest, last = losses[best], losses[-1]
    if best == epochs - 1:
        return (
            f"Validation loss is lowest in the last epoch, {epochs}, at {lowest:.3f}: it was still "
            "falling, so more epochs may help."
        )
    found = f"Validation loss is lowest in epoch {best + 1} of {epochs}, at {lowest:.3f}"
    rises = history.groupby("stage", sort=False)["val_loss"].diff().iloc[: best + 1]
    if last - lowest <= max(rises.fillna(0).max(), 0.05 * lowest):
        return (
            f"{found}, and ends little above, at {last:.3f}: it has levelled off, so more epochs "
            "alone would bring little."
        )
    rise = f"{found}, then rises by {100 * (last / lowest - 1):.0f} % to {last:.3f}"
    if history["loss"].iloc[-1] < history["loss"].iloc[best]:
        return f"{rise} while training loss goes on falling: overfitting after epoch {best + 1}."
    return f"{rise}, and training loss rises too: the later steps did harm (learning rate)."


def describe_best_epoch(history: "pd.DataFrame", images: int) -> str:
    """Return in words which epoch was kept, and whether accuracy would have chosen another one.

    Args:
        history: `history.csv`.
        images: how many validation images there are.
    """
    losses, accuracies = history["val_loss"].tolist(), history["val_accuracy"].tolist()
    best = losses.index(min(losses))
    stages = list(dict.fromkeys(history["stage"]))
    kept = history["stage"].iloc[best]
    where = f" (epoch {history['epoch'].iloc[best]} of stage {kept})" if len(stages) > 1 else ""
    said = f"Kept: epoch {best + 1}{where}, with validation accuracy {accuracies[best]:.3f}."
    highest = accuracies.index(max(accuracies))
    more = round((accuracies[highest] - accuracies[best]) * images)
    said += (
        f" Accuracy alone would have chosen epoch {highest + 1}, for {_counted(more, 'photo')} more"
        f" of {images}."
        if more
        else " No epoch has a higher accuracy."
    )
    for stage in stages[stages.index(kept) + 1 :]:
        said += f" Stage {stage} brought no lower loss and was taken back."
    return said


def describe_count(right: int, total: int, evaluated: float, logged: float) -> str:
    """Return in words whether three ways to an accuracy agree.

    Args:
        right: right answers by comparing them with the table of images.
        total: all images.
        evaluated: accuracy by Keras's `evaluate`.
        logged: accuracy that training noted for the kept epoch.
    """
    others = round(evaluated * total), round(logged * total)
    said = (
        f"Right of {total}: {right} by counting, {others[0]} by `evaluate`, {others[1]} in the "
        "training log"
    )
    apart = abs(others[1] - right)
    if others[0] != right:
        return f"{said}. The answers and the table do not stand in the same order."
    if not apart:
        return f"{said}. All three agree."
    if apart <= max(2, 0.01 * total):
        return f"{said}. So small a difference comes from rounding, as in features that are kept."
    return f"{said}. Rounding does not explain that: `model.keras` is not what that epoch left."


def describe_gap(
    train_accuracy: float, validation_accuracy: float, interval: tuple[float, float]
) -> str:
    """Return in words what the gap between training and validation accuracy says.

    Args:
        train_accuracy: 0..1, in the same epoch as the validation accuracy.
        validation_accuracy: 0..1.
        interval: of the validation accuracy, 95 %.
    """
    said = f"Training {train_accuracy:.3f}, validation {validation_accuracy:.3f}: "
    if train_accuracy > interval[1]:
        gap = 100 * (train_accuracy - validation_accuracy)
        return (
            f"{said}training lies {gap:.0f} points higher, above validation's interval. The model "
            "knows its training photos better than new ones (overfitting)."
        )
    if train_accuracy < 0.7:
        return (
            f"{said}the model has not even learnt its training photos (underfitting), or the "
            "photos do not show what tells the classes apart."
        )
    if train_accuracy < interval[0]:
        return f"{said}training lies below validation's interval, so nothing points to overfitting."
    return f"{said}training lies inside validation's interval, so these photos show no overfitting."


def describe_reference(frame: "pd.DataFrame", images: int) -> str:
    """Return in words by how much each way to answer beats the first, and what intervals say.

    Args:
        frame: as from `reference_frame`; the first row is what all others must beat.
        images: how many images were answered.
    """
    first, others = frame.iloc[0], frame.iloc[1:]
    gains = [
        f"{name} {100 * (row['accuracy'] - first['accuracy']):+.0f} points"
        for name, row in others.iterrows()
    ]
    said = f"Against the {frame.index[0]} ({first['accuracy']:.2f}): {', '.join(gains)}."
    level = [name for name, row in others.iterrows() if row["low"] <= first["high"]]
    if level:
        said += f" Not shown to beat it: {', '.join(level)}."
    ranked = frame.sort_values("accuracy", ascending=False, kind="stable")
    best, second = ranked.iloc[0], ranked.iloc[1]
    if best["low"] > second["high"]:
        said += f" The interval of the best, {ranked.index[0]}, lies above all others."
    else:
        said += (
            f" The intervals of the two best, {ranked.index[0]} and {ranked.index[1]}, overlap: "
            f"{_counted(images, 'photo')} cannot tell which of the two is better."
        )
    if "from scratch" not in frame.index:
        said += " Nothing was trained from scratch in this run (`scratch_epochs` is 0)."
    return said


def describe_splits(metrics: Mapping[str, Mapping]) -> str:
    """Return in words which accuracy to report, how the splits compare, and what is not measured.

    Args:
        metrics: for each split its figures, as from `score`.
    """
    validation = metrics["validation"]
    if "test" not in metrics:
        said = (
            f"There is no test split, so {validation['accuracy']:.3f} is validation (also used to "
            "choose) and flatters a little. Put some photos into a test folder to get a figure "
            "that nobody chose."
        )
        return "\n".join([said, *describe_missing(metrics)])
    test = metrics["test"]
    low, high = validation["accuracy_interval"]
    test_low, test_high = test["accuracy_interval"]
    side = "below" if test["accuracy"] < low else "above"
    said = f"Validation {validation['accuracy']:.3f}, test {test['accuracy']:.3f}: test lies "
    if low <= test["accuracy"] <= high:
        said += "inside validation's interval, so chance explains the difference."
    elif test_low <= high and low <= test_high:
        said += f"{side} validation's interval, but the intervals overlap: it may be chance."
    else:
        said += f"{side} validation's interval, and the two lie apart: these photos differ."
    report = "Report {:.3f}, with its 95 % interval {:.3f} to {:.3f}: nothing was chosen by the "
    said += f"\n{report.format(test['accuracy'], *test['accuracy_interval'])}test photos."
    return "\n".join([said, *describe_missing(metrics)])


def describe_missing(metrics: Mapping[str, Mapping]) -> list[str]:
    """Return a sentence for each split that lacks classes.

    Args:
        metrics: for each split its figures, as from `score`.
    """
    return [
        f"Not measured: no {split} photo shows {', '.join(missing)}."
        for split, figures in metrics.items()
        if (missing := [name for name, e in figures["classes"].items() if not e["images"]])
    ]


def describe_sureness(log_loss: float, promised: float, margin: float) -> str:
    """Return in words whether a model is right as often as it says.

    Args:
        log_loss: of its answers, in nats.
        promised: the log loss that its answers promise.
        margin: how far chance alone takes the one from the other.
    """
    said = f"log loss {log_loss:.3f}, promised {promised:.3f} ± {margin:.3f}: "
    if log_loss > promised + margin:
        return f"{said}too sure of itself."
    if log_loss < promised - margin:
        return f"{said}less sure than it could be."
    return f"{said}as sure as it is right, as far as these photos can tell."


def describe_confusions(matrix: "np.ndarray", class_names: Sequence[str]) -> str:
    """Return in words how many answers are wrong and which classes are taken for each other most.

    Args:
        matrix: counts, one row per true class, one column per answer.
        class_names: the classes in index order.
    """
    total = int(matrix.sum())
    wrong = total - int(matrix.trace())
    if not wrong:
        return f"None of {_counted(total, 'answer')} is wrong, so there is nothing to confuse."
    pairs = {
        (a, b): int(matrix[a, b] + matrix[b, a]) for b in range(len(class_names)) for a in range(b)
    }
    said = f"{wrong} of {_counted(total, 'answer')} {'is' if wrong == 1 else 'are'} wrong. "
    most = max(pairs.values())
    if most == 1:
        return f"{said}No two classes are confused more than once, so there is no pattern to see."
    often = [pair for pair, times in pairs.items() if times == most]
    told = []
    for a, b in often[:3]:
        if matrix[a, b] and matrix[b, a]:
            told.append(f"{class_names[a]} and {class_names[b]} are taken for each other")
        else:
            true, answer = (a, b) if matrix[a, b] else (b, a)
            told.append(f"{class_names[true]} is taken for {class_names[answer]}")
    more = f" (and {_counted(len(often) - 3, 'other pair')})" if len(often) > 3 else ""
    return f"{said}Most often, {most} times{' each' if len(often) > 1 else ''}: " + (
        f"{'; '.join(told)}{more}."
    )


def describe_weakest(classes: "pd.DataFrame", accuracy: float) -> str:
    """Return in words which class is found least often, and how sure that is.

    Args:
        classes: as from `class_frame`.
        accuracy: of all classes together.
    """
    measured = classes[classes["images"] > 0]
    widths = measured["high"] - measured["low"]
    width = f"{widths.min():.2f} to {widths.max():.2f} wide"
    if widths.round(2).nunique() == 1:
        width = f"{widths.max():.2f} wide"
    fewest, most = measured["images"].min(), measured["images"].max()
    counts = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    sizes = f"With {counts} {'photo' if most == 1 else 'photos'} per class, intervals are {width}."
    weakest = measured[measured["recall"] == measured["recall"].min()]
    row = weakest.sort_values("images").iloc[-1]
    if row["recall"] == 1:
        return f"Every photo of every class was found. {sizes}"
    said = (
        f"Weakest: {row.name}, {row['found']:.0f} of {row['images']:.0f} found (recall "
        f"{row['recall']:.2f}, 95 % interval {row['low']:.2f} to {row['high']:.2f})"
    )
    if len(weakest) > 1:
        said += f", with {_counted(len(weakest) - 1, 'other class', 'other classes')} level"
    said += ". Its interval "
    said += "lies below" if row["high"] < accuracy else "holds"
    said += f" the accuracy of all, {accuracy:.2f}: "
    said += "probably weaker than the rest. " if row["high"] < accuracy else "it may be chance. "
    return said + sizes


def describe_mistakes(wrong: int, total: int, sure_wrong: int, sure: int, limit: float) -> str:
    """Return in words how many answers were wrong, and how many of the wrong ones were sure.

    Args:
        wrong: wrong answers.
        total: all answers.
        sure_wrong: wrong answers with at least the probability `limit`.
        sure: all answers with at least that probability.
        limit: 0..1.
    """
    if not wrong:
        return f"No mistake in {_counted(total, 'answer')}. The next photo can still bring one."
    said = f"{wrong} of {_counted(total, 'answer')} {'is' if wrong == 1 else 'are'} wrong. "
    if not sure:
        return f"{said}No answer at all was given with {100 * limit:.0f} % or more."
    return (
        f"{said}Of the {_counted(sure, 'answer')} given with {100 * limit:.0f} % or more, "
        f"{sure_wrong or 'none'} {'is' if sure_wrong <= 1 else 'are'} wrong."
    )


def _counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number and its noun, such as "1 photo" and "2 photos"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


# 5. Convert and test TFLite

# 6. Compare settings
