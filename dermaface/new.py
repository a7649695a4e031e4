"""A folder to work in, for whoever has installed the package and not cloned the project."""

from pathlib import Path
import shutil

import dermaface
from dermaface.photos.pixels import printable_path
from dermaface.runs import NOTEBOOKS, atomic_path, write_text

GITIGNORE = "outputs/\n.ipynb_checkpoints/\n"
README = """# {name}

Made by `dermaface new` ({version}). Run the commands from inside this folder.

    dermaface run --run-name demo                      # the drawn sample set: three minutes
    dermaface run --data PHOTOS --run-name mine        # PHOTOS: a folder of class folders
    jupyter lab notebooks/01_explore_data.ipynb        # read the notebooks, and run them by hand

`notebooks/` is yours to change, `notebooks/params/` holds sets of parameters (for `-f`), and runs
go to `outputs/`. What a run has released is tried in `notebooks/08_try_it.ipynb`.
"""


def notebooks_source() -> Path:
    """Return the folder of the notebooks that come with the package.

    Raises:
        ValueError: there is none.
    """
    package = Path(dermaface.__file__).resolve().parent
    for folder in (package / "notebooks", package.parent / "notebooks"):
        if (folder / f"{NOTEBOOKS[0]}.ipynb").is_file():
            return folder
    raise ValueError("The notebooks are missing: this package was not installed from its wheel.")


def lay_out(folder: str | Path) -> Path:
    """Write the notebooks, their parameter sets, a `.gitignore` and a README into a new folder.

    Args:
        folder: is made; it may exist if it is empty.

    Returns:
        Its full path.

    Raises:
        ValueError: it holds something or cannot be made, or the notebooks are missing.
    """
    if not str(folder):
        raise ValueError("The new folder has no name. Name one.")
    folder = Path(folder).resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"{printable_path(folder)} is there already, and nothing is overwritten. Name a new "
            "folder."
        )
    source = notebooks_source()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{printable_path(folder)} cannot be made: {error.strerror}.") from error
    with atomic_path(folder / "notebooks") as made:
        kept = shutil.ignore_patterns(".*", "*.jpg")
        shutil.copytree(source, made, ignore=kept, copy_function=shutil.copyfile)
    (folder / "outputs").mkdir()
    write_text(folder / ".gitignore", GITIGNORE)
    text = README.format(name=folder.name, version=dermaface.__version__)
    write_text(folder / "README.md", text)
    return folder
