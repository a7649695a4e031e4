"""Which photos probably come from one place or one sitting: groups where none is known."""

import collections
from pathlib import Path

from dermaface.photos.copies import components
import numpy as np
import pandas as pd

GAP = 180.0  # seconds between two photos beyond which a sitting is over
# Photos that follow each other closely make chains, and a chain of everything says nothing: files
# unpacked from an archive all have the time of that minute. So the clocks are not believed where a
# scene holds more than this share of all photos.
LARGEST = 0.1
# A scene that holds more than this share of a class would leave too little of it to be split.
LARGEST_OF_CLASS = 1 / 3
SOURCES = ("place", "camera", "file")  # the most reliable first


def find_scenes(
    root: Path, photos: pd.DataFrame, places: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, int | list[str]]]:
    """Note in the column `scene` which photos probably come from one place or one sitting.

    Two photos are tied if they show the same place, if one camera took them within three minutes of
    each other (by their EXIF data), or, where a photo does not say when it was taken, if two such
    files have times (of the last modification) within three minutes. Photos with a group are left
    to it: a place ties others to them, but never two groups together, and clocks tie none of them.

    Args:
        root: the data root.
        photos: as from `check_images`.
        places: pairs of photos that show the same place; their paths are the first two columns.

    Returns:
        The frame with `scene` filled in, by the path of one of the scene's photos, where a photo is
        tied to another; and what was found: `photos` and `scenes` (how many), `largest` (photos in
        the largest scene), `sources` (those of `SOURCES` that tie any photos), `refused` (clocks
        that are not used because a scene would hold more than a tenth of all photos),
        `too_large` (photos in scenes that hold more than a third of a class or, by their places, a
        tenth of all photos; these are not tied), and `joining` (photos in scenes that would join
        two groups; these are not tied either).
    """
    photos = photos.copy()
    kept = photos[photos["status"] == "kept"]
    found: dict = {"photos": 0, "scenes": 0, "largest": 0, "too_large": 0, "joining": 0}
    found |= {"sources": [], "refused": []}
    position = {path: number for number, path in enumerate(kept["path"])}
    paths, labels, groups = (kept[name].tolist() for name in ("path", "label", "group"))
    alone = kept["group"] == ""  # a clock ties only photos without a group
    pairs = {
        "place": [
            (position[a], position[b])
            for a, b in places.iloc[:, :2].itertuples(index=False)
            if a in position and b in position
        ],
        "camera": _close_in_time(kept["taken"].where(alone, 0), kept["camera"]),
        "file": _close_in_time(
            _file_times(root, kept).where(alone, 0), pd.Series("", index=kept.index)
        ),
    }
    pairs["place"] = [(a, b) for a, b in pairs["place"] if not (groups[a] and groups[b])]
    used: list[str] = []
    for source in SOURCES:
        before, after = (
            max(map(len, _join(len(kept), pairs, sources)), default=0)
            for sources in (used, [*used, source])
        )
        if source != "place" and after > max(before, LARGEST * len(kept)):
            found["refused"].append(source)
        else:
            used.append(source)
    hashes = kept["sha256"].tolist()
    class_sizes = collections.Counter(labels)
    stands, sizes = [""] * len(kept), []
    for numbers in _join(len(kept), pairs, used):
        of_class = collections.Counter(labels[number] for number in numbers)
        share = max(count / class_sizes[label] for label, count in of_class.items())
        if len(numbers) > LARGEST * len(kept) or share > LARGEST_OF_CLASS:
            found["too_large"] += len(numbers)
            continue
        if len({groups[number] for number in numbers} - {""}) > 1:
            found["joining"] += len(numbers)
            continue
        first = min(numbers, key=hashes.__getitem__)
        for number in numbers:
            stands[number] = paths[first]
        sizes.append(len(numbers))
    photos.loc[kept.index, "scene"] = stands
    found |= {"photos": sum(sizes), "scenes": len(sizes), "largest": max(sizes, default=0)}
    found["sources"] = [source for source in used if pairs[source]]
    return photos, found


def _join(
    count: int, pairs: dict[str, list[tuple[int, int]]], sources: list[str]
) -> list[list[int]]:
    """Return the sets of photos that the pairs of these sources tie together."""
    together = components(count, [pair for source in sources for pair in pairs[source]])
    return [numbers for numbers in together if len(numbers) > 1]


def _file_times(root: Path, kept: pd.DataFrame) -> pd.Series:
    """Return the modification time of each file that does not say when its photo was taken."""
    times = [
        0.0 if taken else (root / path).stat().st_mtime
        for path, taken in zip(kept["path"], kept["taken"], strict=True)
    ]
    return pd.Series(times, index=kept.index, dtype=float)


def _close_in_time(times: pd.Series, cameras: pd.Series) -> list[tuple[int, int]]:
    """Return the pairs (i, j) of photos that follow each other within `GAP`, by one camera.

    Args:
        times: in seconds, 0 where unknown.
        cameras: in the same order.
    """
    order = np.lexsort((times, cameras))
    seconds, names = times.to_numpy()[order], cameras.to_numpy()[order]
    close = (np.diff(seconds) <= GAP) & (seconds[:-1] > 0) & (names[1:] == names[:-1])
    return list(zip(order[:-1][close].tolist(), order[1:][close].tolist(), strict=True))
