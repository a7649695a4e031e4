"""Which photos show the same picture."""

import concurrent.futures
from pathlib import Path

from dermaface.photos.pixels import BLUR_SIZE, decode_image
from dermaface.processors import count_processors
import numpy as np
import pandas as pd
from PIL import Image
import scipy.ndimage
import scipy.sparse.csgraph

# Two photos are copies if their 64-bit perceptual hashes differ in few bits and their details
# agree. Measured on 3,409 clothing photos: no pair of different garments on one background reaches
# 0.8; copies that were halved, compressed, recoloured, mirrored or cropped by up to 8 % reach 0.91
# if their hashes let them be compared, which those of cropped copies often do not.
HASH_DISTANCE = 10
DETAIL_CORRELATION = 0.87
CROPS = (0.0, 0.015, 0.03, 0.045, 0.06, 0.08)  # shares of the side cut off all around


def find_copies(root: Path, photos: pd.DataFrame) -> pd.DataFrame:
    """Find photos that show the same picture: equal files and near copies, mirrored ones too.

    Near copies (scaled, recompressed, slightly cropped or recoloured) are found by 64-bit
    perceptual hashes (Zauner 2010, as implemented by the ImageHash package) that differ in at most
    ten bits, and confirmed on the pixels: the details of the two, which are the grey levels at
    48 x 48 less those of their surroundings, have a correlation of at least 0.87, as they are or
    with one of them slightly cropped.

    Args:
        root: the data root.
        photos: as from `check_images`.

    Returns:
        One row per pair, the doubtful ones first: `path`, `copy`, `kind` (`exact`, `near` or
        `mirrored`), `conflict` (they lie in different classes) and `leak` (they lie in different
        given splits).
    """
    kept = photos[photos["status"] == "kept"].sort_values("path")
    # Equal files are compared once; near copies are sought among one of each.
    first = kept.drop_duplicates("sha256").reset_index(drop=True)
    names = dict(zip(first["sha256"], first["path"], strict=True))
    again = kept[kept.duplicated("sha256")]
    pairs = [(names[row.sha256], row.path, "exact") for row in again.itertuples()]
    plain, mirrored = (
        np.array([int(value, 16) for value in first[column]], dtype=np.uint64)
        for column in ("phash", "mirrored_phash")
    )
    candidates = {}
    for kind, other in (("mirrored", mirrored), ("near", plain)):
        for a, b in _close_pairs(plain, other):
            if a < b:
                candidates[a, b] = kind
    shown = sorted({number for pair in candidates for number in pair})
    with concurrent.futures.ThreadPoolExecutor(count_processors()) as pool:
        paths = [root / first["path"][number] for number in shown]
        details = dict(zip(shown, pool.map(_details, paths), strict=True))
    for (a, b), kind in sorted(candidates.items()):
        one, other = details[a], details[b]
        if kind == "mirrored":
            other = other[:, :, ::-1]
        agreement = [(one * other[0]).mean(axis=(1, 2)), (one[0] * other).mean(axis=(1, 2))]
        if np.max(agreement) >= DETAIL_CORRELATION:
            pairs.append((first["path"][a], first["path"][b], kind))
    table = pd.DataFrame(pairs, columns=["path", "copy", "kind"])
    by_path = kept.set_index("path")
    for name, column in (("conflict", "label"), ("leak", "split")):
        values = by_path[column]
        table[name] = values.reindex(table["path"]).to_numpy() != (
            values.reindex(table["copy"]).to_numpy()
        )
    table = table.astype({"conflict": bool, "leak": bool})
    return table.sort_values(
        ["conflict", "leak"], ascending=False, kind="stable", ignore_index=True
    )


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
