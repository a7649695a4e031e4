"""Probabilities that mean what they say: temperature, threshold and sets; no TensorFlow."""

from collections.abc import Sequence
from typing import NamedTuple

from dermaface.evaluation.scores import accuracy_interval
import numpy as np
import pandas as pd
import scipy.optimize

LOWEST, HIGHEST = 0.2, 5.0  # temperatures beyond which no validation set is believed
FOLDS = 5  # into which the validation photos are dealt for `fit_set_threshold`
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
    so few photos cannot show. So one more photo is imagined, of which nothing is known: any class
    may be its true one, and its answer is like those of the others. This follows Platt (1999), who
    softens the truth of two classes in the same way. Among hundreds of photos it hardly counts.

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
        surprise = -np.log(np.clip(soften(probabilities, np.exp(log_temperature)), SMALLEST, 1))
        return float(surprise[range(len(truth)), truth].sum() + surprise.mean())

    bounds = np.log([LOWEST, HIGHEST])
    found = scipy.optimize.minimize_scalar(loss, bounds=bounds, method="bounded")
    return float(np.exp(found.x))


def reliability(
    probabilities: np.ndarray, truth: Sequence[int] | np.ndarray, bins: int = 10
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
    probabilities: np.ndarray, truth: Sequence[int] | np.ndarray, bins: int = 15
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
    confidence = np.asarray(probabilities, np.float64).max(axis=1)
    right = np.asarray(probabilities).argmax(axis=1) == np.asarray(truth, dtype=int)
    if not len(confidence):
        raise ValueError("A threshold needs at least one photo to be chosen by.")
    order = np.argsort(-confidence, kind="stable")
    confidence, right = confidence[order], np.cumsum(right[order])
    # A threshold takes in all photos of one confidence, or none.
    ends = np.flatnonzero(np.append(np.diff(confidence) < 0, True))
    lows = np.array([accuracy_interval(float(right[end]), float(end + 1))[0] for end in ends])
    good = np.flatnonzero(lows >= sure_accuracy)
    best = good[-1] if len(good) else int(lows.argmax())
    end = ends[best]
    # Half-way to the next photo, so that rounding to 8 bits does not decide.
    below = confidence[end + 1] if end + 1 < len(confidence) else 0.0
    return Trust(
        min_confidence=float((confidence[end] + below) / 2) if end + 1 < len(confidence) else 0.0,
        reached=bool(len(good)),
        sure=int(end + 1),
        right=int(right[end]),
        photos=len(confidence),
        low=float(lows[best]),
    )


def fit_set_threshold(
    probabilities: np.ndarray,
    truth: Sequence[int] | np.ndarray,
    groups: Sequence,
    set_coverage: float,
    temperature: float = 1.0,
) -> float:
    """Return from which probability on a class belongs to the set of possible ones.

    Split conformal prediction (Sadinle, Lei and Wasserman 2019): a new photo of the same kind has
    its true class in its set with probability `set_coverage`. The temperature was fitted to these
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
    rank = int(np.floor((len(truth) + 1) * (1 - set_coverage)))
    return float(np.sort(scores)[rank - 1]) if rank else 0.0


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


def trust_frame(
    probabilities: np.ndarray,
    labels: Sequence[str],
    class_names: Sequence[str],
    min_confidence: float,
    set_threshold: float,
) -> pd.DataFrame:
    """Return what a file's limits are worth on photos that did not choose them, class by class.

    Args:
        probabilities: (n, num_classes).
        labels: the class of each photo.
        class_names: the classes in index order.
        min_confidence: from which probability on an answer counts as sure.
        set_threshold: from which one a class belongs to the set.

    Returns:
        One row per class that has photos, and a last one, "all": `photos`, `sure` (how many got a
        sure answer), `right` (how many of these a right one), `held` (how many sets hold the
        truth), and `set_size` (classes in a set, the mean).
    """
    probabilities = np.asarray(probabilities)
    truth = np.array([list(class_names).index(label) for label in labels])
    sets, rows = in_set(probabilities, set_threshold), range(len(truth))
    frame = pd.DataFrame(
        {
            "label": labels,
            "sure": probabilities.max(axis=1) >= min_confidence,
            "right": probabilities.argmax(axis=1) == truth,
            "held": sets[rows, truth],
            "set_size": sets.sum(axis=1),
        }
    )
    frame["right"] &= frame["sure"]
    by_class = frame.groupby("label")
    table = by_class[["sure", "right", "held"]].sum().assign(set_size=by_class["set_size"].mean())
    table.insert(0, "photos", by_class.size())
    table.loc["all"] = [
        len(frame),
        *frame[["sure", "right", "held"]].sum(),
        frame["set_size"].mean(),
    ]
    return table.astype({name: int for name in ("photos", "sure", "right", "held")})
