"""What notebook 01 says about its figures; each function returns one text."""

from collections.abc import Mapping, Sequence
import math
from typing import TYPE_CHECKING

from dermaface.readings.words import counted, listed, percent

if TYPE_CHECKING:
    import pandas as pd


SPLITS = ("train", "validation", "test")


def files_found(photos: "pd.DataFrame") -> str:
    """Say how many files there are, in how many classes, and whether they came with splits.

    Args:
        photos: as from `find_images`: `label` and `split`.
    """
    found = (
        f"{counted(len(photos), 'file')} {'lies' if len(photos) == 1 else 'lie'} in "
        f"{counted(photos['label'].nunique(), 'class')}"
    )
    if (photos["split"] == "").all():
        return f"{found}. No split was given, so one is made at the end."
    counts = photos["split"].replace("", "train").value_counts()
    given = [f"{split} {counts[split]}" for split in SPLITS if split in counts]
    return f"{found}. Given splits: {listed(given)}."


def files_accounted(counts: Mapping[str, int]) -> str:
    """Say what became of every file below the data root.

    Args:
        counts: as from `count_files`.
    """
    system, beside = counts["system files"], counts["files beside the class folders"]
    parts = [f"{counts['kept']} can be used"]
    if counts["excluded"]:
        parts.append(f"{counts['excluded']} cannot")
    if system:
        parts.append(f"{system} {'is a system file' if system == 1 else 'are system files'}")
    if beside:
        parts.append(f"{beside} {'is' if beside == 1 else 'are'} not on the list")
    return f"Of {counted(counts['on disk'], 'file')} on disk, {listed(parts)}."


def files_excluded(photos: "pd.DataFrame") -> str:
    """Say how many listed files cannot be used, why most of them, and which class loses most.

    Args:
        photos: as from `check_images`: `label`, `status` and `reason`.
    """
    excluded = photos["status"] == "excluded"
    if not excluded.any():
        return "Every file on the list was read to the end."
    reasons = photos["reason"][excluded].value_counts()
    by_class = excluded.groupby(photos["label"])
    name = by_class.mean().idxmax()
    return (
        f"{excluded.sum()} of {counted(len(photos), 'file')} ({percent(excluded.mean())}) "
        f"cannot be used; the most frequent reason ({reasons.iloc[0]}): "
        f"{reasons.index[0].rstrip('.')}.\n"
        f"The class {name!r} loses the largest share, {by_class.sum()[name]} of "
        f"{by_class.size()[name]}."
    )


def formats_found(kept: "pd.DataFrame") -> str:
    """Say in which formats the photos are stored, and how many of them are not stored upright.

    Args:
        kept: rows of `images.csv`: `format` and `orientation`.
    """
    formats = [f"{count} {name}" for name, count in kept["format"].value_counts().items()]
    turned = int((kept["orientation"] != 1).sum())
    if not turned:
        return f"Stored as {listed(formats)}, all of them upright."
    return (
        f"Stored as {listed(formats)}; an EXIF note turns or mirrors {turned} of "
        f"{counted(len(kept), 'photo')} ({percent(turned / len(kept))})."
    )


def class_balance(counts: Mapping[str, int]) -> str:
    """Say how even the classes are, and how often always giving one answer would be right.

    Args:
        counts: the photos of each class.
    """
    counts = dict(counts)
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    most, fewest = counts[largest], counts[smallest]
    share = percent(most / sum(counts.values()))
    if most == fewest:
        return (
            f"Each of the {counted(len(counts), 'class')} has {counted(most, 'photo')}. "
            f"Always giving one answer would be right for {share}."
        )
    judged = "imbalanced" if most > 3 * fewest else "even enough"
    return (
        f"The largest class is {largest} ({most}), the smallest {smallest} ({fewest}), "
        f"a ratio of {most / fewest:.1f}: {judged}.\n"
        f"Always answering {largest} would be right for {share}."
    )


def photos_shown(shown: "pd.DataFrame", kept: "pd.DataFrame") -> str:
    """Say how many of the photos a grid shows.

    Args:
        shown: the rows of `kept` that are shown.
        kept: rows of `images.csv`: `label`.
    """
    return (
        f"{len(shown)} of {counted(len(kept), 'photo')}, from {shown['label'].nunique()} of "
        f"{counted(kept['label'].nunique(), 'class')}."
    )


def blur_by_size(scores: "pd.DataFrame") -> str:
    """Say how the size at which photos are measured changes their blur score.

    Args:
        scores: one row per photo, one column per side in pixels, the smallest first.
    """
    small, large = scores.columns[0], scores.columns[-1]
    fell = int((scores[large] < scores[small]).sum())
    said = (
        f"At {large} px, {fell} of {counted(len(scores), 'photo')} "
        f"{'scores' if fell == 1 else 'score'} lower than at {small} px (median "
        f"{scores[large].median():.0f} against {scores[small].median():.0f})."
    )
    if 2 * fell > len(scores):
        return f"{said}\nA threshold is good for one size only."
    return f"{said}\nThat is unusual; look at these photos."


def photos_flagged(kept: "pd.DataFrame") -> str:
    """Say how many photos are flagged, for what, and which class has most of them.

    Args:
        kept: rows of `images.csv`: `label` and `flags`.
    """
    flagged = kept[kept["flags"] != ""]
    if not len(flagged):
        return f"None of the {len(kept)} photos is flagged."
    kinds = flagged["flags"].str.split().explode().value_counts()
    flags = listed([f"{count} as {kind}" for kind, count in kinds.items()])
    labels = flagged["label"].value_counts()
    return (
        f"{len(flagged)} of {counted(len(kept), 'photo')} "
        f"({percent(len(flagged) / len(kept))}) {'is' if len(flagged) == 1 else 'are'} flagged: "
        f"{flags}.\nNo class has more of them than {labels.index[0]}: {labels.iloc[0]} of its "
        f"{counted((kept['label'] == labels.index[0]).sum(), 'photo')}."
    )


def photo_sizes(kept: "pd.DataFrame", inputs: Sequence[int]) -> str:
    """Say how large the photos are beside the inputs of models, and how far from square.

    Args:
        kept: rows of `images.csv`: `width` and `height`.
        inputs: sides in pixels.
    """
    sides = kept[["width", "height"]]
    short, long = sides.min(axis=1), sides.max(axis=1)
    extent = f"{short.min()} to {short.max()}" if short.nunique() > 1 else f"{short.min()}"
    small = [f"{int((short < side).sum())} for {side} px" for side in inputs]
    return (
        f"The shorter sides measure {extent} px, and the longer ones up to "
        f"{(long / short).max():.2f} times as much.\n"
        f"Of {counted(len(kept), 'photo')}, too small are {listed(small)}."
    )


def hash_distances(distances: Mapping[str, int]) -> str:
    """Say whether a hash tells copies of a photo from another photo.

    Args:
        distances: in how many of 64 bits each picture differs from the photo: the photo itself, its
            copies, and last another photo.
    """
    _, *copies, other = distances
    bits = [distances[name] for name in copies]
    missed = [name for name in copies if distances[name] >= distances[other]]
    extent = f"{min(bits)} to {max(bits)}" if len(set(bits)) > 1 else f"{bits[0]}"
    said = (
        f"The copies differ from the photo in {extent} of 64 bits, {other} in {distances[other]}."
    )
    if not missed:
        return f"{said}\nEvery copy is closer than {other}."
    return f"{said}\nNo closer than {other}: {listed(missed)}."


def copies_found(photos: "pd.DataFrame", pairs: "pd.DataFrame") -> str:
    """Say how many photos have a copy, and how many pairs of copies contradict each other.

    Args:
        photos: as from `group_copies`: `copies`.
        pairs: as from `find_copies`: `conflict` and `leak`.
    """
    if not len(pairs):
        return f"No copy was found among {counted(len(photos), 'file')}."
    return (
        f"{(photos['copies'] != '').sum()} of {counted(len(photos), 'file')} have a copy, which "
        f"makes {counted(len(pairs), 'pair')}.\n"
        f"Pairs in two classes: {pairs['conflict'].sum()}, in two given splits: "
        f"{pairs['leak'].sum()}."
    )


def photos_left_out(count: int, kept: int) -> str:
    """Say how many photos the rules leave out.

    Args:
        count: photos that they leave out.
        kept: photos that could be used before.
    """
    remain = f"{kept - count} {'remains' if kept - count == 1 else 'remain'}"
    return f"The rules leave out {count} of {counted(kept, 'photo')}; {remain}."


def photos_moved(by_hash: int, by_shuffle: int, old: int, new: int) -> str:
    """Say how many old photos change their split when new ones come, by two ways to split.

    Args:
        by_hash: old photos that move if a hash decides.
        by_shuffle: old photos that move if all are shuffled again.
        old: photos that were there before.
        new: photos that come.
    """
    if not old:
        return "There are too few photos to try it."
    return (
        f"When {counted(new, 'photo')} {'joins' if new == 1 else 'join'} {old}, the hash moves "
        f"{by_hash} of the old ones, a new shuffle {by_shuffle} ({percent(by_shuffle / old)})."
    )


def split_shares(kept: "pd.DataFrame") -> str:
    """Say how many photos each split has, and how well the held-out ones can measure.

    Args:
        kept: rows of `images.csv`: `split`.
    """
    counts = kept["split"].value_counts()
    shares = [
        f"{split} {counts[split]} ({percent(counts[split] / len(kept))})"
        for split in SPLITS
        if split in counts
    ]
    held_out = "test" if "test" in counts else "validation"
    low, high = _interval(0.9, counts[held_out])
    none = "" if "test" in counts else "; there is no test split"
    return (
        f"{listed(shares).capitalize()}{none}.\nAn accuracy of 90 % on "
        f"{counted(counts[held_out], f'{held_out} photo')} would have a 95 % interval from "
        f"{percent(low)} to {percent(high)}."
    )


def smallest_class(counts: "pd.DataFrame", split: str) -> str:
    """Say how little the photos of the smallest class in a split can tell.

    Args:
        counts: photos of each class (rows) in each split (columns).
        split: one of the columns.
    """
    name, count = counts[split].idxmin(), int(counts[split].min())
    if not count:
        return f"No {split} photo shows {name}, so nothing is measured for it."
    if count <= 6:
        steps = [f"{100 * right / count:.0f}" for right in range(count + 1)]
        scores = f"It can only score {listed(steps, 'or')} %"
    else:
        scores = f"Each photo moves its score by {100 / count:.1f} points"
    return (
        f"No class has fewer {split} photos than {name}: {count}.\n{scores}; after a perfect "
        f"score, {percent(_interval(1.0, count)[0])} would still be possible."
    )


def split_agreement(same: int, total: int) -> str:
    """Say how many photos the package puts where a plain hash of each puts them.

    Args:
        same: photos for which the two agree.
        total: photos that came without a split.
    """
    if not total:
        return "Every photo came with a split, and the package keeps it."
    said = f"The package puts {same} of {counted(total, 'photo')} where your function does"
    if same == total:
        return f"{said}."
    return f"{said}.\nThe others follow a copy, a group or an earlier split."


def _interval(share: float, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, even of a fraction of photos (Wilson 1927)."""
    squared = 1.959964**2 / total
    middle = share + squared / 2
    half = math.sqrt(share * (1 - share) * squared + squared**2 / 4)
    return (middle - half) / (1 + squared), (middle + half) / (1 + squared)
