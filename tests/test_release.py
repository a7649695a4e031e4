"""Tests of dermaface.release: labels inside, the gate, the release folder."""

import hashlib
import json
import zipfile

from conftest import CLASS_NAMES
from dermaface import release, runs, runtime, sample
import pandas as pd
import pytest


def table(*rows, images=100):
    """Return rows of conversion.csv from (variant, split, accuracy_drop, agreement)."""
    frame = pd.DataFrame(rows, columns=["variant", "split", "accuracy_drop", "agreement"])
    return frame.assign(images=images)


def test_labels_ride_behind_an_unchanged_model(tflite_files, tmp_path):
    content = tflite_files["float32"]
    names = ["acne", "Grübchen", "a, b", "x y"]
    path = tmp_path / "model.tflite"
    path.write_bytes(release.embed_metadata(content, names, {"notice": "n", "name": "ü"}))
    assert path.read_bytes().startswith(content)
    assert runtime.read_metadata(path) == ({"notice": "n", "name": "ü"}, names)
    with zipfile.ZipFile(path) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.testzip() is None
    assert release.embed_metadata(content, names, {}) == release.embed_metadata(content, names, {})


def test_a_file_with_labels_answers_as_before(tflite_files, labelled_file, calibration):
    bare = labelled_file.with_name("bare.tflite")
    bare.write_bytes(tflite_files["int8"])
    before = runtime.Classifier(bare, labels=CLASS_NAMES)
    after = runtime.Classifier(labelled_file)
    for image in calibration:
        assert (before.predict_pixels(image) == after.predict_pixels(image)).all()


def test_the_gate():
    rows = table(
        ("a", "validation", 0.02, 0.95),
        ("b", "validation", 0.03, 0.99),
        ("c", "validation", 0.0, 0.94),
        ("d", "validation", -0.05, 0.95),
    )
    assert release.gate(rows, 0.02, 0.95).tolist() == [True, False, False, True]


def test_the_gate_is_never_stricter_than_one_image():
    rows = table(("a", "validation", 0.05, 0.95), ("b", "validation", 0.1, 0.9), images=20)
    assert release.gate(rows, 0.0, 1.0).tolist() == [True, False]


@pytest.mark.parametrize("limits", [(-0.1, 0.9), (0.1, 1.2)])
def test_limits_out_of_range(limits):
    with pytest.raises(ValueError, match="between 0 and 1"):
        release.gate(table(("a", "validation", 0, 1)), *limits)


def test_the_first_preferred_variant_that_passed_on_validation_is_chosen():
    rows = table(
        ("int8", "validation", 0.5, 0.5),
        ("float16", "validation", 0.0, 1.0),
        ("float32", "validation", 0.0, 1.0),
        ("int8", "test", 0.0, 1.0),
        ("float16", "test", 0.5, 0.5),
    )
    rows["passed"] = release.gate(rows, 0.02, 0.95)
    assert release.choose_variant(rows, ["int8", "float16", "float32"]) == "float16"
    assert release.choose_variant(rows, ["float32", "float16"]) == "float32"
    assert release.choose_variant(rows, ["int8"]) is None
    with pytest.raises(ValueError, match="'int4', which is not among"):
        release.choose_variant(rows, ["int4"])


def test_nothing_passed_is_an_error_with_the_figures():
    rows = table(("int8", "validation", 0.5, 0.25))
    with pytest.raises(release.GateError, match="int8 loses 0.500 and agrees on 0.250"):
        release.require_variant(None, rows)
    assert release.require_variant("int8", rows) == "int8"


def test_the_release_folder(tmp_path, labelled_file):
    run = runs.open_run("r", tmp_path)
    run.update(
        data={"fingerprint": "f", "sample": True},
        notebooks={"02_build_model": {"parameters": {"image_size": 96}}},
    )
    runs.write_text(run.path("labels.txt"), "\n".join(CLASS_NAMES) + "\n")
    runs.write_text(run.path("release/old.txt"), "from an earlier run")
    run.path("tflite").mkdir()
    run.path("tflite/int8.tflite").write_bytes(labelled_file.read_bytes())
    rows = table(("int8", "validation", 0.01, 0.99)).assign(passed=True)
    release.write_release(run, "int8", rows)

    folder = run.path("release")
    names = sorted(p.name for p in folder.iterdir())
    assert names == ["labels.txt", "model.json", "model.tflite"]
    described = json.loads((folder / "model.json").read_text())
    content = (folder / "model.tflite").read_bytes()
    assert described["sha256"] == hashlib.sha256(content).hexdigest()
    assert described["labels"] == (folder / "labels.txt").read_text().splitlines() == CLASS_NAMES
    assert described["variant"] == "int8" and described["input"]["type"] == "uint8"
    assert described["input"]["shape"] == [1, 96, 96, 3]
    assert described["figures"][0]["agreement"] == 0.99
    assert described["notice"] == sample.NOTICE
    assert runtime.Classifier(folder / "model.tflite").labels == CLASS_NAMES
    release.withdraw(run)
    assert not folder.exists()
