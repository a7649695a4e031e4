"""What the walkthrough on ImageNet says about its figures; each function returns one text."""

from collections.abc import Mapping, Sequence
import math

from dermaface.readings.words import counted, listed, percent
import numpy as np
import pandas as pd

VERDICTS = ("fits", "near", "absurd")


def at_hand(photos: pd.DataFrame, parameters: Sequence[int]) -> str:
    """Say how many photos there are, and how large the network is.

    Args:
        photos: the kept rows of `images.csv`.
        parameters: how many numbers each layer of the network holds, the last layer last.
    """
    sizes, total = photos["split"].value_counts(), sum(parameters)
    told = (
        f"{counted(photos['label'].nunique(), 'class')}, {counted(sizes['train'], 'photo')} to "
        f"learn from and {sizes['validation']:,} to judge by"
    )
    if "test" in sizes:
        told += f"; {counted(sizes['test'], 'test photo')} not opened"
    return (
        f"{told}.\n{len(parameters)} layers, {total:,} parameters: {parameters[-1]:,} "
        f"({percent(parameters[-1] / total)}) are the last layer's."
    )


def titles(labels: Sequence[str], answers: Sequence[tuple[str, str, float]]) -> list[str]:
    """Return what stands above each photo: its class, and the first answer with its probability.

    Args:
        labels: the class of each photo.
        answers: of each photo the first from `decode_predictions`: (WordNet's number, name, share).
    """
    return [
        f"{label}:\n{name} {f'{share:.0%}' if share < 0.995 else 'over 99%'}"
        for label, (_, name, share) in zip(labels, answers, strict=True)
    ]


def sureness(probabilities: Sequence[float], sure_from: float, unsure_below: float) -> str:
    """Say how many answers are sure and how many are guesses.

    Args:
        probabilities: of each photo's first answer.
        sure_from: from which probability on an answer is sure.
        unsure_below: below which it is a guess.
    """
    sure = sum(value >= sure_from for value in probabilities)
    guesses = sum(value < unsure_below for value in probabilities)
    return (
        f"{counted(len(probabilities), 'first answer')}: {sure} with {percent(sure_from)} or more, "
        f"{guesses} with less than {percent(unsure_below)}."
    )


def wrong_scaling(names: pd.DataFrame, shares: pd.DataFrame, right: str) -> str:
    """Say how many answers change where a network is fed pixels of another range, and how sure.

    Args:
        names: the first answer to each photo, one column for each range of pixels.
        shares: its probability.
        right: the column of the range for which the network was trained.
    """
    lines = [
        f"Fed {right}: the median probability of the first answer is {shares[right].median():.2f}."
    ]
    for name in names.columns.drop(right):
        changed = int((names[name] != names[right]).sum())
        kinds = names[name].nunique()
        lines.append(
            f"Fed {name}: {changed} of {len(names)} first answers change; "
            f"{counted(kinds, 'name')} in all, median probability {shares[name].median():.2f}."
        )
    return "\n".join(lines)


def names_known(
    fitting: Mapping[str, str], others: str, known: Sequence[str], classes: Sequence[str]
) -> str:
    """Say whether all names of a table are ImageNet's, and which classes have no name in it.

    Args:
        fitting: for each class the names that fit, with spaces between them.
        others: more names, in the same form.
        known: ImageNet's.
        classes: of the photos.
    """
    names = set(" ".join([*fitting.values(), others]).split())
    told = f"All {len(names)} names in the table are among ImageNet's {len(known):,}."
    if strange := sorted(names - set(known)):
        told = f"Not among ImageNet's {len(known):,} names: {listed(strange)}."
    if nameless := [name for name in classes if not fitting.get(name)]:
        told += f"\nNo name fits {listed(nameless, 'or')}: there the network cannot be right."
    return told


def judge(
    photos: pd.DataFrame,
    answers: np.ndarray,
    names: Sequence[str],
    fitting: Mapping[str, str],
    others: str,
) -> pd.DataFrame:
    """Judge each photo's first answer by a table of names.

    Args:
        photos: rows of `images.csv`.
        answers: the probabilities, (n, names).
        names: in index order.
        fitting: for each class the names that fit, with spaces between them.
        others: more names that are near, in the same form.

    Returns:
        `path`, `label`, `name`, `probability` and `verdict`, the surest first: "fits" if the name
        fits the photo's class, "near" if it is another one in the table, or else "absurd".
    """
    judged = photos[["path", "label"]].assign(
        name=[names[index] for index in answers.argmax(axis=1)], probability=answers.max(axis=1)
    )
    near = set(" ".join([*fitting.values(), others]).split())
    judged["verdict"] = [
        "fits" if name in fitting.get(label, "").split() else "near" if name in near else "absurd"
        for label, name in zip(judged["label"], judged["name"], strict=True)
    ]
    return judged.sort_values("probability", ascending=False, kind="stable")


def examples(verdicts: pd.DataFrame, count: int = 4) -> pd.DataFrame:
    """Return the surest answers that fit, the surest absurd ones, and the least sure of all.

    Args:
        verdicts: as from `judge`.
        count: of each kind, at most.

    Returns:
        Their rows, with `title`, to stand above the photo.
    """
    kinds = [verdicts[verdicts["verdict"] == name].head(count) for name in ("fits", "absurd")]
    rows = [*kinds[0].itertuples(), *kinds[1].itertuples(), *verdicts.tail(count).itertuples()]
    chosen = pd.DataFrame(rows)
    answers = zip(chosen["path"], chosen["name"], chosen["probability"], strict=True)
    return chosen.assign(title=titles(chosen["label"], list(answers)))


def judged(verdicts: pd.DataFrame, sure_from: float, unsure_below: float) -> str:
    """Say how often the first answers fit, are near or are absurd, and what sureness tells of it.

    Args:
        verdicts: as from `judge`.
        sure_from: from which probability on an answer is sure.
        unsure_below: below which it is a guess.
    """
    probability = verdicts["probability"]
    bands = {
        "All": probability >= 0,
        f"Sure ({percent(sure_from)} or more)": probability >= sure_from,
        f"Guesses (below {percent(unsure_below)})": probability < unsure_below,
    }
    lines, fits = [], []
    for band, rows in bands.items():
        counts = verdicts["verdict"][rows].value_counts()
        fit, near, absurd = (int(counts.get(verdict, 0)) for verdict in VERDICTS)
        photos = counted(int(rows.sum()), "photo")
        lines.append(f"{band}, {photos}: {fit} fit, {near} near, {absurd} absurd.")
        fits.append(fit / max(rows.sum(), 1))
    _, many, few = bands.values()
    if many.any() and few.any():
        more = "more often" if fits[1] > fits[2] else "no more often"
        lines.append(
            f"Sure answers fit {more} than guesses: {percent(fits[1])} against {percent(fits[2])}."
        )
    return "\n".join(lines)


def same_convolution(mine: np.ndarray, keras_own: np.ndarray, products: int) -> str:
    """Say whether a convolution by hand agrees with Keras's to the sixth digit.

    Args:
        mine: the outcome by hand.
        keras_own: Keras's, of the same shape.
        products: multiplications that it took.
    """
    difference = float(abs(mine - keras_own).max())
    largest = float(abs(mine).max())
    told = (
        f"{' x '.join(map(str, mine.shape))} numbers from {products:,} multiplications.\n"
        f"The largest is {largest:.2f}; the largest difference from Keras's is {difference:.7f}:\n"
    )
    return told + (
        "equal to the sixth digit." if difference < 1e-6 * largest else "that is not equal."
    )


def filters(kernels: np.ndarray) -> str:
    """Say how many filters of a first layer are blank, and how many have no colour.

    Args:
        kernels: the weights, (side, side, 3, filters).
    """
    spread = np.ptp(kernels, axis=(0, 1, 2))
    coloured = np.ptp(kernels, axis=2).max(axis=(0, 1))
    blank = spread < 1e-3 * spread.max()
    grey = ~blank & (coloured < 0.5 * spread)
    colour, light = int((~blank & ~grey).sum()), int(grey.sum())
    return (
        f"The {kernels.shape[-1]} filters: {colour} of colour, {light} of light and dark, "
        f"{int(blank.sum())} blank."
    )


def maps(made: Mapping[str, np.ndarray], vector: np.ndarray) -> str:
    """Say what becomes of the numbers that describe a photo, and whether pooling is a mean.

    Args:
        made: what each layer made of the photo, (height, width, maps), by name, the first first.
        vector: the network's own pooled vector, (maps of the last layer,).
    """
    first, *_, last = made.values()
    fewer = math.prod(first.shape[:2]) / math.prod(last.shape[:2])
    difference = float(abs(last.mean(axis=(0, 1)) - vector).max())
    is_mean = "" if difference < 1e-4 else "not "
    return (
        f"From the first to the last: {fewer:,.0f} times fewer places, "
        f"{last.shape[2] / first.shape[2]:,.0f} times as many maps.\n"
        f"The means of the last {last.shape[2]:,} maps are {is_mean}the network's own vector."
    )


def neighbours(asked: pd.Series, nearest: pd.Series, learnt: pd.Series) -> str:
    """Say how often the nearest training photo is of the same class.

    Args:
        asked: the class of each photo asked, (n,).
        nearest: the class of its nearest training photo, in the same order, (n,).
        learnt: the classes of all training photos.
    """
    alike, total = int((asked.to_numpy() == nearest.to_numpy()).sum()), len(asked)
    chance = float(asked.map(learnt.value_counts(normalize=True)).fillna(0).mean())
    told = (
        f"The nearest training photo is of the same class for {alike} of {total} photos "
        f"({percent(alike / total)});\none drawn blindly would be for {percent(chance)}. "
    )
    if alike / total > chance + 2 * math.sqrt(chance * (1 - chance) / total):
        return f"{told}So the vectors tell your classes apart."
    return f"{told}So the vectors say little about your classes."


def how_much(
    amounts: np.ndarray,
    weights: np.ndarray,
    biases: np.ndarray,
    probabilities: np.ndarray,
    name: str,
) -> str:
    """Say how a dense layer comes by its answer, and whether that is the network's own.

    Args:
        amounts: a photo's vector, (features,).
        weights: of the layer, (features, classes).
        biases: of the layer, (classes,).
        probabilities: the network's own answer, (classes,).
        name: of the class that has the largest.
    """
    answer = int(probabilities.argmax())
    products, scored = amounts * weights[:, answer], amounts @ weights + biases
    powers = np.exp(scored - scored.max())
    difference = float(abs(powers / powers.sum() - probabilities).max())
    ordered = np.sort(products)[::-1]
    positive = counted(int((products > 0).sum()), "feature")
    same = "the network's own" if difference < 1e-5 else "not the network's own"
    return (
        f"{name}: {len(products):,} products and the bias add up to {scored[answer]:.2f}.\n"
        f"{positive} with a positive product; the ten strongest bring "
        f"{ordered[:10].sum():.2f}.\nSoftmax makes {percent(float(powers[answer] / powers.sum()))}"
        f" of it; that is {same} answer."
    )


def photos_needed(curve: pd.DataFrame, everything: Mapping) -> str:
    """Say how many photos of a class it takes.

    Args:
        curve: one row for each training, with `photos` (of each class) and `accuracy`.
        everything: the figures of the head trained on all photos, as from `scores.score`.
    """
    means = curve.groupby("photos")["accuracy"].agg(["mean", "min", "max"])
    lines = [
        f"{counted(int(count), 'photo')} of each class: {row['mean']:.3f} on average, "
        f"{row['min']:.3f} to {row['max']:.3f} with the draw."
        for count, row in means.iloc[[0, -1][: len(means)]].iterrows()
    ]
    low, high = everything["accuracy_interval"]
    lines.append(
        f"All photos: {everything['accuracy']:.3f}, 95 % interval {low:.3f} to {high:.3f}, "
        f"on {counted(everything['images'], 'validation photo')}."
    )
    enough = means.index[means["mean"] >= low]
    if len(enough):
        lines.append(
            f"From {counted(int(enough[0]), 'photo')} of each class on, the mean lies in that "
            "interval."
        )
    else:
        lines.append("No mean reaches that interval: more photos still bring something.")
    return "\n".join(lines)


def summary(verdicts: pd.DataFrame, curve: pd.DataFrame, everything: Mapping) -> str:
    """Say in three lines what ImageNet knew, and what became of it.

    Args:
        verdicts: as from `judge`.
        curve: as for `photos_needed`.
        everything: as for `photos_needed`.
    """
    shares = verdicts["verdict"].value_counts(normalize=True)
    fit, near, absurd = (percent(shares.get(verdict, 0.0)) for verdict in VERDICTS)
    means = curve.groupby("photos")["accuracy"].mean()
    steps = [f"{accuracy:.2f} with {count}" for count, accuracy in means.items()]
    low, high = everything["accuracy_interval"]
    return (
        f"ImageNet's first answer to {counted(len(verdicts), 'validation photo')}: {fit} fit, "
        f"{near} near, {absurd} absurd.\n"
        f"A new last layer is right, by training photos of each class:\n{listed(steps)}.\n"
        f"With all of them: {everything['accuracy']:.3f}, 95 % interval {low:.3f} to {high:.3f}, "
        "on the same photos."
    )


def beside_the_course(
    backbone: str,
    names: pd.DataFrame,
    right: str,
    verdicts: pd.DataFrame,
    curve: pd.DataFrame,
    everything: Mapping,
) -> pd.DataFrame:
    """Set what a published course did beside what this run did, row by row.

    The course is Alexey Grigorev's Machine Learning Zoomcamp, 08-deep-learning. Its figures are
    those of 12-using-model.md: accuracy on its test split, and of the same model on validation.

    Args:
        backbone: the network's name.
        names: as for `wrong_scaling`.
        right: as for `wrong_scaling`.
        verdicts: as from `judge`.
        curve: as for `photos_needed`.
        everything: as for `photos_needed`.

    Returns:
        A table with the columns `the course` and `here`.
    """
    shares = verdicts["verdict"].value_counts(normalize=True)
    changed = [int((names[name] != names[right]).sum()) for name in names.columns.drop(right)]
    means = curve.groupby("photos")["accuracy"].mean()
    low, high = everything["accuracy_interval"]
    rows = {
        "the network's own answers": (
            "Xception, one photo",
            f"{backbone}, {counted(len(verdicts), 'photo')}: {percent(shares.get('fits', 0.0))} "
            f"fit, {percent(shares.get('absurd', 0.0))} absurd",
        ),
        "pixels of a wrong range": (
            "scaled by preprocess_input",
            f"{listed([str(count) for count in changed])} of {len(names)} answers change",
        ),
        "convolution and dense layer": (
            "explained",
            "explained, and done by hand beside Keras",
        ),
        "classes of your own": (
            "0.8978 on test, 0.903 on validation",
            f"{everything['accuracy']:.3f} ({low:.3f} to {high:.3f}) on validation",
        ),
        "photos of each class": (
            "all there are",
            f"{means.iloc[0]:.2f} with {means.index[0]}, {means.iloc[-1]:.2f} with "
            f"{means.index[-1]}: means of {counted(len(curve) // len(means), 'draw')}",
        ),
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["the course", "here"])
