"""Which photos show the same picture, and which only the same place."""

from collections.abc import Callable
import concurrent.futures
import contextlib
import functools
import hashlib
import math
from pathlib import Path
from typing import Any
import warnings
import zipfile

import cv2
from dermaface import runs
from dermaface.photos import alignment, keypoints
from dermaface.photos.keypoints import Points
from dermaface.photos.pixels import BLUR_SIZE, decode_image
from dermaface.processors import count_processors
from dermaface.progress import progress_bar
import numpy as np
import pandas as pd
from PIL import Image
import scipy.ndimage
import scipy.sparse.csgraph
import threadpoolctl

PROBED = 6  # key points that one transform explains, from which photos are laid over each other
# The same picture: nearly all windows look the same; or half of them do, `SURE` key points agree,
# and no patches are of another colour, as under writing. Measured on 315 copies of clothing photos
# and on pairs of unlike photos: of copies without writing all but nine have 0.93 of the windows
# alike or more; of unlike photos of clothing none has more than 0.72, of drawn eyes, which resemble
# each other, none more than 0.80. Copies under writing have 0.59 or more, and 0.001 in patches at
# most; unlike clothing photos have 0.045 or more, and drawn eyes with less share 14 key points.
ALIKE, ALIKE_UNDER_WRITING, PATCHES = 0.84, 0.55, 0.02
# Nearly all matching key points of an edited copy agree, to 0.17 pixels (the median); those of
# photos taken one after the other in one place, among 615 such pairs of clothing photos, to 0.23
# or worse, or only in a corner. So where they agree that closely, fewer windows have to look the
# same, and writing may spoil more of them.
CLEAN, EXACT, ALIKE_EXACT, ALIKE_BY_MANY = 0.85, 0.25, 0.7, 0.8
# Three more ways, taken from 266 copies of clothing photos that another hand had made. They name no
# further pair among 51,774 of unedited clothing photos, and none among 1,771 drawn pictures:
# very many key points agree that closely, all over the overlap, under a caption or a sticker;
SPOTLESS, ALL_OVER, CAPTION = 100, 0.5, 0.15
# few agree, as under a watermark in a frame, but nearly all that match, and no colour differs;
FEW, SAME_COLOURS = 10, 0.01
# few agree, as in a blurred copy, but the perceptual hashes are close, too.
FEW_CLEAN, ALIKE_HASHED = 0.8, 0.5
SHOWN = 0.3
SURE = 20  # key points from which a pair is sure, and may tie groups together
# The same place: this many key points agree, and this share of those that match, and they span this
# share of the overlap (a caption or a sticker in common spans 0.04 at most).
PLACE, PLACE_SHARE, PLACE_SPREAD = 25, 0.4, 0.045
# Stretched photos, and those with few key points, are found by 64-bit perceptual hashes that differ
# in few bits, if the details agree. Measured on 3,409 clothing photos: no pair of different
# garments on one background reaches 0.8; copies that were halved, compressed, recoloured or
# mirrored reach 0.91.
HASH_DISTANCE = 10
DETAIL_CORRELATION = 0.87
CROPS = (0.0, 0.015, 0.03, 0.045, 0.06, 0.08)  # shares of the side cut off all around

# What is remembered of two photos that were compared.
COMPARED = np.dtype(
    [
        ("a", "S16"),  # the first 16 digits of the file's hash; a before b
        ("b", "S16"),
        ("mirrored", "?"),  # whether it is the mirror image of b
        ("hashed", "?"),  # whether their perceptual hashes are close
        ("matches", "i4"),
        ("inliers", "i4"),
        ("turned", "f4"),  # degrees
        ("scale", "f4"),  # of b's picture to a's, both at `keypoints.SIDE`
        ("alike", "f4"),  # this and the next four as in `alignment.Overlap`
        ("patches", "f4"),
        ("first", "f4"),
        ("second", "f4"),
        ("brighter", "f4"),
        ("residual", "f4"),  # as in `keypoints.Match`
        ("spread", "f4"),  # share of the overlap that the agreeing key points span
        ("details", "f4"),  # their correlation, if `hashed`
    ]
)
# What is remembered of a folder: the photos' names (hashes), comparisons, and `Points`.
NOTHING = {
    "names": np.empty(0, "S16"),
    "compared": np.empty(0, COMPARED),
    "starts": np.zeros(1, np.int64),
    "widths": np.empty(0, np.int64),
    "places": np.empty((0, 2), np.float32),
    "descriptors": np.empty((0, 128), np.uint8),
}
BLOCK = 64  # photos or pairs that a thread takes at once


def find_pairs(
    root: Path, photos: pd.DataFrame, cache: Path | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Find photos that show the same picture, and photos that show the same place.

    Each photo, and its mirror image, is compared with the eight that share most words of their key
    points with it (`keypoints.nearest`). If one transform (turned, scaled, shifted) explains at
    least six matches, the two are laid over each other. They show the same *picture* if they look
    the same wherever they overlap (`alignment.compare`), and the same *place* if they do not but at
    least 25 key points, and 40 % of those that match, agree: another subject on one background.
    Stretched photos, and those with few key points, are found by 64-bit perceptual hashes (Zauner
    2010, as implemented by the ImageHash package) that differ in at most ten bits, and confirmed
    if their details, the grey levels at 48 x 48 less those of their surroundings, have a
    correlation of at least 0.87, as they are or with one of them slightly cropped.

    A pair that few key points support is weak. It counts as the same picture where it brings in a
    single photo. Two groups are joined by two weak pairs or a strong one, and no chain of weak
    pairs is followed; a pair that would do so is listed among the places.

    The result depends on the photos alone, not on their order or the number of processors.

    Args:
        root: the data root.
        photos: as from `check_images`.
        cache: a folder in which to remember key points and comparisons, by the files' content.
            None remembers nothing; a folder that cannot be written to causes a warning.

    Returns:
        The copies, one row per pair, the doubtful ones first: `path`, `copy`, `kind` (`exact`,
        `near` or `mirrored`), `conflict` (they lie in different classes), `leak` (they lie in
        different given splits), and `how` the copy differs, in words ("turned by 12 degrees,
        cropped to 81 %": shares are of the area). The places, one row per pair, the best supported
        first: `path`, `copy` (the other), and `how` the second shows the place.
    """
    kept = photos[photos["status"] == "kept"].sort_values("path")
    # Equal files are compared once; near copies are sought among one of each.
    first = kept.drop_duplicates("sha256")
    names = dict(zip(first["sha256"], first["path"], strict=True))
    equal = [
        (names[row.sha256], row.path, "exact", "same file")
        for row in kept[kept.duplicated("sha256")].itertuples()
    ]
    first = first.sort_values("sha256", ignore_index=True)
    pairs = _judge(_compare(root, first, cache), first)
    same = pairs["same"].to_numpy().copy()
    same[same] = _holding(pairs[same])
    columns = ["path", "copy", "kind", "how"]
    near = pairs.loc[same, columns].sort_values(["path", "copy"])
    copies = pd.concat([pd.DataFrame(equal, columns=columns), near])
    by_path = kept.set_index("path")
    for name, column in (("conflict", "label"), ("leak", "split")):
        values = by_path[column]
        copies[name] = values.reindex(copies["path"]).to_numpy() != (
            values.reindex(copies["copy"]).to_numpy()
        )
    copies = copies.astype({"conflict": bool, "leak": bool}).sort_values(
        ["conflict", "leak"], ascending=False, kind="stable", ignore_index=True
    )
    places = pairs[~same].sort_values(["inliers", "path", "copy"], ascending=[False, True, True])
    places = places[["path", "copy", "how"]]
    ordered = ["path", "copy", "kind", "conflict", "leak", "how"]
    return copies[ordered], places.reset_index(drop=True)


def find_copies(root: Path, photos: pd.DataFrame, cache: Path | None = None) -> pd.DataFrame:
    """Find photos that show the same picture.

    Args:
        root: the data root.
        photos: as from `check_images`.
        cache: as for `find_pairs`.

    Returns:
        The first table of `find_pairs`.
    """
    return find_pairs(root, photos, cache)[0]


def _compare(root: Path, first: pd.DataFrame, cache: Path | None) -> np.ndarray:
    """Compare what may be alike, as far as that is not remembered.

    Args:
        root: the data root.
        first: photos of different content, sorted by `sha256`.
        cache: as for `find_pairs`.

    Returns:
        Comparisons (`COMPARED`), in an order that depends on the photos alone.
    """
    names = np.array([name[:16] for name in first["sha256"]], dtype="S16")
    known = _read_cache(cache, root, ("names", "compared"))
    if len(names) < 2:
        return NOTHING["compared"]
    if np.array_equal(known["names"], names):
        return known["compared"]
    with _one_thread_each(), concurrent.futures.ThreadPoolExecutor(count_processors()) as pool:
        points = _describe(pool, root, first, names, _read_cache(cache, root, tuple(NOTHING)))
        compared = _compare_pairs(pool, root, first, names, points, known["compared"])
    _write_cache(cache, root, {"names": names, "compared": compared} | points._asdict())
    return compared


@contextlib.contextmanager
def _one_thread_each() -> Any:
    """Let OpenCV and NumPy use one thread for each of the threads here, and always add up alike."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpoolctl.threadpool_limits(1, "blas"):
            yield
    finally:
        cv2.setNumThreads(before)


def _in_blocks(
    pool: concurrent.futures.Executor, work: Callable, items: list, what: str, unit: str
) -> list:
    """Return what `work` makes of each item, in order, with a progress bar."""
    done = []
    bar = progress_bar(len(items), what, unit)
    blocks = [items[start : start + BLOCK] for start in range(0, len(items), BLOCK)]
    for block in pool.map(lambda block: [work(item) for item in block], blocks):
        done += block
        bar.update(len(block))
    bar.close()
    return done


def _describe(
    pool: concurrent.futures.Executor,
    root: Path,
    first: pd.DataFrame,
    names: np.ndarray,
    known: dict[str, np.ndarray],
) -> Points:
    """Return the key points of all photos, found in those that are not remembered."""
    rows = {name: row for row, name in enumerate(known["names"])}
    new = [number for number, name in enumerate(names) if name not in rows]
    counts, widths = np.zeros(len(names), np.int64), np.zeros(len(names), np.int64)
    places = np.empty((len(names) * keypoints.POINTS, 2), np.float32)
    descriptors = np.empty((len(places), 128), np.uint8)

    def keep(number: int, found: np.ndarray, parts: np.ndarray) -> None:
        counts[number] = len(found)
        begin = number * keypoints.POINTS
        places[begin : begin + len(found)], descriptors[begin : begin + len(found)] = found, parts

    def find(number: int) -> None:
        picture = alignment.load_picture(root / first["path"][number])
        widths[number] = picture.grey.shape[1]
        keep(number, *keypoints.find_points(picture.grey, picture.shown))

    for number, name in enumerate(names):
        if name in rows:
            row = rows[name]
            part = slice(known["starts"][row], known["starts"][row + 1])
            widths[number] = known["widths"][row]
            keep(number, known["places"][part], known["descriptors"][part])
    _in_blocks(pool, find, new, "finding key points", "photos")
    starts = np.concatenate([[0], np.cumsum(counts)])
    for number, start in enumerate(starts[:-1]):  # close the gaps, without a second array
        begin, size = number * keypoints.POINTS, counts[number]
        for values in (places, descriptors):
            values[start : start + size] = values[begin : begin + size].copy()
    return Points(starts, widths, places[: starts[-1]], descriptors[: starts[-1]])


def _compare_pairs(
    pool: concurrent.futures.Executor,
    root: Path,
    first: pd.DataFrame,
    names: np.ndarray,
    points: Points,
    known: np.ndarray,
) -> np.ndarray:
    """Return comparisons of all photos that may be alike (`COMPARED`), sorted."""
    hashes = [
        np.array([int(value, 16) for value in first[column]], dtype=np.uint64)
        for column in ("phash", "mirrored_phash")
    ]
    close = {
        (a, b, mirrored)
        for mirrored in (False, True)
        for a, b in _close_pairs(hashes[0], hashes[mirrored])
        if a < b
    }
    pairs = close | keypoints.nearest(points)
    remembered = {row[["a", "b", "mirrored"]].item(): row for row in known}
    table = np.zeros(len(pairs), COMPARED)
    todo = []
    for number, (a, b, mirrored) in enumerate(sorted(pairs)):
        key = names[a], names[b], mirrored
        row = remembered.get(key)
        if row is not None and row["hashed"] == ((a, b, mirrored) in close):
            table[number] = row
        else:
            table[number]["a"], table[number]["b"], table[number]["mirrored"] = key
            table[number]["hashed"] = (a, b, mirrored) in close
            todo.append((number, a, b))
    load = functools.lru_cache(256)(
        lambda number: alignment.load_picture(root / first["path"][number])
    )
    shrink = functools.lru_cache(256)(lambda number: _details(root / first["path"][number]))

    def fill(item: tuple[int, int, int]) -> None:
        number, a, b = item
        row = table[number]
        match = keypoints.match(points, a, b, bool(row["mirrored"]))
        row["matches"], row["inliers"] = match.matches, match.inliers
        if match.inliers >= PROBED:
            second = alignment.mirror(load(b)) if row["mirrored"] else load(b)
            row["residual"] = match.residual
            overlap = alignment.compare(load(a), second, match.transform, bool(_one_shot(row)))
            for name, value in overlap._asdict().items():
                row[name] = value
            row["spread"] = match.spread / max(1, overlap.second * second.shown.sum())
            (cosine, _, _), (sine, _, _) = match.transform
            row["turned"] = math.degrees(math.atan2(sine, cosine))
            row["scale"] = math.hypot(sine, cosine)
        # Equal frames make unlike photos alike; where there are key points, these know better.
        few = min(points.starts[n + 1] - points.starts[n] for n in (a, b)) < SURE
        if row["hashed"] and (few or (load(a).shown.all() and load(b).shown.all())):
            one, other = shrink(a), shrink(b)
            if row["mirrored"]:
                other = other[:, :, ::-1]
            agreement = [(one * other[0]).mean(axis=(1, 2)), (one[0] * other).mean(axis=(1, 2))]
            row["details"] = np.max(agreement)

    _in_blocks(pool, fill, todo, "comparing photos", "pairs")
    return table


def _one_shot(compared: Any) -> Any:
    """Tell where key points agree as closely as only those of one exposure do.

    Args:
        compared: one comparison or several (`COMPARED`), or a data frame of them.
    """
    agree = compared["inliers"] >= SURE
    agree = agree & (compared["inliers"] >= CLEAN * compared["matches"])
    return agree & (compared["residual"] <= EXACT)


def _close_pairs(left: np.ndarray, right: np.ndarray) -> set[tuple[int, int]]:
    """Return the pairs (i, j) of hashes that differ in at most `HASH_DISTANCE` bits.

    Only hashes that agree in two neighbouring groups of four bits, out of sixteen in a ring, are
    compared. Hashes within seven bits always do; of those within ten, all but a rare few.

    Args:
        left: uint64 (n,).
        right: uint64 (m,).
    """
    found: set[tuple[int, int]] = set()
    for shift in range(0, 64, 4):
        turned = [
            (x >> np.uint64(shift)) | (x << np.uint64((64 - shift) % 64)) for x in (left, right)
        ]
        keys = [(x & np.uint64(0xFF)).astype(np.uint8) for x in turned]
        for value in np.unique(keys[0]):
            i, j = (np.flatnonzero(key == value) for key in keys)
            for part in np.array_split(i, -(-len(i) * max(len(j), 1) // 4_000_000) or 1):
                apart = np.bitwise_count(left[part, None] ^ right[None, j])
                a, b = np.nonzero(apart <= HASH_DISTANCE)
                found.update(zip(part[a].tolist(), j[b].tolist(), strict=True))
    return found


def _details(path: Path) -> np.ndarray:
    """Return a photo's details, cropped by each of `CROPS`: mean 0, variance 1, (crops, 48, 48)."""
    image = Image.fromarray(decode_image(path, at_least=2 * BLUR_SIZE)).convert("L")
    image = image.resize((160, 160), Image.Resampling.BOX)
    details = []
    for crop in CROPS:
        low, high = 160 * crop, 160 * (1 - crop)
        small = image.resize((48, 48), Image.Resampling.BOX, box=(low, low, high, high))
        grey = np.asarray(small, dtype=np.float32)
        detail = grey - scipy.ndimage.uniform_filter(grey, 7)
        details.append((detail - detail.mean()) / max(detail.std(), 1e-6))
    return np.stack(details)


def _judge(compared: np.ndarray, first: pd.DataFrame) -> pd.DataFrame:
    """Tell pictures from places, and say how the second photo of each pair differs from the first.

    Args:
        compared: comparisons (`COMPARED`).
        first: photos of different content.

    Returns:
        One row per pair that has the picture or the place in common: `path`, `copy`, `kind`, `how`,
        `inliers`, `same` (picture) and `sure` (not a weak pair).
    """
    table = pd.DataFrame(compared)
    exact, many = _one_shot(table), table["inliers"] >= SURE
    alike = (table["alike"] >= ALIKE) | (exact & (table["alike"] >= ALIKE_EXACT))
    alike |= (
        many & (table["inliers"] >= CLEAN * table["matches"]) & (table["alike"] >= ALIKE_BY_MANY)
    )
    written = (
        many & (table["patches"] <= PATCHES) & (exact | (table["alike"] >= ALIKE_UNDER_WRITING))
    )
    written |= (
        exact
        & (table["inliers"] >= SPOTLESS)
        & (table["spread"] >= ALL_OVER)
        & (table["patches"] <= CAPTION)
    )
    few = table["inliers"] >= FEW
    written |= (
        few
        & (table["inliers"] >= CLEAN * table["matches"])
        & (table["spread"] >= PLACE_SPREAD)
        & (table["patches"] <= SAME_COLOURS)
        & (table["alike"] >= ALIKE_UNDER_WRITING)
    )
    written |= (
        few
        & table["hashed"]
        & (table["inliers"] >= FEW_CLEAN * table["matches"])
        & (table["patches"] <= PATCHES)
        & (table["alike"] >= ALIKE_HASHED)
    )
    large = table[["first", "second"]].max(axis=1) >= SHOWN
    aligned = (alike | written) & large
    hashed = table["details"] >= DETAIL_CORRELATION
    table["same"] = aligned | hashed
    table["sure"] = (aligned & (table["inliers"] >= SURE)) | hashed
    table["aligned"] = aligned
    place = (table["inliers"] >= PLACE) & (table["inliers"] >= PLACE_SHARE * table["matches"])
    place &= large & (table["spread"] >= PLACE_SPREAD)
    table = table[table["same"] | place]
    # A symmetric photo is like its mirror image; which of the two fits better decides.
    table = table.sort_values(
        ["same", "alike", "details", "mirrored"], ascending=[False, False, False, True]
    ).drop_duplicates(["a", "b"])
    facts = first.assign(name=first["sha256"].str[:16].str.encode("ascii")).set_index("name")
    paths = facts["path"].to_dict()
    sides = facts[["width", "height"]].max(axis=1).to_dict()
    rows = []
    for row in table.itertuples():
        ends, shares, scale = (row.a, row.b), (row.first, row.second), row.scale
        turned, brighter = row.turned, row.brighter
        if row.same and not row.aligned:  # their hashes say no more than that
            shares, scale, turned, brighter = (1.0, 1.0), 1.0, 0.0, 0.0
        scale *= sides[row.b] / sides[row.a]
        if paths[row.a] > paths[row.b]:
            ends, shares, scale, brighter = ends[::-1], shares[::-1], 1 / scale, -brighter
        how = describe(bool(row.mirrored), turned, scale, shares, brighter)
        kind = "mirrored" if row.mirrored else "near"
        rows.append((paths[ends[0]], paths[ends[1]], kind, how, row.inliers, row.same, row.sure))
    columns = ["path", "copy", "kind", "how", "inliers", "same", "sure"]
    return pd.DataFrame(rows, columns=columns).astype({"same": bool, "sure": bool})


def describe(
    mirrored: bool, turned: float, scale: float, shares: tuple[float, float], brighter: float
) -> str:
    """Say in words how one photo differs from another.

    Args:
        mirrored: whether it is a mirror image.
        turned: degrees.
        scale: pixels for one pixel of the other.
        shares: of the other photo that it shows, and of it that the other shows, by area, 0..1.
        brighter: grey levels by which it is brighter.
    """
    degrees = abs(round((turned + 180) % 360 - 180))
    parts = [
        "mirrored" if mirrored else "",
        f"turned by {degrees} degree{'s' * (degrees != 1)}" if degrees else "",
        f"scaled to {100 * scale:.0f} %" if abs(scale - 1) > 0.03 else "",
        f"cropped to {100 * shares[0]:.0f} %" if shares[0] < 0.95 else "",
        f"the first cropped to {100 * shares[1]:.0f} %" if shares[1] < 0.95 else "",
        ("brighter" if brighter > 0 else "darker") if abs(brighter) > 12 else "",
    ]
    return ", ".join(filter(None, parts)) or "saved again"


def _holding(pairs: pd.DataFrame) -> np.ndarray:
    """Tell which pairs hold, so that groups do not grow by chains of weak pairs.

    Args:
        pairs: `path`, `copy`, `inliers` and `sure`.

    Returns:
        bool (pairs,).
    """
    paths = sorted({*pairs["path"], *pairs["copy"]})
    position = {path: number for number, path in enumerate(paths)}
    ends = [(position[a], position[b]) for a, b in zip(pairs["path"], pairs["copy"], strict=True)]
    holds = pairs["sure"].to_numpy().copy()
    groups = components(len(paths), [ends[row] for row in np.flatnonzero(holds)])
    group = {number: index for index, numbers in enumerate(groups) for number in numbers}
    weak: dict[tuple[int, ...], list[int]] = {}
    inliers = pairs["inliers"].tolist()
    rows_left = np.flatnonzero(~holds).tolist()
    for row in sorted(rows_left, key=lambda row: (-inliers[row], ends[row])):
        weak.setdefault(tuple(sorted({group[end] for end in ends[row]})), []).append(row)
    brought_in: set[int] = set()
    for between, rows in weak.items():
        single = [index for index in between if len(groups[index]) == 1]
        if len(between) == 1 or (not single and len(rows) > 1):
            holds[rows] = True
        elif single and not brought_in & set(between):
            brought_in.add(single[-1])
            holds[rows] = True
    return holds


def _cache_file(cache: Path, root: Path) -> Path:
    """Return where the comparisons of a data root are kept; each version has its own name."""
    return cache / f"copies-1-{hashlib.sha256(str(root).encode()).hexdigest()[:16]}.npz"


def _read_cache(cache: Path | None, root: Path, wanted: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return what is remembered of a data root: as `NOTHING`."""
    if cache is None:
        return NOTHING
    try:
        with np.load(_cache_file(cache, root)) as file:
            found = {name: file[name] for name in wanted}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return NOTHING  # missing, unreadable or damaged: everything is computed again
    if any(found[name].dtype != NOTHING[name].dtype for name in wanted):
        return NOTHING
    return found


def _write_cache(cache: Path | None, root: Path, content: dict[str, np.ndarray]) -> None:
    """Remember the photos of a data root."""
    if cache is None:
        return
    try:
        with runs.atomic_path(_cache_file(cache, root)) as temporary:
            np.savez(temporary, allow_pickle=False, **content)
    except OSError as error:
        warnings.warn(
            f"The key points cannot be remembered in {cache} ({error.strerror}), so copies will be "
            "sought from the start next time. Make that folder writable.",
            stacklevel=4,
        )


def group_copies(photos: pd.DataFrame, copies: pd.DataFrame) -> pd.DataFrame:
    """Note in the column `copies` which photos belong together, by the path of one of them.

    Args:
        photos: as from `check_images`.
        copies: as from `find_copies`.

    Returns:
        The frame with `copies` filled in where a photo has a copy.
    """
    photos = photos.copy()
    for numbers in copy_groups(photos, copies):
        # The file with the smallest hash stands for all, wherever it lies.
        stands = min(numbers, key=lambda number: photos["sha256"].iloc[number])
        photos.iloc[numbers, photos.columns.get_loc("copies")] = photos["path"].iloc[stands]
    return photos


def copy_groups(photos: pd.DataFrame, copies: pd.DataFrame) -> list[list[int]]:
    """Return the row numbers of photos that pairs of copies tie together, one list per group.

    Args:
        photos: rows of `images.csv`.
        copies: as from `find_copies`.
    """
    position = {path: number for number, path in enumerate(photos["path"])}
    pairs = [
        (position[a], position[b]) for a, b in zip(copies["path"], copies["copy"], strict=True)
    ]
    return [numbers for numbers in components(len(photos), pairs) if len(numbers) > 1]


def components(count: int, pairs: list[tuple[int, int]]) -> list[list[int]]:
    """Return the numbers 0..count-1 in the groups that pairs tie together."""
    rows, columns = np.array(pairs, dtype=int).reshape(-1, 2).T
    graph = scipy.sparse.coo_array((np.ones(len(pairs)), (rows, columns)), shape=(count, count))
    _, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
    groups: dict[int, list[int]] = {}
    for number, label in enumerate(labels.tolist()):
        groups.setdefault(label, []).append(number)
    return list(groups.values())
