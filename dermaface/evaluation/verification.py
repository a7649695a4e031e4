"""Judge embeddings: whether two photos show one person, and how certain that is; no TensorFlow.

A photo's embedding is a vector, and the similarity of two photos is the cosine of their vectors.
Photos of one person are right or wrong together, and all intervals here allow for that.
"""

from collections.abc import Callable, Mapping, Sequence

from dermaface.evaluation.scores import accuracy_interval, independent_images
import numpy as np
import pandas as pd
import sklearn.metrics

REPEATS = 500  # draws of the persons, for an interval
UNKNOWN = "(unknown)"
FEWEST = 8  # persons to judge by: two halves, each with two enrolled and two strangers


def check_people(known: pd.DataFrame, new: pd.DataFrame, enrolled_photos: int) -> None:
    """Make sure that there are persons and photos enough to learn from and to judge by.

    Args:
        known: photos to learn from, with `label`, the person.
        new: photos to judge by, likewise.
        enrolled_photos: how many photos enrol a person.

    Raises:
        ValueError: there are not.
    """
    counts = new["label"].value_counts()
    if known["label"].nunique() < 2 or len(counts) < FEWEST:
        raise ValueError(
            f"There are {known['label'].nunique()} persons to learn from and {len(counts)} to "
            f"judge by: too few. It takes 2 and {FEWEST}, and about 40 and 20 to say anything."
        )
    if counts.min() <= enrolled_photos:
        raise ValueError(
            f"{counts.idxmin()!r} has too few photos, {counts.min()}: {enrolled_photos} enrol a "
            "person, and at least one more must be left to ask about. Add photos, remove the "
            "person, or set a smaller enrolled_photos."
        )


def unit_length(embeddings: np.ndarray) -> np.ndarray:
    """Return embeddings (n, size) scaled to length 1, so that a dot product is a cosine."""
    return embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)


def pair_frame(embeddings: np.ndarray, people: Sequence[str]) -> pd.DataFrame:
    """Return every pair of photos.

    Args:
        embeddings: (n, size), of any length.
        people: who each photo shows.

    Returns:
        One row for each of the n (n - 1) / 2 pairs: `first` and `second`, who the photos show;
        `same`, whether that is one person; `similarity`, the cosine, -1..1; and `weight`, so that
        every person counts the same among the pairs of one person, and every two persons among
        the pairs of two, however many photos they have.
    """
    units, names = unit_length(embeddings), np.asarray(people)
    one, other = np.triu_indices(len(names), k=1)
    persons, numbers = np.unique(names, return_inverse=True)
    # Two persons have one number, in whichever order their photos come.
    low, high = (pick(numbers[one], numbers[other]) for pick in (np.minimum, np.maximum))
    _, kind, count = np.unique(low * len(persons) + high, return_inverse=True, return_counts=True)
    return pd.DataFrame(
        {
            "first": names[one],
            "second": names[other],
            "same": low == high,
            "similarity": (units @ units.T)[one, other],
            "weight": 1 / count[kind],
        }
    )


def error_rates(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return what each threshold would get wrong.

    Args:
        pairs: as from `pair_frame`.

    Returns:
        One row for each similarity that counts, the highest first: as the `threshold` from which
        on two photos are taken for one person; `false_match`, the share of pairs of two persons
        that it accepts; and `false_non_match`, the share of pairs of one person that it refuses.

    Raises:
        ValueError: all pairs are of one kind.
    """
    if pairs["same"].nunique() < 2:
        raise ValueError("Error rates need pairs of one person and pairs of two.")
    false_match, match, threshold = sklearn.metrics.roc_curve(
        pairs["same"], pairs["similarity"], sample_weight=pairs["weight"], drop_intermediate=False
    )
    # The first threshold is infinite: no pair reaches it.
    return pd.DataFrame(
        {
            "threshold": threshold[1:],
            "false_match": false_match[1:],
            "false_non_match": 1 - match[1:],
        }
    )


def equal_error(rates: pd.DataFrame) -> tuple[float, float]:
    """Return the rate at which both errors are equally frequent, and its threshold.

    Where they are nowhere quite equal, the rate is their mean at the threshold where they come
    nearest.

    Args:
        rates: as from `error_rates`.
    """
    false_match, refused = (rates[name].to_numpy() for name in ("false_match", "false_non_match"))
    nearest = np.abs(false_match - refused).argmin()
    rate = (false_match[nearest] + refused[nearest]) / 2
    return float(rate), float(rates["threshold"].iloc[nearest])


def draw_persons(
    pairs: pd.DataFrame, measure: Callable[[pd.DataFrame], float], seed: int = 0
) -> np.ndarray:
    """Return a figure made of error rates for many draws of whole persons, for its interval.

    Pairs are far from independent: each photo is in many, and a person who is hard to tell spoils
    all of theirs. So persons are drawn with replacement. A pair of one person counts as often as
    the person was drawn, a pair of two persons by the product, and nobody is compared with a copy
    of themselves. The idea is the subsets bootstrap of Bolle, Ratha and Pankanti (2004, Computer
    Vision and Image Understanding 93(1), 1-33); weighting a pair by both its persons allows for
    what two persons' pairs have in common, too. With few persons, such intervals are still a
    little too narrow.

    Args:
        pairs: as from `pair_frame`.
        measure: from the outcome of `error_rates` to a figure.
        seed: of the draws; the same seed draws the same persons, whatever their similarities, so
            that two embeddings of the same photos may be compared draw by draw.

    Returns:
        The figures, (`REPEATS`,).
    """
    names = pd.Index(np.unique(pairs[["first", "second"]].to_numpy().ravel()))
    first, second = (names.get_indexer(pairs[name]) for name in ("first", "second"))
    rng, figures = np.random.default_rng(seed), []
    for _ in range(REPEATS):
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        counts = np.where(pairs["same"], times[first], times[first] * times[second])
        figures.append(measure(error_rates(pairs.assign(weight=pairs["weight"] * counts))))
    return np.array(figures)


def interval(figures: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of figures as from `draw_persons`, or of their differences."""
    low, high = np.quantile(figures, (0.025, 0.975))
    return float(low), float(high)


def by_person(pairs: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Return what one threshold for all does to each person, the worst served first.

    Args:
        pairs: as from `pair_frame`.
        threshold: the similarity from which on two photos are taken for one person.

    Returns:
        By person: `refused`, the share of pairs of their own photos below the threshold;
        `mistaken`, the share of pairs with somebody else's photo from it on; and `taken_for`, the
        person with whom that happens most, or "".
    """
    accepted = pairs.assign(accepted=pairs["similarity"] >= threshold)
    own = accepted[accepted["same"]]
    others = accepted[~accepted["same"]]
    swapped = others.rename(columns={"first": "second", "second": "first"})
    others = pd.concat([others, swapped])
    with_whom = others.groupby(["first", "second"])["accepted"].mean().unstack().fillna(0)
    table = pd.DataFrame(
        {
            "refused": 1 - own.groupby("first")["accepted"].mean(),
            "mistaken": with_whom.sum(axis=1) / (len(with_whom) - 1),
            "taken_for": with_whom.idxmax(axis=1).where(with_whom.max(axis=1) > 0, ""),
        }
    )
    worst = table[["refused", "mistaken"]].sum(axis=1).sort_values(ascending=False, kind="stable")
    return table.loc[worst.index].rename_axis("person")


def verification_accuracy(pairs: pd.DataFrame, threshold: float) -> float:
    """Return the balanced accuracy of decisions: 1 minus the mean of the two error rates.

    Pairs of two persons outnumber the others by far. Counted together, they would hide what
    happens to the pairs of one person.

    Args:
        pairs: as from `pair_frame`.
        threshold: the similarity from which on two photos are taken for one person.
    """
    decided = pairs["similarity"] >= threshold
    return float(
        sklearn.metrics.balanced_accuracy_score(
            pairs["same"], decided, sample_weight=pairs["weight"]
        )
    )


def compare_decisions(
    pairs: pd.DataFrame, of_files: Mapping[str, pd.DataFrame], threshold: float
) -> pd.DataFrame:
    """Compare what `.tflite` files and the Keras model decide about the same pairs.

    Args:
        pairs: the Keras model's, as from `pair_frame`.
        of_files: the same pairs by each file.
        threshold: the similarity from which on two photos are taken for one person.

    Returns:
        One row per variant, as `gate.gate` takes it: `variant`; `images`, here the pairs of one
        person, which are fewer; `accuracy`, as `verification_accuracy`; `accuracy_drop`, Keras
        minus variant; `agreement`, the share of equal decisions among the pairs of one person or
        among those of two, whichever is smaller; and `changed`, how many pairs are decided
        otherwise.
    """
    expected = verification_accuracy(pairs, threshold)
    rows = []
    for variant, frame in of_files.items():
        agree = (frame["similarity"] >= threshold) == (pairs["similarity"] >= threshold)
        accuracy = verification_accuracy(frame, threshold)
        rows.append(
            {
                "variant": variant,
                "images": int(pairs["same"].sum()),
                "accuracy": accuracy,
                "accuracy_drop": expected - accuracy,
                "agreement": float(agree.groupby(pairs["same"]).mean().min()),
                "changed": int((~agree).sum()),
            }
        )
    return pd.DataFrame(rows)


def identification_frame(
    people: Sequence[str], named: Sequence[str], enrolled: Sequence[str]
) -> pd.DataFrame:
    """Return how often an identification went well, with intervals that allow for persons.

    Args:
        people: who each photo shows.
        named: whom it was taken for: one of the enrolled, or `UNKNOWN`.
        enrolled: who could be named.

    Returns:
        A row for each outcome, of the photos of those enrolled "right name", "another's name" and
        "not known", of the others' photos "not known" and "somebody's name": `photos`, of how many
        (`of`), their `share`, and its 95 % interval, `low` and `high`, which allows for photos of
        one person being right or wrong together (`scores.independent_images`).
    """
    truth, given = np.asarray(people), np.asarray(named)
    is_enrolled, known = np.isin(truth, np.asarray(enrolled)), given != UNKNOWN
    outcomes = {
        ("enrolled", "right name"): given == truth,
        ("enrolled", "another's name"): (given != truth) & known,
        ("enrolled", "not known"): ~known,
        ("stranger", "not known"): ~known,
        ("stranger", "somebody's name"): known,
    }
    rows = {}
    for (who, outcome), hit in outcomes.items():
        here = is_enrolled == (who == "enrolled")
        values = hit[here].astype(float)
        effective = independent_images(values, truth[here])
        low, high = accuracy_interval(values.mean() * effective, effective)
        rows[who, outcome] = (int(values.sum()), len(values), values.mean(), low, high)
    columns = ["photos", "of", "share", "low", "high"]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    frame.index = pd.MultiIndex.from_tuples(frame.index, names=["shown", "answer"])
    return frame
