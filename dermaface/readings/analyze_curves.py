"""What notebook 04 says about its figures; each function returns one text."""

from collections import Counter
from collections.abc import Mapping, Sequence
import math
import textwrap
from typing import TYPE_CHECKING

from dermaface.readings.words import counted, measured_on, percent
import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def curves(history: "pd.DataFrame") -> str:
    """Say what shape the curves have, judging by the validation loss.

    A rise after the lowest value counts only if it is larger than any earlier rise from one epoch
    to the next, and than 5 % of the lowest value. Where the learning rate fell to less than a tenth
    within the last stage, the end of the curve is not read: small steps make any curve level.

    Args:
        history: `history.csv`.
    """
    losses = history["val_loss"].tolist()
    epochs, best = len(losses), losses.index(min(losses))
    if epochs == 1:
        return "One epoch is a point, not a curve: it does not show whether more would help."
    lowest, last = losses[best], losses[-1]
    found = f"Validation loss is lowest in epoch {best + 1} of {epochs}, at {lowest:.3f}"
    rises = history.groupby("stage", sort=False)["val_loss"].diff().iloc[: best + 1]
    if last - lowest > max(rises.fillna(0).max(), 0.05 * lowest):
        found += f", then rises by {100 * (last / lowest - 1):.0f} % to {last:.3f}.\n"
        if history["loss"].iloc[-1] < history["loss"].iloc[best]:
            return f"{found}Training loss keeps falling: overfitting after epoch {best + 1}."
        return f"{found}Training loss rises, too: the later steps did harm (learning rate)."
    found += f"; the last epoch has {last:.3f}.\n"
    rates = history.loc[history["stage"] == history["stage"].iloc[-1], "learning_rate"]
    left = rates.iloc[-1] / rates.iloc[0]
    if left < 0.1:
        return (
            f"{found}It does not turn up. But at the end the steps were small: the learning rate "
            f"had fallen\nto {percent(left)} of its start. So even a level curve would not show "
            "that more epochs are useless.\nTo find out, double the epochs."
        )
    if best == epochs - 1:
        return f"{found}It was still falling, so more epochs may help."
    return f"{found}It has levelled off: more epochs alone would bring little."


def best_epoch(history: "pd.DataFrame", images: int) -> str:
    """Say which epoch was kept, and which one has the highest accuracy.

    Args:
        history: `history.csv`.
        images: how many validation images there are.
    """
    losses, accuracies = history["val_loss"].tolist(), history["val_accuracy"].tolist()
    best = losses.index(min(losses))
    stages = list(dict.fromkeys(history["stage"]))
    kept = history["stage"].iloc[best]
    where = f" (epoch {history['epoch'].iloc[best]} of stage {kept})" if len(stages) > 1 else ""
    highest = accuracies.index(max(accuracies))
    kept_right, most = (round(accuracies[epoch] * images) for epoch in (best, highest))
    said = [
        f"Kept: epoch {best + 1}{where}, with {kept_right} of {images} validation photos right.",
        f"Highest accuracy: {most} of {images} right, first in epoch {highest + 1}.",
    ]
    for stage in stages[stages.index(kept) + 1 :]:
        said.append(f"Stage {stage} did not lower the loss and was undone.")
    return "\n".join(said)


def counts_agree(right: int, total: int, evaluated: float, logged: float) -> str:
    """Say whether three ways to an accuracy agree.

    Args:
        right: how many answers are right, by comparing them with the table of images.
        total: all images.
        evaluated: accuracy by Keras's `evaluate`.
        logged: accuracy that the training log has for the kept epoch.
    """
    others = round(evaluated * total), round(logged * total)
    said = (
        f"Right, of {total}: {right} by counting (accuracy {right / total:.3f}), {others[0]} by "
        f"`evaluate`, {others[1]} in the training log.\n"
    )
    apart = abs(others[1] - right)
    if others[0] != right:
        return f"{said}The answers and the table are not in the same order."
    if apart <= max(2, 0.01 * total):
        return (
            f"{said}Counting and `evaluate` agree. The log is off by {apart}; up to 2, or 1 % of "
            "the photos,\nmay come from rounding, as when features are stored."
        )
    return f"{said}Rounding does not explain that: `model.keras` is not the model of that epoch."


def gap(train_accuracy: float, validation_accuracy: float, interval: tuple[float, float]) -> str:
    """Say how large the gap between training and validation accuracy is, beside what chance does.

    Args:
        train_accuracy: 0..1, in the same epoch as the validation accuracy.
        validation_accuracy: 0..1.
        interval: of the validation accuracy, 95 %.
    """
    said = (
        f"Training {train_accuracy:.3f}, validation {validation_accuracy:.3f}: a gap of "
        f"{100 * (train_accuracy - validation_accuracy):.1f} points.\n"
        f"The validation interval, {interval[0]:.3f} to {interval[1]:.3f}, reaches "
        f"{100 * (interval[1] - validation_accuracy):.1f} points up from its accuracy."
    )
    if train_accuracy < 0.7:
        said += (
            "\nUnderfitting: the model has not even learnt its training photos, or they do not "
            "show\nwhat tells the classes apart."
        )
    return said


def guesses(train: Sequence[str], truth: Sequence[str]) -> str:
    """Say how often an answer is right that never looks at the photo.

    Args:
        train: the labels of the training photos.
        truth: the labels of the photos to answer.
    """
    counts = Counter(train)
    most = max(counts.values())
    commonest = sorted(name for name in counts if counts[name] == most)
    right = sum(label == commonest[0] for label in truth)
    tied = " (the first of several)" if len(commonest) > 1 else ""
    return (
        f"Always answering {commonest[0]}, the most frequent training class{tied},\n"
        f"is right for {right} of {len(truth)}. Guessing at random would reach about "
        f"{percent(1 / len(counts))},\nand a log loss of ln {len(counts)} = "
        f"{math.log(len(counts)):.3f}, if it gives each class the same probability."
    )


def reference(frame: "pd.DataFrame", images: int, classes: int) -> str:
    """Say by how much each way to answer beats what costs nothing, and what chance explains.

    What costs nothing is the first way or guessing at random, whichever is right more often.

    Args:
        frame: as from `reference_frame`; its first row is the majority class.
        images: how many images were answered.
        classes: how many classes there are.
    """
    ways = {name: (row["accuracy"], row["low"], row["high"]) for name, row in frame.iterrows()}
    base, free = _for_nothing(frame, classes)
    others = list(ways.items())[1:]
    gains = [f"{name} {100 * (way[0] - free[0]):+.0f}" for name, way in others]
    said = [f"In points above {base} ({free[0]:.2f}):", f"{', '.join(gains)}."]
    level = [name for name, way in others if not _beats(way, free)]
    if level:
        said.append(f"Not shown to beat it: {', '.join(level)}.")
    (best, highest), (second, next_one), *_ = sorted(ways.items(), key=lambda way: -way[1][0])
    low, high = _difference(highest, next_one)
    said.append(
        f"{best.capitalize()} is {100 * (highest[0] - next_one[0]):.1f} points above {second} "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f}, Newcombe 1998):"
    )
    if low <= 0:
        said.append(f"too close for {counted(images, 'photo')} to tell which is better.")
    else:
        told = "just beyond chance" if low < 0.02 else "more than chance explains"
        chosen = best not in ("majority class", "mean colour")
        said.append(f"{told}{', but its epoch was chosen by these photos' if chosen else ''}.")
    if "from scratch" not in ways:
        said.append("Nothing was trained from scratch in this run.")
    return "\n".join(said)


def _for_nothing(frame: "pd.DataFrame", classes: int) -> tuple[str, tuple[float, float, float]]:
    """Return the better answer that costs nothing: its name, accuracy and interval.

    The accuracy of guessing at random is known, not measured, so its interval is a point.
    """
    first = frame.iloc[0]
    if 1 / classes > first["accuracy"]:
        return "guessing at random", (1 / classes,) * 3
    return f"the {frame.index[0]}", (first["accuracy"], first["low"], first["high"])


def _difference(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the first accuracy less the second.

    Newcombe (1998), Statistics in Medicine 17, 873-890, method 10. It is for different images; on
    the same images, accuracies mostly differ a little less by chance.

    Args:
        first: accuracy, and the lower and upper bound of its Wilson interval.
        second: the same.
    """
    apart = first[0] - second[0]
    low = apart - math.hypot(first[0] - first[1], second[2] - second[0])
    return low, apart + math.hypot(first[2] - first[0], second[0] - second[1])


def _beats(first: Sequence[float], second: Sequence[float]) -> bool:
    """Tell whether one accuracy lies above another by more than chance explains."""
    return _difference(first, second)[0] > 0


def splits(metrics: Mapping[str, Mapping]) -> str:
    """Say which accuracy to report, how the splits compare, and what is not measured.

    Args:
        metrics: for each split its figures, as from `score`.
    """
    accuracy, interval = (metrics["validation"][n] for n in ("accuracy", "accuracy_interval"))
    if "test" not in metrics:
        said = [
            f"There is no test split: {accuracy:.3f} is validation (also used to choose).",
            "It flatters a little. A folder named test would give one that was not used to choose.",
        ]
        return "\n".join([*said, *unmeasured(metrics)])
    test = metrics["test"]["accuracy"], *metrics["test"]["accuracy_interval"]
    validation = accuracy, *interval
    compared = f"Validation {accuracy:.3f}, test {test[0]:.3f}: test lies"
    of_validation = f"validation's interval, {interval[0]:.3f} to {interval[1]:.3f}"
    if interval[0] <= test[0] <= interval[1]:
        said = [
            f"{compared} inside {of_validation}.",
            "Chance alone can explain this difference of accuracy.",
        ]
    else:
        said = [f"{compared} {'below' if test[0] < interval[0] else 'above'} {of_validation}."]
        differ = _beats(test, validation) or _beats(validation, test)
        said.append(
            "Chance does not explain that: the two groups of photos differ."
            if differ
            else "It may still be chance: test has an interval, too."
        )
    said.append(
        f"Report {test[0]:.3f} with its 95 % interval {test[1]:.3f} to {test[2]:.3f}: it was "
        "not used to choose."
    )
    return "\n".join([*said, *unmeasured(metrics)])


def rests_on(figures: Mapping, split: str) -> str:
    """Say on how many independent photos a split's figures rest, and what relatives are worth.

    Args:
        figures: as from `score`, with `relatives` as from `measure_price` where it was measured.
        split: of the photos.
    """
    said = [f"That rests on {measured_on(figures, split)}."]
    if figures["groups"] == figures["images"]:
        said.append("No two of them are known to belong together.")
    else:
        said.append(
            f"For its interval they count as {figures['independent']:.0f} independent photos."
        )
    return "\n".join([*said, *relatives(figures.get("relatives", {}))])


def relatives(price: Mapping) -> list[str]:
    """Return what the accuracy owes to photos of the same groups in training, line by line.

    Args:
        price: as from `measure_price`, or nothing.
    """
    if not price.get("relatives"):
        return []
    have = "has relatives" if price["relatives"] == 1 else "have relatives"
    said = f"{counted(price['relatives'], 'photo')} {have} in training (of one group or picture)."
    if not price["photos"]:
        return [said, "What that is worth cannot be measured: without them, too few are left."]
    low, high = (100 * bound for bound in price["drop_interval"])
    gain = 100 * (price["with"] - price["without"])
    lines = [
        said,
        f"A head trained with these relatives is right for {price['with']:.3f} of "
        f"{counted(price['photos'], 'photo')},",
        f"without them for {price['without']:.3f}: {gain:+.1f} points (95 % interval {low:.1f} to "
        f"{high:.1f}).",
    ]
    if low > 0:
        return [*lines, "So expect less of people and places that the model has never seen."]
    if high < 0:
        return [*lines, "They do harm here: look at their labels."]
    return [*lines, "Chance alone can explain this difference."]


def trained_again(figures: Mapping, split: str) -> str:
    """Say how far further trainings with other seeds came, beside what the draw of photos does.

    Args:
        figures: as from `score`, with the accuracies `trained_again` where there are any.
        split: of the photos.
    """
    again = list(figures.get("trained_again", {}).values())
    if not again:
        return (
            "No further training (training_seeds is empty), so nothing here shows how much of the\n"
            "accuracy is a lucky or unlucky training."
        )
    own, (low, high) = figures["accuracy"], figures["accuracy_interval"]
    listed = ", ".join(f"{value:.3f}" for value in again)
    spread = 100 * float(np.std([own, *again], ddof=1))
    if own > max(again):
        place = "This run's is the best of them, so expect a little less of another training."
    elif own < min(again):
        place = "This run's is the lowest of them: it had no luck."
    else:
        place = "This run's lies among them: neither lucky nor unlucky."
    told = (
        f"Trained again with {counted(len(again), 'other seed')}: right for {listed} of the same "
        f"{split} photos, after {own:.3f}."
    )
    return (
        f"{textwrap.fill(told, 90)}\n{place}\n"
        f"Another training: ± {spread:.1f} points (standard deviation of {len(again) + 1}). "
        f"Other photos: {100 * (low - own):+.1f} to {100 * (high - own):+.1f}."
    )


def runs_compared(compared: Mapping, names: tuple[str, str], split: str, figures: Mapping) -> str:
    """Say whether two runs differ by more than chance on the photos that both held out.

    Args:
        compared: as from `compare_runs`.
        names: of this run and of the other one.
        split: of the photos.
        figures: of this run for them, as for `trained_again`.
    """
    if not compared["photos"]:
        return f"{split}: {names[0]} and {names[1]} have no photo in common."
    first, second = compared["first"], compared["second"]
    said = [
        f"{split}, {counted(compared['photos'], 'photo')} in common: {names[0]} {first:.3f}, "
        f"{names[1]} {second:.3f}.",
        f"Only {names[0]} is right for {compared['won']}, only {names[1]} for "
        f"{compared['lost']}: McNemar p = {compared['p']:.3f}.",
    ]
    again = figures.get("trained_again", {}).values()
    if compared["p"] >= 0.05:
        said.append("The draw of these photos alone can explain that difference.")
    elif not again:
        said.append("The draw of photos does not explain that; another seed might.")
    elif abs(first - second) <= max(abs(value - figures["accuracy"]) for value in again):
        said.append("The draw of photos does not explain that, but another seed moved as much.")
    else:
        said.append("Neither the draw of photos nor the further seeds explain that difference.")
    return "\n".join(said)


def unknown(found: Mapping) -> str:
    """Say how much surer heads are of photos they know than of a class they never met.

    Args:
        found: as from `unknown.judge`.
    """
    if found["classes"] < 2:
        return "Too few classes to leave one out: it takes three, with validation photos of two."
    areas = {
        name: "{:.3f} (95 % interval {:.3f} to {:.3f})".format(
            found[name], *found[f"{name}_interval"]
        )
        for name in ("probability", "energy")
    }
    low, high = (100 * bound for bound in found["gain_interval"])
    gain = f"{100 * found['gain']:+.1f} points ({low:+.1f} to {high:+.1f})"
    if found["kept"] == "energy":
        told = (
            "That is beyond chance. The file gives no logits, so an app has to do without, or you\n"
            "give it a second output."
        )
    elif high < 0:
        told = "That is worse beyond chance, so the probability stays."
    else:
        told = "That is not beyond chance, so the probability stays."
    return (
        f"Probability: a known photo gets more in {areas['probability']} of pairs;\n"
        f"0.5 would be a coin. Hardest of {found['classes']} classes: {found['hardest']}.\n"
        f"Energy: {areas['energy']}: {gain}.\n{told}"
    )


def unmeasured(metrics: Mapping[str, Mapping]) -> list[str]:
    """Return a sentence for each split that lacks classes.

    Args:
        metrics: for each split its figures, as from `score`.
    """
    return [
        f"Not measured: no {split} photo shows {', '.join(missing)}."
        for split, figures in metrics.items()
        if (missing := [name for name, e in figures["classes"].items() if not e["images"]])
    ]


def sureness(log_loss: float, promised: float, margin: float) -> str:
    """Say whether a model is right as often as it says.

    Args:
        log_loss: of its answers, in nats.
        promised: the log loss that its answers promise.
        margin: how far apart chance alone takes the two.
    """
    said = f"log loss {log_loss:.3f}, promised {promised:.3f} ± {margin:.3f}: "
    if log_loss > promised + margin:
        return f"{said}too sure of itself."
    if log_loss < promised - margin:
        return f"{said}less sure than it could be."
    return f"{said}as sure as it is right, within chance."


def log_losses(predictions: "pd.DataFrame") -> str:
    """Say how the log losses of the splits compare, and how few photos make up half of one.

    Args:
        predictions: as from `prediction_frame`. The last split is the one looked into.
    """
    trues = {
        split: np.array([row[f"p_{row['label']}"] for _, row in rows.iterrows()]).clip(1e-7)
        for split, rows in predictions.groupby("split", sort=False)
    }
    means = {split: -np.log(true).mean() for split, true in trues.items()}
    split, lowest = list(trues)[-1], np.sort(list(trues.values())[-1])
    said = f"Log loss: {', '.join(f'{name} {mean:.3f}' for name, mean in means.items())}.\n"
    losses = np.cumsum(-np.log(lowest))
    if not losses[-1]:
        return f"{said}Every {split} photo was answered rightly, and with certainty."
    half = int((losses < losses[-1] / 2).sum()) + 1
    return (
        f"{said}Half of the loss on {split} comes from {half} of {counted(len(lowest), 'photo')}, "
        f"whose true class got at most {percent(lowest[half - 1])}."
    )


def temperature(losses: "pd.DataFrame", noted: float, change: np.ndarray) -> str:
    """Say which temperature validation chooses, and what it does to the log loss.

    Args:
        losses: log losses, one row per temperature (the index, with 1 in it) and one column per
            split.
        noted: the temperature that training chose.
        change: what that one adds to the log loss of each photo of the last split, (n,).
    """
    chosen = losses["validation"].idxmin()
    as_it_was = losses.index[np.abs(losses.index - 1).argmin()]
    told = [
        f"{split} {losses.loc[chosen, split]:.3f} instead of {losses.loc[as_it_was, split]:.3f}"
        for split in losses
    ]
    said = [
        f"Validation chooses temperature {chosen:.2f}; training, which leans towards 1, took "
        f"{noted:.2f}.",
        f"Log loss with {chosen:.2f}: {'; '.join(told)}.",
    ]
    if len(change) > 1:
        mean, reach = change.mean(), 1.96 * change.std(ddof=1) / np.sqrt(len(change))
        lowers, raises = mean + reach < 0, mean - reach > 0
        verdict = "it lowers it" if lowers else "it raises it" if raises else "perhaps by chance"
        said.append(
            f"On {losses.columns[-1]}, the {noted:.2f} of training changes it by {mean:+.3f} "
            f"(95 % interval {mean - reach:+.3f} to {mean + reach:+.3f}):\n{verdict}."
        )
    if "test" not in losses:
        said.append("These photos chose it, so that flatters.")
    if chosen in (losses.index[0], losses.index[-1]):
        said.append("It lies at the edge of the range: try a wider one.")
    return "\n".join(said)


def calibrated(table: "pd.DataFrame", errors: Mapping[str, float], split: str) -> str:
    """Say how often answers of about one probability are right, and what the temperature did.

    Args:
        table: as from `confidence.reliability`.
        errors: as from `confidence.errors`.
        split: whose answers these are.
    """
    row = table.loc[table["photos"].idxmax()]
    return (
        f"Of {row['photos']:.0f} {split} answers given with about {100 * row['confidence']:.0f} %, "
        f"{100 * row['accuracy']:.0f} % are right.\n"
        f"Expected calibration error: {errors['before']:.3f} as trained, {errors['now']:.3f} with "
        f"the temperature.\nWere every probability true, so few photos would still show about "
        f"{errors['chance']:.3f}."
    )


def confusions(matrix: np.ndarray, class_names: Sequence[str]) -> str:
    """Say how many answers are wrong, and which classes are taken for each other most.

    Args:
        matrix: counts, one row per true class, one column per answer.
        class_names: the classes in index order.
    """
    total = int(matrix.sum())
    wrong = total - int(matrix.trace())
    if not wrong:
        return f"None of {counted(total, 'answer')} is wrong, so there is nothing to confuse."
    pairs = {
        (a, b): int(matrix[a, b] + matrix[b, a]) for b in range(len(class_names)) for a in range(b)
    }
    said = f"{wrong} of {counted(total, 'answer')} {'is' if wrong == 1 else 'are'} wrong.\n"
    most = max(pairs.values())
    if most == 1:
        return f"{said}No two classes are confused more than once: there is no pattern to see."
    often = [pair for pair, times in pairs.items() if times == most]
    told = []
    for a, b in often[:3]:
        if matrix[a, b] and matrix[b, a]:
            told.append(f"{class_names[a]} and {class_names[b]} are taken for each other")
        else:
            true, answer = (a, b) if matrix[a, b] else (b, a)
            told.append(f"{class_names[true]} is taken for {class_names[answer]}")
    more = f";\nand {counted(len(often) - 3, 'other pair')}" if len(often) > 3 else ""
    each = " each" if len(often) > 1 else ""
    return f"{said}Most often, {most} times{each}: " + ";\n".join(told) + f"{more}."


def weakest(classes: "pd.DataFrame", accuracy: float) -> str:
    """Say which class is found least often, and how sure that is.

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
    name, level = weakest_class(classes)
    row = classes.loc[name]
    if row["recall"] == 1:
        return f"Every photo of every class was found.\n{sizes}"
    said = f"Weakest: {name}, {row['found']:.0f} of {row['images']:.0f} found"
    if level:
        said += f", level with {counted(level, 'other class', 'other classes')}"
    side = "lies below" if row["high"] < accuracy else "contains"
    told = "it may be chance"
    if row["high"] < accuracy:  # but it was picked for being the lowest
        told = (
            f"it may be weaker,\nor chance: the lowest of {len(classes)} classes often lies there"
        )
    return (
        f"{said}.\nIts interval, {row['low']:.3f} to {row['high']:.3f}, {side} the overall "
        f"accuracy ({accuracy:.3f}): {told}.\n{sizes}"
    )


def weakest_class(classes: "pd.DataFrame") -> tuple[str, int]:
    """Return the class with the lowest recall, and how many others are as weak.

    Args:
        classes: as from `class_frame`. Of equals, the one with the most images is taken.
    """
    measured = classes[classes["images"] > 0]
    weakest = measured[measured["recall"] == measured["recall"].min()]
    return weakest["images"].idxmax(), len(weakest) - 1


def mistakes(wrong: int, total: int, sure_wrong: int, sure: int, limit: float) -> str:
    """Say how many answers were wrong, and how many of the sure ones.

    Args:
        wrong: wrong answers.
        total: all answers.
        sure_wrong: wrong answers with at least the probability `limit`.
        sure: all answers with at least that probability.
        limit: 0..1.
    """
    return (
        f"{wrong} of {counted(total, 'answer')} wrong; of the {sure} given with "
        f"{100 * limit:.0f} % or more, {sure_wrong} wrong."
    )


def analysis(
    history: "pd.DataFrame",
    reference: "pd.DataFrame",
    metrics: Mapping[str, Mapping],
    classes: "pd.DataFrame",
    promised: Mapping[str, tuple[float, float]],
) -> str:
    """Sum up notebook 04: what was kept, how good and how sure it is, how far to trust that.

    Args:
        history: `history.csv`.
        reference: as from `reference_frame`, on the validation photos.
        metrics: for each split its figures, as from `score`.
        classes: of the split to report, as from `class_frame`.
        promised: for each split the promised log loss and its margin.
    """
    losses = history["val_loss"].tolist()
    split = "test" if "test" in metrics else "validation"
    figures, (promise, margin) = metrics[split], promised[split]
    _, free = _for_nothing(reference, len(classes))
    low, high = figures["accuracy_interval"]
    log_loss = figures["log_loss"]
    if log_loss > promise + margin:
        sure = "it is too sure"
    elif log_loss < promise - margin:
        sure = "it is less sure than it could be"
    else:
        sure = "it is about as sure as it is right"
    widths = classes["high"] - classes["low"]
    lines = [
        f"Epoch {losses.index(min(losses)) + 1} of {len(losses)} was kept: accuracy "
        f"{figures['accuracy']:.3f} on {counted(figures['images'], f'{split} photo')}. "
        f"For nothing: {free[0]:.2f}.",
        f"On {split} {sure}: log loss {log_loss:.2f}, promised {promise:.2f} ± {margin:.2f}.",
        f"Trust it as far as its interval, {low:.2f} to {high:.2f}; "
        f"a class's recall has one up to {widths.max():.2f} wide.",
    ]
    if split == "validation":
        lines.append("These photos also chose the epoch, so that flatters.")
    return "\n".join(lines)
