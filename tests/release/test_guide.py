"""Tests of dermaface.release.guide: what the README of a release says works as it stands there.

Its JavaScript runs in a browser in tests/clients/test_page.py.
"""

import re
import shutil
import subprocess
import sys

from dermaface.release import contract, guide
from dermaface.tflite import runtime
import pytest
from test_release import folder, released  # noqa: F401 - fixtures


@pytest.fixture
def text(released):  # noqa: F811
    return (released / "README.md").read_text(encoding="utf-8")


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_it_tells_this_models_numbers(text, released):  # noqa: F811
    facts = runtime.Classifier(released / "model.tflite").facts
    assert "$" not in text.replace("$0.score", "")
    assert "96 x 96 pixels, bytes, 0..255" in text and f"{facts['min_confidence']:.4g}" in text
    assert f"{facts['set_threshold']:.4g}" in text and facts["notice"] in text
    for language in ("kotlin", "swift"):
        (block,) = blocks(text, language)
        assert str(len(contract.read_json(released / "model.json", {})["labels"])) in block
    assert text.count("*Not compiled here.*") == 2


def test_its_python_runs_as_it_stands(text, released, tmp_path):  # noqa: F811
    shutil.copytree(released, tmp_path / "release")
    with_package, alone = blocks(text, "python")
    code = with_package.replace("Classifier(", "print(Classifier(", 1).rstrip() + ")"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "release", capture_output=True, text=True
    )
    assert done.returncode == 0 and "'predictions'" in done.stdout, done.stderr
    assert "dermaface" not in alone
    photo = "\nprint(labels[classify('golden/picture_08.jpg').argmax()])"
    done = subprocess.run(
        [sys.executable, "-c", alone + photo],
        cwd=tmp_path / "release", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    fed, read, label = done.stdout.splitlines()
    assert fed == "golden, each input: at most 0.0000 off; allowed: 0.05"
    # Its arithmetic rounds now and then to the next grey level.
    off = re.fullmatch(r"golden, each picture: at most (.*) off; allowed: 0\.05", read)[1]
    assert float(off) <= 0.05
    classifier = runtime.Classifier(released / "model.tflite")
    assert label == classifier.predict(released / "golden/picture_08.jpg", top=1)[0][0]


def test_a_file_of_floats_is_told_apart(released):  # noqa: F811
    described = contract.read_json(released / "model.json", {})
    described["input"]["type"] = "float32"
    text = guide.guide(described | {"notice": ""}, 0.001)
    assert "new Float32Array(" in text and "32-bit floats" in text and "more than 0.001" in text
