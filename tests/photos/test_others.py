"""Tests of dermaface.photos.others."""

from dermaface import runs
from dermaface.photos import images, others
import numpy as np
from PIL import Image
import pytest


@pytest.mark.parametrize("kind", others.KINDS)
def test_each_kind_is_drawn_the_same_from_the_same_state_only(kind):
    drawn = [others.draw_stranger(kind, np.random.default_rng(n)) for n in (0, 0, 1)]
    assert drawn[0].shape == (192, 192, 3) and drawn[0].dtype == np.uint8
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.abs(drawn[0].astype(int) - drawn[2]).max() > 50


def test_a_picture_of_each_kind_comes_first():
    drawn = others.draw_strangers(0)
    assert len(drawn) == others.OF_EACH * len(others.KINDS)
    rng = np.random.default_rng(0)
    for kind, picture in zip(others.KINDS, drawn, strict=False):
        np.testing.assert_array_equal(picture, others.draw_stranger(kind, rng))
    assert not np.array_equal(drawn[0], drawn[len(others.KINDS)])


@pytest.fixture
def run(tmp_path):
    """Return a run of one photo, which also lies among the strangers as mine.png."""
    run = runs.open_run("r", tmp_path / "outputs")
    folder = tmp_path / "photos"
    for path in ("a/own.png", "things/mine.png", "things/deep/cat.png"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shade = 200 if "cat" in path else 90
        Image.new("RGB", (40, 30), (shade, 80, 60)).save(folder / path)
    (folder / "things" / "torn.jpg").write_bytes(b"not an image")
    root, found = images.find_images(folder)
    found = images.check_images(root, found[found["label"] == "a"]).assign(split="train")
    images.write_images(run, found, root)
    return run


def test_strangers_are_checked_and_the_runs_own_photos_left_out(run, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    folder = tmp_path / "photos" / "things"
    assert others.find_strangers(folder, run) == [folder / "deep" / "cat.png"]
    assert sorted(tmp_path.rglob("*")) == before  # nothing is written


def test_folders_without_a_stranger_are_refused_in_words(run, tmp_path):
    with pytest.raises(ValueError, match=r"There is no folder .*nowhere\. strangers must name"):
        others.find_strangers(tmp_path / "nowhere", run)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"There are no files in .*or leave strangers empty"):
        others.find_strangers(tmp_path / "empty", run)
    (tmp_path / "photos" / "things" / "deep" / "cat.png").unlink()
    with pytest.raises(ValueError, match="None of the 2 files can be used") as told:
        others.find_strangers(tmp_path / "photos" / "things", run)
    assert "'is one of the run's own photos' (1)" in str(told.value)
    assert "Check that strangers names the right folder" in str(told.value)
