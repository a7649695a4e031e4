"""What the walkthrough "Who is it?" says about its figures."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dermaface.readings.words import counted, listed, percent

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SURE = 0.5  # a probability from which on a classifier counts as sure
TROUBLED = 0.01  # an error rate from which on a person is troubled by errors


def _between(interval: Sequence[float], digits: int = 1) -> str:
    """Return an interval of shares in percent, such as "4.1 to 8.0 %"."""
    low, high = (f"{100 * value:.{digits}f}" for value in interval)
    return f"{low} to {high} %"


def persons(known: "pd.DataFrame", new: "pd.DataFrame") -> str:
    """Say how many persons and photos there are on each side, and whether anybody is on both."""
    lines = [
        f"{counted(rows['label'].nunique(), 'person')} to {use}, {counted(len(rows), 'photo')}"
        for rows, use in ((known, "learn from"), (new, "judge by"))
    ]
    both = len(set(known["label"]) & set(new["label"]))
    end = f"{counted(both, 'person')} on both sides!" if both else "Nobody is on both sides."
    pairs = len(new) * (len(new) - 1) // 2
    return "\n".join([*lines, f"{end} The photos to judge by make {counted(pairs, 'pair')}."])


def classifier(
    named: int, right: Mapping[str, float], probabilities: Mapping[str, "np.ndarray"]
) -> str:
    """Say what a classifier does with photos of persons whom it does and does not know.

    Args:
        named: how many persons it can name.
        right: for "known" and "new" persons, the share of photos that it names right.
        probabilities: of the names that it gives to their photos, (n,).
    """
    sure = {who: percent(float((values >= SURE).mean())) for who, values in probabilities.items()}
    return (
        f"A classifier with {counted(named, 'name')} to give. A probability of {SURE} or more is "
        f"called sure.\nOther photos of persons whom it knows: {percent(right['known'])} named "
        f"right, {sure['known']} sure.\nPhotos of new persons: {percent(right['new'])} named "
        f"right, {sure['new']} sure."
    )


def training(history: Mapping[str, Sequence[float]]) -> str:
    """Say how well the persons to learn from are told apart at the end of training."""
    accuracy, loss = history["accuracy"], history["loss"]
    return (
        f"After {counted(len(loss), 'epoch')}, the loss is {loss[-1]:.2f} (it was {loss[0]:.2f} in "
        f"the first),\nand {percent(accuracy[-1])} of the varied training photos lie nearest to "
        "their own direction."
    )


def verification(
    errors: Mapping[str, tuple[float, Sequence[float]]],
    difference: Sequence[float],
    persons: int,
) -> str:
    """Say how often an embedding is wrong about pairs, and whether training has helped.

    Args:
        errors: by the name of the embedding its equal error rate and the 95 % interval; the
            untrained embedding first, the trained one last.
        difference: the 95 % interval of the first rate minus the last.
        persons: how many judge.
    """
    lines = [
        f"{name}: equal error rate {100 * rate:.1f} % (95 % interval {_between(interval)})"
        for name, (rate, interval) in errors.items()
    ]
    before, *_, after = (rate for rate, _ in errors.values())
    low, high = difference
    gain = f"{100 * low:.1f} to {100 * high:.1f} points"
    if low > 0:
        end = f"This training has lowered it by {gain} (95 % interval)."
    elif high < 0:
        end = f"This training has raised it: lowered by {gain} (95 % interval)."
    elif after < before:
        end = f"It is lower, but with other persons it might not be: by {gain} (95 % interval)."
    else:
        end = f"This training has not lowered it: by {gain} (95 % interval)."
    return "\n".join([*lines, f"Judged by {counted(persons, 'person')}. {end}"])


def identification(
    table: "pd.DataFrame", limits: Sequence[float], wanted: float, lists: Sequence[int]
) -> str:
    """Say how identification went, and whether the limit kept its promise on other persons.

    Args:
        table: as from `verification.identification_frame`.
        limits: the similarities below which nobody was named.
        wanted: the share of strangers' photos that might get a name.
        lists: how many persons were enrolled in each round.
    """
    right = table.loc[("enrolled", "right name")]
    other = table.loc[("enrolled", "another's name")]
    named = table.loc[("stranger", "somebody's name")]
    if named["low"] > wanted:
        promise = "more than"
    elif named["high"] < wanted:
        promise = "less than"
    else:
        promise = "in keeping with"
    return (
        f"Lists of {listed([str(size) for size in lists])} persons. Photos of those enrolled: "
        f"{percent(right['share'])} get the right name\n(95 % interval "
        f"{_between(right[['low', 'high']], 0)}), {percent(other['share'])} another's. Photos of "
        f"strangers: {percent(named['share'])} get a name\n"
        f"({_between(named[['low', 'high']], 0)}), {promise} the {percent(wanted)} that the limits,"
        f" {listed([f'{limit:.2f}' for limit in limits])}, were chosen for."
    )


def certainty(answer: str, similarity: float, reached: int, strangers: int) -> str:
    """Say one answer, and how rare its similarity is among strangers.

    Args:
        answer: a name, or that there is none.
        similarity: of the photo to the nearest person on a list.
        reached: how many photos of strangers came as near to anybody on the list.
        strangers: how many there were.
    """
    rare = f"fewer than 1 in {strangers}" if not reached else f"{reached} in {strangers}"
    return (
        f"The answer is {answer}, with a similarity of {similarity:.2f}. Of the strangers' "
        f"photos,\n{rare} came as near to anyone on the list."
    )


def neighbours(hits: "np.ndarray") -> str:
    """Say how often the nearest photos show the same person.

    Args:
        hits: for each photo and each of its nearest ones whether it shows the same person, (n, k).
    """
    first, every = float(hits[:, 0].mean()), float(hits.mean())
    return (
        f"For {percent(first)} of {counted(len(hits), 'photo')}, the nearest other photo shows the "
        f"same person;\nof the {hits.shape[1]} nearest, {percent(every)} do."
    )


def unequal(table: "pd.DataFrame") -> str:
    """Say how unequally one threshold treats persons.

    Args:
        table: as from `verification.by_person`.
    """
    refused, mistaken = table["refused"].idxmax(), table["mistaken"].idxmax()
    untroubled = int((table[["refused", "mistaken"]].max(axis=1) < TROUBLED).sum())
    return (
        f"{refused} is refused most: in {percent(table.loc[refused, 'refused'])} of the pairs of "
        f"their own photos\n(the median person in {percent(table['refused'].median())}). "
        f"{mistaken} is mistaken most: in {percent(table.loc[mistaken, 'mistaken'])} of the pairs\n"
        f"with others (the median person in {percent(table['mistaken'].median())}). Persons with "
        f"less than {percent(TROUBLED)} of both errors: {untroubled} of {len(table)}."
    )


def converted(cosines: Mapping[str, "np.ndarray"], conversion: "pd.DataFrame") -> str:
    """Say how near the files' embeddings are to Keras's, and what that does to decisions.

    Args:
        cosines: by variant, of each photo's two embeddings.
        conversion: as from `verification.compare_decisions`, with the column `passed`.
    """
    lines = []
    for row in conversion.itertuples():
        lowest = min(float(cosines[row.variant].min()), 1.0)
        points = round(-100 * row.accuracy_drop, 1)
        change = f"{points + 0:+.1f} points against Keras"
        lines.append(
            f"{row.variant}: cosines with Keras's embeddings from {lowest:.4f} on; verification "
            f"accuracy {row.accuracy:.3f},\n  {change}; "
            + ("passed the gate" if row.passed else "refused by the gate")
        )
    return "\n".join(lines)


def summary(
    errors: Mapping[str, tuple[float, Sequence[float]]],
    table: "pd.DataFrame",
    served: "pd.DataFrame",
    conversion: "pd.DataFrame",
    numbers: Mapping[str, int],
) -> str:
    """Say in a few lines what this run showed; see the readings above.

    Args:
        errors: as for `verification`.
        table: as for `identification`.
        served: as for `unequal`.
        conversion: as for `converted`.
        numbers: `enrolled` photos per person, and the length of the longest list, `listed`.
    """
    first, *_, last = errors
    right = table.loc[("enrolled", "right name"), "share"]
    named = table.loc[("stranger", "somebody's name"), "share"]
    # Adding 0 makes 0.0 of -0.0.
    points = {
        row.variant: round(-100 * row.accuracy_drop, 1) + 0 for row in conversion.itertuples()
    }
    return "\n".join(
        [
            f"Equal error rate: {100 * errors[first][0]:.1f} % {first}, "
            f"{100 * errors[last][0]:.1f} % {last} ({_between(errors[last][1])}).",
            f"{counted(numbers['enrolled'], 'photo')} to enrol a person, "
            f"{numbers['listed']} on a list: {percent(right)} of their photos are named right,\n"
            f"and {percent(named)} of strangers' photos get a name that is not theirs.",
            f"One threshold for all refuses {percent(served['refused'].max())} of one person's "
            f"pairs and {percent(served['refused'].min())} of another's.",
            f"Points of verification accuracy against Keras: "
            f"{listed([f'{name} {value:.1f}' for name, value in points.items()])}.",
        ]
    )


def beside_the_source(
    errors: Mapping[str, tuple[float, Sequence[float]]],
    table: "pd.DataFrame",
    numbers: Mapping[str, int],
) -> "pd.DataFrame":
    """Return a table of what the course project did and what is done here, in figures.

    Args:
        errors: as for `verification`.
        table: as for `identification`.
        numbers: `size` of an embedding, `persons` to learn from, `new` persons, `enrolled` photos.
    """
    import pandas as pd

    *_, (rate, interval) = errors.values()
    named = table.loc[("stranger", "somebody's name"), "share"]
    rows = {
        "embedding": (
            "128 numbers",
            f"{numbers['size']} numbers, trained here on {counted(numbers['persons'], 'person')}",
        ),
        "comparison": (
            "with the known persons",
            f"cosine with the mean of {counted(numbers['enrolled'], 'photo')}",
        ),
        "strangers": (
            "not told",
            "below a limit chosen on other persons, nobody is named: "
            f"{percent(named)} of their photos still are",
        ),
        "figures": (
            "none published",
            f"equal error rate {100 * rate:.1f} % ({_between(interval)}) on "
            f"{counted(numbers['new'], 'new person')}",
        ),
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["the project", "here"])
