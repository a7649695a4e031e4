"""Who learns, who chooses, who reports: the split of every photo."""

import collections
from collections.abc import Iterable, Mapping
import hashlib
from typing import Any

from dermaface.photos.copies import components, copy_groups
import pandas as pd

SPLITS = ("train", "validation", "test")
# What ties photos together, by column: several photos of one group, of one picture, or of one scene
# (which is only proposed, so that it decides less).
TIES = {"group": "group", "copies": "picture", "scene": "scene"}
TORN = "belongs with photos in different splits: "  # how a reason to exclude a photo begins


def exclude(photos: pd.DataFrame, reasons: dict[str, str]) -> pd.DataFrame:
    """Exclude photos.

    Args:
        photos: rows of `images.csv`.
        reasons: why each path is excluded.
    """
    photos = photos.copy()
    rows = photos["path"].isin(reasons)
    photos.loc[rows, "status"] = "excluded"
    photos.loc[rows, "reason"] = photos.loc[rows, "path"].map(reasons)
    return photos


def leaks(photos: pd.DataFrame, copies: pd.DataFrame) -> dict[str, str]:
    """Return the photos to take out of given splits because a later split holds a copy.

    A training photo gives way to its copy in validation or test, a validation photo to its copy in
    test. Copies of one photo are copies of each other, whichever pairs were found.

    Args:
        photos: rows of `images.csv` with given splits.
        copies: as from `find_copies`.

    Returns:
        The path of each, and the reason.
    """
    paths, splits = photos["path"].tolist(), photos["split"].replace("", "train").tolist()
    out = {}
    for numbers in copy_groups(photos, copies):
        late = max(numbers, key=lambda number: SPLITS.index(splits[number]))
        for number in numbers:
            if splits[number] != splits[late]:
                out[paths[number]] = f"copy of {paths[late]}, which is in the {splits[late]} split"
    return out


def conflicts(photos: pd.DataFrame, copies: pd.DataFrame) -> dict[str, str]:
    """Return the photos that are in two classes, with the reason to exclude them.

    Copies of one photo are copies of each other, whichever pairs were found.

    Args:
        photos: rows of `images.csv`.
        copies: as from `find_copies`.
    """
    paths, labels = photos["path"].tolist(), photos["label"].tolist()
    out = {}
    for numbers in copy_groups(photos, copies):
        first = {labels[number]: paths[number] for number in reversed(numbers)}
        for number in numbers if len(first) > 1 else ():
            label = next(label for label in first if label != labels[number])
            out[paths[number]] = f"copy of {first[label]}, which is labelled {label}"
    return out


def assign_splits(
    frame: pd.DataFrame,
    validation_size: float = 0.15,
    test_size: float = 0.15,
    split_seed: int = 0,
    test_from_train: bool = False,
    group_scenes: bool = True,
    earlier: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Give every kept image its split; one that already has a split keeps it.

    An image's split follows from a hash of its content, its class and `split_seed`, and from
    nothing else. What belongs together moves together: photos with the same `group` by a hash of
    the group's name alone, copies and scenes by the hash of the one that stands for them. The
    shares are therefore approximate. If splits are given, a missing validation split is cut from
    the training images, and a missing test split only on request; a class may then be missing from
    a given split.

    Adding photos never moves an old one, unless they tie old ones together, as a recompressed copy
    does: no hash of two photos can agree with the hash of each of them alone. Then `earlier`
    decides: a photo with the same content, label and group stays where it was, a new one follows
    those that it belongs with, and a copy of photos in different splits (or a photo of a group that
    lies in several) is excluded, because it would carry what one of them shows into the split of
    another. A scene is only proposed, so a new photo whose scene lies in several splits goes where
    most of it is. Without `earlier`, in another run, such old photos may end up elsewhere.

    Args:
        frame: as from `check_images`, `group_copies` or `find_scenes`.
        validation_size: share of the images for validation, 0..1.
        test_size: share of the images for the test, 0..1.
        split_seed: another seed gives another split.
        test_from_train: whether to cut a test split from the training images if the given splits
            lack one.
        group_scenes: whether photos of one scene stay together where a split is made here.
        earlier: as from `read_earlier`.

    Returns:
        The frame with `split` filled in for kept images.

    Raises:
        ValueError: a share out of range, fewer than two classes, or a class without an image in
            training or in a split that is made here.
    """
    if not (0 < validation_size < 1 and 0 <= test_size < 1 and validation_size + test_size < 1):
        raise ValueError(
            "validation_size must be above 0, test_size at least 0, and together they must leave "
            f"something to train on; got {validation_size} and {test_size}."
        )
    kept = frame[frame["status"] == "kept"]
    class_names = sorted(set(frame["label"]) - {""})
    if len(class_names) < 2:
        raise ValueError(
            f"A classifier needs at least two classes of images; found {len(class_names)}"
            + (f" ({class_names[0]})." if class_names else ".")
        )
    given = (kept["split"] != "").any()
    splits = kept["split"].replace("", "train")
    sizes = {
        "validation": 0.0 if "validation" in set(splits) else validation_size,
        "test": test_size if not given or (test_from_train and "test" not in set(splits)) else 0.0,
    }
    made = ["train", *(name for name, size in sizes.items() if size)]
    fewest, needs = 1, "one to train on"
    if "validation" in made:
        fewest, needs = 2, "two, one to train on and one to check with"
    for label in class_names:
        if (count := int((kept["label"] == label).sum())) < fewest:
            raise ValueError(
                f"Class {label!r} has too few readable images, {count}: it needs at least {needs}, "
                "and should have 30. Add photos or remove the class."
            )
    ties = [column for column in TIES if column != "scene" or group_scenes]
    keys = _split_keys(kept, ties)
    train = kept[splits == "train"]
    splits[train.index] = _split_by_hash(
        keys[train.index], sizes["validation"], sizes["test"], split_seed
    )
    if earlier is not None:
        # An earlier test split stays one, even if none is asked for now.
        free = {*made, "test"} - (set(splits[kept["split"] != ""]) - {"train"})
        stay, torn = _follow_earlier(train, earlier[earlier["split"].isin(free)], ties)
        splits.update(stay)
        frame = exclude(frame, torn)
        kept = kept[~kept["path"].isin(torn)]
        keys, splits = keys[kept.index], splits[kept.index]
    empty = _empty_splits(kept["label"], splits, made)
    if empty:
        label, split = empty[0]
        hint = "Give that split at least one image of the class."
        train = kept.loc[kept.index.intersection(train.index)]
        if (train["label"] == label).any():
            shares = sizes["validation"], sizes["test"]
            hint = _split_hint(train["label"], keys[train.index], *shares, made)
            if group_scenes and (train["scene"] != "").any():
                hint += " Or set group_scenes to false, which no longer keeps scenes together."
        raise ValueError(f"Class {label!r} is left without an image in the {split} split. {hint}")
    frame = frame.copy()
    frame.loc[kept.index, "split"] = splits
    return frame


def _tied(photos: pd.DataFrame, columns: Iterable[str]) -> list[list[int]]:
    """Return the row numbers of photos that belong together, one list per set."""
    pairs = []
    for column in columns:
        for name, numbers in photos.reset_index(drop=True).groupby(column).indices.items():
            if name:
                pairs += [(numbers[0], other) for other in numbers[1:]]
    return components(len(photos), pairs)


def name_units(photos: pd.DataFrame) -> pd.DataFrame:
    """Name for each photo the picture that it shows and the group of photos that it belongs to.

    A group is all that `group`, `copies` and `scene` tie together, directly or through others. What
    one photo of a group tells about a model, another one may merely repeat.

    Args:
        photos: rows of `images.csv`.

    Returns:
        `picture` and `group`, in the order of the photos: the path of one photo that stands for
        all, so that a photo that is tied to none has its own.
    """
    paths = photos["path"].to_numpy(dtype=object)
    named = pd.DataFrame(index=photos.index)
    for name, columns in {"picture": ["copies"], "group": list(TIES)}.items():
        stands = paths.copy()
        for numbers in _tied(photos, columns):
            stands[numbers] = min(paths[numbers])
        named[name] = stands
    return named


def _split_keys(kept: pd.DataFrame, columns: Iterable[str]) -> pd.Series:
    """Return the text that decides an image's split: the same for all that belong together."""
    own = kept["label"] + "/" + kept["sha256"]
    keys = own.to_numpy(dtype=object)
    groups = kept["group"].to_numpy()
    hashes = kept["sha256"].to_numpy()
    for numbers in _tied(kept, columns):
        named = sorted({groups[number] for number in numbers} - {""})
        stands = min(numbers, key=lambda number: hashes[number])
        keys[numbers] = "group/" + named[0] if named else keys[stands]
    return pd.Series(keys, index=kept.index)


def _follow_earlier(
    photos: pd.DataFrame, earlier: pd.DataFrame, columns: Iterable[str]
) -> tuple[pd.Series, dict[str, str]]:
    """Return the splits that an earlier list decides, and the photos that it leaves no place for.

    Args:
        photos: the rows to divide.
        earlier: the rows of the earlier list in splits that were not given now.
        columns: those of `TIES` that count.

    Returns:
        The split, under its index in `photos`, of each photo that is in the list, or is tied to one
        of those by its group, as a copy or by its scene; and the paths of new photos that are tied
        to different splits by their group or as copies, with the reason to exclude them.
    """
    identity = ["sha256", "label", "group"]
    known = earlier.drop_duplicates([*identity, "split"]).drop_duplicates(identity, keep=False)
    known = known.set_index(identity)["split"].to_dict()
    stay, torn, waiting = {}, {}, []
    # For each group or picture: its splits, and the path of one photo in each. For each scene: how
    # many of its photos lie in which split.
    places: dict[tuple[str, str], dict[str, str]] = collections.defaultdict(dict)
    scenes: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    strong = [name for name in columns if name != "scene"]

    def ties(row: Any) -> list[tuple[str, str]]:
        return [(name, value) for name in strong if (value := getattr(row, name))]

    def put(row: Any, split: str) -> None:
        stay[row.Index] = split
        for tie in ties(row):
            places[tie].setdefault(split, row.path)
        if "scene" in columns and row.scene:
            scenes[row.scene][split] += 1

    for row in photos.sort_values(["sha256", "path"]).itertuples():
        split = known.get((row.sha256, row.label, row.group))
        if split:
            put(row, split)
        else:
            waiting.append(row)
    by_scene = False
    while waiting:
        left = []
        for row in waiting:
            near = {split: path for tie in ties(row) for split, path in places[tie].items()}
            if not near and by_scene and row.scene in scenes:
                near = {scenes[row.scene].most_common(1)[0][0]: ""}
            if len(near) > 1:
                where = [f"{path} ({split})" for split, path in near.items()]
                torn[row.path] = TORN + ", ".join(where)
            elif near:
                put(row, *near)
            else:
                left.append(row)
        stuck = len(left) == len(waiting)
        if stuck and by_scene:
            break
        by_scene = stuck  # Only where nothing else ties one of them to an old photo.
        waiting = left
    return pd.Series(stay, dtype=object), torn


def across_splits(photos: pd.DataFrame, column: str) -> pd.DataFrame:
    """Count the photos of each group, or of each picture, that lies in more than one split.

    Args:
        photos: rows of `images.csv`.
        column: one of `TIES`, such as "copies" for pictures of which there are several photos.

    Returns:
        One row per name in the column, one column per split that holds such a photo.
    """
    named = photos[(photos["status"] == "kept") & (photos[column] != "")]
    table = named.groupby([column, "split"]).size().unstack(fill_value=0)
    table = table[(table > 0).sum(axis=1) > 1]
    return table[[split for split in SPLITS if split in table and table[split].any()]]


def split_remarks(photos: pd.DataFrame, earlier: pd.DataFrame | None = None) -> list[str]:
    """Return sentences that say where a split tells less than it seems to, or that none does.

    Args:
        photos: as from `assign_splits`.
        earlier: as it was given to `assign_splits`.
    """
    remarks = []
    kept = photos[photos["status"] == "kept"]
    for split in SPLITS[1:]:
        here = kept["split"] == split
        missing = sorted(set(kept["label"]) - set(kept["label"][here]))
        if missing and here.any():
            remarks.append(
                f"Not measured: no {split} photo shows {', '.join(missing)}. The model learns such "
                f"photos, but no {split} figure says how well."
            )
    for column, noun in TIES.items():
        table = across_splits(kept, column)
        if len(table):
            remarks.append(
                f"{noun.capitalize()}s that lie in more than one split: {_listed(table.index)}. "
                f"Their photos: {count_words(table.sum())}. "
                f"That {'may flatter' if column == 'scene' else 'flatters'} the figures."
            )
    torn = photos["path"][photos["reason"].str.startswith(TORN)]
    if len(torn):
        remarks.append(
            "New photos left out because they are tied to old ones in different splits, "
            f"which stay where they are: {_listed(torn)}."
        )
    if earlier is not None:
        before = collections.defaultdict(set)
        for content, split in zip(earlier["sha256"], earlier["split"], strict=True):
            before[content].add(split)
        moved = [
            f"{row.path} ({' and '.join(sorted(before[row.sha256]))}, now {row.split})"
            for row in kept.itertuples()
            if row.sha256 in before and row.split not in before[row.sha256]
        ]
        if moved:
            remarks.append(
                "Photos that could not stay in the split of the earlier list, because their label, "
                f"group or given split is another: {_listed(moved)}."
            )
    return remarks or ["Every split shows every class; no group or picture lies in two splits."]


def _listed(names: Iterable[str]) -> str:
    """Return how many names there are, and the first five."""
    names = [str(name) for name in names]
    return f"{len(names)} ({', '.join(names[:5] + ['...'] * (len(names) > 5))})"


def count_words(counts: Mapping[str, int]) -> str:
    """Return counts by split in words, such as "train 3, test 1"."""
    return ", ".join(f"{split} {count}" for split, count in counts.items())


def _split_by_hash(
    keys: Iterable[str], validation_size: float, test_size: float, split_seed: int
) -> list[str]:
    """Return the split that follows from each key."""
    splits = []
    for key in keys:
        digest = hashlib.sha256(f"{split_seed}/{key}".encode()).digest()
        share = int.from_bytes(digest[:8]) / 2**64
        if share < test_size:
            splits.append("test")
        elif share < test_size + validation_size:
            splits.append("validation")
        else:
            splits.append("train")
    return splits


def _empty_splits(labels: pd.Series, splits: list[str], wanted: list[str]) -> list[tuple[str, str]]:
    """Return the (class, split) pairs without an image, smallest classes first."""
    filled = set(zip(labels, splits, strict=True))
    smallest_first = labels.value_counts(ascending=True).index
    return [(a, b) for a in smallest_first for b in wanted if (a, b) not in filled]


def _split_hint(
    labels: pd.Series, keys: pd.Series, validation_size: float, test_size: float, wanted: list[str]
) -> str:
    """Return advice that works: the first split_seed that leaves no class without an image."""
    no_test = ", or set test_size to 0" if "test" in wanted else ""
    keys_of = sorted(keys.groupby(labels).unique().items(), key=lambda item: len(item[1]))
    label, smallest = keys_of[0]
    if len(smallest) < len(wanted):
        count = int((labels == label).sum())
        if count == 1:
            return (
                f"No split_seed can fix that: class {label!r} has a single photo to divide. Add "
                "photos of the class."
            )
        if len(smallest) == 1:
            return (
                f"No split_seed can fix that: the {count} photos of class {label!r} all belong "
                "together, as copies or as a group. Add other photos of the class."
            )
        return (
            f"No split_seed can fix that: the {count} photos of class {label!r} fall into "
            f"{len(smallest)} sets that belong together, and there are {len(wanted)} splits. Add "
            f"photos of the class{no_test}."
        )
    hashed = 0
    for seed in range(1000):
        for _, own in keys_of:  # the smallest classes fail first, and rule the seed out
            splits = _split_by_hash(own, validation_size, test_size, seed)
            hashed += len(own)
            if not set(wanted) <= set(splits):
                break
        else:
            return f"Set split_seed to {seed}, which gives every class an image in every split."
        if hashed > 300_000:  # half a second
            break
    return (
        f"No split_seed from 0 to {seed} fixes that: add photos of the class, raise its share with "
        f"validation_size and test_size{no_test}."
    )
