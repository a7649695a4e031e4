"""Tests on real photos with real weights; skipped where these are missing."""

import json
import shutil

from dermaface import cli
from dermaface.photos import images
from dermaface.runs import Run
from PIL import Image
import pillow_heif
import pytest

CLASSES = ("dress", "hat", "pants", "shoes")


@pytest.fixture(scope="module")
def few_photos(clothing, tmp_path_factory):
    """Return a folder with 24 training and 8 validation photos of four classes, a third HEIC."""
    root = tmp_path_factory.mktemp("clothing")
    for split, count in (("train", 24), ("validation", 8)):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for number, file in enumerate(sorted((clothing / split / name).iterdir())[:count]):
                if number % 3:
                    shutil.copy(file, root / split / name)
                else:
                    photo = pillow_heif.from_pillow(Image.open(file))
                    photo.save(root / split / name / f"{file.stem}.HEIC", quality=90)
    return root


def test_the_validation_photos_are_found_and_readable(clothing):
    root, frame = images.find_images(clothing)
    frame = frame[frame["split"] == "validation"].head(80)
    assert images.check_images(root, frame)["status"].eq("kept").all()


def test_a_real_run(few_photos, imagenet_weights, tmp_path, capsys):
    options = ["--data", str(few_photos), "--output-dir", str(tmp_path), "--run-name", "clothing"]
    quick = {"image_size": 128, "epochs": 14, "fine_tune_epochs": 0, "scratch_epochs": 0,
             "calibration_images": 40}  # fmt: skip
    for name, value in quick.items():
        options += ["-p", name, str(value)]
    assert cli.main(["run", *options]) == 0
    printed = capsys.readouterr().out
    assert "validation photos (also used to choose)" in printed and "drawn" not in printed

    run = Run(tmp_path / "clothing")
    kept = images.read_images(run, "train", "validation")["format"].value_counts()
    assert kept.to_dict() == {"JPEG": 84, "HEIF": 44}
    metrics = json.loads(run.path("metrics.json").read_text())
    assert set(metrics) == {"validation"}
    assert metrics["validation"]["accuracy"] >= 0.65  # at 128 px; chance is 0.25
    described = json.loads(run.path("release/model.json").read_text())
    assert described["notice"] == "" and described["labels"] == list(CLASSES)
    assert described["bytes"] < 3_000_000

    photo = next((few_photos / "validation" / "shoes").iterdir())
    assert cli.main(["predict", str(run.path("release/model.tflite")), str(photo), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)[0]["predictions"][0]["label"] == "shoes" and err == ""
