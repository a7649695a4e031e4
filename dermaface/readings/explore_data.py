"""What notebook 01 says about its figures; each function returns one text, or a list of them."""

from collections.abc import Iterable, Mapping, Sequence
import math
import textwrap
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


def files_accounted(counts: Mapping[str, int], beside_names: Sequence[str]) -> str:
    """Say what became of every file below the data root.

    Args:
        counts: as from `count_files`.
        beside_names: the files that are not on the list; at most three of them are named.
    """
    system, beside = counts["system files"], counts["files beside the class folders"]
    parts = [f"{counts['kept']} can be used"]
    if counts["excluded"]:
        parts.append(f"{counts['excluded']} cannot")
    if system:
        parts.append(f"{system} {'is a system file' if system == 1 else 'are system files'}")
    if beside:
        parts.append(f"{beside} {'is' if beside == 1 else 'are'} not on the list")
    said = f"Of {counted(counts['on disk'], 'file')} on disk, {listed(parts)}."
    if not beside:
        return said
    more = [f"{beside - 3} more"] if beside > 3 else []
    return f"{said}\nNot on the list: {listed([*beside_names[:3], *more])}."


def files_excluded(photos: "pd.DataFrame") -> str:
    """Say how many listed files cannot be used, why most of them, and which class loses most.

    The reasons stand in the table below this text, so only the most frequent one is quoted.

    Args:
        photos: as from `check_images`: `label`, `status` and `reason`.
    """
    excluded = photos["status"] == "excluded"
    if not excluded.any():
        return "Every file on the list was read to the end."
    reasons = photos["reason"][excluded].value_counts()
    by_class = excluded.groupby(photos["label"])
    name = by_class.mean().idxmax()
    most = "Each has a reason of its own."
    if reasons.iloc[0] > 1 or len(reasons) == 1:
        most = f"The most frequent reason ({reasons.iloc[0]}): {reasons.index[0].rstrip('.')}."
    return (
        f"{excluded.sum()} of {counted(len(photos), 'file')} ({percent(excluded.mean())}) "
        f"cannot be used. No class loses a larger share than {name}: {by_class.sum()[name]} of "
        f"{by_class.size()[name]}.\n{most}"
    )


def formats_found(kept: "pd.DataFrame") -> str:
    """Say in which formats the photos are stored, and how many of them are not stored upright.

    Args:
        kept: rows of `images.csv`: `format` and `orientation`.
    """
    formats = [
        f"{count} {name} file{'' if count == 1 else 's'}"
        for name, count in kept["format"].value_counts().items()
    ]
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
    if most < 1.5 * fewest:
        return (
            f"Each of the {counted(len(counts), 'class')} has {fewest} to {most} photos: even "
            f"enough.\nAlways giving the most frequent answer would be right for {share}."
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
        f"Too small, of {counted(len(kept), 'photo')}: {listed(small)}."
    )


def hash_distances(copies: Mapping[str, int], others: Sequence[int]) -> str:
    """Say whether a hash tells copies of a photo from other photos.

    Args:
        copies: in how many of 64 bits each copy differs from the photo.
        others: the same for other photos.
    """
    bits = list(copies.values())
    extent = f"{min(bits)} to {max(bits)}" if len(set(bits)) > 1 else f"{bits[0]}"
    said = f"The copies differ from the photo in {extent} of 64 bits."
    if not others:
        return f"{said}\nThere is no other photo to compare them with."
    nearest = min(others)
    which = f"nearest of {len(others)} other photos" if len(others) > 1 else "only other photo"
    said = f"{said}\nThe {which} differs in {nearest}"
    missed = [name for name, count in copies.items() if count >= nearest]
    if not missed:
        return f"{said}, more than every copy."
    return f"{said}.\nNo closer than that: {listed(missed)}."


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


def scenes_found(found: Mapping, photos: "pd.DataFrame") -> str:
    """Say how many photos belong together, by their groups or probably by place and time.

    Args:
        found: as from `find_scenes`.
        photos: rows of `images.csv`: `group` and `status`.
    """
    clocks = {"place": "the same place", "camera": "the camera's clock", "file": "file times"}
    groups = photos["group"][photos["status"] == "kept"]
    kept, sizes = len(groups), groups[groups != ""].value_counts()
    said = []
    if len(sizes):
        said.append(
            f"{sizes.sum()} of {counted(kept, 'photo')} belong to "
            f"{counted(len(sizes), 'given group')}.\nThe largest holds "
            f"{counted(sizes.iloc[0], 'photo')}, {percent(sizes.iloc[0] / kept)} of all."
        )
    if found["scenes"]:
        said.append(
            f"{counted(found['photos'], 'photo')} probably belong to "
            f"{counted(found['scenes'], 'scene')}, by "
            f"{listed([clocks[source] for source in found['sources']])}.\nThe largest holds "
            f"{counted(found['largest'], 'photo')}, {percent(found['largest'] / kept)} of all."
        )
    for source in found["refused"]:
        said.append(
            f"{clocks[source][0].upper()}{clocks[source][1:]} would tie more than a tenth of all "
            "photos together, so "
            f"{'it is' if source == 'camera' else 'they are'} not used."
        )
    if found["too_large"]:
        said.append(
            f"{counted(found['too_large'], 'photo')} lie in scenes that hold too much of a class, "
            "and are not tied."
        )
    if found["joining"]:
        said.append(
            f"{counted(found['joining'], 'photo')} lie in scenes that would join two given groups, "
            "and are not tied."
        )
    return "\n".join(said or ["No two photos seem to come from one place or one sitting."])


def pair_titles(photos: "pd.DataFrame", pairs: "pd.DataFrame") -> list[str]:
    """Return two titles for each pair: a photo's class, and the other's and how it differs.

    Args:
        photos: rows of `images.csv`: `path` and `label`.
        pairs: either table of `find_pairs`: `path`, `copy` and `how`.
    """
    labels = photos.set_index("path")["label"]
    titles = []
    for row in pairs.itertuples():
        titles += [labels[row.path], "\n".join([labels[row.copy], *textwrap.wrap(row.how, 20)])]
    return titles


def places_found(places: "pd.DataFrame") -> str:
    """Say how many pairs of photos show the same place, and name the surest.

    Args:
        places: the second table of `find_pairs`.
    """
    if not len(places):
        return "No two photos seem to show another subject in the same place."
    surest = places.iloc[0]
    return (
        f"Pairs that show another subject in the same place: {len(places)}. The surest:\n"
        f"{surest['path']}\n{surest['copy']}"
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


def smallest_classes(counts: "pd.DataFrame") -> str:
    """Say how little the photos of the smallest classes in the held-out splits can tell.

    Args:
        counts: photos of each class (rows) in each held-out split (columns).
    """
    fewest = counts.min()
    said = [_smallest(counts[split], int(fewest[split]), split) for split in counts]
    if not (fewest > 0).any():
        return "\n".join(said)
    least = int(fewest[fewest > 0].min())
    if least <= 6:
        steps = [f"{100 * right / least:.0f}" for right in range(least + 1)]
        said.append(f"{counted(least, 'photo')} can only score {listed(steps, 'or')} %.")
    else:
        said.append(f"With {least} photos, each moves the score by {100 / least:.1f} points.")
    bound = percent(_interval(1.0, least)[0])
    said.append(
        f"Even {least} of {least} right only shows that the true share is above about {bound}."
    )
    return "\n".join(said)


def _smallest(counts: "pd.Series", fewest: int, split: str) -> str:
    """Name the classes with the fewest photos of a split, or say how many there are."""
    names = counts.index[counts == fewest].tolist()
    name = listed(names) if len(names) <= 3 else f"{len(names)} classes"
    if not fewest:
        return f"No {split} photo shows {name}: nothing is measured there."
    return f"Fewest {split} photos: {name} ({fewest}{' each' if len(names) > 1 else ''})."


def summary(photos: "pd.DataFrame") -> str:
    """Say in three lines what the list holds, how it is split, and how far to trust it.

    Args:
        photos: rows of `images.csv`: `label`, `split` and `status`.
    """
    kept = photos[photos["status"] == "kept"]
    counts = kept["split"].value_counts()
    splits = [f"{split} {counts[split]}" for split in SPLITS if split in counts]
    held_out = "test" if "test" in counts else "validation"
    table = kept[kept["split"] == held_out]["label"].value_counts()
    fewest = int(table.reindex(kept["label"].unique(), fill_value=0).min())
    low, high = _interval(0.9, counts[held_out])
    return (
        f"{len(kept)} of {counted(len(photos), 'file')} can be used, in "
        f"{counted(kept['label'].nunique(), 'class')}: {listed(splits)}.\n"
        f"The score to beat is {percent(kept['label'].value_counts().iloc[0] / len(kept))}: "
        "always giving the most frequent answer.\n"
        f"Near 90 %, {held_out} accuracy is uncertain by about {100 * (high - low) / 2:.0f} "
        f"points; its smallest class has {counted(fewest, 'photo')}."
    )


def findings(photos: "pd.DataFrame", pairs: "pd.DataFrame") -> dict[str, str]:
    """Say of each file that stands out what was found, by its path.

    Of two copies, only the one that the pair names second stands out. The other is named without
    its folder if both lie in the same.

    Args:
        photos: rows of `images.csv`: `path`, `status`, `reason`, `flags` and `orientation`.
        pairs: as from `find_copies`: `path`, `copy`, `kind` and `conflict`.
    """
    found = {}
    for row in photos.itertuples():
        if row.status == "excluded":
            found[row.path] = row.reason.rstrip(".")
        elif row.flags or row.orientation != 1:
            found[row.path] = ", ".join(
                [*row.flags.split(), *["turned or mirrored by EXIF"] * (row.orientation != 1)]
            )
    used = set(photos["path"][photos["status"] == "kept"])
    for pair in pairs[pairs["copy"].isin(used)].itertuples():
        what = "same file as" if pair.kind == "exact" else f"{pair.kind} copy of"
        other = pair.path.removeprefix(pair.copy[: pair.copy.rfind("/") + 1])
        where = ", another class" if pair.conflict else ""
        parts = [found.get(pair.copy, ""), f"{what} {other}{where}"]
        found[pair.copy] = "; ".join(filter(None, parts))
    return dict(sorted(found.items()))


def planted_found(found: Iterable[str], planted: Iterable[str]) -> str:
    """Say whether exactly those files of the drawn set stand out that were given a defect.

    Args:
        found: the paths that stand out.
        planted: the paths that SAMPLE.txt lists.
    """
    listed_files = set(planted)
    hits = len(listed_files.intersection(found))
    more = len(set(found) - listed_files)
    return (
        f"{hits} of the {counted(len(listed_files), 'file')} with a planted defect "
        f"{'stands' if hits == 1 else 'stand'} out, and {more or 'no'} other"
        f"{'' if more == 1 else 's'}."
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
    return f"{said}.\nThe others follow a copy, a group, a scene or an earlier split."


def _interval(share: float, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share, even of a fraction of photos (Wilson 1927)."""
    squared = 1.959964**2 / total
    middle = share + squared / 2
    half = math.sqrt(share * (1 - share) * squared + squared**2 / 4)
    return (middle - half) / (1 + squared), (middle + half) / (1 + squared)
