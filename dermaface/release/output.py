"""The folders that `web` and `function` make: what may be written, and what was written."""

from collections.abc import Iterator
import contextlib
import json
from pathlib import Path

import dermaface
from dermaface.photos.pixels import printable_path
from dermaface.runs import atomic_path, hash_file

INDEX = "files.json"


@contextlib.contextmanager
def new_folder(release: Path, output: str | Path, **facts: str) -> Iterator[Path]:
    """Yield a folder to fill, and put it in the place of `output` with an index of its files.

    Only an older folder with such an index is replaced, and only if nothing in it was added or
    changed since.

    Args:
        release: what goes into the folder, and so cannot hold it.
        output: the folder's name.
        facts: what else the index says.

    Raises:
        ValueError: `output` lies in the release, holds something that was not written here, or
            cannot be written.
    """
    if not str(output):
        raise ValueError("The new folder has no name. Name one.")
    output = Path(output).resolve()
    if output.is_relative_to(release.resolve()):
        raise ValueError("The new folder cannot lie inside the release. Name another one.")
    found = _foreign_file(output)
    if found:
        raise ValueError(
            f"{printable_path(output)} holds {printable_path(found)}, which this command has not "
            "written or which was changed since, and nothing is overwritten. Name a new folder."
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{printable_path(output)} cannot be made: {error.strerror}.") from error
    try:
        with atomic_path(output) as folder:
            folder.mkdir()
            yield folder
            index = {"made_by": f"dermaface {dermaface.__version__}"} | facts
            files = {_name(path, folder): hash_file(path) for path in _files(folder)}
            text = json.dumps(index | {"files": files}, indent=1) + "\n"
            (folder / INDEX).write_text(text, encoding="utf-8")
    except PermissionError as error:
        raise ValueError(
            f"{printable_path(output)} cannot be written: {error.strerror}."
        ) from error


def _foreign_file(output: Path) -> str:
    """Return the first file of a folder that its index does not name as it is, or ""."""
    if output.exists() and not output.is_dir():
        return output.name
    try:
        files = json.loads((output / INDEX).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        files = {}
    for path in _files(output):
        name = _name(path, output)
        if name == INDEX and files:
            continue
        if not isinstance(files, dict) or files.get(name) != hash_file(path):
            return name
    return ""


def _files(folder: Path) -> list[Path]:
    """Return all below a folder that is not itself a folder, sorted."""
    return sorted(p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())


def _name(path: Path, folder: Path) -> str:
    """Return a file's name in the index."""
    return path.relative_to(folder).as_posix()
