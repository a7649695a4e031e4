"""Find and check labelled photos, and keep the table of them; no TensorFlow."""

import collections
from collections.abc import Iterable, Mapping
import concurrent.futures
import contextlib
import csv
import errno
import hashlib
import io
import os
from pathlib import Path
import stat
from typing import Any, NoReturn
import unicodedata
import warnings

from dermaface import runs
from dermaface.photos import sample
from dermaface.photos.pixels import (
    BLUR_SIZE,
    IMAGE_SUFFIXES,
    NEEDS_HEIC,
    NOT_REGULAR,
    SYSTEM_NAMES,
    blur_score,
    decode_image,
    describe_image,
    printable_path,
    resize,
)
from dermaface.photos.splits import SPLITS, TIES, across_splits
from dermaface.processors import count_processors
from dermaface.progress import progress_bar
from dermaface.runs import Run
import imagehash
import numpy as np
import pandas as pd
from PIL import Image

# The columns of images.csv, one row per image.
COLUMNS = (
    "path label split group width height format orientation sha256 status reason "
    "mode flags blur_score brightness copies scene"
).split()
# What `check_images` finds out about a file, with the values for a file of which nothing is known.
EMPTY = {
    "width": 0,
    "height": 0,
    "format": "",
    "orientation": 1,
    "sha256": "",
    "reason": "",
    "mode": "",
    "blur_score": 0.0,
    "brightness": 0.0,
    "taken": 0.0,
    "camera": "",
    "phash": "",
    "mirrored_phash": "",
}
# What notebook 01 needs of them and images.csv does without.
NOT_WRITTEN = ("taken", "camera", "phash", "mirrored_phash")
SPLIT_FOLDERS = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}

SMALLEST_SIDE = 16  # pixels; less shows nothing
DARK, BRIGHT = 40, 215  # mean grey levels beyond which a photo is flagged
THUMBNAIL_SIDE = 128  # pixels
LONGEST_SHAPE = 3.0  # long side through short side beyond which a photo is flagged


def find_images(
    data: str | Path, image_root: str | Path = "", groups: str | Path = ""
) -> tuple[Path, pd.DataFrame]:
    """List the labelled images of a folder or a CSV file, without opening them.

    Every file below a class folder is listed, whatever its name, except what systems leave behind
    (`.DS_Store`, `Thumbs.db`); `count_files` counts what was passed over.

    Args:
        data: a folder of class folders; the same under `train/`, `validation/` (or `val/`,
            `valid/`) and `test/`; or a CSV file with the columns `path` (or `id`) and `label`,
            optionally `split` and `group`. A path may omit the file's extension.
        image_root: the folder that a CSV file's paths are relative to, itself relative to the CSV
            file's folder; "" is that folder.
        groups: a CSV file that says which photos belong together, as those of one person do, with
            the columns `path` (or `id` or `image`) and `group`; "" for none. Its paths start at its
            own folder or at the data root, or are bare names of files, and may omit the extension.

    Returns:
        The data root, and a frame with the columns `path` (relative to it), `label`, `split`,
        `group` ("" where not given), and `reason` (why a file must not be opened, or ""), sorted by
        path. A name that is not UTF-8 appears as `printable_path` writes it. The frame's
        `attrs["notes"]` lists what was passed over in a CSV file, how many photos `groups` leaves
        without one, and which classes have names in two Unicode forms.

    Raises:
        ValueError: there is nothing there, no files in it, a folder that cannot be read, a link in
            place of a split folder, a CSV file with mistakes in it, or class names that cannot be
            told apart or do not fit on one line.
    """
    data = Path(os.path.realpath(Path(data).expanduser()))
    shown = printable_path(data)
    if shown != str(data):
        raise ValueError(
            f"The path {shown} is not UTF-8 text on one line. Rename the folder or file."
        )
    notes: list[str] = []
    if data.is_file():
        root = Path(os.path.realpath(data.parent / Path(image_root).expanduser()))
        rows = _rows_of_csv(data, root, notes)
    elif data.is_dir():
        root, rows = data, _rows_of_folder(data)
    else:
        raise ValueError(f"There is no folder or CSV file {data}. Check the path given as data.")
    if not rows:
        raise ValueError(
            f"No images were found under {data}. It must hold one folder of images per class, or "
            "train/, validation/ and test/ with such folders in them."
        )
    if str(groups):
        rows = _with_groups(rows, root, Path(groups).expanduser(), notes)
    names = {label for _, label, _, _ in rows} - {""}
    _check_class_names(names)
    forms = collections.Counter(map(_composed, names))
    notes += [
        f"The class {name} is written in {count} Unicode forms that look alike; it counts as one."
        for name, count in sorted(forms.items())
        if count > 1
    ]
    folders = {os.path.dirname(path) for path, *_ in rows}
    away = {f for f in folders if not Path(os.path.realpath(root / f)).is_relative_to(root)}
    reasons = [
        LEAVES if os.path.dirname(path) in away else _reason_to_refuse(root, path)
        for path, *_ in rows
    ]
    rows = [(printable_path(p), _composed(c), s, _composed(g)) for p, c, s, g in rows]
    frame = pd.DataFrame(rows, columns=["path", "label", "split", "group"]).assign(reason=reasons)
    frame.loc[frame["label"] == "", "reason"] = "has no label"
    frame = frame.sort_values("path", ignore_index=True)
    frame.attrs["notes"] = notes
    return root, frame


def find_unlabelled(folder: str | Path) -> tuple[Path, pd.DataFrame]:
    """List the files of a folder whose photos have no class, as `find_images` lists labelled ones.

    Raises:
        ValueError: there is no such folder, it cannot be read, or it holds no files.
    """
    root = Path(os.path.realpath(Path(folder).expanduser()))
    if not root.is_dir():
        raise ValueError(
            f"There is no folder {printable_path(root)}. strangers must name a folder of photos "
            "that show none of the classes, or be empty."
        )
    paths = sorted(file.relative_to(root).as_posix() for file in _files_below(root))
    if not paths:
        raise ValueError(
            f"There are no files in {printable_path(root)}. Put photos there that show none of the "
            "classes, or leave strangers empty."
        )
    names = [printable_path(path) for path in paths]
    reasons = [_reason_to_refuse(root, path) for path in paths]
    frame = pd.DataFrame({"path": names, "label": "", "split": "", "group": "", "reason": reasons})
    return root, frame


def _is_system_name(name: str) -> bool:
    """Tell whether a system, not a person, put a file or folder there."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


def _folders_in(folder: Path) -> list[Path]:
    """Return the folders that a person put in a folder, sorted."""
    try:
        return sorted(p for p in folder.iterdir() if p.is_dir() and not _is_system_name(p.name))
    except OSError as error:
        _refuse_folder(error)


def _refuse_folder(error: OSError) -> NoReturn:
    """Say which folder cannot be read.

    Raises:
        ValueError: always.
    """
    raise ValueError(
        f"The folder {printable_path(error.filename)} cannot be read ({error.strerror}), so its "
        "photos would silently be left out. Make it readable, or move it away."
    ) from error


def _rows_of_folder(root: Path) -> list[tuple[str, str, str, str]]:
    """Return (path, label, split, "") for each file below the class folders."""
    top = _folders_in(root)
    split_folders = [p for p in top if p.name.lower() in SPLIT_FOLDERS]
    given = {SPLIT_FOLDERS[p.name.lower()] for p in split_folders}
    if "train" in given and len(given) > 1:
        for folder in split_folders:
            if folder.is_symlink():
                raise ValueError(
                    f"The folder {folder} is a link, and links to folders are not followed. Put "
                    "the folder itself there, or name its photos in a CSV file and set image_root."
                )
        class_folders = [
            (SPLIT_FOLDERS[folder.name.lower()], p)
            for folder in split_folders
            for p in _folders_in(folder)
        ]
    else:
        class_folders = [("", p) for p in top]
    return [
        (file.relative_to(root).as_posix(), folder.name, split, "")
        for split, folder in class_folders
        for file in _files_below(folder)
    ]


def _files_below(folder: Path) -> list[Path]:
    """Return the files below a class folder; a link to a folder counts as one file."""
    if folder.is_symlink():
        return [folder]
    found = []
    for parent, folders, names in os.walk(folder, onerror=_refuse_folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        folders[:] = [n for n in folders if n not in links and not _is_system_name(n)]
        found += [Path(parent, name) for name in names + links if not _is_system_name(name)]
    return found


def _check_class_names(names: set[str]) -> None:
    """Refuse class names that are not text on one line, and those that people cannot tell apart.

    Raises:
        ValueError: there is such a name.
    """
    alike: dict[str, str] = {}
    for name in sorted(names):
        if len(name.splitlines()) != 1 or printable_path(name) != name:
            raise ValueError(
                f"The class name {name!r} is not UTF-8 text on one line, which labels.txt and the "
                "released file require. Rename the class."
            )
        other = alike.setdefault(" ".join(_composed(name).casefold().split()), name)
        if _composed(other) != _composed(name):
            raise ValueError(
                f"The classes {other!r} and {name!r} differ only in upper and lower case or in "
                "spaces, so nobody can tell whether they are one class or two. Give both the same "
                "name, or names that differ clearly."
            )


def _composed(name: str) -> str:
    """Return a name in Unicode's composed form, in which each accent is part of its letter."""
    return unicodedata.normalize("NFC", name)


LEAVES = "is a link that leaves the data folder"


def _reason_to_refuse(root: Path, path: str) -> str:
    """Return why a file must not be opened, or ""."""
    if printable_path(path) != path:
        return "has a name that is not UTF-8 or contains a line break; rename it"
    file = root / path
    try:
        kind = file.stat().st_mode
    except OSError as error:
        kind = stat.S_IFREG  # opening it will say why that fails
        if error.errno == errno.ELOOP:
            return "is a link that leads in a circle"
    if os.path.islink(file):
        if not Path(os.path.realpath(file)).is_relative_to(root):
            return LEAVES
        if stat.S_ISDIR(kind):
            return "is a link to a folder"
    if stat.S_ISDIR(kind):
        return "is a folder"
    return "" if stat.S_ISREG(kind) else NOT_REGULAR.removeprefix("it ")


def _rows_of_csv(file: Path, root: Path, notes: list[str]) -> list[tuple[str, str, str, str]]:
    """Return (path, label, split, group) for each row of a CSV file, and note what is not used."""
    frame = _read_csv(file)
    path = "path" if "path" in frame else "id"
    _refuse_repeated_columns(file, frame, (path, "label", "split", "group"))
    frame = frame.rename(columns={path: "path"})
    if not {"path", "label"} <= set(frame.columns):
        raise ValueError(
            f"{file} must have the columns path (or id) and label, and may have split and group; "
            f"it has {', '.join(frame.columns)}."
        )
    unused = [name for name in frame if name not in ("path", "label", "split", "group", "")]
    if unused:
        notes.append(f"The CSV file's columns {', '.join(unused)} are not used.")
    for column in ("split", "group"):
        if column not in frame:
            frame[column] = ""
    frame = frame[["path", "label", "split", "group"]].apply(lambda column: column.str.strip())
    frame["split"] = frame["split"].str.lower().replace(SPLIT_FOLDERS)
    unknown = sorted(set(frame["split"]) - {*SPLITS, ""})
    if unknown:
        raise ValueError(
            f"{file} names the split {unknown[0]!r}; it must be empty or one of "
            f"{', '.join(SPLITS)}."
        )
    paths = [os.path.relpath(os.path.join(root, path), root) for path in frame["path"]]
    for given, path in zip(frame["path"], paths, strict=True):
        if not given or path.split(os.sep)[0] == os.pardir:
            raise ValueError(f"{file} names {given!r}, which lies outside the folder {root}.")
    frame["path"] = _with_endings(root, paths)
    repeated = int(frame.duplicated().sum())
    if repeated:
        notes.append(f"Rows of the CSV file that repeat another, and count once: {repeated}.")
    frame = frame.drop_duplicates()
    twice = frame[frame.duplicated("path", keep=False)].sort_values("path")
    if len(twice):
        first, second = twice.head(2).itertuples(index=False, name=None)
        raise ValueError(
            f"{file} has two rows for {first[0]!r} that differ: {first[1:]} and {second[1:]} "
            "(label, split, group). Keep one of them."
        )
    return list(frame.itertuples(index=False, name=None))


def _refuse_repeated_columns(file: Path, frame: pd.DataFrame, names: Iterable[str]) -> None:
    """Refuse a table that has one of the named columns more than once.

    Raises:
        ValueError: it has.
    """
    if twice := [name for name in names if list(frame).count(name) > 1]:
        raise ValueError(
            f"{file} has the column {twice[0]} more than once (upper and lower case count as "
            "the same). Keep one of them."
        )


def _with_groups(
    rows: list[tuple[str, str, str, str]], root: Path, file: Path, notes: list[str]
) -> list[tuple[str, str, str, str]]:
    """Return the rows with the group that a CSV file gives each; see `find_images`."""
    if any(group for *_, group in rows):
        raise ValueError(
            f"The photos already have groups, in the column group of the CSV file given as data. "
            f"Leave out either that column or the file given as groups ({file})."
        )
    frame = _read_csv(file)
    name = next((name for name in ("path", "id", "image") if name in frame), "")
    if not name or "group" not in frame:
        raise ValueError(
            f"{file} must have the columns path (or id or image) and group; it has "
            f"{', '.join(frame.columns)}."
        )
    _refuse_repeated_columns(file, frame, (name, "group"))
    # A photo answers to its path and to its bare name, each with and without the extension.
    known: dict[str, set[str]] = collections.defaultdict(set)
    for path, *_ in rows:
        for known_as in {path, os.path.basename(path)}:
            known[known_as].add(path)
            known[os.path.splitext(known_as)[0]].add(path)
    start = os.path.realpath(file.parent)
    found: dict[str, str] = {}
    strangers = 0
    for given, group in zip(frame[name].str.strip(), frame["group"].str.strip(), strict=True):
        tried = [os.path.relpath(os.path.join(start, given), root), os.path.normpath(given)]
        paths = next((known[path] for path in tried if path in known), set())
        strangers += not paths
        if len(paths) > 1:
            raise ValueError(
                f"{file} names {given!r}, which may be {' or '.join(sorted(paths)[:2])}. Give "
                "paths instead of bare names."
            )
        for path in paths:
            if found.setdefault(path, group) != group:
                raise ValueError(
                    f"{file} puts {given!r} in two groups, {found[path]!r} and {group!r}. Keep one."
                )
    if not any(found.values()):
        raise ValueError(
            f"{file} names a group for none of the {len(rows)} photos. Its paths must start at its "
            f"own folder or at {root}; the first is {''.join(frame[name][:1])!r}, and a photo is "
            f"{rows[0][0]!r}."
        )
    missing = sum(not found.get(path) for path, *_ in rows)
    if missing:
        notes.append(f"Photos without a group in the file given as groups: {missing}.")
    if strangers:
        notes.append(f"Rows of the file given as groups that name no photo here: {strangers}.")
    return [(path, label, split, found.get(path, "")) for path, label, split, _ in rows]


def _read_csv(file: Path) -> pd.DataFrame:
    """Return the fields of a CSV file as text, under the names in its first line in lower case.

    Raises:
        ValueError: it cannot be read, is empty or not text, a quotation mark is not closed, or a
            row has more fields than the first line has names.
    """
    try:
        return _parse_csv(file)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{file} cannot be read as a CSV file in UTF-8: {error}") from error


def _parse_csv(file: Path) -> pd.DataFrame:
    """Do the work of `_read_csv`."""
    text = file.read_text(encoding="utf-8-sig")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise ValueError(
            f"line {line} holds a NUL byte, which text never does. Save the file again as text."
        )
    head = text.splitlines()[0] if text.strip() else ""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True
    )
    names = [name.strip().lower() for name in next(filter(None, reader), [])]
    if not names:
        raise ValueError("it is empty")
    rows = []
    for row in filter(None, reader):  # empty lines make no rows
        if any(field.strip() for field in row[len(names) :]):
            raise ValueError(
                f"line {reader.line_num} has {len(row)} fields, but the first line names "
                f"{len(names)}"
            )
        rows.append((row + [""] * len(names))[: len(names)])
    return pd.DataFrame(rows, columns=names, dtype=str)


def _with_endings(root: Path, paths: list[str]) -> list[str]:
    """Return the paths, adding the file's extension, whatever its case, where it is omitted."""
    bare = {path for path in paths if os.path.splitext(path)[1].lower() not in IMAGE_SUFFIXES}
    endings: dict[str, list[str]] = {}
    for folder in {os.path.dirname(path) for path in bare}:
        # A folder that cannot be listed is passed over: opening the file will say why it fails.
        with contextlib.suppress(OSError), os.scandir(root / folder) as entries:
            for entry in entries:
                name, ending = os.path.splitext(entry.name)
                if ending.lower() in ENDINGS and entry.is_file():
                    endings.setdefault(os.path.join(folder, name), []).append(ending)
    return [
        path + min(endings[path], key=lambda ending: (ENDINGS.index(ending.lower()), ending))
        if path in bare and path in endings and not os.path.isfile(os.path.join(root, path))
        else path
        for path in paths
    ]


# Extensions that a CSV file may omit.
ENDINGS = (".jpg", ".jpeg", *sorted(IMAGE_SUFFIXES - {".jpg", ".jpeg"}))


def count_files(root: Path, photos: pd.DataFrame) -> pd.Series:
    """Count every file below the data root, by what became of it.

    Args:
        root: the data root.
        photos: as from `check_images`.

    Returns:
        Counts that add up to the files on disk, and their sum, `on disk`: the listed files that are
        `kept` or `excluded`, `system files`, and `files beside the class folders` (with a CSV file:
        files that it does not name), whose names are the attribute `beside`.
    """
    on_disk = []
    for parent, folders, names in os.walk(root):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        on_disk += [Path(parent, name).relative_to(root) for name in names + links]
    others = {printable_path(path.as_posix()): path for path in on_disk}
    # A CSV file may name what is not there, and what is reached through a link to a folder.
    places = [os.path.split(path) for path in photos["path"]]
    real = {folder: os.path.realpath(root / folder) for folder in {folder for folder, _ in places}}
    names = [os.path.relpath(os.path.join(real[folder], name), root) for folder, name in places]
    listed = photos[[others.pop(name, None) is not None for name in names]]
    system = sum(any(_is_system_name(part) for part in path.parts) for path in others.values())
    counts = pd.Series(
        {
            "kept": int((listed["status"] == "kept").sum()),
            "excluded": int((listed["status"] == "excluded").sum()),
            "system files": system,
            "files beside the class folders": len(others) - system,
            "on disk": len(on_disk),
        }
    )
    counts.attrs["beside"] = sorted(
        name for name, path in others.items() if not any(map(_is_system_name, path.parts))
    )
    return counts


def check_images(
    root: Path, frame: pd.DataFrame, blur_threshold: float = 100.0, cache: Path | None = None
) -> pd.DataFrame:
    """Open every image, read it to the end, and measure it.

    Args:
        root: the data root.
        frame: as from `find_images`.
        blur_threshold: `blur_score` at 224 px below which a photo is flagged.
        cache: a folder in which to remember the findings; a file whose size and modification time
            are still the same is not opened again. None remembers nothing; a folder that cannot
            be written to causes a warning.

    Returns:
        The frame with the columns of `images.csv` and those in `NOT_WRITTEN`: `width`,
        `height` (upright, in pixels), `format`, `orientation` (1..8 from EXIF, by which it is
        turned upright; 1 is upright), `mode` (of its pixels, in Pillow's terms), `sha256` of the
        file, `status` (`kept` or `excluded`) and `reason`; `blur_score` and `brightness` (mean grey
        level, 0..255) at 224 px, `flags`, any of `blur`, `dark`, `bright` and `shape`, and `taken`
        and `camera` as from `describe_image`.
    """
    stamps = [_stamp(root / path) for path in frame["path"]]
    known = _read_cache(cache, root)
    wanted = [
        number
        for number, (path, stamp, reason) in enumerate(
            zip(frame["path"], stamps, frame["reason"], strict=True)
        )
        if not reason and (path, stamp) not in known
    ]
    with concurrent.futures.ThreadPoolExecutor(count_processors()) as pool:
        paths = [root / frame["path"].iloc[number] for number in wanted]
        bar = progress_bar(len(paths), "checking", "files")
        for number, facts in zip(wanted, pool.map(_check_image, paths), strict=True):
            known[frame["path"].iloc[number], stamps[number]] = facts
            bar.update()
        bar.close()
    rows = [
        EMPTY | {"reason": reason} if reason else known[path, stamp]
        for path, stamp, reason in zip(frame["path"], stamps, frame["reason"], strict=True)
    ]
    if wanted:
        _write_cache(cache, root, known)
    facts = pd.DataFrame(rows, columns=list(EMPTY))
    facts["status"] = np.where(facts["reason"] == "", "kept", "excluded")
    facts["flags"] = _flags(facts, blur_threshold)
    facts["copies"] = facts["scene"] = ""
    left = frame.drop(columns="reason").reset_index(drop=True)
    return pd.concat([left, facts], axis=1)[[*COLUMNS, *NOT_WRITTEN]]


def _stamp(path: Path) -> str:
    """Return a file's size and modification time, which tell whether it has changed."""
    try:
        status = path.stat()
    except OSError:
        return "missing"
    return f"{status.st_size}/{status.st_mtime_ns}"


def _cache_file(cache: Path, root: Path) -> Path:
    """Return where the findings about a data root are kept; each version has its own name."""
    return cache / f"checked-5-{hashlib.sha256(str(root).encode()).hexdigest()[:16]}.csv"


def _read_cache(cache: Path | None, root: Path) -> dict[tuple[str, str], dict]:
    """Return what is remembered about each (path, stamp)."""
    if cache is None:
        return {}
    types = {name: type(value) for name, value in EMPTY.items()} | {"path": str, "stamp": str}
    try:
        table = pd.read_csv(_cache_file(cache, root), keep_default_na=False, dtype=types)
        keys = zip(table.pop("path"), table.pop("stamp"), strict=True)
        return dict(zip(keys, table[list(EMPTY)].to_dict("records"), strict=True))
    except (ValueError, KeyError, OSError):
        return {}  # missing, unreadable or damaged: everything is checked again


def _write_cache(cache: Path | None, root: Path, known: dict[tuple[str, str], dict]) -> None:
    """Remember the findings about each (path, stamp), except those that may differ next time."""
    if cache is None:
        return
    table = pd.DataFrame(
        [
            {"path": path, "stamp": stamp} | facts
            for (path, stamp), facts in known.items()
            if stamp != "missing" and not facts["reason"].startswith(PASSING)
        ]
    )
    try:
        runs.write_csv(_cache_file(cache, root), table)
    except OSError as error:
        warnings.warn(
            f"The findings cannot be remembered in {cache} ({error.strerror}), so every file will "
            "be opened again next time. Make that folder writable.",
            stacklevel=3,
        )


NO_FILE = "there is no such file"
NOT_OPENED = "cannot be opened"
# Reasons that may go away although the file stays as it is.
PASSING = (NO_FILE, NOT_OPENED, NEEDS_HEIC)


def _check_image(path: Path) -> dict[str, Any]:
    """Return what can be said about one file."""
    facts: dict[str, Any] = dict(EMPTY)
    try:
        content = path.read_bytes()
        facts["sha256"] = hashlib.sha256(content).hexdigest()
        if not content:
            return facts | {"reason": "is empty (0 bytes)"}
        pixels, described = describe_image(io.BytesIO(content), 2 * BLUR_SIZE)
    except FileNotFoundError:
        return facts | {"reason": NO_FILE}
    except OSError as error:
        return facts | {"reason": f"{NOT_OPENED}: {error.strerror}"}
    except ValueError as error:
        return facts | {"reason": str(error).removeprefix("The file ")}
    facts |= described
    if min(facts["width"], facts["height"]) < SMALLEST_SIDE:
        return facts | {"reason": f"is only {facts['width']} x {facts['height']} pixels"}
    small = resize(pixels, BLUR_SIZE)
    facts["blur_score"] = round(blur_score(small), 2)
    facts["brightness"] = round(float(small.mean()), 2)
    grey = Image.fromarray(small).convert("L")
    facts["phash"] = str(imagehash.phash(grey))
    facts["mirrored_phash"] = str(imagehash.phash(grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))
    return facts


def require_kept(photos: pd.DataFrame, parameter: str = "data") -> None:
    """Check that at least one photo can be used.

    Args:
        photos: as from `check_images`.
        parameter: the one that named them.

    Raises:
        ValueError: no file can be used; the message counts the reasons, most frequent first.
    """
    if (photos["status"] == "kept").any():
        return
    counts = photos["reason"].value_counts()
    reasons = [f"'{reason}' ({count})" for reason, count in counts.head(5).items()]
    if rest := int(counts[5:].sum()):
        reasons.append(f"others ({rest})")
    raise ValueError(
        f"None of the {len(photos)} files can be used: {', '.join(reasons)}. Check that "
        f"{parameter} {'(and image_root, for a CSV file) ' if parameter == 'data' else ''}names "
        "the right folder, or repair the files."
    )


def _flags(facts: pd.DataFrame, blur_threshold: float) -> list[str]:
    """Return the flags of each row, separated by spaces."""
    long, short = facts[["width", "height"]].max(axis=1), facts[["width", "height"]].min(axis=1)
    raised = {
        "blur": facts["blur_score"] < blur_threshold,
        "dark": facts["brightness"] < DARK,
        "bright": facts["brightness"] > BRIGHT,
        "shape": long > LONGEST_SHAPE * short,
    }
    kept = facts["status"] == "kept"
    table = pd.DataFrame(
        {name: np.where(column & kept, name, "") for name, column in raised.items()}
    )
    return [" ".join(filter(None, row)) for row in table.itertuples(index=False, name=None)]


def load_thumbnails(root: Path, paths: Iterable[str]) -> list[np.ndarray]:
    """Return small upright versions of images, in their own proportions, for display.

    Args:
        root: the data root.
        paths: relative to it.

    Returns:
        For each image uint8 (height, width, 3), 0..255; its longer side has at most 128 pixels.
    """
    thumbnails = []
    for path in paths:
        image = Image.fromarray(decode_image(root / path, at_least=2 * THUMBNAIL_SIDE))
        image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        thumbnails.append(np.asarray(image))
    return thumbnails


def write_images(
    run: Run, frame: pd.DataFrame, root: Path, splitting: Mapping[str, object] | None = None
) -> None:
    """Write `images.csv` and `labels.txt`, and note in `run.json` where the photos are.

    Args:
        run: where to write.
        frame: as from `assign_splits`.
        root: the data root.
        splitting: the numbers that were given to `assign_splits`, by name.
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
    facts |= {"images": len(kept), "excluded": len(frame) - len(kept)}
    for column, noun in TIES.items():
        table = across_splits(kept, column)
        counts = {split: int(count) for split, count in table.sum().items()}
        facts[f"{noun}s_across_splits"] = {f"{noun}s": len(table), "photos": counts}
    run.update(data=facts | {"splitting": splitting})


def read_earlier(
    run: Run, splitting: Mapping[str, object], previous: str | Path = ""
) -> pd.DataFrame | None:
    """Return the rows of earlier lists that decide where photos stay, for `assign_splits`.

    Args:
        run: where `write_images` may have written before.
        splitting: as for `write_images`; a list of this run that was made with other numbers is
            ignored.
        previous: the folder of an earlier run or its `images.csv`, whatever its numbers. It comes
            before the run's own list, which then counts for the photos that it does not name.

    Returns:
        The kept rows, or None if there is no such list.

    Raises:
        ValueError: there is no list where `previous` says, or one is damaged.
    """
    rows = read_previous(previous)[lambda table: table["status"] == "kept"] if previous else None
    noted = run.read().get("data", {}).get("splitting")
    if noted != splitting or not run.path("images.csv").is_file():
        return rows
    own = read_images(run, *SPLITS)
    if rows is None:
        return own
    return pd.concat([rows, own[~own["sha256"].isin(rows["sha256"])]], ignore_index=True)


def read_previous(previous: str | Path) -> pd.DataFrame:
    """Return all rows of an earlier run's list.

    Args:
        previous: the run's folder or its `images.csv`.

    Raises:
        ValueError: there is no such list, or it is damaged.
    """
    path = Path(previous).expanduser()
    path = path / "images.csv" if path.is_dir() else path
    if not path.is_file():
        raise ValueError(
            f"There is no list of photos {path}. previous must be the folder of an earlier run, or "
            "the images.csv in it."
        )
    table = read_table(path)
    if missing := [name for name in COLUMNS if name not in table]:
        raise ValueError(f"{path} is no list of photos: it lacks the column {missing[0]}.")
    return table


def read_table(path: Path) -> pd.DataFrame:
    """Return all rows of an `images.csv`, each column in its own type.

    Raises:
        ValueError: it holds something else, such as text where a number belongs.
    """
    types = {name: type(EMPTY.get(name, "")) for name in COLUMNS}
    try:
        table = pd.read_csv(path, na_filter=False, dtype=types)
        if "scene" not in table:  # An early version knew none.
            table["scene"] = ""
        return table
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged or from an earlier version ({error}). Run notebook 01 again."
        ) from error


def read_images(run: Run, *splits: str) -> pd.DataFrame:
    """Return the kept rows of `images.csv` in the named splits, in that order.

    Args:
        run: where notebook 01 wrote it.
        splits: such as "train"; a split that the run does not have adds nothing.

    Raises:
        ValueError: the file is damaged.
    """
    frame = read_table(run.path("images.csv"))
    kept = frame[frame["status"] == "kept"]
    return pd.concat([kept[kept["split"] == split] for split in splits], ignore_index=True)


def check_same_data(run: Run, root: Path) -> None:
    """Refuse to write another folder's photos over a run, unless that is a run of the sample set.

    Raises:
        ValueError: the run folder holds a run of other photos.
    """
    if "data" in run.read() and not run.is_sample and run.data_root.resolve() != root.resolve():
        raise ValueError(
            f"The run folder {run.folder} holds a run of the photos in {run.data_root}, and "
            f"nothing is overwritten. Give another run_name for the photos in {root}."
        )
