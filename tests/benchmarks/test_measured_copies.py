"""Tests of benchmarks/copies.py: the copies it makes are what their names say."""

import importlib.util

from dermaface import runs
import numpy as np
from PIL import Image, ImageOps
import pytest

PATH = runs.project_root() / "benchmarks" / "copies.py"
SPEC = importlib.util.spec_from_file_location("copies_benchmark", PATH)
benchmark = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(benchmark)


@pytest.fixture
def picture():
    """Return a picture of soft colours, 120 x 90."""
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((120, 90), Image.Resampling.BICUBIC)


def made(kind, picture):
    return benchmark.KINDS[kind](picture, np.random.default_rng(1))


@pytest.mark.parametrize("kind", benchmark.KINDS)
def test_every_kind_changes_the_picture(kind, picture):
    copy = made(kind, picture)
    assert copy.mode == "RGB"
    assert copy.size != picture.size or np.abs(np.asarray(copy, float) - picture).mean() > 1


def test_sizes_are_what_the_names_say(picture):
    assert made("cropped by 30 %", picture).size == (84, 63)
    assert made("20 % cut off at each edge", picture).size == (72, 54)
    assert made("turned by 90°", picture).size == (90, 120)
    assert made("mirrored", picture) == ImageOps.mirror(picture)


def test_no_black_corner_is_left_where_corners_are_cut_off():
    white = Image.new("RGB", (120, 90), "white")
    for degrees in (5, 15, 25):
        assert np.asarray(made(f"turned by {degrees}°, corners cut off", white)).min() > 250
        assert np.asarray(made(f"turned by {degrees}°, black corners", white)).min() == 0


def test_a_folder_with_copies_is_measured(tmp_path, picture, monkeypatch, capsys):
    (tmp_path / "a").mkdir()
    picture.resize((320, 240)).save(tmp_path / "a" / "1.jpg")
    monkeypatch.setattr("sys.argv", ["copies.py", str(tmp_path), "--copies", "1"])
    monkeypatch.setattr(benchmark, "KINDS", {"mirrored": benchmark.KINDS["mirrored"]})
    benchmark.main()
    said = capsys.readouterr().out
    assert "first look at 1 photos" in said and "second look at 2 photos" in said
    assert "mirrored   1.000" in said and "pairs named: 1, right: 1.0000" in said
