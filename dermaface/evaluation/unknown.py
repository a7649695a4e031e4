"""How sure a model is of photos of a class that it has never met."""

from collections.abc import Callable, Mapping

from dermaface.evaluation.scores import mean_interval
from dermaface.photos import images
from dermaface.runs import Run
import numpy as np
import pandas as pd
import scipy.special
import sklearn.linear_model
import sklearn.pipeline
import sklearn.preprocessing
import threadpoolctl

SPLIT = "validation"  # a score is chosen by these photos, so the test photos have no say


def highest_probability(logits: np.ndarray) -> np.ndarray:
    """Return the highest probability of each photo, (n,), from logits (n, num_classes)."""
    return scipy.special.softmax(logits, axis=1).max(axis=1)


def energy(logits: np.ndarray) -> np.ndarray:
    """Return the negative energy of each photo, (n,): high where a model knows the photo.

    Liu, Wang, Owens and Li (2020), Energy-based Out-of-distribution Detection, arXiv 2010.03759, at
    temperature 1. Softmax divides by this sum, so it cannot be had from probabilities.

    Args:
        logits: (n, num_classes).
    """
    return scipy.special.logsumexp(logits, axis=1)


def leave_classes_out(
    run: Run, read_features: Callable[[Run, str], np.ndarray]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Ask heads about validation photos of a class that each of them has never met.

    For each class, a head (logistic regression on features of the frozen backbone, as in
    `relatives`) learns from the training photos of all other classes. Features from before
    fine-tuning are needed, because the fine-tuned ones know the class.

    Args:
        run: with `images.csv`.
        read_features: returns what the frozen backbone made of the photos of a split, (n, d), such
            as `frozen_features`; not called where there are fewer than three classes to learn.

    Returns:
        For each class with validation photos its logits for photos of the classes that the head
        knows, and for those of the class that it does not: each (n, num_classes - 1).
    """
    photos = {split: images.read_images(run, split) for split in ("train", SPLIT)}
    train, asked = (rows["label"].to_numpy() for rows in photos.values())
    if len(np.unique(train)) < 3:
        return {}
    names = [name for name in np.unique(train) if 0 < (asked == name).sum() < len(asked)]
    features, asked_features = read_features(run, "train"), read_features(run, SPLIT)
    answers = {}
    with threadpoolctl.threadpool_limits(1):  # Threads would wait for each other.
        for name in names:
            head = sklearn.pipeline.make_pipeline(
                sklearn.preprocessing.StandardScaler(),
                sklearn.linear_model.LogisticRegression(C=0.01, max_iter=300),
            )
            head.fit(features[train != name], train[train != name])
            logits = head.decision_function(asked_features)
            if logits.ndim == 1:  # Of two classes, scikit-learn gives only the difference.
                logits = np.stack([-logits / 2, logits / 2], axis=1)
            answers[str(name)] = logits[asked != name], logits[asked == name]
    return answers


def measure_areas(answers: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """Return the area under the ROC curve of each score for each class that was left out.

    Written out in notebook 04: the share of pairs in which the known photo has more.

    Args:
        answers: as from `leave_classes_out`.

    Returns:
        One row per class, with the columns `probability` and `energy`, 0..1.
    """
    scoring = {"probability": highest_probability, "energy": energy}
    areas = pd.DataFrame(columns=list(scoring), dtype=float)
    for name, logits in answers.items():
        for score, measure in scoring.items():
            known, unmet = map(measure, logits)
            areas.loc[name, score] = (known[:, None] > unmet).mean()
    return areas


def judge(areas: pd.DataFrame) -> dict:
    """Say how well two scores tell known photos from those of an unknown class.

    The classes are taken for a sample: the intervals (Student's, 95 %) are about another class that
    the model has never met, and hold the chance in the draw of photos, too.

    Args:
        areas: one row per class that was left out, with the area under the ROC curve of
            `probability` and of `energy`: the share of pairs in which the known photo has more.

    Returns:
        `classes`, how many; where there are two or more, also the mean areas `probability` and
        `energy` and the mean `gain` of the second, each with its `_interval`; `hardest`, the class
        with the smallest area of `probability`; and `kept`, "energy" where its gain lies above 0
        throughout its interval, or else "probability".
    """
    found: dict = {"classes": len(areas)}
    if len(areas) < 2:
        return found
    table = areas.assign(gain=areas["energy"] - areas["probability"])
    for name in ("probability", "energy", "gain"):
        found[name] = float(table[name].mean())
        found[f"{name}_interval"] = list(mean_interval(table[name]))
    found["hardest"] = str(table["probability"].idxmin())
    found["kept"] = "energy" if found["gain_interval"][0] > 0 else "probability"
    return found
