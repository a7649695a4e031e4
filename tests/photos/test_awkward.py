"""Tests of the data stage on awkward files: none crashes it, none gets lost, all are read alike."""

import re

import awkward
from dermaface import runs
from dermaface.photos import images
from dermaface.photos.pixels import decode_image, load_image, printable_path
from dermaface.training import datasets
import numpy as np
from PIL import Image
import pillow_heif
import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("awkward") / "data"
    awkward.write_folder(root)
    return root


@pytest.fixture(scope="module")
def checked(folder):
    root, frame = images.find_images(folder)
    return images.check_images(root, frame).set_index("path")


def test_there_are_at_least_forty_kinds():
    assert len(awkward.KEPT) + len(awkward.EXCLUDED) >= 40


@pytest.mark.parametrize("name", awkward.KEPT)
def test_kept_as_a_viewer_shows_it(folder, checked, name):
    row = checked.loc[f"cats/{name}"]
    assert row["status"] == "kept", row["reason"]
    assert (row["width"], row["height"]) == (awkward.WIDTH, awkward.HEIGHT)
    _, tolerance, change = awkward.KEPT[name]
    expected = awkward.picture() if change is None else change(awkward.picture())
    pixels = decode_image(folder / "cats" / name)
    assert pixels.shape == expected.shape and pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("name", awkward.EXCLUDED)
def test_excluded_with_the_reason(checked, name):
    row = checked.loc[f"cats/{printable_path(name)}"]
    assert row["status"] == "excluded"
    assert re.search(awkward.EXCLUDED[name][1], row["reason"]), row["reason"]
    assert "/" not in row["reason"] and "<_io" not in row["reason"]


def test_every_file_is_accounted_for(folder, checked):
    counts = images.count_files(folder, checked.reset_index())
    assert counts["kept"] == 2 * len(awkward.KEPT)
    assert counts["excluded"] == 2 * len(awkward.EXCLUDED)
    assert counts["system files"] == 2 * len(awkward.SYSTEM)
    assert counts["files beside the class folders"] == 2
    on_disk = sum(1 for _ in folder.rglob("*")) - 2  # the class folders
    assert counts["on disk"] == on_disk == counts.drop("on disk").sum()


def test_a_large_heic_photo_is_read_at_reduced_size_as_a_jpeg_is(tmp_path):
    ramps = Image.fromarray(awkward.picture()).resize((960, 640), Image.Resampling.BICUBIC)
    pillow_heif.from_pillow(ramps).save(tmp_path / "large.heic", quality=98)
    ramps.save(tmp_path / "large.jpg", quality=98)
    for at_least, size in ((None, 640), (321, 640), (160, 160), (65, 80)):
        heic, jpeg = (
            decode_image(tmp_path / f"large.{kind}", at_least) for kind in ("heic", "jpg")
        )
        assert heic.shape == jpeg.shape == (size, size * 3 // 2, 3)
        assert np.abs(heic.astype(int) - jpeg).max() <= awkward.HEIC_LOSS


def test_a_photo_that_lacks_a_tenth_is_refused_and_a_whole_one_never(clothing, tmp_path):
    for number, file in enumerate(sorted(clothing.rglob("*.jpg"))[::60]):
        assert decode_image(file, at_least=96).any()
        content = file.read_bytes()
        middle, length = len(content) // 2, len(content) // 10
        damaged = tmp_path / f"{number}.jpg"
        damaged.write_bytes(content[:middle] + content[middle + length :])
        with pytest.raises(ValueError, match=f"{number}.jpg' cannot be read"):
            decode_image(damaged, at_least=96)


@pytest.mark.parametrize("image_size", [24, 64])
def test_the_pixel_rule_is_the_same_in_tf_data_and_in_the_classifier(
    folder, checked, image_size, tmp_path
):

    run = runs.open_run("r", tmp_path)
    images.write_images(run, checked.reset_index().assign(split="train"), folder)
    kept = images.read_images(run, "train")
    assert set(kept["orientation"]) == set(range(1, 9))
    dataset = datasets.make_dataset(kept, folder, ["cats", "dogs"], image_size)
    pixels = np.concatenate([batch for batch, _ in dataset.as_numpy_iterator()])
    assert len(pixels) == 2 * len(awkward.KEPT)
    for path, got in zip(kept["path"], pixels, strict=True):
        expected = load_image(folder / path, image_size).astype(int)
        assert np.abs(got - expected).max() <= 1, path
