"""Tests of what belongs together: scenes, groups from a file, and an earlier run that decides."""

import os

from dermaface import runs
from dermaface.photos import images
from dermaface.photos.copies import group_copies
from dermaface.photos.scenes import find_scenes
from dermaface.photos.splits import assign_splits, leaks, name_units, split_remarks
import numpy as np
import pandas as pd
from PIL import ExifTags, Image
import pytest

NO_PLACES = pd.DataFrame(columns=["path", "copy"])


def listed(count, **columns):
    """Return a frame as from check_images, with made-up content and two classes."""
    frame = pd.DataFrame({"path": [f"{number}.jpg" for number in range(count)]}).assign(
        label=["a", "b"] * (count // 2), split="", group="", copies="", scene="", status="kept",
        reason="", taken=0.0, camera="",
    )  # fmt: skip
    frame["sha256"] = [f"content {number:03d}" for number in range(count)]
    return frame.assign(**columns)


def files(root, times):
    """Write an empty file with each modification time."""
    for number, time in enumerate(times):
        (root / f"{number}.jpg").write_bytes(b"")
        os.utime(root / f"{number}.jpg", (time, time))
    return root


def members(photos):
    """Return the scenes as sets of numbers."""
    named = photos[photos["scene"] != ""]
    return [set(rows.index) for _, rows in named.groupby("scene")]


# --- Copies and an earlier list -------------------------------------------------------------------


def copies_of(frame, first, prefix):
    """Return the rows of the photos `first` with other content, and the pairs with them."""
    again = frame.loc[first].copy()
    again["path"] = prefix + again["path"]
    again["sha256"] = f"{prefix} " + again["sha256"]
    pairs = pd.DataFrame({"path": frame["path"].loc[first], "copy": again["path"]})
    return again, pairs


@pytest.mark.parametrize("split_seed", range(20))
def test_no_picture_straddles_and_no_old_photo_moves(tmp_path, split_seed):
    """Split 120 photos with three copies each; then 80 old ones get another copy."""
    frame = listed(120)
    more = [copies_of(frame, frame.index, f"copy {number} ") for number in range(3)]
    photos = pd.concat([frame, *(rows for rows, _ in more)], ignore_index=True)
    pairs = pd.concat([pairs for _, pairs in more], ignore_index=True)
    old = assign_splits(group_copies(photos, pairs), split_seed=split_seed)
    assert set(old["split"]) == {"train", "validation", "test"}
    assert old.groupby(name_units(old)["picture"])["split"].nunique().max() == 1
    # Alphabetically before all, so that some of the copies now stand for their pictures.
    extra, new_pairs = copies_of(photos, photos.index[20:100], "a new ")
    both = pd.concat([extra, photos], ignore_index=True)
    both = group_copies(both, pd.concat([pairs, new_pairs], ignore_index=True))
    alone = assign_splits(both, split_seed=split_seed).tail(480)["split"].tolist()
    assert alone != old["split"].tolist(), "nothing would have moved, so this tests nothing"
    run = runs.open_run("earlier", tmp_path)
    runs.write_csv(run.path("images.csv"), old.reindex(columns=images.COLUMNS).fillna(0))
    earlier = images.read_earlier(runs.open_run("later", tmp_path), {}, run.folder)
    new = assign_splits(both, split_seed=split_seed, earlier=earlier)
    assert new["status"].eq("kept").all()
    assert new.tail(480)["split"].tolist() == old["split"].tolist()
    assert new.groupby(name_units(new)["picture"])["split"].nunique().max() == 1
    assert len(split_remarks(new, earlier)) == 1 and "Every split" in split_remarks(new)[0]


def test_another_run_decides_whatever_its_numbers_were(tmp_path):
    old = assign_splits(listed(200), 0.3, 0.3, split_seed=5)
    run = runs.open_run("old", tmp_path)
    images.write_images(run, old.reindex(columns=images.COLUMNS).fillna(0), tmp_path)
    later = runs.open_run("later", tmp_path)
    assert images.read_earlier(later, {"split_seed": 0}) is None
    for previous in (run.folder, run.path("images.csv"), str(run.folder)):
        earlier = images.read_earlier(later, {"split_seed": 0}, previous)
        new = assign_splits(listed(300), split_seed=0, earlier=earlier)
        assert new["split"].head(200).tolist() == old["split"].tolist()
        # Where no test split is asked for, the earlier one stays out of training all the same.
        without = assign_splits(listed(300), test_size=0.0, earlier=earlier)
        assert without["split"].head(200).tolist() == old["split"].tolist()
        assert "test" not in set(without["split"].tail(100))
    # What has joined since stays, too, because the later run's own list counts for the rest.
    numbers = {"split_seed": 0}
    images.write_images(later, new.reindex(columns=images.COLUMNS).fillna(0), tmp_path, numbers)
    earlier = images.read_earlier(later, numbers, run.folder)
    assert len(earlier) == 300
    again = assign_splits(listed(300), split_seed=77, earlier=earlier)
    assert again["split"].tolist() == new["split"].tolist()


def test_what_cannot_stay_is_told_by_name(tmp_path):
    frame = listed(100)
    earlier = assign_splits(frame)
    moved = frame.index[earlier["split"] == "test"][0]
    given = earlier["split"].where(frame.index != moved, "train")
    (remark,) = split_remarks(assign_splits(frame.assign(split=given)), earlier)
    assert f"1 ({moved}.jpg (test, now train))" in remark


@pytest.mark.parametrize("content", [None, "not,a,list\n1,2,3\n"])
def test_a_list_that_is_not_there_or_is_none_is_named(tmp_path, content):
    path = tmp_path / "images.csv"
    if content:
        path.write_text(content)
    message = (
        "is no list of photos: it lacks the column path"
        if content
        else "no list of photos .*previous must be"
    )
    with pytest.raises(ValueError, match=message):
        images.read_previous(tmp_path)


# --- Groups ---------------------------------------------------------------------------------------


def test_copies_give_way_across_given_splits_and_groups_never_do():
    frame = listed(8, split=["train", "test"] * 4, group=["anna"] * 6 + [""] * 2)
    assert leaks(frame, pd.DataFrame(columns=["path", "copy"])) == {}
    assert leaks(frame, pd.DataFrame({"path": ["0.jpg"], "copy": ["1.jpg"]})) == {
        "0.jpg": "copy of 1.jpg, which is in the test split"
    }


def folder_of(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


@pytest.mark.parametrize(
    "rows",
    [
        "path,group\nset/a/1.jpg,anna\nset/b/2.jpg,anna\nset/b/3.jpg,bert\n",  # from its own folder
        "path,label,split,group\na/1.jpg,a,,anna\nb/2.jpg,b,,anna\nb/3.jpg,b,,bert\n",
        "image;group\n1;anna\n2;anna\n3;bert\nelsewhere;carl\n",
        "id,group\n1.jpg,anna\n2.jpg,anna\n3.jpg,bert\n",
    ],
)
def test_a_file_tells_who_sent_the_photos_of_a_folder(tmp_path, rows):
    root = folder_of(tmp_path / "set", ["a/1.jpg", "a/4.jpg", "b/2.jpg", "b/3.jpg"])
    (tmp_path / "senders.csv").write_text(rows)
    _, photos = images.find_images(root, groups=tmp_path / "senders.csv")
    assert photos.set_index("path")["group"].to_dict() == {
        "a/1.jpg": "anna", "a/4.jpg": "", "b/2.jpg": "anna", "b/3.jpg": "bert",
    }  # fmt: skip
    notes = photos.attrs["notes"]
    assert notes[0] == "Photos without a group in the file given as groups: 1."
    assert (len(notes) == 2) == ("elsewhere" in rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("path,sender\na/1.jpg,anna\n", "columns path .* and group; it has path, sender"),
        ("path,group\nc/1.jpg,anna\n", "a group for none of the 3 photos.*'c/1.jpg'"),
        ("path,group\n1,anna\n", "'1', which may be a/1.jpg or b/1.jpg"),
        ("path,group\na/1.jpg,anna\na/1,bert\n", "two groups, 'anna' and 'bert'"),
        ("path,group,group\na/1.jpg,anna,x\n", "column group more than once"),
    ],
)
def test_mistakes_in_such_a_file_are_named(tmp_path, rows, message):
    root = folder_of(tmp_path / "set", ["a/1.jpg", "b/1.jpg", "b/2.jpg"])
    (tmp_path / "senders.csv").write_text(rows)
    with pytest.raises(ValueError, match=message):
        images.find_images(root, groups=tmp_path / "senders.csv")


def test_groups_are_given_in_one_place_only(tmp_path):
    folder_of(tmp_path, ["1.jpg"])
    (tmp_path / "photos.csv").write_text("path,label,group\n1.jpg,a,anna\n")
    with pytest.raises(ValueError, match="already have groups"):
        images.find_images(tmp_path / "photos.csv", groups=tmp_path / "photos.csv")


# --- Scenes ---------------------------------------------------------------------------------------


def test_photos_of_one_place_or_of_one_camera_within_minutes_make_a_scene(tmp_path):
    taken = 1e9 + 1e4 * np.arange(100)
    taken[[10, 11, 12]] = 1e9 + np.array([0, 170, 340])  # ten minutes from none but each other
    taken[[20, 21]] = 2e9, 2e9 + 181
    taken[[30, 31]] = 3e9
    camera = np.where(np.arange(100) == 31, "another", "one")
    taken[0] = 5e9
    places = pd.DataFrame({"path": ["40.jpg", "12.jpg"], "copy": ["41.jpg", "50.jpg"]})
    photos, found = find_scenes(tmp_path, listed(100, taken=taken, camera=camera), places)
    assert members(photos) == [{10, 11, 12, 50}, {40, 41}]
    assert photos["scene"][50] == "10.jpg"  # whose content has the smallest hash
    assert found == {
        "photos": 6, "scenes": 2, "largest": 4, "too_large": 0, "joining": 0,
        "sources": ["place", "camera"], "refused": [],
    }  # fmt: skip


def test_file_times_tell_scenes_unless_nearly_all_files_share_them(tmp_path):
    kept_times = 1e9 + 1e4 * np.arange(60)
    kept_times[5] = kept_times[4] + 60
    photos, found = find_scenes(files(tmp_path, kept_times), listed(60), NO_PLACES)
    assert members(photos) == [{4, 5}] and found["sources"] == ["file"]
    # Freshly unpacked: all but a few were written in the same seconds.
    kept_times[:55] = 2e9 + 0.05 * np.arange(55)
    photos, found = find_scenes(files(tmp_path, kept_times), listed(60), NO_PLACES)
    assert members(photos) == [] and found["refused"] == ["file"] and not found["sources"]
    # What a camera noted is believed all the same.
    taken = np.where(np.arange(60) < 2, 4e9, 0.0)
    photos, found = find_scenes(tmp_path, listed(60, taken=taken), NO_PLACES)
    assert members(photos) == [{0, 1}] and found["sources"] == ["camera"]


def test_a_scene_that_swallows_a_class_is_not_kept_together(tmp_path):
    labels = ["rare"] * 5 + ["a", "b"] * 50 + ["a"]
    pairs = pd.DataFrame({"path": ["0.jpg", "50.jpg"], "copy": ["1.jpg", "51.jpg"]})
    frame = listed(106, label=labels, taken=1e9 + 1e4 * np.arange(106))
    photos, found = find_scenes(tmp_path, frame, pairs)
    assert members(photos) == [{50, 51}] and found["too_large"] == 2
    # A chain of places is cut off, too, and does not speak against the clock.
    chain = [f"{number}.jpg" for number in range(40, 60)]
    pairs = pd.DataFrame({"path": chain[:-1], "copy": chain[1:]})
    frame.loc[[70, 71], "taken"] = 3e9
    photos, found = find_scenes(tmp_path, frame, pairs)
    assert members(photos) == [{70, 71}]
    assert found["too_large"] == 20 and found["refused"] == []


def test_a_place_ties_photos_to_a_group_but_never_two_groups(tmp_path):
    frame = listed(100, taken=1e9 + 1e4 * np.arange(100))
    frame.loc[[0, 1, 2, 3], "group"] = ["anna", "anna", "bert", "carl"]
    frame.loc[[2, 3, 90, 91], "taken"] = 5e9
    places = pd.DataFrame({
        "path": ["0.jpg", "1.jpg", "2.jpg", "3.jpg"],
        "copy": ["50.jpg", "2.jpg", "60.jpg", "60.jpg"],
    })  # fmt: skip
    photos, found = find_scenes(tmp_path, frame, places)
    # The pair of anna and bert is left to their groups; 60 would join bert and carl; and the clock
    # ties only those without a group.
    assert members(photos) == [{0, 50}, {90, 91}] and found["joining"] == 3
    photos = assign_splits(photos)
    assert photos["split"][[0, 1, 50]].nunique() == 1


def test_scenes_stay_together_if_wanted_and_nothing_is_left_out_for_them():
    scene = [f"{number // 4 * 4}.jpg" for number in range(200)]
    frame = listed(200, scene=scene)
    together = assign_splits(frame)
    assert together.groupby("scene")["split"].nunique().max() == 1
    apart = assign_splits(frame, group_scenes=False)
    assert apart.groupby("scene")["split"].nunique().max() > 1
    assert apart["split"].tolist() == assign_splits(listed(200))["split"].tolist()
    assert any("Scenes that lie in more than one split" in x for x in split_remarks(apart))
    given = listed(200, scene=scene, split=apart["split"])
    assert assign_splits(given)["split"].tolist() == apart["split"].tolist()
    # Of a scene that lies in two splits, a new photo joins the larger part.
    numbers = [*together.index[together["split"] == "test"][:2]]
    numbers += [*together.index[together["split"] == "train"][:1]]
    more = pd.concat([frame, listed(2, path="new.jpg", sha256="new", scene="x")]).iloc[:201]
    more = more.reset_index(drop=True)
    more.loc[numbers, "scene"] = "x"
    new = assign_splits(more, earlier=together)
    assert new["split"].iloc[200] == "test" and new["status"].eq("kept").all()
    assert new["split"].head(200).tolist() == together["split"].tolist()


def test_copies_come_before_scenes_when_new_photos_follow_old_ones():
    old = assign_splits(listed(100))
    in_test, in_train = (old.index[old["split"] == name][0] for name in ("test", "train"))
    frame = listed(102)
    frame.loc[[in_test, 100], "scene"] = "x"
    frame.loc[[in_train, 101], "scene"] = "y"
    frame.loc[[100, 101], "copies"] = "100.jpg"
    new = assign_splits(frame, earlier=old)
    assert new["status"].eq("kept").all() and new["split"][100] == new["split"][101]


def test_the_clock_and_the_camera_are_read_from_a_photo(tmp_path):
    notes = {
        "told": ("2024:05:17 10:20:30", "Phone 3"), "nothing": ("0000:00:00 00:00:00", "Phone 3"),
        "none": (None, None),
    }  # fmt: skip
    (tmp_path / "a").mkdir()
    for name, (taken, camera) in notes.items():
        exif = Image.Exif()
        if camera:
            exif[ExifTags.Base.Model] = camera
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
        Image.new("RGB", (40, 40), "red").save(tmp_path / "a" / f"{name}.jpg", exif=exif)
    root, photos = images.find_images(tmp_path)
    for _ in range(2):  # The second time, from what is remembered.
        photos = images.check_images(root, photos[["path", "label", "split", "group", "reason"]],
                                     cache=tmp_path / "cache")  # fmt: skip
        rows = photos.set_index("path")[["taken", "camera"]]
        expected = (
            pd.Timestamp("2024-05-17 10:20:30") - pd.Timestamp("1970-01-01")
        ).total_seconds()
        assert rows["taken"]["a/told.jpg"] - 62135596800 == expected
        assert rows["camera"].to_dict() == {
            "a/told.jpg": "Phone 3", "a/nothing.jpg": "", "a/none.jpg": "",
        }  # fmt: skip
        assert rows["taken"][["a/nothing.jpg", "a/none.jpg"]].eq(0).all()


def test_pictures_and_groups_are_named_for_every_photo():
    frame = listed(6, copies=["0.jpg", "0.jpg", "", "", "", ""], group=["", "x", "x", "", "", ""])
    frame["scene"] = ["", "", "", "3.jpg", "3.jpg", ""]
    named = name_units(frame)
    assert named["picture"].nunique() == 5 and named["group"].nunique() == 3
    assert named["group"].tolist() == ["0.jpg"] * 3 + ["3.jpg"] * 2 + ["5.jpg"]
