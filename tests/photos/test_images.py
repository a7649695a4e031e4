"""Tests of dermaface.photos: finding, checking, comparing and splitting."""

import io
import json
import os
import re

import awkward
from dermaface import plots, runs
from dermaface.photos import images, pixels, splits
from dermaface.photos.copies import find_copies, group_copies
from dermaface.photos.pixels import decode_image
from dermaface.photos.splits import (
    SPLITS,
    _split_by_hash,
    across_splits,
    assign_splits,
    conflicts,
    leaks,
    split_remarks,
)
import numpy as np
import pandas as pd
from PIL import Image, ImageFilter
import pytest


def make_photos(root, counts, prefix=""):
    """Write tiny photos, each in its own colour, into class folders."""
    number = sum(1 for _ in root.rglob("*.png"))
    for label, count in counts.items():
        (root / prefix / label).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            number += 1
            colour = (number % 256, number // 256, 7)
            Image.new("RGB", (20, 30), colour).save(root / prefix / label / f"{number}_{k}.png")


def load(root, **sizes):
    root, frame = images.find_images(root)
    return assign_splits(images.check_images(root, frame), **sizes)


def checked(labels, **columns):
    """Return a frame as from check_images, with made-up content."""
    frame = pd.DataFrame({"label": labels}).assign(
        split="", group="", copies="", scene="", status="kept", reason=""
    )
    frame["sha256"] = [f"content {number}" for number in range(len(frame))]
    frame["path"] = [f"{number}.jpg" for number in range(len(frame))]
    return frame.assign(**columns)


CAFE = {"NFC": "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "NFD": "cafe\N{COMBINING ACUTE ACCENT}"}


def test_one_name_in_two_unicode_forms_is_one_class_with_a_note(tmp_path):
    rows = [("1.png", CAFE["NFC"], "train", CAFE["NFD"]), ("2.png", CAFE["NFD"], "test", "")]
    table = pd.DataFrame(rows, columns=["path", "label", "split", "group"])
    table.to_csv(tmp_path / "photos.csv", index=False)
    for prefix, name in zip(("train", "test"), CAFE.values(), strict=True):
        make_photos(tmp_path, {name: 1, "bar": 1}, prefix)
    if len(list(tmp_path.glob("t*/caf*"))) != 2 or not (tmp_path / "test" / CAFE["NFD"]).is_dir():
        pytest.skip("two Unicode forms of a name: this file system has only one")
    root, frame = images.find_images(tmp_path)
    assert set(frame["label"]) == {CAFE["NFC"], "bar"}
    assert all((root / path).is_file() for path in frame["path"])
    assert len(frame.attrs["notes"]) == 1 and CAFE["NFC"] in frame.attrs["notes"][0]
    _, frame = images.find_images(tmp_path / "photos.csv")
    assert set(frame["label"]) == {CAFE["NFC"]} and frame["group"][0] == CAFE["NFC"]
    assert len(frame.attrs["notes"]) == 1


@pytest.mark.parametrize("other", ["HAT", "Hat", " hat"])
def test_classes_that_differ_only_in_case_or_spaces_are_refused(tmp_path, other):
    make_photos(tmp_path, {"hat": 1, "shoe": 1}, "train")
    make_photos(tmp_path, {other: 1, "shoe": 1}, "validation")
    with pytest.raises(ValueError, match=f"'{other}' and 'hat'.*upper and lower case"):
        images.find_images(tmp_path)


@pytest.mark.parametrize("separator", ["\u2028", "\v", "\n", "\x85"])
def test_a_class_name_of_two_lines_is_refused(tmp_path, separator):
    make_photos(tmp_path, {f"a{separator}b": 1, "c": 1})
    with pytest.raises(ValueError, match=re.escape(repr(f"a{separator}b")) + ".*one line"):
        images.find_images(tmp_path)


def test_names_that_are_not_utf_8_are_excluded_and_accounted_for(tmp_path):
    data = tmp_path / "data"
    make_photos(data, {"a": 9, "b": 9})
    try:
        next((data / "a").iterdir()).rename(data / "a" / os.fsdecode(b"caf\xe9.png"))
    except OSError:
        pytest.skip("names that are not UTF-8: this file system has none")
    frame = load(data, test_size=0.0, validation_size=0.4)
    row = frame.set_index("path").loc["a/caf\\xe9.png"]
    assert row["status"] == "excluded" and "not UTF-8" in row["reason"]
    counts = images.count_files(data, frame)
    assert (counts["kept"], counts["excluded"], counts["on disk"]) == (17, 1, 18)
    run = runs.open_run("r", tmp_path)
    images.write_images(run, frame, data)
    assert len(images.read_images(run, "train", "validation")) == 17
    data.rename(tmp_path / os.fsdecode(b"d\xe9"))
    with pytest.raises(ValueError, match=r"d\\xe9.*not UTF-8"):
        images.find_images(tmp_path / os.fsdecode(b"d\xe9"))


def test_class_folders(tmp_path):
    make_photos(tmp_path, {"b": 3, "a": 2})
    (tmp_path / "a" / "notes.txt").write_text("")
    (tmp_path / ".DS_Store").write_text("")
    (tmp_path / ".hidden").mkdir()
    root, frame = images.find_images(tmp_path)
    assert root == tmp_path
    assert frame["label"].tolist() == ["a", "a", "a", "b", "b", "b"]  # notes.txt is listed, too
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
    frame = assign_splits(checked(["a"] * 20 + ["b"] * 20), 0.25, 0.25)
    letters = "".join(split[1] for split in frame["split"])
    assert letters == "rrraerraaararraaareeararearaaearrerrarrr"


def test_adding_photos_never_moves_an_old_one():
    labels = ["a", "b"] * 60
    few = assign_splits(checked(labels))
    many = assign_splits(checked(labels + ["a", "c"] * 60))
    assert many["split"].head(120).tolist() == few["split"].tolist()


HOW = {"validation_size": 0.15, "test_size": 0.15, "split_seed": 0, "test_from_train": False}


def with_copies(frame):
    """Return the rows twice, then with other and smaller hashes, every pair noted as copies."""
    again = frame.assign(path="again/" + frame["path"], sha256="again " + frame["sha256"])
    both = pd.concat([frame, again], ignore_index=True).assign(split="")
    names = both["path"].tolist()
    pairs = pd.DataFrame({"path": names[: len(frame)], "copy": names[len(frame) :]})
    return group_copies(both, pairs)


def split_again(run, frame, how=HOW):
    """Split as notebook 01 does in a run, and write the result."""
    frame = assign_splits(frame, **how, earlier=images.read_earlier(run, how))
    numbers = ("width", "height", "orientation", "blur_score", "brightness")
    noted = frame.assign(**dict.fromkeys(numbers, 1)).reindex(columns=images.COLUMNS)
    images.write_images(run, noted, run.folder / "photos", how)
    return frame


def test_a_recompressed_copy_of_an_old_photo_moves_no_old_one(tmp_path):
    run = runs.open_run("r", tmp_path)
    frame = checked(["a", "b"] * 40)
    old = split_again(run, frame)
    alone = assign_splits(with_copies(frame))
    assert alone["split"].head(80).ne(old["split"]).sum() > 20  # or nothing is tested
    new = split_again(run, with_copies(frame))
    assert new["split"].head(80).tolist() == old["split"].tolist()
    # The copies have joined them, and taking the old ones away later moves no copy.
    assert new["split"].tail(80).tolist() == old["split"].tolist()
    left = split_again(run, checked(["a", "b"] * 40, sha256=new["sha256"].tail(80).to_numpy()))
    assert left["split"].tolist() == old["split"].tolist()


@pytest.mark.parametrize(
    "change", [{"split_seed": 1}, {"validation_size": 0.3}, {"test_size": 0.3}]
)
def test_other_sizes_and_another_seed_make_a_new_split(tmp_path, change):
    run = runs.open_run("r", tmp_path)
    frame = with_copies(checked(["a", "b"] * 40))
    split_again(run, frame.head(80))
    again = split_again(run, frame, HOW | change)
    assert again["split"].tolist() == assign_splits(frame, **HOW | change)["split"].tolist()


def test_a_photo_with_another_label_or_group_counts_as_new(tmp_path):
    run = runs.open_run("r", tmp_path)
    old = split_again(run, checked(["a", "b"] * 40))
    persons = [f"person {number % 20}" for number in range(80)]
    for column, value in {"label": ["b", "a"] * 40, "group": persons}.items():
        frame = checked(["a", "b"] * 40).assign(**{column: value})
        new = split_again(run, frame)
        assert new["split"].tolist() == assign_splits(frame)["split"].tolist()
        assert new["split"].ne(old["split"]).any()
        split_again(run, checked(["a", "b"] * 40), HOW | {"split_seed": 1})
        split_again(run, checked(["a", "b"] * 40))


def test_new_photos_follow_old_ones_and_those_torn_between_splits_are_left_out(tmp_path):
    run = runs.open_run("r", tmp_path)
    frame = checked(["a", "b"] * 40, group=[f"person {number // 4}" for number in range(80)])
    old = split_again(run, frame)
    home = old.drop_duplicates("group").set_index("group")["split"]
    train, test = (home.index[home == split][0] for split in ("train", "test"))
    in_train, in_test = (old.index[old["group"] == name][0] for name in (train, test))
    more = checked(["a"] * 4, group=[train, train, "", "somebody new"])
    more["path"] = ["bridge.jpg", "another.jpg", "copy.jpg", "friend.jpg"]
    more["sha256"] = ["new 0", "new 1", "new 2", "new 3"]
    both = pd.concat([frame, more], ignore_index=True)
    # One shows what a person in the test shows, another what the friend shows, too.
    pairs = [(in_test, 80), (81, 83), (in_train, 82)]
    pairs = [(both["path"][a], both["path"][b]) for a, b in pairs]
    both = group_copies(both, pd.DataFrame(pairs, columns=["path", "copy"]))
    new = split_again(run, both).set_index("path")
    assert new["split"].head(80).tolist() == old["split"].tolist()
    assert new.loc[["another.jpg", "copy.jpg", "friend.jpg"], "split"].eq("train").all()
    bridge = new.loc["bridge.jpg"]
    assert (bridge["status"], bridge["split"]) == ("excluded", "")
    assert f"{old['path'][in_test]} (test)" in bridge["reason"] and "(train)" in bridge["reason"]
    (remark,) = split_remarks(new.reset_index())
    assert "New photos left out" in remark and "1 (bridge.jpg)" in remark


def test_where_only_validation_is_cut_from_train_earlier_test_photos_stay_given(tmp_path):
    run = runs.open_run("r", tmp_path)
    given = ["train"] * 80 + ["test"] * 20
    frame = checked(["a", "b"] * 50, split=given)
    old = split_again(run, frame)
    # Now the test photos turn up in the training folder, too, and the user keeps both.
    again = frame.tail(20).assign(split="train", path="again/" + frame["path"].tail(20))
    new = split_again(run, pd.concat([frame, again], ignore_index=True))
    assert new["split"].head(100).tolist() == old["split"].tolist()
    assert set(new["split"].tail(20)) <= {"train", "validation"}


def test_shares_are_about_what_was_asked_and_depend_on_the_seed():
    frame = checked(["a", "b"] * 500)
    first = assign_splits(frame, 0.2, 0.1, split_seed=0)["split"]
    second = assign_splits(frame, 0.2, 0.1, split_seed=1)["split"]
    for split, share in {"train": 0.7, "validation": 0.2, "test": 0.1}.items():
        assert first.eq(split).mean() == pytest.approx(share, abs=0.04)
    assert not first.equals(second)


def test_what_belongs_together_stays_together():
    frame = checked(["a", "b"] * 200)
    frame["group"] = [f"person {number // 8}" for number in range(400)]
    splits = assign_splits(frame, 0.3, 0.3)
    assert splits.groupby("group")["split"].nunique().max() == 1  # across classes, too
    frame = checked(["a", "b"] * 200)
    frame["copies"] = [f"{number // 4 * 4}.jpg" if number < 100 else "" for number in range(400)]
    splits = assign_splits(frame, 0.3, 0.3)
    assert splits.head(100).groupby("copies")["split"].nunique().max() == 1
    # Photos without a copy are where they were before the copies were known.
    alone = assign_splits(checked(["a", "b"] * 200), 0.3, 0.3)
    assert splits["split"].tail(300).tolist() == alone["split"].tail(300).tolist()
    # A copy of one person's photo under another person's name keeps both together.
    frame = checked(["a", "b"] * 200)
    frame["group"] = [f"person {number // 8}" for number in range(400)]
    frame.loc[[3, 90], "copies"] = "3.jpg"
    splits = assign_splits(frame, 0.3, 0.3)
    assert splits.loc[[*range(8), *range(88, 96)], "split"].nunique() == 1


def test_a_class_without_an_image_in_a_split_names_a_split_seed_that_works():
    frame = checked(["a"] * 8 + ["b"] * 50)
    seeds = {}
    for seed in range(20):
        try:
            assign_splits(frame, split_seed=seed)
        except ValueError as error:
            seeds[seed] = str(error)
    assert seeds, "no seed left a class empty, so this test tests nothing"
    message = next(iter(seeds.values()))
    assert "'a' is left without an image" in message
    advised = int(message.split("split_seed to ")[1].split(",")[0])
    assert set(assign_splits(frame, split_seed=advised)["split"]) == set(SPLITS)


@pytest.mark.parametrize(
    ("frame", "validation_size", "message"),
    [
        (checked(["a"] * 2 + ["b"] * 5000), 0.15, "2 photos of class 'a'.*test_size to 0"),
        (
            checked(["a"] * 9 + ["b"] * 5000, copies=["0.jpg"] * 9 + [""] * 5000),
            0.15,
            "all belong together.*Add other photos",
        ),
        (checked(["a"] * 4 + ["b"] * 5000), 1e-5, "No split_seed from 0 to 999"),
        (checked(["a"] * 5000 + ["b"] * 5000), 1e-9, "No split_seed from 0 to"),
    ],
)
def test_what_no_split_seed_can_fix_is_said_without_trying_for_long(
    frame, validation_size, message, monkeypatch
):
    split_by_hash, hashed = _split_by_hash, []

    def count(keys, *arguments):
        hashed.append(len(keys))
        return split_by_hash(keys, *arguments)

    monkeypatch.setattr(splits, "_split_by_hash", count)
    with pytest.raises(ValueError, match=message):
        assign_splits(frame, validation_size)
    assert sum(hashed) <= 400_000


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 9, "at least two classes"),
        (["a"] * 9 + ["b"], "Class 'b' has too few readable images, 1:"),
        (["a"] * 9 + ["b"] * 2, "'b' is left without an image"),
    ],
)
def test_too_few_classes_or_images(labels, message):
    with pytest.raises(ValueError, match=message):
        assign_splits(checked(labels))


@pytest.mark.parametrize("sizes", [(0, 0.1), (0.5, 0.5), (0.1, -0.1), (1, 0)])
def test_shares_out_of_range(sizes):
    with pytest.raises(ValueError, match="validation_size"):
        assign_splits(checked(["a", "b"] * 9), *sizes)


def test_a_given_split_may_lack_a_class_and_a_split_made_here_may_not():
    labels = ["a", "b", "c"] * 20
    given = ["train"] * 36 + ["validation"] * 12 + ["test"] * 12
    frame = checked(labels, split=given)
    gone = frame["label"].eq("c") & frame["split"].eq("validation")
    split = assign_splits(frame[~gone])
    assert split["split"].tolist() == frame[~gone]["split"].tolist()
    (remark,) = split_remarks(split)
    assert "no validation photo shows c" in remark
    # Class c is only in the test split.
    with pytest.raises(ValueError, match="'c' is left without an image in the train split"):
        assign_splits(frame[~gone & ~(frame["label"].eq("c") & frame["split"].eq("train"))])
    # Validation is cut from training here.
    frame = checked(["a"] * 40 + ["b"] * 3, split=["train"] * 30 + ["test"] * 11 + ["train"] * 2)
    with pytest.raises(ValueError, match="'b' is left without an image in the validation split"):
        assign_splits(frame)
    # A single photo to train on is enough where nothing has to be cut from it.
    frame = checked(["a", "b", "a"], split=["train", "train", "validation"])
    assert assign_splits(frame)["split"].tolist() == ["train", "train", "validation"]


def test_groups_across_given_splits_are_counted_and_nothing_is_dropped(tmp_path):
    frame = checked(
        ["a", "b"] * 5,
        split=["train"] * 6 + ["validation"] * 2 + ["test"] * 2,
        group=["anna", "bert", "", "", "anna", "carl", "anna", "", "dora", "carl"],
    )
    split = assign_splits(frame)
    assert split["split"].tolist() == frame["split"].tolist() and split["status"].eq("kept").all()
    table = across_splits(split, "group")
    assert table.to_dict("index") == {
        "anna": {"train": 2, "validation": 1, "test": 0},
        "carl": {"train": 1, "validation": 0, "test": 1},
    }
    (remark,) = split_remarks(split)
    assert "Groups that lie in more than one split: 2 (anna, carl)." in remark
    assert "Their photos: train 3, validation 1, test 1." in remark
    run = runs.open_run("r", tmp_path)
    images.write_images(run, split.reindex(columns=images.COLUMNS), tmp_path)
    facts = run.read()["data"]
    assert facts["groups_across_splits"] == {
        "groups": 2, "photos": {"train": 3, "validation": 1, "test": 1},
    }  # fmt: skip
    assert facts["pictures_across_splits"] == {"pictures": 0, "photos": {}}


def test_if_no_file_can_be_used_the_reasons_are_counted():
    frame = checked(["a", "b"] * 3, status="excluded", reason="is a HEIC file")
    frame.loc[5, "reason"] = "there is no such file"
    with pytest.raises(ValueError, match="None of the 6 files") as error:
        images.require_kept(frame)
    assert "'is a HEIC file' (5), 'there is no such file' (1)" in str(error.value)
    frame.loc[0, "status"] = "kept"
    images.require_kept(frame)


def test_a_missing_or_empty_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no folder or CSV file .*nowhere"):
        images.find_images(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="No images were found under"):
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
    assert frame.columns.tolist()[: len(images.COLUMNS) - 1] == images.COLUMNS[1:]
    assert ",".join(images.COLUMNS).startswith(
        "path,label,split,group,width,height,format,orientation,sha256,status,reason"
    )
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
    with pytest.raises(ValueError, match="Class 'c' has too few readable images, 0:"):
        load(tmp_path)


def scene(seed, size=(120, 90)):
    """Return a picture of a few soft blobs, different for each seed."""
    generator = np.random.default_rng(seed)
    small = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def test_leaks_give_way_to_the_later_split(tmp_path):
    for split, numbers in {
        "train": (0, 1, 2, 3),
        "validation": (1, 4, 5),
        "test": (2, 5, 6),
    }.items():
        for label in "ab":
            (tmp_path / split / label).mkdir(parents=True)
            for number in numbers:
                scene(number + (50 if label == "b" else 0)).save(
                    tmp_path / split / label / f"{number}.png"
                )
    root, frame = images.find_images(tmp_path)
    photos = images.check_images(root, frame)
    copies = find_copies(root, photos)
    assert copies["leak"].sum() == 6 and not copies["conflict"].any()
    reasons = leaks(photos, copies)
    assert sorted(reasons) == sorted(
        f"{split}/{label}/{number}.png"
        for label in "ab"
        for split, number in (("train", 1), ("train", 2), ("validation", 5))
    )
    assert "which is in the test split" in reasons["train/a/2.png"]


def test_a_test_split_is_cut_from_train_only_if_asked(tmp_path):
    frame = checked(["a", "b"] * 100, split=["train"] * 160 + ["validation"] * 40)
    assert set(assign_splits(frame)["split"]) == {"train", "validation"}
    cut = assign_splits(frame, test_size=0.2, test_from_train=True)
    assert cut["split"].tail(40).eq("validation").all()
    assert 15 <= cut["split"].eq("test").sum() <= 50


def test_quality_is_flagged(tmp_path):
    (tmp_path / "a").mkdir()
    noise = Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    )
    noise.save(tmp_path / "a" / "sharp.png")
    noise.filter(ImageFilter.GaussianBlur(8)).save(tmp_path / "a" / "soft.png")
    noise.point(lambda level: level // 20).save(tmp_path / "a" / "night.png")
    noise.point(lambda level: 235 + level // 13).save(tmp_path / "a" / "snow.png")
    noise.crop((0, 0, 224, 60)).save(tmp_path / "a" / "strip.png")
    root, frame = images.find_images(tmp_path)
    photos = images.check_images(root, frame, blur_threshold=100).set_index("path")
    flags = {path.split("/")[1][:-4]: value for path, value in photos["flags"].items()}
    assert flags["sharp"] == "" and flags["soft"] == "blur"
    assert "dark" in flags["night"] and "bright" in flags["snow"] and flags["strip"] == "shape"
    assert images.check_images(root, frame, blur_threshold=0)["flags"].iloc[3] == ""


def test_a_second_look_opens_only_what_has_changed(tmp_path, monkeypatch):
    make_photos(tmp_path / "data", {"a": 5, "b": 5})
    (tmp_path / "data" / "a" / "broken.jpg").write_text("x")
    root, frame = images.find_images(tmp_path / "data")
    opened = []
    check = images._check_image
    monkeypatch.setattr(
        images, "_check_image", lambda path: opened.append(path.name) or check(path)
    )
    first = images.check_images(root, frame, cache=tmp_path / "cache")
    assert len(opened) == 11
    pd.testing.assert_frame_equal(images.check_images(root, frame, cache=tmp_path / "cache"), first)
    assert len(opened) == 11
    Image.new("RGB", (40, 40), "red").save(root / frame["path"][0])
    (root / "b" / "new.png").write_bytes((root / frame["path"][1]).read_bytes())
    root, frame = images.find_images(tmp_path / "data")
    second = images.check_images(root, frame, cache=tmp_path / "cache")
    assert len(opened) == 13 and second["width"].max() == 40
    (file,) = (tmp_path / "cache").iterdir()
    file.write_text("damaged")
    pd.testing.assert_frame_equal(
        images.check_images(root, frame, cache=tmp_path / "cache"), second
    )
    assert len(opened) == 25


def test_a_cache_that_cannot_be_written_causes_a_warning_and_stops_nothing(tmp_path):
    make_photos(tmp_path / "data", {"a": 2, "b": 2})
    (tmp_path / "file").write_text("")
    root, frame = images.find_images(tmp_path / "data")
    with pytest.warns(UserWarning, match="cannot be remembered in .*file"):
        photos = images.check_images(root, frame, cache=tmp_path / "file" / "cache")
    assert photos["status"].eq("kept").all()


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
        ("path,label\n", "No images were found"),
        ("", "cannot be read as a CSV file"),
        ("path,label\na.png,x\na.png,y\n", "two rows for 'a.png' that differ.*x.*y"),
        ("path,label\n/etc/passwd,x\n", "lies outside the folder"),
        ("path,label\n,x\n", "lies outside the folder"),
        ('path,label\n"a.png,x\n', "cannot be read as a CSV file"),
        ("path,Label,label\na.png,x,y\n", "column label more than once"),
        ("Path,path,label\na.png,b.png,y\n", "column path more than once"),
        ("path,label,label\na.png,x,y\n", "column label more than once"),
        ("id,id,label\na.png,b.png,y\n", "column id more than once"),
        ("path,label\na.png,x\nb\0.png,x\n", "line 3 holds a NUL"),
        ("path,label\na.png,x\n\nb.png,x,train\n", "line 4 has 3 fields.*names 2"),
    ],
)
def test_csv_mistakes_are_named(tmp_path, content, message):
    (tmp_path / "photos.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        images.find_images(tmp_path / "photos.csv")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_from_a_spreadsheet(tmp_path, separator):
    make_photos(tmp_path, {"a": 2})
    first, second = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png"))
    rows = [("ID", "Label", "seen by"), (first, " x ", "Anna"), (first, "x", "Bert"),
            (second, "", ""), ("gone.jpg", "y", "")]  # fmt: skip
    text = "\r\n".join(separator.join(row) for row in rows)
    (tmp_path / "photos.csv").write_bytes(text.encode("utf-8-sig"))
    root, frame = images.find_images(tmp_path / "photos.csv")
    assert frame.attrs["notes"] == [
        "The CSV file's columns seen by are not used.",
        "Rows of the CSV file that repeat another, and count once: 1.",
    ]
    checked_frame = images.check_images(root, frame).set_index("path")
    assert checked_frame["reason"].to_dict() == (
        {first: "", second: "has no label", "gone.jpg": "there is no such file"}
    )
    counts = images.count_files(root, checked_frame.reset_index())
    assert counts.to_dict() == {
        "kept": 1, "excluded": 1, "system files": 0, "files beside the class folders": 1,
        "on disk": 3,
    }  # fmt: skip


@pytest.fixture
def explore(tmp_path, monkeypatch, capsys):
    """Return a function that runs notebook 01 in this process; it returns the folder and lines."""
    for name in ("use_notebook_style", "diagram", "class_counts", "image_grid", "picture_hashes"):
        monkeypatch.setattr(plots, name, lambda *figure: None)

    def explore(data, **parameters):
        path = runs.project_root() / "notebooks" / "01_explore_data.ipynb"
        given = {"run_name": "r", "output_dir": str(tmp_path / "out"), "data": str(data)}
        namespace = {"display": print}
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                exec("".join(cell["source"]), namespace)  # noqa: S102 (the project's own)
            if "parameters" in cell["metadata"].get("tags", []):
                namespace.update(given | parameters)
        folder = runs.run_folder(namespace["run_name"], tmp_path / "out")
        return folder, capsys.readouterr().out

    return explore


def test_the_notebook_takes_a_csv_of_bare_names_with_its_own_split(tmp_path, explore):
    (tmp_path / "data").mkdir()
    rows = []
    for number in range(12):
        split = ("train", "train", "validation", "test")[number % 4]
        label = "ab"[number // 4 % 2] if number < 8 else "c"
        scene(number).save(tmp_path / "data" / f"{number}.png")
        if (label, split) != ("c", "validation"):
            rows.append((f"{number}.png", label, split, "anna" if number < 3 else ""))
    (tmp_path / "data" / "twice.png").write_bytes((tmp_path / "data" / "0.png").read_bytes())
    rows.append(("twice.png", "a", "train", ""))
    table = pd.DataFrame(rows, columns=["path", "label", "split", "group"])
    table.to_csv(tmp_path / "data" / "photos.csv", index=False)
    folder, said = explore(tmp_path / "data" / "photos.csv")
    assert "2 of 12 files have a copy, which makes 1 pair." in said
    assert "Groups that lie in more than one split: 1 (anna)" in said
    assert "no validation photo shows c" in said
    written = pd.read_csv(folder / "images.csv", keep_default_na=False).set_index("path")
    assert written["status"].eq("kept").all() and (folder / "labels.txt").read_text() == "a\nb\nc\n"
    assert written["split"].to_dict() == table.set_index("path")["split"].to_dict()


def test_the_notebook_keeps_old_photos_where_they_were(tmp_path, explore):
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(12):
            path = tmp_path / "data" / label / f"{number}.png"
            scene(number + 50 * (label == "b")).save(path)
    how = {"split_seed": 3, "validation_size": 0.3, "test_size": 0.3}
    splits = []
    for _ in range(2):
        folder, _ = explore(tmp_path / "data", **how)
        written = pd.read_csv(folder / "images.csv").set_index("path")
        splits.append(written[written.index.str.endswith("png")]["split"])
        for file in list((tmp_path / "data").rglob("*.png")):
            Image.open(file).save(file.with_suffix(".jpg"), quality=60)
    assert len(written) == 48 and (written["copies"] != "").all()
    assert splits[0].to_dict() == splits[1].to_dict()


def test_the_notebook_takes_groups_from_a_file_and_an_earlier_run_that_decides(tmp_path, explore):
    rows = ["path,group"]
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(24):
            scene(number + 50 * (label == "b")).save(tmp_path / "data" / label / f"{number}.png")
            rows.append(f"data/{label}/{number}.png,sender {number // 2}")
    (tmp_path / "senders.csv").write_text("\n".join(rows) + "\n")
    how = {"validation_size": 0.3, "test_size": 0.3, "groups": str(tmp_path / "senders.csv")}
    folder, said = explore(tmp_path / "data", split_seed=1, **how)
    assert "48 of 48 photos belong to 12 given groups.\nThe largest holds 4 photos, 8 %" in said
    first = images.read_table(folder / "images.csv")
    assert first.groupby("group")["split"].nunique().max() == 1
    how |= {"split_seed": 2, "run_name": "second"}
    folder, said = explore(tmp_path / "data", **how, previous=str(folder))
    second = images.read_table(folder / "images.csv")
    assert folder.name == "second" and second["split"].tolist() == first["split"].tolist()
    # Without groups, files written in one go say nothing about scenes.
    _, said = explore(tmp_path / "data", split_seed=0, run_name="third")
    assert "File times would tie more than a tenth of all photos together" in said


def test_the_notebook_stops_with_the_reasons_where_nothing_can_be_read(tmp_path, explore):
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "data" / label / f"{number}.jpg").write_bytes(b"dear diary")
    with pytest.raises(ValueError, match=r"None of the 4 files.*not an image.*(4)"):
        explore(tmp_path / "data")


def test_images_csv_round_trip_and_another_folder_is_refused(tmp_path):
    make_photos(tmp_path / "data", {"NA": 9, "001": 9, "1": 9, "nan": 9})
    frame = load(tmp_path / "data", test_size=0.0, validation_size=0.3)
    run = runs.open_run("r", tmp_path)
    images.write_images(run, frame, tmp_path / "data")
    assert run.class_names == ["001", "1", "NA", "nan"]
    train, validation = (images.read_images(run, name) for name in ("train", "validation"))
    assert set(train["label"]) == {"001", "1", "NA", "nan"}
    assert len(train) + len(validation) == 36
    assert images.read_images(run, "test").empty
    table = images.read_table(run.path("images.csv"))
    pd.testing.assert_frame_equal(table, frame[images.COLUMNS])
    run.path("images.csv").write_text(
        run.path("images.csv").read_text().replace(",PNG,1,", ",PNG,x,")
    )
    with pytest.raises(ValueError, match=r"images.csv is damaged.*notebook 01"):
        images.read_images(run, "train")
    images.write_images(run, frame, tmp_path / "data")
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


@pytest.mark.parametrize("size", [(1804, 1803), (1803, 1804)])
def test_sides_that_are_nearly_equal_are_not_swapped(tmp_path, size):
    (tmp_path / "a").mkdir()
    scene(0, size).save(tmp_path / "a" / "photo.jpg")
    root, frame = images.find_images(tmp_path)
    row = images.check_images(root, frame).iloc[0]
    assert (row["width"], row["height"]) == size


def copied(kinds, **columns):
    """Return a frame as from check_images, and pairs of copies: each with the first of its kind."""
    frame = checked(["a"] * len(kinds), **columns)
    first = {kind: path for kind, path in zip(kinds[::-1], frame["path"][::-1], strict=True)}
    pairs = [
        (first[kind], path)
        for kind, path in zip(kinds, frame["path"], strict=True)
        if path != first[kind]
    ]
    pairs = pd.DataFrame(pairs, columns=["path", "copy"])
    by_path = frame.set_index("path")
    for name, column in (("conflict", "label"), ("leak", "split")):
        one, other = (by_path[column].loc[pairs[side]].to_numpy() for side in ("path", "copy"))
        pairs[name] = one != other
    return frame, pairs


def test_every_training_copy_gives_way_even_if_the_pairs_name_only_one():
    split = ["train", "train", "validation", "train", "train", "test", "validation", "train"]
    frame, pairs = copied(list("xxxyzzzw"), split=split)
    for photos in (frame, group_copies(frame, pairs)):
        reasons = leaks(photos, pairs)
        assert reasons == {
            "0.jpg": "copy of 2.jpg, which is in the validation split",
            "1.jpg": "copy of 2.jpg, which is in the validation split",
            "4.jpg": "copy of 5.jpg, which is in the test split",
            "6.jpg": "copy of 5.jpg, which is in the test split",
        }


def test_all_copies_of_a_photo_in_two_classes_are_in_conflict():
    frame, pairs = copied(list("xxxyyz"), label=["cat", "cat", "dog", "cat", "cat", "dog"])
    assert conflicts(group_copies(frame, pairs), pairs) == {
        "0.jpg": "copy of 2.jpg, which is labelled dog",
        "1.jpg": "copy of 2.jpg, which is labelled dog",
        "2.jpg": "copy of 0.jpg, which is labelled cat",
    }


def test_a_read_error_that_passes_is_not_remembered(tmp_path, monkeypatch):
    make_photos(tmp_path / "data", {"a": 2, "b": 2})
    root, frame = images.find_images(tmp_path / "data")
    for error in (PermissionError(13, "Permission denied"), FileNotFoundError(2, "No such file")):
        with monkeypatch.context() as locked:

            def refuse(path, error=error):
                raise error

            locked.setattr(images.Path, "read_bytes", refuse)
            photos = images.check_images(root, frame, cache=tmp_path / "cache")
            assert photos["status"].eq("excluded").all()
        photos = images.check_images(root, frame, cache=tmp_path / "cache")
        assert photos["reason"].eq("").all()
        for file in (tmp_path / "cache").iterdir():
            file.unlink()


def test_a_split_folder_that_is_a_link_is_refused(tmp_path):
    make_photos(tmp_path / "elsewhere", {"a": 2, "b": 2})
    make_photos(tmp_path / "data", {"a": 2, "b": 2}, "test")
    (tmp_path / "data" / "train").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"data/train is a link.*not followed"):
        images.find_images(tmp_path / "data")


def test_photos_reached_through_a_link_out_of_the_folder_are_excluded(tmp_path):
    make_photos(tmp_path / "elsewhere", {"a": 1})
    (file,) = (tmp_path / "elsewhere" / "a").iterdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "away").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "photos.csv").write_text(f"path,label\naway/a/{file.name},x\n")
    _, frame = images.find_images(tmp_path / "data" / "photos.csv")
    assert frame["reason"].tolist() == ["is a link that leaves the data folder"]


@pytest.mark.parametrize("name", ["data/a/deep", "data/train", "data"])
def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch, name):
    for prefix in ("train", "test"):
        make_photos(tmp_path / "data", {"a": 2, "b": 2}, prefix if "deep" not in name else "")
    (tmp_path / name).mkdir(exist_ok=True)

    def locked(read):
        def refuse(path):
            if str(path) == str(tmp_path / name):
                raise PermissionError(13, "Permission denied", path)
            return read(path)

        return refuse

    monkeypatch.setattr(os, "scandir", locked(os.scandir))
    monkeypatch.setattr(os, "listdir", locked(os.listdir))
    with pytest.raises(ValueError, match=f"folder .*/{name} cannot be read .Permission denied"):
        images.find_images(tmp_path / "data")


def test_csv_paths_that_are_absolute_or_roundabout_are_made_relative_to_the_root(tmp_path):
    make_photos(tmp_path / "img", {"a": 3})
    paths = sorted((tmp_path / "img" / "a").iterdir())
    names = [paths[0], f"./img/a/{paths[1].name}", f"img/../img/a/{paths[2].name}"]
    table = tmp_path / "photos.csv"
    table.write_text("path,label\n" + "".join(f"{name},x\n" for name in names))
    root, frame = images.find_images(table)
    assert frame["path"].tolist() == [path.relative_to(root).as_posix() for path in paths]
    counts = images.count_files(root, images.check_images(root, frame))
    assert counts.tolist() == [3, 0, 0, 1, 4]
    for other in (paths[1], f"img/a/{paths[1].name}", f"img/a/{paths[1].stem}"):
        table.write_text(f"path,label\n{names[1]},x\n{other},x\n")
        _, frame = images.find_images(table)
        assert len(frame) == 1 and "count once: 1" in frame.attrs["notes"][0]
        table.write_text(f"path,label\n{names[1]},x\n{other},y\n")
        with pytest.raises(ValueError, match=r"two rows for 'img/a/.*differ"):
            images.find_images(table)


def test_a_photo_reached_through_a_link_within_the_folder_is_counted_where_it_lies(tmp_path):
    make_photos(tmp_path, {"a": 2})
    (tmp_path / "link").symlink_to("a")
    first, second = sorted(path.name for path in (tmp_path / "a").iterdir())
    (tmp_path / "photos.csv").write_text(f"path,label\nlink/{first},x\na/{second},x\n")
    root, frame = images.find_images(tmp_path / "photos.csv")
    counts = images.count_files(root, images.check_images(root, frame))
    assert counts.tolist() == [2, 0, 0, 2, 4]


def test_the_notebook_takes_a_class_named_all(tmp_path, explore):
    make_photos(tmp_path / "data", {"all": 4, "(all)": 4})
    _, said = explore(tmp_path / "data", validation_size=0.4, test_size=0.0)
    assert "Every split shows every class" in said


def with_brands(content, major, *compatible):
    """Return a file with the brands in its header exchanged."""
    brands = b"".join((major, bytes(4), *compatible))
    old = int.from_bytes(content[:4])
    assert len(brands) + 8 == old or not content
    return (8 + len(brands)).to_bytes(4) + b"ftyp" + brands + content[old:]


def test_an_avif_file_of_the_general_brand_is_kept(tmp_path):
    (tmp_path / "a").mkdir()
    buffer = io.BytesIO()
    scene(0).save(buffer, format="AVIF")
    content = buffer.getvalue()
    brands = [content[start : start + 4] for start in range(16, int.from_bytes(content[:4]), 4)]
    content = with_brands(content, b"mif1", *brands)
    assert b"avif" in brands
    (tmp_path / "a" / "good.avif").write_bytes(content)
    (tmp_path / "a" / "hurt.avif").write_bytes(content[: len(content) // 2])
    root, frame = images.find_images(tmp_path)
    photos = images.check_images(root, frame)
    assert photos["format"][0] == "AVIF" and photos["reason"][0] == ""
    assert photos["status"][1] == "excluded" and "HEIC" not in photos["reason"][1]


def take_heic_away(monkeypatch):
    """Let nothing read HEIC, as where the extra "heic" is not installed."""
    monkeypatch.setattr(pixels, "pi_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF")
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind != "HEIF"])


@pytest.mark.parametrize("major", b"heic heix heim heis hevc hevx hevm hevs mif1 msf1".split())
def test_without_the_package_heic_files_of_every_brand_say_what_to_install(
    tmp_path, major, monkeypatch
):
    take_heic_away(monkeypatch)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(with_brands(b"", major, b"miaf") + bytes(99))
    (tmp_path / "a" / "2.jpg").write_bytes(with_brands(b"", b"xxxx", b"miaf", major) + bytes(99))
    (tmp_path / "a" / "3.jpg").write_bytes(with_brands(b"", b"isom", b"mp41") + bytes(99))
    root, frame = images.find_images(tmp_path)
    reasons = images.check_images(root, frame)["reason"].tolist()
    assert all("pip install pi-heif" in reason for reason in reasons[:2])
    assert reasons[2] == "is not an image that Pillow can read."


def test_heic_photos_are_read_anew_once_the_package_is_there(tmp_path, monkeypatch):
    (tmp_path / "data" / "a").mkdir(parents=True)
    awkward.heic()(tmp_path / "data" / "a" / "1.heic")
    root, frame = images.find_images(tmp_path / "data")
    with monkeypatch.context() as without:
        take_heic_away(without)
        photos = images.check_images(root, frame, cache=tmp_path / "cache")
        assert "pip install pi-heif" in photos["reason"][0]
    photos = images.check_images(root, frame, cache=tmp_path / "cache")
    assert photos["status"][0] == "kept" and photos["format"][0] == "HEIF"


def test_csv_names_without_an_extension_find_it_whatever_its_case(tmp_path):
    for name in ("1.JPG", "2.Png", "3.png", "3.JPG", "4.heic", "5.HEIC", "5.jpeg", "7.c"):
        Image.new("RGB", (20, 20)).save(tmp_path / name, format="PNG")
    (tmp_path / "6.jpg").mkdir()
    rows = "".join(f"{number},x\n" for number in (1, 2, 3, 4, 5, 6, "7.c"))
    (tmp_path / "photos.csv").write_text("id,label\n" + rows)
    _, frame = images.find_images(tmp_path / "photos.csv")
    assert frame["path"].tolist() == ["1.JPG", "2.Png", "3.JPG", "4.heic", "5.jpeg", "6", "7.c"]


def test_csv_names_without_an_extension_take_one_look_at_their_folder(tmp_path, monkeypatch):
    make_photos(tmp_path, {"a": 30})
    names = sorted((tmp_path / "a").iterdir())
    rows = "".join(f"a/{name.stem},x\n" for name in names)
    (tmp_path / "photos.csv").write_text("path,label\n" + rows)
    looks = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looks.append(path) or scandir(path))
    _, frame = images.find_images(tmp_path / "photos.csv")
    assert frame["path"].tolist() == [f"a/{name.name}" for name in names]
    assert len(looks) == 1


def test_commas_at_the_ends_of_csv_rows_shift_no_column(tmp_path):
    make_photos(tmp_path, {"a": 2})
    first, second = sorted(path.name for path in (tmp_path / "a").iterdir())
    for head in ("path,label", "path,label,"):
        (tmp_path / "photos.csv").write_text(f"{head}\na/{first},x,\n\na/{second},y,,\n")
        _, frame = images.find_images(tmp_path / "photos.csv")
        assert frame[["path", "label"]].to_numpy().tolist() == [
            [f"a/{first}", "x"],
            [f"a/{second}", "y"],
        ]
        assert frame.attrs["notes"] == []


def test_a_path_that_is_too_long_is_excluded(tmp_path):
    (tmp_path / "photos.csv").write_text(f"path,label\n{'x' * 6000}.jpg,a\n{'y/' * 3000}z,a\n")
    root, frame = images.find_images(tmp_path / "photos.csv")
    reasons = images.check_images(root, frame)["reason"]
    assert reasons.str.startswith("cannot be opened: File name too long").all()


def test_a_validation_split_cut_from_given_photos_names_a_split_seed_that_works():
    split = ["train"] * 46 + ["test"] * 10
    frame = checked(["a"] * 6 + ["b"] * 40 + ["a", "b"] * 5, split=split)
    messages = []
    for seed in range(20):
        try:
            assign_splits(frame, split_seed=seed)
        except ValueError as error:
            messages.append(str(error))
    assert messages, "no seed left a class empty, so this test tests nothing"
    assert "'a' is left without an image in the validation split" in messages[0]
    advised = int(messages[0].split("split_seed to ")[1].split(",")[0])
    assert set(assign_splits(frame, split_seed=advised)["split"]) == set(SPLITS)
    # There is no advice about a split that is not cut.
    frame = checked(["a"] * 1 + ["b"] * 40 + ["a", "b"] * 5, split=["train"] * 41 + ["test"] * 10)
    with pytest.raises(ValueError, match=r"'a' has a single photo to divide.*of the class\.$"):
        assign_splits(frame)


@pytest.mark.parametrize("largest", [255, 65535])
def test_whole_numbers_of_32_bits_are_read_by_their_largest_value(tmp_path, largest):
    levels = np.linspace(0, 255, 400).astype(np.int32).reshape(20, 20)
    Image.fromarray(levels * (largest // 255)).save(tmp_path / "grey.tif")
    assert Image.open(tmp_path / "grey.tif").mode == "I"
    pixels = decode_image(tmp_path / "grey.tif")
    assert (pixels == levels[:, :, None]).all()
