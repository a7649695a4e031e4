"""Tests of the committed page of the clothing run, which benchmarks/clothing.py writes."""

import re

import clothing
from PIL import Image

PAGE = (clothing.FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_page_shows_every_picture_beside_it_and_is_small():
    files = sorted(clothing.FOLDER.iterdir())
    linked = re.findall(r'\]\(([^):]*)\)|src="([^"]*)"', PAGE)
    assert sorted(a or b for a, b in linked) == [f.name for f in files if f.suffix == ".jpg"]
    assert len(files) == len(linked) + 1 == 5
    assert sum(file.stat().st_size for file in files) < 600_000
    for file in files[1:]:
        with Image.open(file) as picture:
            assert picture.format == "JPEG" and not picture.getexif()


def test_the_page_says_whose_photos_it_shows_and_how_it_was_made():
    for text in ("github.com/alexeygrigorev/clothing-dataset-small", "CC0", "make clothing"):
        assert text in PAGE
    assert not re.search(r"/(home|root|work|tmp)/", PAGE)
    assert "**Ship release/model.tflite.**" in PAGE and "photos in 10 classes" in PAGE


def test_the_readme_quotes_the_clothing_run():
    readme = (clothing.FOLDER.parents[1] / "README.md").read_text(encoding="utf-8")
    figures = re.findall(r"\*\*(.*?)\*\* \|", PAGE)[:3]
    assert "docs/clothing/answers.jpg" in readme and all(figure in readme for figure in figures)
