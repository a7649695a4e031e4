"""Probabilities that mean what they say: temperature, threshold and sets; no TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dermaface.evaluation.scores import accuracy_interval, probabilities_of
import numpy as np
import pandas as pd
import scipy.optimize

LOWEST, HIGHEST = 0.2, 5.0  # temperatures beyond which no validation set is believed
PRIOR = 0.5  # standard deviation of the logarithm of a temperature, before any photo is seen
FOLDS = 5  # into which the validation photos are dealt for `fit_set_threshold`
BINS = 15  # of the probability, by which it is told whether answers hold
SMALLEST = 1e-7  # probability that counts instead of a smaller one


class Trust(NamedTuple):
    """From which probability on an answer counts as sure, and how that was found out."""

    min_confidence: float
    reached: bool  # whether sure answers are right often enough
    sure: int  # photos with a sure answer
    right: int  # of them, those with a right one
    photos: int  # all photos
    low: float  # lower end of the 95 % interval of the share of sure answers that are right


def soften(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities of a model whose logits are divided by a temperature.

    Args:
        probabilities: (n, num_classes), each row with the sum 1.
        temperature: above 1 it softens, below 1 it sharpens.
    """
    logits = np.log(np.clip(np.asarray(probabilities, np.float64), SMALLEST, 1)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit_temperature(probabilities: np.ndarray, truth: Sequence[int] | np.ndarray) -> float:
    """Return the temperature that gives the lowest log loss (Guo et al. 2017).

    Where nearly every photo is right, that would be as low as it can be, and claim a certainty that
    so few photos cannot show. So a temperature far from 1 needs evidence: its logarithm has a
    normal prior of standard deviation 0.5. Among hundreds of photos that hardly counts.

    Args:
        probabilities: (n, num_classes), of photos that the model did not learn from.
        truth: the index of each photo's class.

    Returns:
        A temperature from 0.2 to 5; 1 if there are no photos.
    """
    truth = np.asarray(truth, dtype=int)
    if not len(truth):
        return 1.0

    def loss(log_temperature: float) -> float:
        softened = soften(probabilities, float(np.exp(log_temperature)))
        surprise = -np.log(np.clip(softened[range(len(truth)), truth], SMALLEST, 1))
        return float(surprise.sum() + (log_temperature / PRIOR) ** 2 / 2)

    bounds = np.log([LOWEST, HIGHEST])
    found = scipy.optimize.minimize_scalar(loss, bounds=bounds, method="bounded")
    return float(np.exp(found.x))


def reliability(
    probabilities: np.ndarray, truth: Sequence[int] | np.ndarray, bins: int = BINS
) -> pd.DataFrame:
    """Return how often answers are right, by how sure the model was of them.

    Args:
        probabilities: (n, num_classes).
        truth: the index of each photo's class.
        bins: of equal width, over the highest probability of each photo.

    Returns:
        One row per bin that holds photos: `photos`, `confidence` (the mean highest probability),
        `accuracy`, and its 95 % interval `low` and `high` (Wilson 1927).
    """
    sure = np.asarray(probabilities, np.float64).max(axis=1)
    right = np.asarray(probabilities).argmax(axis=1) == np.asarray(truth, dtype=int)
    frame = pd.DataFrame({"confidence": sure, "accuracy": right.astype(float)})
    number = np.minimum((sure * bins).astype(int), bins - 1)
    table = frame.groupby(number).mean()
    table.insert(0, "photos", frame.groupby(number).size())
    intervals = [
        accuracy_interval(row.accuracy * row.photos, row.photos) for row in table.itertuples()
    ]
    table[["low", "high"]] = intervals
    return table.reset_index(drop=True)


def calibration_error(
    probabilities: np.ndarray, truth: Sequence[int] | np.ndarray, bins: int = BINS
) -> float:
    """Return the expected calibration error (Naeini et al. 2015): the mean gap of `reliability`.

    Args:
        probabilities: (n, num_classes).
        truth: the index of each photo's class.
        bins: of equal width.

    Returns:
        From 0 to 1. Chance alone makes it larger than 0, the more so the fewer photos there are.
    """
    table = reliability(probabilities, truth, bins)
    gaps = (table["confidence"] - table["accuracy"]).abs()
    return float((gaps * table["photos"]).sum() / table["photos"].sum())


def added_loss(
    before: np.ndarray, now: np.ndarray, truth: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Return what a change of the probabilities added to the log loss of each photo, (n,).

    Args:
        before: (n, num_classes).
        now: the same photos.
        truth: the index of each photo's class.
    """
    first, second = (
        np.clip(p, SMALLEST, 1)[range(len(p)), np.asarray(truth)] for p in (before, now)
    )
    return np.log(first / second)


def errors(
    before: np.ndarray, now: np.ndarray, truth: Sequence[int] | np.ndarray, draws: int = 200
) -> dict[str, float]:
    """Return calibration errors without and with a temperature, and what chance alone makes.

    Args:
        before: (n, num_classes), without the temperature.
        now: the same with it.
        truth: the index of each photo's class.
        draws: how often each photo's class is drawn anew, with the probabilities of `now`.

    Returns:
        `before`, `now`, and `chance`: the mean error of the draws, which is how large it would be
        if every probability were true, because photos are few. All 0..1.
    """
    generator = np.random.default_rng(0)
    upper = np.asarray(now, np.float64).cumsum(axis=1)
    drawn = [
        np.minimum((upper < generator.random((len(upper), 1))).sum(axis=1), upper.shape[1] - 1)
        for _ in range(draws)
    ]
    return {
        "before": calibration_error(before, truth),
        "now": calibration_error(now, truth),
        "chance": float(np.mean([calibration_error(now, classes) for classes in drawn])),
    }


def choose_confidence(
    probabilities: np.ndarray, truth: Sequence[int] | np.ndarray, sure_accuracy: float
) -> Trust:
    """Choose from which probability on an answer counts as sure.

    As many answers as possible shall be sure, and so many of these right that even the lower end of
    the interval reaches `sure_accuracy`.

    Args:
        probabilities: (n, num_classes), of photos by which to choose.
        truth: the index of each photo's class.
        sure_accuracy: share of sure answers that shall be right, 0..1.

    Returns:
        The choice. If no threshold is good enough, it is the one with the highest lower end, and
        `reached` is false.

    Raises:
        ValueError: there are no photos.
    """
    table = coverage_frame(probabilities, truth)
    good = np.flatnonzero(table["low"] >= sure_accuracy)
    best = int(good[-1]) if len(good) else int(table["low"].argmax())
    row = table.loc[best]
    # Half-way to the next photo, so that rounding to 8 bits does not decide.
    last = best + 1 == len(table)
    below = 0.0 if last else (row["confidence"] + table.loc[best + 1, "confidence"]) / 2
    return Trust(
        min_confidence=float(below),
        reached=bool(len(good)),
        sure=int(row["sure"]),
        right=int(row["right"]),
        photos=int(table["sure"].iloc[-1]),
        low=float(row["low"]),
    )


def coverage_frame(probabilities: np.ndarray, truth: Sequence[int] | np.ndarray) -> pd.DataFrame:
    """Return how many answers are right if only the surest are given, for every number of them.

    Args:
        probabilities: (n, num_classes).
        truth: the index of each photo's class.

    Returns:
        One row per probability that an answer has, falling: `confidence`; `sure`, how many answers
        are at least as probable, and `right`, how many of these are right; and the lower end `low`
        of the 95 % interval (Wilson 1927) of their share.

    Raises:
        ValueError: there are no photos.
    """
    confidence = np.asarray(probabilities, np.float64).max(axis=1)
    right = np.asarray(probabilities).argmax(axis=1) == np.asarray(truth, dtype=int)
    if not len(confidence):
        raise ValueError("A threshold needs at least one photo to be chosen by.")
    order = np.argsort(-confidence, kind="stable")
    confidence, right = confidence[order], np.cumsum(right[order])
    # A threshold takes in all photos of one confidence, or none.
    ends = np.flatnonzero(np.append(np.diff(confidence) < 0, True))
    lows = [accuracy_interval(float(right[end]), float(end + 1))[0] for end in ends]
    return pd.DataFrame(
        {"confidence": confidence[ends], "sure": ends + 1, "right": right[ends], "low": lows}
    )


def fit_set_threshold(
    probabilities: np.ndarray,
    truth: Sequence[int] | np.ndarray,
    groups: Sequence,
    set_coverage: float,
    temperature: float = 1.0,
) -> float:
    """Return from which probability on a class belongs to the set of possible ones.

    Split conformal prediction: a new photo of the same kind has its true class in its set with
    probability `set_coverage`. The temperature was fitted to these
    very photos, so for each fifth of them, whole groups at a time, it is fitted anew on the others.

    Args:
        probabilities: (n, num_classes), of photos that the model did not learn from, with their
            temperature.
        truth: the index of each photo's class.
        groups: the group of each photo.
        set_coverage: share of sets that shall hold the truth, 0..1.
        temperature: the one that the probabilities already have.

    Returns:
        A probability; 0, so that every class belongs to every set, if there are too few photos.
    """
    truth = np.asarray(truth, dtype=int)
    before = soften(probabilities, 1 / temperature)
    names = {name: number for number, name in enumerate(dict.fromkeys(groups))}
    fold = np.array([names[name] % FOLDS for name in groups])
    scores = np.empty(len(truth))
    for number in np.unique(fold):
        here = fold == number
        own = fit_temperature(before[~here], truth[~here])
        scores[here] = soften(before[here], own)[range(here.sum()), truth[here]]
    return set_threshold(scores, set_coverage)


def set_threshold(scores: np.ndarray, set_coverage: float) -> float:
    """Return the threshold of split conformal prediction (Sadinle, Lei and Wasserman 2019).

    Args:
        scores: (n,), the probability that each photo's true class was given.
        set_coverage: share of sets that shall hold the truth, 0..1.

    Returns:
        A probability; 0 if there are too few photos for such a coverage.
    """
    rank = int(np.floor((len(scores) + 1) * (1 - set_coverage) + 1e-9))
    return float(np.sort(scores)[rank - 1]) if rank else 0.0


def choose_limits(
    predictions: pd.DataFrame,
    class_names: Sequence[str],
    wanted: Mapping[str, float],
    temperature: float = 1.0,
) -> tuple[dict[str, float], Trust, pd.DataFrame]:
    """Choose both limits that a file carries: when it is sure, and which classes are possible.

    Args:
        predictions: of validation photos, as from `scores.prediction_frame`.
        class_names: the classes in index order.
        wanted: `min_confidence` (0 chooses it), `sure_accuracy` and `set_coverage`, each 0..1.
        temperature: the one that the probabilities have, fitted to these very photos.

    Returns:
        The wanted ones, with `min_confidence` as chosen and `set_threshold`, as the file carries
        them; what `choose_confidence` found; and the table by which it chose (`coverage_frame`).
    """
    probabilities = probabilities_of(predictions, class_names)
    truth = predictions["label"].map(list(class_names).index).to_numpy()
    found = choose_confidence(probabilities, truth, wanted["sure_accuracy"])
    limits = {
        "min_confidence": wanted["min_confidence"] or found.min_confidence,
        "set_threshold": fit_set_threshold(
            probabilities, truth, predictions["group"], wanted["set_coverage"], temperature
        ),
    }
    rounded = {name: round(value, 4) for name, value in (dict(wanted) | limits).items()}
    return rounded, found, coverage_frame(probabilities, truth)


def compare(
    before: pd.DataFrame, now: pd.DataFrame, class_names: Sequence[str]
) -> tuple[tuple[pd.DataFrame, pd.DataFrame], dict[str, float]]:
    """Compare how far two models' probabilities can be trusted, on the same photos.

    Args:
        before: one model's answers, as from `scores.prediction_frame`.
        now: the other's, in the same order.
        class_names: the classes in index order.

    Returns:
        What `reliability` makes of each, and their `errors`.
    """
    truth = before["label"].map(list(class_names).index).to_numpy()
    first, second = (probabilities_of(rows, class_names) for rows in (before, now))
    return (reliability(first, truth), reliability(second, truth)), errors(first, second, truth)


def in_set(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return which classes belong to each photo's set; the likeliest always does.

    Args:
        probabilities: (n, num_classes).
        threshold: as from `fit_set_threshold`.

    Returns:
        bool (n, num_classes).
    """
    probabilities = np.asarray(probabilities)
    return (probabilities >= threshold) | (
        np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]
    )


def mark_answers(
    predictions: pd.DataFrame, class_names: Sequence[str], limits: Mapping[str, float]
) -> pd.DataFrame:
    """Return answers with what a file's limits make of each.

    Args:
        predictions: as from `scores.prediction_frame`.
        class_names: the classes in index order.
        limits: `min_confidence` and `set_threshold`.

    Returns:
        The rows, with `sure` (whether the answer is), `held` (whether the photo's set holds its
        class) and `set_size` (classes in its set).
    """
    probabilities = probabilities_of(predictions, class_names)
    truth = predictions["label"].map(list(class_names).index).to_numpy()
    sets = in_set(probabilities, limits["set_threshold"])
    return predictions.assign(
        sure=probabilities.max(axis=1) >= limits["min_confidence"],
        held=sets[range(len(truth)), truth],
        set_size=sets.sum(axis=1),
    )


def trust_frame(answered: pd.DataFrame) -> pd.DataFrame:
    """Return what a file's limits are worth, class by class.

    Args:
        answered: as from `mark_answers`, of photos that did not choose the limits.

    Returns:
        One row per class that has photos, and a last one, "all": `photos`, `sure` (how many got a
        sure answer), `right` (how many of these a right one), `held` (how many sets hold the
        truth), and `set_size` (classes in a set, the mean).
    """
    right = answered["sure"] & (answered["label"] == answered["predicted"])
    frame = answered[["label", "sure", "held", "set_size"]].assign(photos=1, right=right)
    counts = ["photos", "sure", "right", "held"]
    by_class = frame.groupby("label")
    table = by_class[counts].sum().assign(set_size=by_class["set_size"].mean())
    table.loc["all"] = [*frame[counts].sum(), frame["set_size"].mean()]
    return table.astype(dict.fromkeys(counts, int))
