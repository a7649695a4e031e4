"""Figures with intervals from tables of answers; no TensorFlow."""

from collections.abc import Mapping, Sequence

from dermaface.photos.splits import name_units
from dermaface.runs import Run
import numpy as np
import pandas as pd
import scipy.stats
import sklearn.metrics

# The columns of conversion.csv; after them, for each class, `recall_change_CLASS`.
CONVERSION_COLUMNS = (
    "variant split bytes accuracy accuracy_drop agreement max_abs_diff latency_ms passed images "
    "drop_low drop_high changed latency_p90_ms latency_1_thread_ms latency_1_thread_p90_ms problem"
).split()


def accuracy_interval(correct: float, total: float) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy (Wilson 1927), as shares of 1.

    Args:
        correct: how many images are right.
        total: all images. Neither has to be a whole number; see `independent_images`.

    Raises:
        ValueError: there are no images.
    """
    if total < 1:
        raise ValueError("An accuracy needs at least one image.")
    share, squared = correct / total, scipy.stats.norm.ppf(0.975) ** 2 / total
    middle = share + squared / 2
    half = np.sqrt(share * (1 - share) * squared + squared**2 / 4)
    low, high = (middle - half) / (1 + squared), (middle + half) / (1 + squared)
    return float(max(low, 0)), float(min(high, 1))


def independent_images(values: Sequence[float] | np.ndarray, groups: Sequence) -> float:
    """Return how many independent images would tell as much about a mean as these do.

    Photos of one group (of one person, one place, one picture) tend to be right or wrong together.
    The design effect (Kish 1965, Survey Sampling) says how much that widens the variance of the
    mean: it is the variance by the sums of the groups over the variance of as many single images.
    The images are divided by it, and by the ratio of Student's quantiles, because few groups tell
    little about their own spread (Korn and Graubard 1998, Survey Methodology 24(2), 193-201). An
    interval for independent images, such as Wilson's, then serves for this number. A bootstrap of
    the groups was the other choice. It has no width where every answer is right, and it would not
    be Wilson's interval where each image is its own group; this one is, because the outcome then is
    the number of images.

    Args:
        values: one per image, such as 1 for a right answer and 0 for a wrong one.
        groups: the name of each image's group.

    Returns:
        A number from 1 to that of the images. Where all values are equal, nothing shows how far the
        images of a group agree, and it is the number of groups.
    """
    values = np.asarray(values, dtype=float)
    by_group = pd.Series(values - values.mean()).groupby(np.asarray(groups))
    total, count = len(values), by_group.ngroups
    spread = by_group.sum().pow(2).sum() * count / max(count - 1, 1)
    single = np.square(values - values.mean()).sum() * total / max(total - 1, 1)
    if count in (1, total) or not single:
        return float(count)
    quantiles = scipy.stats.t.ppf(0.975, [total - 1, count - 1])
    effective = total / max(spread / single, 1) * (quantiles[0] / quantiles[1]) ** 2
    return float(max(effective, 1))


def drop_interval(lost: float, won: float, total: float) -> tuple[float, float]:
    """Return the 95 % interval of an accuracy drop between two models on the same images.

    The images on which both are right or both wrong say nothing about the difference; the interval
    follows from the others. It is Wald's with the adjustment of Bonett and Price (2012), Journal of
    Educational and Behavioral Statistics 37(4), 479-488, which Fagerland, Lydersen and Laake (2014)
    recommend for paired proportions.

    Args:
        lost: images on which only the first model is right.
        won: images on which only the second model is right.
        total: all images. None has to be a whole number; see `independent_images`.

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


def compare_runs(run: Run, rows: pd.DataFrame, other: Run) -> dict:
    """Compare the answers of two runs for the photos that both held out, one by one.

    Photos are recognised by their content, so the folders may differ. The test is McNemar's, exact:
    of the photos that only one run got right, each is as likely to be either's if the runs are
    equally good (McNemar 1947, Psychometrika 12(2), 153-157). It takes the photos for independent.

    Args:
        run: with `images.csv`.
        rows: its answers for the photos of one split, as from `prediction_frame`.
        other: with `images.csv` and `predictions.csv`.

    Returns:
        `photos`, how many the other run has in this split, too, with the same label; where there
        are any, also the accuracies `first` and `second`, how many only the first (`won`) or only
        the second (`lost`) got right, and `p`, the probability of such a difference, or a larger
        one, by chance.
    """
    rights = []
    for one, answers in ((run, rows), (other, read_predictions(other))):
        hashes = pd.read_csv(one.path("images.csv"), usecols=["path", "sha256"], dtype=str)
        answers = answers[answers["split"].isin(rows["split"])].merge(hashes, on="path")
        answers["right"] = answers["label"] == answers["predicted"]
        rights.append(answers.groupby(["sha256", "label"])["right"].first())
    both = pd.concat(rights, axis=1, join="inner", keys=["first", "second"])
    if both.empty:
        return {"photos": 0}
    won = int((both["first"] & ~both["second"]).sum())
    lost = int((both["second"] & ~both["first"]).sum())
    return {
        "photos": len(both),
        "first": float(both["first"].mean()),
        "second": float(both["second"].mean()),
        "won": won,
        "lost": lost,
        "p": float(scipy.stats.binomtest(won, won + lost).pvalue) if won + lost else 1.0,
    }


def mean_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a mean, from a sample of its values (Student 1908).

    For differences of pairs it is the interval of the paired t test. Student: The probable error of
    a mean, Biometrika 6(1), 1-25.

    Raises:
        ValueError: fewer than two values, which say nothing about chance.
    """
    if len(values) < 2:
        raise ValueError(
            "An interval needs at least two values, because only their differences show how large "
            f"chance is; got {len(values)}. In notebook 06, set repeats to at least 2."
        )
    mean, error = np.mean(values), scipy.stats.sem(values)
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * error
    return float(mean - half), float(mean + half)


def choose_setting(differences: np.ndarray) -> str:
    """Return "winner" if its loss is lower than that of "start" beyond chance, or else "start".

    There are two kinds of chance: another seed trains another model, and other photos give another
    loss. The winner must be ahead throughout two 95 % intervals, over the seeds and over the
    photos.

    Args:
        differences: the winner's loss less that of the start, (seeds, photos).
    """
    over_seeds = mean_interval(differences.mean(axis=1))
    over_photos = mean_interval(differences.mean(axis=0))
    return "winner" if max(over_seeds[1], over_photos[1]) < 0 else "start"


def compare_ways(
    answers: Mapping[str, Sequence[pd.DataFrame]], class_names: Sequence[str]
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Compare ways to train, each tried with the same seeds, on the same images.

    Args:
        answers: for each way its predictions, as from `prediction_frame`, one frame for each seed.
            The first way is the one to beat.
        class_names: the classes in index order.

    Returns:
        For each way `val_loss` (log loss) and `val_accuracy`, one row per seed; and a table with
        one row for each way but the first: the means of the two, and whether, by `choose_setting`,
        it has a `lower loss` or `fewer mistakes` than the first beyond chance.
    """
    measured, losses, mistakes = {}, {}, {}
    for way, frames in answers.items():
        scored = [score(frame, class_names) for frame in frames]
        measured[way] = pd.DataFrame(
            {"val_loss": s["log_loss"], "val_accuracy": s["accuracy"]} for s in scored
        )
        truth = [[list(class_names).index(label) for label in frame["label"]] for frame in frames]
        given = [
            probabilities_of(frame, class_names)[range(len(frame)), right]
            for frame, right in zip(frames, truth, strict=True)
        ]
        losses[way] = -np.log(np.clip(given, 1e-7, 1))
        mistakes[way] = np.array([frame["label"] != frame["predicted"] for frame in frames], float)
    first, *others = answers
    table = pd.DataFrame({way: measured[way].mean() for way in others}).T
    for name, values in (("lower loss", losses), ("fewer mistakes", mistakes)):
        table[name] = [choose_setting(values[way] - values[first]) == "winner" for way in others]
    return measured, table


def choose_threshold(truth: np.ndarray, probabilities: np.ndarray, recall: float) -> float:
    """Return the highest threshold that finds a share of a class, `recall`, above 0 and at most 1.

    Args:
        truth: whether each image is of the class, bool (n,); at least one is.
        probabilities: that it is, (n,).
        recall: the share to find.
    """
    _, found, steps = sklearn.metrics.roc_curve(truth, probabilities, drop_intermediate=False)
    return float(steps[found >= recall][0])


def threshold_frame(
    truth: np.ndarray, probabilities: np.ndarray, thresholds: Sequence[float]
) -> pd.DataFrame:
    """Return what saying yes from each of several thresholds on comes to, for two classes.

    Args:
        truth: whether each image is of the class in question, bool (n,).
        probabilities: that it is, (n,).
        thresholds: the least probability for a yes.

    Returns:
        One row per threshold, which is the index: `found` (right yeses), `false alarms` (wrong
        ones), `precision` (NaN without a yes), and `recall` with its 95 % interval, `low` to
        `high`.
    """
    rows = []
    for threshold in thresholds:
        said = probabilities >= threshold
        found, alarms = int((said & truth).sum()), int((said & ~truth).sum())
        precision = found / (found + alarms) if found + alarms else np.nan
        low, high = accuracy_interval(found, truth.sum())
        rows.append((found, alarms, precision, found / truth.sum(), low, high))
    columns = ["found", "false alarms", "precision", "recall", "low", "high"]
    return pd.DataFrame(rows, pd.Index(thresholds, name="threshold"), columns)


def prediction_frame(
    images: pd.DataFrame, probabilities: np.ndarray, class_names: Sequence[str]
) -> pd.DataFrame:
    """Return the rows of `predictions.csv`.

    Args:
        images: rows of `images.csv`, in the order of the probabilities.
        probabilities: (n, num_classes).
        class_names: the classes in index order.

    Returns:
        `path`, `split`, `label`, `predicted`, `picture` and `group` as from `name_units`, and one
        column `p_CLASS` per class.
    """
    frame = images[["path", "split", "label"]].reset_index(drop=True)
    frame["predicted"] = [class_names[index] for index in probabilities.argmax(axis=1)]
    frame = pd.concat([frame, name_units(images).reset_index(drop=True)], axis=1)
    columns = pd.DataFrame(probabilities, columns=[f"p_{name}" for name in class_names])
    return pd.concat([frame, columns], axis=1)


def read_predictions(run: Run) -> pd.DataFrame:
    """Return `predictions.csv` of a run."""
    names = dict.fromkeys(("path", "split", "label", "predicted", "picture", "group"), str)
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
        `images`, `pictures` and `groups` (how many different ones), `independent` (as from
        `independent_images`), `accuracy`, `accuracy_interval` (95 %, Wilson's for the independent
        images), `macro_f1` (of the classes that have images), `log_loss` (nats), and `classes`: for
        each class its `images`, `precision`, `recall` and `f1`, which are None for a class without
        images.
    """
    labels, predicted = predictions["label"], predictions["predicted"]
    independent = independent_images(labels == predicted, predictions["group"])
    correct, total = int((labels == predicted).sum()), len(predictions)
    precision, recall, f1, counts = sklearn.metrics.precision_recall_fscore_support(
        labels, predicted, labels=list(class_names), zero_division=0
    )
    index = {name: number for number, name in enumerate(class_names)}
    truth = probabilities_of(predictions, class_names)[range(total), [index[x] for x in labels]]
    return {
        "images": total,
        "pictures": predictions["picture"].nunique(),
        "groups": predictions["group"].nunique(),
        "independent": independent,
        "accuracy": correct / total,
        "accuracy_interval": list(accuracy_interval(correct * independent / total, independent)),
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


def weakest_first(score: Mapping) -> list[tuple[str, Mapping]]:
    """Return the classes of a split that have photos, with their figures, by rising recall."""
    measured = [item for item in score["classes"].items() if item[1]["images"]]
    return sorted(measured, key=lambda item: item[1]["recall"])


def class_frame(score: Mapping) -> pd.DataFrame:
    """Return the figures of each class of a split as a table, one row per class.

    Args:
        score: as from `score`.

    Returns:
        `images`, `found` (how many of them were recognised), `recall` with its 95 % interval `low`
        and `high`, `precision` and `f1`; all but the first two are NaN for a class without images.
    """
    frame = pd.DataFrame(score["classes"]).T.astype(float).astype({"images": int})
    frame.insert(1, "found", (frame["recall"].fillna(0) * frame["images"]).round().astype(int))
    intervals = [
        accuracy_interval(row.found, row.images) if row.images else (np.nan, np.nan)
        for row in frame.itertuples()
    ]
    frame[["low", "high"]] = intervals
    return frame["images found recall low high precision f1".split()]


def reference_frame(answers: Mapping[str, tuple[int, int]], total: int) -> pd.DataFrame:
    """Return the accuracies of several ways to answer the same images, one row per way.

    Args:
        answers: for each way, how many answers are right, and how many times it went through the
            training images.
        total: all images.

    Returns:
        `accuracy`, its 95 % interval `low` and `high`, and `passes`.
    """
    rows = {
        name: (right / total, *accuracy_interval(right, total), passes)
        for name, (right, passes) in answers.items()
    }
    columns = ["accuracy", "low", "high", "passes"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def promised_log_loss(probabilities: np.ndarray) -> tuple[float, float]:
    """Return the log loss that answers promise, which is their mean entropy.

    A model that is right as often as it says ends up there, give or take the margin.

    Args:
        probabilities: (n, num_classes).

    Returns:
        The promised log loss in nats, and the 95 % margin around it that chance alone explains.
    """
    surprise = -np.log(np.clip(probabilities, 1e-7, 1))
    promised = (probabilities * surprise).sum(axis=1)
    variance = (probabilities * surprise**2).sum(axis=1) - promised**2
    margin = scipy.stats.norm.ppf(0.975) * np.sqrt(variance.sum()) / len(probabilities)
    return float(promised.mean()), float(margin)


def summary_frame(metrics: Mapping[str, dict]) -> pd.DataFrame:
    """Return the figures of each split as a table for display."""
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


def confident_mistakes(
    predictions: pd.DataFrame, class_names: Sequence[str], count: int = 8
) -> pd.DataFrame:
    """Return the wrong predictions with the highest probability, in the column `probability`."""
    best = probabilities_of(predictions, class_names).max(axis=1)
    wrong = predictions.assign(probability=best).query("label != predicted")
    return wrong.nlargest(count, "probability")


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
        One row per variant and split: `variant`, `split`, `images`, `accuracy`, `accuracy_drop`
        (Keras minus variant) with its 95 % interval `drop_low` and `drop_high`, `agreement` (share
        of images with the same first guess), `changed` (how many have another), `max_abs_diff` (of
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


def probability_changes(
    predictions: pd.DataFrame, answers: Mapping[str, np.ndarray], class_names: Sequence[str]
) -> pd.DataFrame:
    """Return how far files moved the Keras model's probabilities, photo by photo.

    Args:
        predictions: the Keras model's, as from `prediction_frame`.
        answers: for each file its probabilities (n, num_classes), in the same order.
        class_names: the classes in index order.

    Returns:
        One row per photo and one column per file: the largest change of any probability.
    """
    keras_answers = probabilities_of(predictions, class_names)
    return pd.DataFrame(
        {name: np.abs(given - keras_answers).max(axis=1) for name, given in answers.items()}
    )


def changed_answers(
    predictions: pd.DataFrame, probabilities: np.ndarray, class_names: Sequence[str]
) -> pd.DataFrame:
    """Return the images for which a file's first guess differs from the Keras model's.

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
