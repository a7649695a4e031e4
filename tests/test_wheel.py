"""Test of the package as it is installed: the wheel holds everything that the checkout does."""

from pathlib import Path
import shutil
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
# The editable install would find in the checkout what the wheel lacks, so no .pth file is read
# (-S): the wheel's folder is followed by the plain folders of the dependencies.
IMPORTS = """
import importlib, sys
folder, modules, dependencies = {folder!r}, {modules!r}, {dependencies!r}
sys.path[:0] = [folder]
sys.path += dependencies
for name in modules:
    module = importlib.import_module(name)
    assert module.__file__.startswith(folder), module.__file__
from dermaface.model import backbones
from dermaface.quiet_tensorflow import keras
backbones.apply_backbone("tiny", keras.Input((96, 96, 3)))
"""
# Outside the new folder there are no notebooks; inside it, a run finds them.
NEW = """
import os, sys
sys.path[:0] = [{folder!r}]
sys.path += [path for path in {dependencies!r} if path.endswith("-packages")]
from dermaface import cli, pipeline, runs
assert cli.main(["run"]) == 1
assert cli.main(["new", "mine"]) == 0
assert cli.main(["new", "mine"]) == 1
os.chdir("mine/notebooks")
assert str(runs.project_root()).endswith("mine")
assert pipeline.known_parameters()["03_train_model"]["epochs"][0] == "int"
"""


def run(*command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_wheel_of_the_tracked_files_imports_and_has_its_data(tmp_path):
    parts = ("dermaface", "notebooks", "pyproject.toml", "setup.py", "README.md", "LICENSE")
    listed = subprocess.run(
        ["git", "ls-files", "-z", *parts], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("tracked files: this is no git checkout")
    files = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    source = tmp_path / "source"
    for name in files:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", "..", ".", cwd=source)
    (wheel,) = tmp_path.glob("*.whl")
    run(*pip, "install", "--no-deps", "--no-index", "--target", "installed", wheel, cwd=tmp_path)

    inside = [name for name in files if name.startswith("dermaface/")]
    assert {"dermaface/py.typed", "dermaface/report.html"} < set(inside)
    assert "dermaface/model/tiny.weights.h5" in inside
    assert not [name for name in inside if not (tmp_path / "installed" / name).is_file()]
    modules = [
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in inside
        if name.endswith(".py") and not name.endswith(("__main__.py", "cloud/main.py"))
    ]
    code = IMPORTS.format(
        folder=str(tmp_path / "installed"),
        modules=modules,
        dependencies=[path for path in sys.path if path.endswith("-packages")],
    )
    run(sys.executable, "-I", "-S", "-c", code, cwd=tmp_path)

    notebooks = [name for name in files if name.endswith((".ipynb", ".yaml"))]
    assert len(notebooks) >= 15
    code = NEW.format(folder=str(tmp_path / "installed"), dependencies=sys.path)
    said = run(sys.executable, "-I", "-S", "-c", code, cwd=tmp_path)
    assert "cd " in said
    made = {p.relative_to(tmp_path / "mine").as_posix() for p in (tmp_path / "mine").rglob("*.*")}
    assert made == {*notebooks, ".gitignore", "README.md"}
    for name in notebooks:
        assert (tmp_path / "mine" / name).read_bytes() == (ROOT / name).read_bytes()
    assert len((tmp_path / "mine" / "README.md").read_text().splitlines()) <= 10
