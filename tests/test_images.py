"""Tests of dermaface.images: finding, checking and splitting."""

from dermaface import images, runs
import numpy as np
import pandas as pd
from PIL import Image
import pytest


def make_photos(root, counts, prefix=""):
    """Write tiny photos, each another colour, into class folders."""
    number = sum(1 for _ in root.rglob("*.png"))
    for label, count in counts.items():
        (root / prefix / label).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            number += 1
            colour = (number % 256, number // 256, 7)
            Image.new("RGB", (20, 30), colour).save(root / prefix / label / f"{number}_{k}.png")


def load(root, **sizes):
    root, frame = images.find_images(root)
    return images.assign_splits(images.check_images(root, frame), **sizes)


def checked(labels, **columns):
    """Return a frame as from check_images, with made-up content."""
    frame = pd.DataFrame({"label": labels}).assign(split="", group="", status="kept", reason="")
    frame["sha256"] = [f"content {number}" for number in range(len(frame))]
    frame["path"] = [f"{number}.jpg" for number in range(len(frame))]
    return frame.assign(**columns)


def test_class_folders(tmp_path):
    make_photos(tmp_path, {"b": 3, "a": 2})
    (tmp_path / "a" / "notes.txt").write_text("")
    (tmp_path / ".DS_Store").write_text("")
    (tmp_path / ".hidden").mkdir()
    root, frame = images.find_images(tmp_path)
    assert root == tmp_path
    assert frame["label"].tolist() == ["a", "a", "b", "b", "b"]
    assert set(frame["split"]) == {""}
    assert all((root / path).is_file() for path in frame["path"])


@pytest.mark.parametrize("validation", ["validation", "val", "valid", "Valid"])
def test_given_splits(tmp_path, validation):
    make_photos(tmp_path, {"a": 2, "b": 2}, "train")
    make_photos(tmp_path, {"a": 1, "b": 1}, validation)
    make_photos(tmp_path, {"a": 1, "b": 1}, "test")
    frame = load(tmp_path)
    assert frame["split"].value_counts().to_dict() == {"train": 4, "validation": 2, "test": 2}
    assert sorted(set(frame["label"])) == ["a", "b"]


def test_given_train_and_test_get_a_validation_split_cut_from_train(tmp_path):
    make_photos(tmp_path, {"a": 30, "b": 30}, "train")
    make_photos(tmp_path, {"a": 1, "b": 1}, "test")
    frame = load(tmp_path, validation_size=0.2)
    moved = frame[frame["split"] == "validation"]
    assert len(moved) and moved["path"].str.startswith("train/").all()
    assert frame.loc[frame["path"].str.startswith("test/"), "split"].eq("test").all()


def test_given_train_and_validation_leave_no_test_split(tmp_path):
    make_photos(tmp_path, {"a": 2, "b": 2}, "train")
    make_photos(tmp_path, {"a": 1, "b": 1}, "validation")
    assert set(load(tmp_path)["split"]) == {"train", "validation"}


def test_the_split_of_a_photo_is_fixed():
    # The second letters of train, validation and test. Were they to change, every user's photos
    # would move from training into the test.
    frame = images.assign_splits(checked(["a"] * 20 + ["b"] * 20), 0.25, 0.25)
    letters = "".join(split[1] for split in frame["split"])
    assert letters == "rrraerraaararraaareeararearaaearrerrarrr"


def test_adding_photos_never_moves_an_old_one():
    labels = ["a", "b"] * 60
    few = images.assign_splits(checked(labels))
    many = images.assign_splits(checked(labels + ["a", "c"] * 60))
    assert many["split"].head(120).tolist() == few["split"].tolist()


def test_shares_are_about_what_was_asked_and_hang_on_the_seed():
    frame = checked(["a", "b"] * 500)
    first = images.assign_splits(frame, 0.2, 0.1, split_seed=0)["split"]
    second = images.assign_splits(frame, 0.2, 0.1, split_seed=1)["split"]
    for split, share in {"train": 0.7, "validation": 0.2, "test": 0.1}.items():
        assert first.eq(split).mean() == pytest.approx(share, abs=0.04)
    assert not first.equals(second)


def test_copies_and_groups_stay_together():
    frame = checked(["a", "b"] * 200)
    frame["group"] = [f"person {number // 8}" for number in range(400)]
    splits = images.assign_splits(frame, 0.3, 0.3)
    assert splits.groupby(["group", "label"])["split"].nunique().max() == 1
    frame = checked(["a", "b"] * 200)
    frame["sha256"] = [f"content {number // 4}" for number in range(400)]
    splits = images.assign_splits(frame, 0.3, 0.3)
    assert splits.groupby(["sha256", "label"])["split"].nunique().max() == 1


def test_a_class_without_an_image_in_a_split_names_a_split_seed_that_works():
    frame = checked(["a"] * 8 + ["b"] * 50)
    seeds = {}
    for seed in range(20):
        try:
            images.assign_splits(frame, split_seed=seed)
        except ValueError as error:
            seeds[seed] = str(error)
    assert seeds, "no seed left a class empty, so this test tests nothing"
    message = next(iter(seeds.values()))
    assert "'a' is left without an image" in message
    advised = int(message.split("split_seed to ")[1].split(",")[0])
    assert set(images.assign_splits(frame, split_seed=advised)["split"]) == set(images.SPLITS)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 9, "at least two classes"),
        (["a"] * 9 + ["b"], "Class 'b' has 1 readable images"),
        (["a"] * 9 + ["b"] * 2, "'b' is left without an image"),
    ],
)
def test_too_few_classes_or_images(labels, message):
    with pytest.raises(ValueError, match=message):
        images.assign_splits(checked(labels))


@pytest.mark.parametrize("sizes", [(0, 0.1), (0.5, 0.5), (0.1, -0.1), (1, 0)])
def test_shares_out_of_range(sizes):
    with pytest.raises(ValueError, match="validation_size"):
        images.assign_splits(checked(["a", "b"] * 9), *sizes)


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="no folder and no CSV file .*nowhere"):
        images.find_images(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="No images are found under"):
        images.find_images(tmp_path)


def test_every_image_is_opened_and_a_broken_one_excluded_with_its_reason(tmp_path):
    make_photos(tmp_path, {"a": 8, "b": 8})
    noise = np.random.default_rng(0).integers(0, 256, (80, 60, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).save(tmp_path / "a" / "lying.jpg", exif=exif)
    content = (tmp_path / "a" / "lying.jpg").read_bytes()
    (tmp_path / "a" / "cut.jpg").write_bytes(content[:900])
    (tmp_path / "a" / "text.jpg").write_text("no picture")
    frame = load(tmp_path, validation_size=0.4, test_size=0).set_index("path")
    assert frame.columns.tolist() == [name for name in images.COLUMNS if name != "path"]
    assert frame["status"].value_counts().to_dict() == {"kept": 17, "excluded": 2}
    assert "not an image" in frame.loc["a/text.jpg", "reason"]
    assert "cannot be read" in frame.loc["a/cut.jpg", "reason"]
    assert str(tmp_path) not in "".join(frame["reason"])
    lying = frame.loc["a/lying.jpg"]
    assert (lying["width"], lying["height"], lying["orientation"]) == (80, 60, 6)
    assert lying["format"] == "JPEG" and len(lying["sha256"]) == 64
    assert frame.loc["a/cut.jpg", "split"] == ""


def test_a_class_with_only_broken_images_is_named(tmp_path):
    make_photos(tmp_path, {"a": 8, "b": 8})
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "x.jpg").write_text("")
    with pytest.raises(ValueError, match="Class 'c' has 0 readable images"):
        load(tmp_path)


def test_copies_are_found_with_conflicts_and_leaks(tmp_path):
    frame = checked(["a", "a", "b", "b"], split=["train", "test", "train", "train"])
    frame["sha256"] = ["x", "x", "x", "y"]
    copies = images.find_duplicates(frame)
    assert copies["path"].tolist() == ["0.jpg", "1.jpg", "2.jpg"]
    assert copies["conflict"].all() and copies["leak"].all()
    assert images.find_duplicates(checked(["a", "b"])).empty


def test_csv(tmp_path):
    make_photos(tmp_path, {"a": 2, "b": 2})
    names = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png"))
    splits = ["train", "val", "train", "val"]
    table = pd.DataFrame({"path": names, "label": list("xxyy"), "split": splits, "group": "p"})
    table.to_csv(tmp_path / "photos.csv", index=False)
    root, frame = images.find_images(tmp_path / "photos.csv")
    assert root == tmp_path
    assert frame["label"].tolist() == ["x", "x", "y", "y"]
    assert frame["split"].tolist() == ["train", "validation", "train", "validation"]
    assert set(frame["group"]) == {"p"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,label\na.png,x\n", "must have the columns path"),
        ("path,label,split\na.png,x,dev\n", "names the split 'dev'"),
        ("path,label\n../a.png,x\n", "lies outside the folder"),
        ("path,label\n", "No images are found"),
        ("", "cannot be read as a CSV file"),
    ],
)
def test_csv_mistakes_are_named(tmp_path, content, message):
    (tmp_path / "photos.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        images.find_images(tmp_path / "photos.csv")


def test_images_csv_round_trip_and_another_folder_is_refused(tmp_path):
    make_photos(tmp_path / "data", {"NA": 9, "001": 9})
    frame = load(tmp_path / "data", test_size=0.0, validation_size=0.3)
    run = runs.open_run("r", tmp_path)
    images.write_images(run, frame, tmp_path / "data")
    assert run.class_names == ["001", "NA"]
    train, validation = (images.read_images(run, name) for name in ("train", "validation"))
    assert set(train["label"]) == {"001", "NA"}
    assert len(train) + len(validation) == 18
    assert images.read_images(run, "test").empty
    assert run.data_root == tmp_path / "data" and not run.is_sample
    images.check_same_data(run, tmp_path / "data")
    with pytest.raises(ValueError, match="holds a run of the photos in"):
        images.check_same_data(run, tmp_path / "other")


def test_the_fingerprint_follows_content_labels_and_splits(tmp_path):
    make_photos(tmp_path / "data", {"a": 9, "b": 9})
    frame = load(tmp_path / "data", test_size=0.0, validation_size=0.3)
    run = runs.open_run("r", tmp_path)

    def fingerprint(frame):
        images.write_images(run, frame, tmp_path / "data")
        return run.read()["data"]["fingerprint"]

    original = fingerprint(frame)
    assert fingerprint(frame.sample(frac=1, random_state=0)) == original
    for column, value in {"label": "b", "split": "test", "sha256": "0"}.items():
        changed = frame.copy()
        changed.loc[0, column] = value
        assert fingerprint(changed) != original


def test_a_csv_of_ids_with_the_photos_in_another_folder(tmp_path):
    (tmp_path / "train").mkdir()
    for name in ("0a.jpg", "0b.PNG", "0.c"):
        Image.new("RGB", (20, 20)).save(tmp_path / "train" / name, format="PNG")
    (tmp_path / "train" / "0b.PNG").rename(tmp_path / "train" / "0b.png")
    (tmp_path / "labels.csv").write_text("id,label\n0a,x\n0b,x\n0.c,y\n0d,y\n")
    root, frame = images.find_images(tmp_path / "labels.csv", "train")
    assert root == tmp_path / "train"
    assert frame["path"].tolist() == ["0.c", "0a.jpg", "0b.png", "0d"]
    checked = images.check_images(root, frame)
    assert checked["status"].tolist() == ["kept", "kept", "kept", "excluded"]
