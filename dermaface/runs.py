"""A run: the folder in which one pass through the notebooks leaves its files."""

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
from pathlib import Path
import platform
import shutil
import tempfile
import time
from typing import TYPE_CHECKING, Any

import dermaface

if TYPE_CHECKING:
    import pandas as pd

NOTEBOOKS = (
    "01_explore_data",
    "02_build_model",
    "03_train_model",
    "04_analyze_curves",
    "05_convert_and_test_tflite",
)

# Run by hand, outside `dermaface run`.
FURTHER_NOTEBOOKS = ("06_compare_settings", "08_try_it")

# The files of the run folder that each notebook reads and writes, as names relative to it. Whether
# a notebook must run again depends on its parameters, what it takes (below) and what it reads.
READS = {
    "01_explore_data": (),
    "02_build_model": ("images.csv", "labels.txt"),
    "03_train_model": ("images.csv", "labels.txt", "model_untrained.keras"),
    "04_analyze_curves": (
        *("images.csv", "labels.txt", "model.keras", "history.csv", "scratch.csv"),
        "model_untrained.keras",
    ),
    "05_convert_and_test_tflite": (
        *("images.csv", "labels.txt", "model.keras", "predictions.csv"),
        "metrics.json",
    ),
    "06_compare_settings": ("images.csv", "labels.txt", "model_untrained.keras"),
}
WRITES = {
    "01_explore_data": ("images.csv", "labels.txt"),
    "02_build_model": ("model_untrained.keras",),
    "03_train_model": ("model.keras", "history.csv", "scratch.csv"),
    "04_analyze_curves": ("predictions.csv", "metrics.json"),
    "05_convert_and_test_tflite": ("conversion.csv", "release"),
    "06_compare_settings": ("settings.csv", "settings.yaml"),
}
# Files that only some runs have.
OPTIONAL = ("scratch.csv",)
# The parameters of earlier notebooks that a notebook takes: to it they are like its own.
TAKES = {
    "03_train_model": (
        *("horizontal_flip", "rotation", "translation", "zoom", "contrast"),
        "backbone",
    ),
    "04_analyze_curves": ("cache_gb",),
    "05_convert_and_test_tflite": ("blur_threshold", "backbone", "image_size"),
}
# Where a run lies and how it is seeded belong to every notebook; all else belongs to one.
SHARED_PARAMETERS = ("run_name", "output_dir", "seed")
PACKAGES = ("tensorflow", "keras", "ai-edge-litert", "numpy", "pillow")
# Begins the name of anything that exists only while something is being written.
TEMPORARY_PREFIX = ".dermaface-"


def project_root() -> Path:
    """Return the folder that holds `notebooks/`: the current one, a parent of it, or the checkout.

    Raises:
        ValueError: none holds the notebooks.
    """
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parents[1]):
        if (folder / "notebooks" / f"{NOTEBOOKS[0]}.ipynb").is_file():
            return folder
    raise ValueError(
        "The notebooks were not found in this folder or one above it. Make a folder for them with "
        "'dermaface new FOLDER', and run the command from inside it."
    )


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` (same suffix), and rename it to `path` at the end.

    A killed process leaves either the old file or the new one, never half of it. This works for a
    folder, too, which then replaces the old one; a process killed between these two steps leaves
    the old one where `clear_leftovers` finds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=path.parent))
    try:
        temporary = holder / path.name
        yield temporary
        if path.is_dir():
            (holder / "old").mkdir()
            path.rename(holder / "old" / path.name)
        os.replace(temporary, path)
    finally:
        _remove_holder(holder)


def clear_leftovers(folder: Path) -> None:
    """Remove what was being written into a folder when the process was killed.

    A folder that was about to be replaced gets its place back.
    """
    for holder in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if holder.is_dir():
            _remove_holder(holder)


def _remove_holder(holder: Path) -> None:
    """Remove the folder in which `atomic_path` writes, after putting back what lost its place."""
    for old in holder.glob("old/*"):
        place = holder.parent / old.name
        # What has been replaced is never put back, even if this removal stops half-way.
        old.rename(holder / "replaced" if place.exists() else place)
    shutil.rmtree(holder, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path, seconds: float) -> Iterator[None]:
    """Hold a lock that ends with the process, after waiting for it at most `seconds`.

    Raises:
        ValueError: another process holds it for longer.
    """
    import filelock  # not part of the base install, which needs other parts of this file

    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=seconds)
    except filelock.Timeout as error:
        raise ValueError(
            f"Another dermaface run is using this folder: {path.parent}. Wait until it has "
            "finished, or give another name with --run-name."
        ) from error
    try:
        yield
    finally:
        # A process waiting for the lock finds its file removed and makes a new one. Windows does
        # not remove an open file; there it stays.
        with contextlib.suppress(OSError):
            path.unlink()
        lock.release()


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in one step, as UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path` as readable JSON in one step."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: Path, frame: "pd.DataFrame") -> None:
    """Write the frame to `path` in one step, without its index."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of every file's name and bytes in a folder."""
    if path.is_dir():
        parts = [
            f"{p.relative_to(path)} {hash_file(p)}" for p in sorted(path.rglob("*")) if p.is_file()
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclasses.dataclass(frozen=True)
class Run:
    """The folder of one run and the names of the files in it."""

    folder: Path

    @property
    def name(self) -> str:
        """The run's name: the folder's."""
        return self.folder.name

    def path(self, name: str) -> Path:
        """Return the path of a file of the run, such as `"tflite/int8.tflite"`."""
        return self.folder / name

    def read(self) -> dict:
        """Return what `run.json` holds; an empty dictionary before the first notebook."""
        path = self.path("run.json")
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def update(self, **facts: object) -> None:
        """Add top-level facts to `run.json`."""
        with self._edit() as noted:
            noted.update(facts)

    @contextlib.contextmanager
    def _edit(self) -> Iterator[dict]:
        """Yield what `run.json` holds and write it back, one process at a time."""
        with _lock(self.path(f"{TEMPORARY_PREFIX}json.lock"), seconds=60):
            noted = self.read()
            yield noted
            write_json(self.path("run.json"), noted)

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Keep other commands out of the folder, in a `with` block.

        Raises:
            ValueError: another command is using it.
        """
        return _lock(self.path(f"{TEMPORARY_PREFIX}run.lock"), seconds=0)

    @property
    def is_empty(self) -> bool:
        """Whether the folder is not there or holds nothing but what is being written."""
        if not self.folder.is_dir():
            return True
        return all(path.name.startswith(TEMPORARY_PREFIX) for path in self.folder.iterdir())

    @property
    def is_run(self) -> bool:
        """Whether the folder holds a `run.json` as this project writes it."""
        try:
            noted = self.read()
        except (OSError, ValueError):
            return False
        if not isinstance(noted, dict) or not isinstance(noted.get("run_name"), str):
            return False
        parts = noted.get("notebooks")
        return (
            isinstance(parts, dict)
            and isinstance(noted.get("data", {}), dict)
            and all(
                isinstance(part, dict) and isinstance(part.get("parameters"), dict)
                for part in parts.values()
            )
        )

    @property
    def asked_for(self) -> str | None:
        """The parameter `data` with which the run was begun; None if it is not noted."""
        noted = self.read()
        first = noted["notebooks"].get(NOTEBOOKS[0], {"parameters": {}})
        return first["parameters"].get("data", noted.get("asked_for"))

    @property
    def data_root(self) -> Path:
        """The folder to which the paths in `images.csv` are relative."""
        return self.folder / self.read()["data"]["root"]

    @property
    def is_sample(self) -> bool:
        """Whether the run was made from the drawn sample set, or stopped before it was drawn."""
        noted = self.read()
        if "data" in noted:
            return noted["data"].get("sample") is True
        parts = noted.get("notebooks", {})
        return NOTEBOOKS[0] in parts and parts[NOTEBOOKS[0]]["parameters"].get("data") == ""

    @property
    def class_names(self) -> list[str]:
        """The classes in index order, from `labels.txt`."""
        return self.path("labels.txt").read_text(encoding="utf-8").splitlines()

    def parameters(self, notebook: str) -> dict:
        """Return the parameters with which `notebook` last ran in this run."""
        return self.read()["notebooks"][notebook]["parameters"]

    def start(self, notebook: str, namespace: Mapping[str, Any]) -> None:
        """Note that a notebook starts, with its parameters, and check that what it reads is there.

        Args:
            notebook: its name without suffix, such as `"03_train_model"`.
            namespace: the notebook's `globals()`; its parameters are the annotated names in it
                (`epochs: int = 10`), which only the parameters cell has.

        Raises:
            ValueError: an earlier notebook has not run yet, or the folder cannot be written to.
        """
        needed = [name for name in READS[notebook] if name not in OPTIONAL]
        missing = [name for name in needed if not self.path(name).exists()]
        if missing:
            writer = next(step for step in NOTEBOOKS if missing[0] in WRITES[step])
            raise ValueError(
                f"{missing[0]} is not in the run folder {self.folder}. Run notebook {writer} "
                f"first, with the same run_name ({self.name!r}) and output_dir."
            )
        parameters = {name: namespace[name] for name in namespace["__annotations__"]}
        part = {"parameters": parameters, "started": time.time()}
        versions = {"python": platform.python_version(), "dermaface": dermaface.__version__}
        versions |= {name: importlib.metadata.version(name) for name in PACKAGES}
        with self._edit() as noted:
            noted.update(run_name=self.name, seed=parameters["seed"], versions=versions)
            noted.setdefault("notebooks", {})[notebook] = part

    def finish(self, notebook: str) -> None:
        """Note that a notebook has finished: its seconds, and hashes of what it read and wrote."""
        facts = {"took": self._taken(notebook), "read": self._hashes(READS[notebook])}
        facts["wrote"] = self._hashes(WRITES[notebook])
        with self._edit() as noted:
            part = noted["notebooks"][notebook]
            part["seconds"] = round(time.time() - part.pop("started"), 1)
            part["finished"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            part.update(facts)

    def _hashes(self, names: Iterable[str]) -> dict[str, str]:
        """Return the hash of each of the run's files named; "" of an optional one not there."""
        absent = {name for name in OPTIONAL if not self.path(name).exists()}
        return {name: "" if name in absent else hash_file(self.path(name)) for name in names}

    def _taken(self, notebook: str) -> dict[str, object]:
        """Return the parameters of earlier notebooks that a notebook takes, as they are now."""
        known: dict[str, object] = {}
        for part in self.read()["notebooks"].values():
            known |= part["parameters"]
        return {name: known.get(name) for name in TAKES.get(notebook, ())}

    def key(self, notebook: str) -> str:
        """Return a hash of all that a notebook depends on: parameters and the files it reads."""
        read = self._hashes(READS[notebook])
        given = [self.parameters(notebook), self._taken(notebook)]
        facts = json.dumps([*given, read, self.read()["versions"]])
        return hashlib.sha256(facts.encode()).hexdigest()

    def is_finished(self, notebook: str, parameters: Mapping[str, object]) -> bool:
        """Tell whether `notebook` finished with these parameters and nothing has changed since.

        Nothing: no file that it read or wrote, and no parameter that it takes from another one.
        """
        part = self.read().get("notebooks", {}).get(notebook, {})
        if "finished" not in part or part["parameters"] != dict(parameters):
            return False
        if part.get("took") != self._taken(notebook):
            return False
        recorded = part["read"] | part["wrote"]
        there = all(self.path(name).exists() for name in recorded if name not in OPTIONAL)
        return there and recorded == self._hashes(recorded)


def open_run(run_name: str, output_dir: str | Path = "outputs") -> Run:
    """Return the run `run_name`, making its folder if it is not there yet.

    A relative `output_dir` is resolved from the project root (or from the folder that the
    environment variable `DERMAFACE_OUTPUT_ROOT` names), wherever the notebook runs.

    Raises:
        ValueError: the name is not a plain folder name, or the folder cannot be made or written to.
    """
    folder = run_folder(run_name, output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            # A full disk is found here, not after an hour of training.
            probe.write(bytes(1_000_000))
            probe.flush()
    except OSError as error:
        raise ValueError(
            f"The run folder {folder} cannot be written to ({error.strerror}). Choose another "
            "with output_dir, or free some space there."
        ) from error
    return Run(folder)


def finished_run(run_name: str, beside: Path) -> Run:
    """Return a run whose answers are known, to compare another one with.

    Args:
        run_name: its name.
        beside: the folder in which both lie.

    Raises:
        ValueError: there is none of this name with `images.csv` and `predictions.csv`.
    """
    run = Run(run_folder(run_name, beside))
    missing = [n for n in ("images.csv", "predictions.csv") if not run.path(n).is_file()]
    if missing:
        raise ValueError(
            f"There is no finished run {run_name!r} in {beside} to compare with: {missing[0]} is "
            "missing. compare_with takes the name of a run in the same output_dir."
        )
    return run


def run_folder(run_name: str, output_dir: str | Path = "outputs") -> Path:
    """Return where the run `run_name` lies, whether or not it exists.

    Raises:
        ValueError: the name is not a plain folder name.
    """
    if run_name in ("", "..") or Path(run_name).name != run_name or "\\" in run_name:
        raise ValueError(
            "run_name must be a plain folder name such as 'faces-2', without slashes; got "
            f"{run_name!r}."
        )
    root = os.environ.get("DERMAFACE_OUTPUT_ROOT") or project_root()
    return (Path(root) / Path(output_dir).expanduser()).resolve() / run_name
