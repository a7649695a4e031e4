"""Tests of dermaface.photos.faces: persons who stay the same, pictures that differ, the folder."""

import dataclasses
import itertools

from dermaface.photos import faces, images, sample
import numpy as np
from PIL import Image
import pytest


def person(number):
    return faces.make_person(np.random.default_rng([0, number, 0, 1]))


def picture(who, number):
    return np.asarray(faces.draw_face(who, np.random.default_rng(number)), dtype=float)


def test_a_person_and_a_picture_depend_on_the_seed_alone():
    assert person(3) == person(3) != person(4)
    assert (picture(person(3), 5) == picture(person(3), 5)).all()
    assert (picture(person(3), 5) != picture(person(3), 6)).any()
    assert picture(person(3), 5).shape == (faces.SIZE, faces.SIZE, 3)


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("tone", 0.9), ("width", 0.88), ("jaw", 0.5), ("hair", "bun"), ("beard", "full"),
        ("hair_colour", (212, 176, 118)), ("moles", ((0.2, 0.3, 0.04),)), ("freckles", True),
        ("ears", 0.22), ("chin", 1.12), ("mouth", (0.36, 0.62, 0.07, 0.1)), ("nose", (0.5, 0.2)),
        ("iris", (78, 112, 146)), ("brows", (0.2, 0.09, 0.0, 0.2)),
        ("eyes", (0.4, 0.19, 0.1, -0.05, 0.2)), ("hairline", 0.44),
    ],
)  # fmt: skip
def test_every_feature_shows(feature, value):
    plain = dataclasses.replace(
        person(1), tone=0.1, width=0.7, jaw=0.9, hair="short", beard="none", moles=(),
        freckles=False, ears=0.14, chin=0.95, hairline=0.25, hair_colour=(26, 22, 22),
    )  # fmt: skip
    other = dataclasses.replace(plain, **{feature: value})
    assert np.abs(picture(plain, 9) - picture(other, 9)).max() > 10


def test_every_style_and_beard_looks_its_own_way_in_every_pose():
    for number in range(3):
        drawn = [
            picture(dataclasses.replace(person(number), hair=style, beard=beard), number)
            for style in faces.HAIR_STYLES
            for beard in sorted(set(faces.BEARDS))
        ]
        for one, other in itertools.combinations(drawn, 2):
            assert np.abs(one - other).max() > 10


def test_a_folder_has_a_folder_for_each_person(tmp_path):
    root = faces.write_faces(tmp_path / "faces", 3, 2)
    found, frame = images.find_images(root)
    assert (
        found == root
        and list(frame["label"]) == ["person_00"] * 2 + ["person_01"] * 2 + ["person_02"] * 2
    )
    assert images.check_images(root, frame)["status"].eq("kept").all()
    stored = np.asarray(Image.open(root / "person_02" / "01.jpg"), dtype=float)
    drawn = faces.draw_face(person(2), np.random.default_rng([0, 2, 2]))
    assert np.abs(stored - np.asarray(drawn, dtype=float)).mean() < 4
    assert "no person was asked" in (root / sample.MARKER).read_text()


def test_earlier_faces_are_replaced_and_nothing_else(tmp_path):
    root = faces.write_faces(tmp_path / "faces", 3, 3)
    kept = (root / "person_00" / "01.jpg").read_bytes()
    faces.write_faces(root, 2, 2)
    assert sorted(p.name for p in root.iterdir()) == [sample.MARKER, "person_00", "person_01"]
    assert len(list(root.rglob("*.jpg"))) == 4
    assert (root / "person_00" / "01.jpg").read_bytes() == kept
    (root / ".DS_Store").write_text("of the desktop")
    faces.write_faces(root, 2, 2)
    assert (root / ".DS_Store").is_file()
    for name in ("mine.jpg", "person_00/mine.jpg", "person_07/05.txt"):
        file = root / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("years of work")
        with pytest.raises(ValueError, match="never mixes with other files"):
            faces.write_faces(root, 2, 2)
        assert file.read_text() == "years of work"
        file.unlink()


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "person_00").mkdir()
    (tmp_path / "person_00" / "00.jpg").write_text("years of work")
    with pytest.raises(ValueError, match="not part of a set of faces"):
        faces.write_faces(tmp_path, 2, 2)
    sample.write_sample(tmp_path / "sample", 1)
    with pytest.raises(ValueError, match="not part of a set of faces"):
        faces.write_faces(tmp_path / "sample", 2, 2)


@pytest.mark.parametrize("numbers", [(1, 2, 0), (1001, 2, 0), (2, 0, 0), (2, 1001, 0), (2, 2, -1)])
def test_numbers_out_of_range(numbers, tmp_path):
    with pytest.raises(ValueError, match="2 to 1000 persons"):
        faces.write_faces(tmp_path / "faces", *numbers)
    assert not (tmp_path / "faces").exists()
