"""Tests of the package's structure: what may use what, and what must do without TensorFlow."""

import ast
from pathlib import Path
import re
import subprocess
import sys

import dermaface
import pytest

ROOT = Path(dermaface.__file__).parent
# Lowest first: a room may use those on lines above its own, and those that share its own line.
ORDER = (
    ("processors", "progress", "quiet", "runs"),
    ("quiet_tensorflow",),
    ("photos",),
    ("model",),
    ("tflite",),
    ("training",),
    ("evaluation",),
    ("plots", "readings"),
    ("release",),
    ("report",),
    ("new", "pipeline"),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(ORDER) for room in rooms}
KNOWS_TENSORFLOW = {"quiet_tensorflow", "model", "tflite.convert", "training"}
FILES = sorted(
    file
    for file in ROOT.rglob("*.py")
    if file.name not in ("__init__.py", "__main__.py") and file.parent.name != "cloud"
)


def module_of(file):
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def imported(file):
    """Return the modules of the package that a file imports, anywhere in it."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "dermaface":
            inside = node.module.split(".")[1:]
            found = [".".join([*inside, alias.name]) for alias in node.names]
            modules |= {name for name in found if (ROOT / f"{name.replace('.', '/')}.py").is_file()}
            if inside and (ROOT / f"{'/'.join(inside)}.py").is_file():
                modules.add(".".join(inside))
    return modules


def test_every_room_has_its_floor():
    assert {module_of(file).split(".")[0] for file in FILES} == set(FLOOR)


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_a_room_uses_only_what_stands_below_it(file):
    own = module_of(file).split(".")[0]
    for module in imported(file):
        assert FLOOR[module.split(".")[0]] <= FLOOR[own], f"{module_of(file)} uses {module}"


def test_the_picture_in_the_guide_is_the_house():
    guide = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", guide, re.MULTILINE))
    rooms = [room for floor in ORDER[2:] for room in floor]
    pairs = {
        (module_of(file).split(".")[0], module.split(".")[0])
        for file in FILES
        for module in imported(file)
    }
    assert drawn == {(a, b) for a, b in pairs if a != b and {a, b} <= set(rooms)}


def test_no_two_files_use_each_other():
    uses = {module_of(file): imported(file) for file in FILES}

    def reaches(start, end, seen):
        nearer = uses.get(start, set()) - seen
        return end in nearer or any(reaches(module, end, seen | nearer) for module in nearer)

    assert not [module for module in uses if reaches(module, module, set())]


@pytest.mark.parametrize("wing", sorted(file.parent.name for file in ROOT.glob("*/__init__.py")))
def test_a_wing_says_what_it_is_for_and_what_it_must_not_know(wing):
    said = ast.get_docstring(ast.parse((ROOT / wing / "__init__.py").read_text(encoding="utf-8")))
    assert len(said.splitlines()) <= 5 and "Must not know" in said and "notebook 0" in said


def test_what_must_do_without_tensorflow_does():
    modules = [
        module_of(file)
        for file in FILES
        if not {module_of(file), module_of(file).split(".")[0]} & KNOWS_TENSORFLOW
    ]
    assert {"tflite.file", "tflite.runtime", "evaluation.scores", "release.contract"} < set(modules)
    code = (
        "import importlib, sys\nsys.modules['tensorflow'] = sys.modules['keras'] = None\n"
        f"for name in {modules}: importlib.import_module('dermaface.' + name)\n"
        "from dermaface import Classifier"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_base_install_is_enough_for_the_receiver_of_a_release():
    absent = ("pandas", "scipy", "sklearn", "matplotlib", "filelock", "tensorflow", "cv2", "tqdm")
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({absent}))\n"
        "import dermaface.cli, dermaface.release.contract, dermaface.photos.sample\n"
        "from dermaface import Classifier"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
