"""What it is worth to a model to know photos of the same groups as those that test it."""

from collections.abc import Callable, Sequence

from dermaface.evaluation.scores import drop_interval, independent_images
from dermaface.photos import images
from dermaface.photos.splits import name_units
from dermaface.runs import Run
import numpy as np
import pandas as pd
import sklearn.linear_model
import sklearn.pipeline
import sklearn.preprocessing
import threadpoolctl

FOLDS = 5
REPEATS = 3


def have_relatives(held_out: Sequence[str], train: Sequence[str]) -> np.ndarray:
    """Tell for each held-out photo whether its group is in training, too.

    Args:
        held_out: the groups of the held-out photos, as from `name_units`.
        train: the groups of the training photos.
    """
    return np.isin(np.asarray(held_out, dtype=object), np.asarray(train, dtype=object))


def measure_price(run: Run, split: str, read_features: Callable[[Run, str], np.ndarray]) -> dict:
    """Measure how much a run's accuracy owes to relatives of the photos of a split in training.

    Args:
        run: with `images.csv`.
        split: of the held-out photos, such as "test".
        read_features: returns what a frozen backbone made of the photos of a split, (n, d), such as
            `frozen_features`; not called where no photo has relatives in training.

    Returns:
        `relatives`, how many photos of the split have some; if any, also what `price_of_relatives`
        returns.
    """
    photos = images.read_images(run, "train", split)
    photos["group"] = name_units(photos)["group"]
    rows = {name: photos[photos["split"] == name] for name in ("train", split)}
    count = int(have_relatives(rows[split]["group"], rows["train"]["group"]).sum())
    if not count:
        return {"relatives": 0}
    train, held_out = ((read_features(run, name), rows[name]) for name in ("train", split))
    return {"relatives": count} | price_of_relatives(train, held_out)


def price_of_relatives(
    train: tuple[np.ndarray, pd.DataFrame], held_out: tuple[np.ndarray, pd.DataFrame], seed: int = 0
) -> dict:
    """Measure how much an accuracy owes to training photos of the same groups.

    Of the held-out photos only those count whose group is in training. Their groups are dealt into
    five folds, three times. For each fold a head (logistic regression on features of a frozen
    backbone) learns twice: without any training photo of the fold's groups, and with them, but
    without as many others, class by class where there are enough. Both answer the fold's photos. So
    the same photos are asked, by heads that learnt from about as many photos, with relatives of
    theirs and without.

    Args:
        train: the features (n, d), and rows with `label` and `group` as from `name_units`.
        held_out: the same for the held-out photos.
        seed: of the folds, and of which photos are left out.

    Returns:
        `photos` and `groups`, how many count; where there are any, also the accuracies `with` and
        `without` relatives and the 95 % interval `drop_interval` of the difference, for as many
        photos as are independent. Folds that leave fewer than two classes to learn are passed over.
    """
    (train_features, train_rows), (features, rows) = train, held_out
    labels, truth = train_rows["label"].to_numpy(), rows["label"].to_numpy()
    sizes = rows["group"][have_relatives(rows["group"], train_rows["group"])].value_counts()
    generator = np.random.default_rng(seed)
    # For each repetition and photo: whether the head was right, and whether there was one.
    knows, alone, asked = (np.zeros((REPEATS, len(rows)), dtype=bool) for _ in range(3))
    # Such small problems are solved sooner by one thread than by several that wait for each other.
    with threadpoolctl.threadpool_limits(1):
        for repeat in range(REPEATS):
            for fold in _deal(sizes, generator):
                here = rows["group"].isin(fold).to_numpy()
                related = train_rows["group"].isin(fold).to_numpy()
                if not fold or len(set(labels[~related])) < 2:
                    continue
                asked[repeat] |= here
                drawn = _as_many(related, labels, generator)
                for answers, left_out in ((alone, related), (knows, drawn)):
                    head = sklearn.pipeline.make_pipeline(
                        sklearn.preprocessing.StandardScaler(),
                        sklearn.linear_model.LogisticRegression(C=0.01, max_iter=300),
                    )
                    head.fit(train_features[~left_out], labels[~left_out])
                    answers[repeat, here] = head.predict(features[here]) == truth[here]
    counted = asked.all(axis=0)
    groups = rows["group"][counted]
    price: dict = {"photos": int(counted.sum()), "groups": int(groups.nunique())}
    if not price["photos"]:
        return price
    knows, alone = knows[:, counted], alone[:, counted]
    gains = knows.mean(axis=0) - alone.mean(axis=0)
    share = independent_images(gains, groups) / len(groups)
    # Repetitions take the chance out of what was left out, and none out of the draw of the photos.
    lost, won = ((one & ~other).sum() / REPEATS for one, other in ((knows, alone), (alone, knows)))
    interval = drop_interval(lost * share, won * share, len(groups) * share)
    return price | {
        "with": float(knows.mean()),
        "without": float(alone.mean()),
        "drop_interval": list(interval),
    }


def _deal(sizes: pd.Series, generator: np.random.Generator) -> list[list[str]]:
    """Deal groups into `FOLDS` folds of about as many photos.

    Args:
        sizes: the held-out photos of each group.
        generator: decides between groups of one size.
    """
    photos_of = [0] * FOLDS
    folds: list[list[str]] = [[] for _ in range(FOLDS)]
    shuffled = sizes.sort_index().iloc[generator.permutation(len(sizes))]
    # The largest groups first, each into the fold that has the fewest photos.
    for name, size in shuffled.sort_values(ascending=False, kind="stable").items():
        smallest = photos_of.index(min(photos_of))
        folds[smallest].append(str(name))
        photos_of[smallest] += size
    return folds


def _as_many(related: np.ndarray, labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Draw as many other photos of each class as there are related ones, or all of them but one.

    Args:
        related: which photos are, (n,).
        labels: their classes, (n,).
        generator: draws them.

    Returns:
        Which photos were drawn, (n,).
    """
    drawn = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels[related]):
        others = np.flatnonzero(~related & (labels == label))
        wanted = int((related & (labels == label)).sum())
        drawn[generator.permutation(others)[: min(wanted, max(len(others) - 1, 0))]] = True
    return drawn
