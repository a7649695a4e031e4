"""Tests of the drawn sample set."""

import hashlib

from dermaface.photos import copies, images, sample
import numpy as np
from PIL import Image
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

CLASSES = (
    "acne actinic_keratosis dark_circles herpes melasma milia normal_skin rosacea "
    "tinea_versicolor vitiligo wrinkles"
).split()
FOREIGN = ("notes.txt", "SAMPLE.txt", "acne/mine.jpg", "mine/mine_0000.jpg", "acne/acne_10001.jpg")
FOUND = {  # status, a word of the reason, flags, orientation and original of each planted file
    "acne": ("excluded", "truncated", "", 1, ""),
    "actinic_keratosis": ("kept", "", "blur", 1, ""),
    "dark_circles": ("kept", "", "", 1, "dark_circles/dark_circles_0000.jpg"),
    "herpes": ("excluded", "is empty", "", 1, ""),
    "melasma": ("excluded", "2 frames", "", 1, ""),
    "milia": ("kept", "", "dark", 1, ""),
    "normal_skin": ("excluded", "not an image", "", 1, ""),
    "rosacea": ("kept", "", "", 1, "acne/acne_0000.jpg"),
    "tinea_versicolor": ("kept", "", "", 1, "tinea_versicolor/tinea_versicolor_0000.jpg"),
    "vitiligo": ("kept", "", "", 1, "vitiligo/vitiligo_0000.jpg"),
    "wrinkles": ("kept", "", "", 6, ""),
}


def sha256(data):
    """Return the first 12 digits of the hash."""
    return hashlib.sha256(data).hexdigest()[:12]


def pixels(class_name, number, seed=0):
    """Draw a picture as `write_sample` does and return its pixels."""
    rng = np.random.default_rng([seed, CLASSES.index(class_name), number])
    return np.asarray(sample.draw(class_name, rng))


def written(folder):
    """Return the bytes of every file below `folder` by its relative path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def mean_colours(folder):
    """Return the mean colour of every picture of a set, (n, 3), and the classes (n,)."""
    files = sorted(folder.rglob("*.jpg"))
    colours = [np.asarray(Image.open(file)).mean((0, 1)) for file in files]
    return np.array(colours), [file.parent.name for file in files]


def test_class_names():
    """Keep the classes and their order, which numbers the labels and seeds the pictures."""
    assert list(sample.CLASS_NAMES) == CLASSES


# The split of every photo follows from its bytes: where these change, every committed figure does.
@pytest.mark.parametrize(
    ("class_name", "expected"),
    [
        ("acne", "4de4dd94b880"),
        ("actinic_keratosis", "d59733f9211c"),
        ("dark_circles", "ae5eb5a2191b"),
        ("herpes", "a69141d76d8e"),
        ("melasma", "d06c83d98e81"),
        ("milia", "ae09389350c4"),
        ("normal_skin", "f884e1d2b0de"),
        ("rosacea", "5c73368358d4"),
        ("tinea_versicolor", "19074b0feb98"),
        ("vitiligo", "33d659bbddbc"),
        ("wrinkles", "ac0da72f50f5"),
    ],
)
def test_drawn_pixels_are_pinned(class_name, expected):
    """Draw the same pixels on every computer."""
    assert sha256(pixels(class_name, 0).tobytes()) == expected


def test_written_bytes_are_pinned(tmp_path):
    """Write the same JPEG bytes on every computer."""
    files = written(sample.write_sample(tmp_path / "set", images_per_class=1))
    joined = b"".join(files[f"{name}/{name}_0000.jpg"] for name in CLASSES)
    assert sha256(joined) == "d16a3258acb9"


def test_write_sample_writes_every_class_and_the_notice(tmp_path):
    """Write every class, as RGB JPEG files, and the marker."""
    folder = sample.write_sample(str(tmp_path / "new" / "set"), 2, seed=5, defects=False)
    assert folder == tmp_path / "new" / "set"
    names = {f"{name}/{name}_{k:04d}.jpg" for name in CLASSES for k in (0, 1)}
    assert set(written(folder)) == names | {"SAMPLE.txt"}
    lines = (folder / "SAMPLE.txt").read_text(encoding="utf-8").splitlines()
    assert lines == ["Sample set drawn by dermaface.", sample.NOTICE]
    for name in names:
        with Image.open(folder / name) as image:
            assert (image.format, image.mode) == ("JPEG", "RGB")
            assert all(96 <= side <= 640 for side in image.size)


def test_each_class_has_one_file_more_and_the_notes_list_it(tmp_path):
    """Plant one file in each class, say in SAMPLE.txt what is wrong, and leave the rest alone."""
    clean = written(sample.write_sample(tmp_path / "clean", 1, defects=False))
    folder = sample.write_sample(tmp_path / "planted", 1)
    planted = [f"{name}/{name}_10000.jpg" for name in CLASSES]
    files = written(folder)
    assert set(files) == set(clean) | set(planted)
    assert all(files[name] == data for name, data in clean.items() if name != "SAMPLE.txt")
    lines = (folder / "SAMPLE.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split(": ")[0] for line in lines[-11:]] == planted
    assert all(line.split(": ")[1] for line in lines[-11:])


@pytest.mark.parametrize(("count", "seed"), [(1, 0), (2, 7)])
def test_the_data_stage_names_the_planted_files_and_no_other(tmp_path, count, seed):
    """Find each planted file under its right name, and nothing wrong with any other file."""
    root, frame = images.find_images(sample.write_sample(tmp_path / "set", count, seed))
    frame = images.check_images(root, frame, blur_threshold=4.0)
    pairs = copies.find_copies(root, frame)
    found = dict(zip(pairs["copy"], pairs["path"], strict=True))
    assert pairs.loc[pairs["conflict"], "copy"].tolist() == ["rosacea/rosacea_10000.jpg"]
    assert {row.copy.split("/")[0]: row.kind for row in pairs.itertuples()} == {
        "dark_circles": "mirrored", "rosacea": "exact", "tinea_versicolor": "near",
        "vitiligo": "near",
    }  # fmt: skip
    for row in frame.itertuples():
        is_planted = row.path == f"{row.label}/{row.label}_10000.jpg"
        expected = FOUND[row.label] if is_planted else ("kept", "", "", 1, "")
        got = (row.status, row.reason, row.flags, row.orientation, found.get(row.path, ""))
        assert expected[1] in got[1] and bool(expected[1]) == bool(got[1]), row.path
        assert got[:1] + got[2:] == expected[:1] + expected[2:], row.path


def test_pictures_depend_on_seed_class_and_number_alone(tmp_path):
    """Keep picture k whatever the count; no two pictures are alike."""
    small = written(sample.write_sample(tmp_path / "small", 1, defects=False))
    large = written(sample.write_sample(tmp_path / "large", 2, defects=False))
    other = written(sample.write_sample(tmp_path / "other", 1, seed=1, defects=False))
    assert small.items() <= large.items()
    pictures = [data for files in (large, other) for name, data in files.items() if "/" in name]
    assert len(set(pictures)) == len(pictures) == 33


def test_some_of_the_classes_are_the_same_pictures(tmp_path):
    two = sample.write_sample(tmp_path / "two", 1, class_names=("wrinkles", "acne"))
    every = sample.write_sample(tmp_path / "all", 1)
    assert sorted(p.name for p in two.iterdir()) == ["SAMPLE.txt", "acne", "wrinkles"]
    assert sample.is_sample(two)
    for file in two.glob("*/*"):
        assert file.read_bytes() == (every / file.relative_to(two)).read_bytes()
    with pytest.raises(ValueError, match=r"no drawn class 'acme'\. There are: acne, "):
        sample.write_sample(tmp_path / "none", 1, class_names=["acme"])
    assert not (tmp_path / "none").exists()


def test_an_earlier_set_is_replaced(tmp_path):
    """Leave nothing of a larger set of another seed, no planted file, but leave hidden files."""
    once = written(sample.write_sample(tmp_path / "once", 1, seed=2, defects=False))
    folder = sample.write_sample(tmp_path / "twice", 2, seed=1)
    (folder / ".DS_Store").write_bytes(b"hidden")
    sample.write_sample(folder, 1, seed=2, defects=False)
    assert written(folder) == once | {".DS_Store": b"hidden"}


@pytest.mark.parametrize(
    ("foreign", "beside_a_set"),
    [(name, beside) for name in FOREIGN for beside in (False, True)]
    + [("acne/acne_0000.jpg", False)],
)
def test_nothing_foreign_is_overwritten(tmp_path, foreign, beside_a_set):
    """Refuse a folder with other files and change nothing in it."""
    if beside_a_set:
        sample.write_sample(tmp_path, images_per_class=1)
    (tmp_path / foreign).parent.mkdir(exist_ok=True)
    (tmp_path / foreign).write_bytes(b"mine")
    before = written(tmp_path)
    with pytest.raises(ValueError, match=foreign.split("/")[0]):
        sample.write_sample(tmp_path, images_per_class=1)
    assert written(tmp_path) == before


def test_a_file_is_no_folder(tmp_path):
    """Refuse to write over a file."""
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(ValueError, match="is a file"):
        sample.write_sample(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (10001, 0), (1, -1)])
def test_numbers_out_of_range(tmp_path, count, seed):
    """Refuse numbers out of range before anything is written."""
    with pytest.raises(ValueError, match="1 to 10000"):
        sample.write_sample(tmp_path / "set", count, seed)
    assert not (tmp_path / "set").exists()


def test_is_sample(tmp_path):
    """Know a sample set by its marker."""
    assert not sample.is_sample(tmp_path)
    assert not sample.is_sample(tmp_path / "missing")
    assert sample.is_sample(sample.write_sample(tmp_path, images_per_class=1))


def test_unknown_class_names_the_nearest():
    """Help with a misspelt class."""
    with pytest.raises(ValueError, match=r"'rosacae'.*nearest is 'rosacea'"):
        sample.draw("rosacae", np.random.default_rng(0))


def test_most_pictures_are_small_and_some_are_large(drawn_sets):
    """Draw from 96 to 640 pixels, upright and lying, most of them small."""
    sizes = np.array([Image.open(file).size for file in sorted(drawn_sets[0].rglob("*.jpg"))])
    short, long = sizes.min(axis=1), sizes.max(axis=1)
    assert 96 <= short.min() < 120 and 500 < long.max() <= 640
    assert 150 < np.median(short) < 220 and 0.02 < (short >= 384).mean() < 0.1
    assert (long <= 1.35 * short).all() and 0.4 < (sizes[:, 0] > sizes[:, 1]).mean() < 0.6


def test_sharp_pictures_are_not_taken_for_blurred_or_dark(drawn_sets):
    """Keep soft signs, such as melasma's, above the threshold that notebook 01 sets."""
    root, frame = images.find_images(drawn_sets[0])
    frame = images.check_images(root, frame, blur_threshold=4.0)
    assert set(frame["status"]) == {"kept"} and set(frame["flags"]) == {""}
    assert len(copies.find_copies(root, frame)) == 0


def test_every_class_spans_light_to_dark(drawn_sets):
    """Draw light and dark skin in every class."""
    colours, classes = mean_colours(drawn_sets[0])
    for name in CLASSES:
        brightness = colours.mean(axis=1)[[label == name for label in classes]]
        low, high = np.percentile(brightness, [10, 90])
        assert low < 105 and high > 150, (name, low, high)


def test_mean_colour_does_not_give_the_class_away(drawn_sets):
    """Defeat a classifier that sees only the mean colour."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(*mean_colours(drawn_sets[0]))
    assert classifier.score(*mean_colours(drawn_sets[1])) < 0.6
