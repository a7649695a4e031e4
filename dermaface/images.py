"""Find, check and split labelled photos; no TensorFlow."""

from collections.abc import Iterable
import concurrent.futures
import hashlib
import os
from pathlib import Path

from dermaface import runs, runtime, sample
from dermaface.runs import Run, hash_file
import numpy as np
import pandas as pd
from PIL import Image, ImageOps

# The columns of images.csv, a row an image.
COLUMNS = "path label split group width height format orientation sha256 status reason".split()
SPLITS = ("train", "validation", "test")
SPLIT_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}


def find_images(data: str | Path, image_root: str | Path = "") -> tuple[Path, pd.DataFrame]:
    """List the labelled images of a folder or a CSV file, without opening them.

    Args:
        data: a folder of class folders; the same under `train/`, `validation/` (or `val/`,
            `valid/`) and `test/`; or a CSV file with the columns `path` (or `id`) and `label`,
            optionally `split` and `group`. A path may lack the ending of the file's name.
        image_root: the folder at which a CSV file's paths start, itself relative to the CSV file's
            folder; "" is that folder.

    Returns:
        The data root, and a frame with the columns `path` (relative to it), `label`, `split` and
        `group` ("" where not given), sorted by path.

    Raises:
        ValueError: there is nothing there, no images in it, or a CSV without the right columns.
    """
    data = Path(data).expanduser().resolve()
    if data.is_file():
        root = (data.parent / Path(image_root).expanduser()).resolve()
        rows = _rows_of_csv(data, root)
    elif data.is_dir():
        root, rows = data, _rows_of_folder(data)
    else:
        raise ValueError(
            f"There is no folder and no CSV file {data}. Check the path given as data."
        )
    if not rows:
        raise ValueError(
            f"No images are found under {data}. It must hold a folder a class with the images in "
            "it, or train/, validation/ and test/ with such folders in them."
        )
    frame = pd.DataFrame(rows, columns=["path", "label", "split", "group"])
    return root, frame.sort_values("path", ignore_index=True)


def _rows_of_folder(root: Path) -> list[tuple[str, str, str, str]]:
    """Return (path, label, split, "") for each image file below class folders."""
    top = [p for p in sorted(root.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    split_folders = [p for p in top if p.name.lower() in SPLIT_FOLDERS]
    given = {SPLIT_FOLDERS[p.name.lower()] for p in split_folders}
    if "train" in given and len(given) > 1:
        class_folders = [
            (SPLIT_FOLDERS[folder.name.lower()], p)
            for folder in split_folders
            for p in sorted(folder.iterdir())
            if p.is_dir() and not p.name.startswith(".")
        ]
    else:
        class_folders = [("", p) for p in top]
    return [
        (file.relative_to(root).as_posix(), folder.name, split, "")
        for split, folder in class_folders
        for file in runtime.find_image_files(folder)
    ]


def _rows_of_csv(file: Path, root: Path) -> list[tuple[str, str, str, str]]:
    """Return (path, label, split, group) for each row of a CSV file."""
    try:
        frame = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read as a CSV file: {error}") from error
    frame = frame.rename(columns={"id": "path"})
    if not {"path", "label"} <= set(frame.columns):
        raise ValueError(
            f"{file} must have the columns path (or id) and label; it has "
            f"{', '.join(frame.columns)}."
        )
    for column in ("split", "group"):
        if column not in frame:
            frame[column] = ""
    frame["split"] = frame["split"].str.lower().replace(SPLIT_FOLDERS)
    unknown = sorted(set(frame["split"]) - {*SPLITS, ""})
    if unknown:
        raise ValueError(
            f"{file} names the split {unknown[0]!r}; it must be empty or one of "
            f"{', '.join(SPLITS)}."
        )
    for path in frame["path"]:
        if not (root / path).resolve().is_relative_to(root):
            raise ValueError(f"{file} names {path!r}, which lies outside the folder {root}.")
    frame["path"] = [_with_ending(root, path) for path in frame["path"]]
    return list(frame[["path", "label", "split", "group"]].itertuples(index=False, name=None))


def _with_ending(root: Path, path: str) -> str:
    """Return the path with the ending that its file has, if it lacks one."""
    if Path(path).suffix.lower() in runtime.IMAGE_SUFFIXES or (root / path).is_file():
        return path
    endings = (ending for ending in sorted(runtime.IMAGE_SUFFIXES, key=(".jpg").__ne__))
    return next((path + e for e in endings if (root / f"{path}{e}").is_file()), path)


def check_images(root: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Open every image and read it to its end.

    Args:
        root: the data root.
        frame: as from `find_images`.

    Returns:
        The frame with the columns `width`, `height` (upright, in pixels), `format`, `orientation`
        (EXIF, 1 is upright), `sha256` of the file, `status` (`kept` or `excluded`) and `reason`.
    """
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        facts = pd.DataFrame(list(pool.map(lambda path: _check_image(root / path), frame["path"])))
    return pd.concat([frame.reset_index(drop=True), facts], axis=1)[COLUMNS]


def _check_image(path: Path) -> dict:
    """Return what `images.csv` says of one file."""
    facts = {"width": 0, "height": 0, "format": "", "orientation": 1, "sha256": ""}
    try:
        facts["sha256"] = hash_file(path)
        runtime.decode_image(path)
        with Image.open(path) as image:
            facts["format"] = image.format
            facts["orientation"] = image.getexif().get(0x0112, 1)
            facts["width"], facts["height"] = ImageOps.exif_transpose(image).size
    except FileNotFoundError:
        return facts | {"status": "excluded", "reason": "there is no such file"}
    except (ValueError, OSError) as error:
        # The message names the file, which has its own column.
        reason = str(error).removeprefix(repr(str(path))).strip()
        return facts | {"status": "excluded", "reason": reason}
    return facts | {"status": "kept", "reason": ""}


def load_thumbnails(root: Path, paths: Iterable[str], side: int = 128) -> list[np.ndarray]:
    """Return small upright versions of images, in their own proportions, for showing.

    Args:
        root: the data root.
        paths: relative to it.
        side: the longer side in pixels; a smaller image stays as it is.

    Returns:
        An array uint8 (height, width, 3), 0..255, an image.
    """
    thumbnails = []
    for path in paths:
        image = Image.fromarray(runtime.decode_image(root / path, at_least=2 * side))
        image.thumbnail((side, side))
        thumbnails.append(np.asarray(image))
    return thumbnails


def assign_splits(
    frame: pd.DataFrame,
    validation_size: float = 0.15,
    test_size: float = 0.15,
    split_seed: int = 0,
) -> pd.DataFrame:
    """Give every kept image its split; one that has a split already keeps it.

    An image's split follows from a hash of its content (of its group, where it has one), its class
    and `split_seed`, and from nothing else: adding photos never moves an old one, and copies of a
    photo stay together. The shares are therefore approximate. Where splits are given, only a
    missing validation split is cut from the training images.

    Args:
        frame: as from `check_images`.
        validation_size: share of the images for validation, 0..1.
        test_size: share of the images for the test, 0..1; not used where splits are given.
        split_seed: another seed gives another split.

    Returns:
        The frame with `split` filled in for kept images.

    Raises:
        ValueError: a share out of range, fewer than two classes, or a class without an image in one
            of the splits.
    """
    if not (0 < validation_size < 1 and 0 <= test_size < 1 and validation_size + test_size < 1):
        raise ValueError(
            "validation_size must lie between 0 and 1, test_size from 0 up, and together they must "
            f"leave something to train on; got {validation_size} and {test_size}."
        )
    frame = frame.copy()
    kept = frame[frame["status"] == "kept"]
    class_names = sorted(set(frame["label"]))
    if len(class_names) < 2:
        raise ValueError(
            f"A classifier needs at least two classes of images; found {len(class_names)}"
            + (f" ({class_names[0]})." if class_names else ".")
        )
    for label in class_names:
        if (count := int((kept["label"] == label).sum())) < 2:
            raise ValueError(
                f"Class {label!r} has {count} readable images; it needs at least two, one to train "
                "on and one to check with, and should have 30. Add photos or take the class out."
            )
    if (kept["split"] != "").any():
        kept_splits = _split_given(kept, validation_size, split_seed)
    else:
        kept_splits = _split_by_hash(kept, validation_size, test_size, split_seed)
    wanted = [split for split in SPLITS if split in set(kept_splits) or split != "test"]
    if not (kept["split"] != "").any() and test_size > 0:
        wanted = list(SPLITS)
    empty = _empty_splits(kept["label"], kept_splits, wanted)
    if empty:
        label, split = empty[0]
        hint = "Give that split at least one image of the class."
        if not (kept["split"] != "").any():
            hint = _split_hint(kept, validation_size, test_size, wanted)
        raise ValueError(f"Class {label!r} is left without an image in the {split} split. {hint}")
    frame.loc[kept.index, "split"] = kept_splits
    return frame


def _split_by_hash(
    kept: pd.DataFrame, validation_size: float, test_size: float, split_seed: int
) -> list[str]:
    """Return the split of every image by its hash."""
    keys = kept["group"].where(kept["group"] != "", kept["sha256"])
    splits = []
    for label, key in zip(kept["label"], keys, strict=True):
        digest = hashlib.sha256(f"{split_seed}/{label}/{key}".encode()).digest()
        share = int.from_bytes(digest[:8]) / 2**64
        if share < test_size:
            splits.append("test")
        elif share < test_size + validation_size:
            splits.append("validation")
        else:
            splits.append("train")
    return splits


def _split_given(kept: pd.DataFrame, validation_size: float, split_seed: int) -> list[str]:
    """Return the given splits ("" is training), and cut validation from training if missing."""
    given = kept["split"].replace("", "train")
    if "validation" not in set(given):
        train = kept[given == "train"]
        given[train.index] = _split_by_hash(train, validation_size, 0.0, split_seed)
    return list(given)


def _empty_splits(labels: pd.Series, splits: list[str], wanted: list[str]) -> list[tuple[str, str]]:
    """Return the (class, split) pairs without an image, the smallest classes first."""
    filled = set(zip(labels, splits, strict=True))
    smallest_first = labels.value_counts(ascending=True).index
    return [(a, b) for a in smallest_first for b in wanted if (a, b) not in filled]


def find_duplicates(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the kept images whose files are equal to the last byte, copies beside each other.

    Returns:
        Their rows, sorted by `sha256`, with the columns `conflict` (the copies lie in different
        classes) and `leak` (the copies lie in different splits).
    """
    kept = frame[frame["status"] == "kept"]
    copies = kept[kept.duplicated("sha256", keep=False)].sort_values(["sha256", "path"])
    groups = copies.groupby("sha256")
    return copies.assign(
        conflict=groups["label"].transform("nunique") > 1,
        leak=groups["split"].transform("nunique") > 1,
    )


def write_images(run: Run, frame: pd.DataFrame, root: Path) -> None:
    """Write `images.csv` and `labels.txt`, and note in `run.json` where the photos lie.

    Args:
        run: where to write.
        frame: as from `assign_splits`.
        root: the data root.
    """
    kept = frame[frame["status"] == "kept"]
    runs.write_csv(run.path("images.csv"), frame[COLUMNS])
    runs.write_text(run.path("labels.txt"), "\n".join(sorted(set(kept["label"]))) + "\n")
    lines = kept[["path", "label", "split", "sha256"]].agg("\t".join, axis=1)
    fingerprint = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    # A root inside the run folder is noted relative to it, so that the run can be moved.
    inside = root.is_relative_to(run.folder)
    location = root.relative_to(run.folder).as_posix() if inside else str(root)
    facts = {"root": location, "sample": sample.is_sample(root), "fingerprint": fingerprint}
    run.update(data=facts | {"images": len(kept), "excluded": len(frame) - len(kept)})


def read_images(run: Run, *splits: str) -> pd.DataFrame:
    """Return the kept rows of `images.csv` in the splits named, in that order.

    Args:
        run: where notebook 01 wrote it.
        splits: such as "train"; a split that the run does not have adds nothing.
    """
    frame = pd.read_csv(run.path("images.csv"), keep_default_na=False, dtype={"label": str})
    kept = frame[frame["status"] == "kept"]
    return pd.concat([kept[kept["split"] == split] for split in splits], ignore_index=True)


def check_same_data(run: Run, root: Path) -> None:
    """Refuse to write another folder's photos over a run, unless it is of the sample set.

    Raises:
        ValueError: the run folder holds a run of other photos.
    """
    if "data" in run.read() and not run.is_sample and run.data_root.resolve() != root.resolve():
        raise ValueError(
            f"The run folder {run.folder} holds a run of the photos in {run.data_root}, and "
            f"nothing is written over. Give another run_name for the photos in {root}."
        )


def _split_hint(
    kept: pd.DataFrame, validation_size: float, test_size: float, wanted: list[str]
) -> str:
    """Return advice that works: the first split_seed that leaves no class without an image."""
    for seed in range(1000):
        splits = _split_by_hash(kept, validation_size, test_size, seed)
        if not _empty_splits(kept["label"], splits, wanted):
            return f"Set split_seed to {seed}, which gives every class an image in every split."
    return (
        "No split_seed from 0 to 999 mends it: add photos of the class, raise the share with "
        "validation_size and test_size, or set test_size to 0."
    )
