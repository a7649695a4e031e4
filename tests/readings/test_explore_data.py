"""Tests that what notebook 01 says turns when its figures turn."""

from dermaface.evaluation import scores
from dermaface.readings import explore_data as readings
import pandas as pd
import pytest


def rows(count=3, **columns):
    """Return rows as in images.csv, all alike apart from the named columns."""
    values = {"label": "a", "split": "", "status": "kept", "reason": "", "flags": "", "copies": ""}
    values |= {"format": "JPEG", "orientation": 1, "width": 300, "height": 200}
    return pd.DataFrame(values, index=range(count)).assign(**columns)


def pairs(conflict=(), leak=()):
    return pd.DataFrame({"conflict": conflict, "leak": leak}, dtype=bool)


EXPLORED = {
    "came_without_a_split": (
        (readings.files_found, rows(label=["a", "b", "b"])),
        "3 files lie in 2 classes. No split was given, so one is made at the end.",
    ),
    "came_split": (
        (readings.files_found, rows(4, split=["test", "", "train", "validation"])),
        "4 files lie in 1 class. Given splits: train 2, validation 1 and test 1.",
    ),
    "one_file": (
        (readings.files_found, rows(1)),
        "1 file lies in 1 class. No split was given, so one is made at the end.",
    ),
    "all_accounted": (
        (
            readings.files_accounted,
            {
                "kept": 3,
                "excluded": 0,
                "system files": 0,
                "files beside the class folders": 0,
                "on disk": 3,
            },
            [],
        ),
        "Of 3 files on disk, 3 can be used.",
    ),
    "others_accounted": (
        (
            readings.files_accounted,
            {
                "kept": 3,
                "excluded": 2,
                "system files": 2,
                "files beside the class folders": 1,
                "on disk": 8,
            },
            ["notes.txt"],
        ),
        "Of 8 files on disk, 3 can be used, 2 cannot, 2 are system files and 1 is not on the list."
        "\nNot on the list: notes.txt.",
    ),
    "many_beside": (
        (
            readings.files_accounted,
            {
                "kept": 3,
                "excluded": 0,
                "system files": 0,
                "files beside the class folders": 5,
                "on disk": 8,
            },
            list("abcde"),
        ),
        "Of 8 files on disk, 3 can be used and 5 are not on the list.\n"
        "Not on the list: a, b, c and 2 more.",
    ),
    "none_excluded": (
        (readings.files_excluded, rows()),
        "Every file on the list was read to the end.",
    ),
    "some_excluded": (
        (
            readings.files_excluded,
            rows(
                4,
                label=["a", "a", "b", "a"],
                status=["excluded", "kept", "excluded", "excluded"],
                reason=["is not an image.", "", "is empty", "is empty"],
            ),
        ),
        "3 of 4 files (75 %) cannot be used. No class loses a larger share than b: 1 of 1.\n"
        "The most frequent reason (2): is empty.",
    ),
    "excluded_for_different_reasons": (
        (
            readings.files_excluded,
            rows(4, status=["excluded", "kept"] * 2, reason=["is empty", "", "is a folder", ""]),
        ),
        "2 of 4 files (50 %) cannot be used. No class loses a larger share than a: 2 of 4.\n"
        "Each has a reason of its own.",
    ),
    "one_excluded": (
        (readings.files_excluded, rows(2, status=["excluded", "kept"], reason=["is empty", ""])),
        "1 of 2 files (50 %) cannot be used. No class loses a larger share than a: 1 of 2.\n"
        "The most frequent reason (1): is empty.",
    ),
    "upright": (
        (readings.formats_found, rows()),
        "Stored as 3 JPEG files, all of them upright.",
    ),
    "turned": (
        (readings.formats_found, rows(format=["PNG", "JPEG", "JPEG"], orientation=[1, 6, 1])),
        "Stored as 2 JPEG files and 1 PNG file; an EXIF note turns or mirrors 1 of 3 photos "
        "(33 %).",
    ),
    "equal_classes": (
        (readings.class_balance, {"a": 40, "b": 40}),
        "Each of the 2 classes has 40 photos. Always giving one answer would be right for 50 %.",
    ),
    "nearly_equal_classes": (
        (readings.class_balance, pd.Series({"a": 41, "b": 40, "c": 41})),
        "Each of the 3 classes has 40 to 41 photos: even enough.\n"
        "Always giving the most frequent answer would be right for 34 %.",
    ),
    "even_classes": (
        (readings.class_balance, pd.Series({"a": 10, "b": 30})),
        "The largest class is b (30), the smallest a (10), a ratio of 3.0: even enough.\n"
        "Always answering b would be right for 75 %.",
    ),
    "imbalanced_classes": (
        (readings.class_balance, {"a": 9990, "b": 10}),
        "The largest class is a (9990), the smallest b (10), a ratio of 999.0: imbalanced.\n"
        "Always answering a would be right for more than 99 %.",
    ),
    "shown": (
        (readings.photos_shown, rows(2, label=["a", "b"]), rows(label=["a", "b", "c"])),
        "2 of 3 photos, from 2 of 3 classes.",
    ),
    "blur_falls": (
        (readings.blur_by_size, pd.DataFrame([[30, 9, 3], [50, 20, 5]], columns=[112, 224, 448])),
        "At 448 px, 2 of 2 photos score lower than at 112 px (median 4 against 40).\n"
        "A threshold is good for one size only.",
    ),
    "blur_does_not_fall": (
        (readings.blur_by_size, pd.DataFrame([[3, 30], [50, 5]], columns=[112, 448])),
        "At 448 px, 1 of 2 photos scores lower than at 112 px (median 18 against 26).\n"
        "That is unusual; look at these photos.",
    ),
    "none_flagged": ((readings.photos_flagged, rows()), "None of the 3 photos is flagged."),
    "one_flagged": (
        (readings.photos_flagged, rows(label=["a", "b", "b"], flags=["dark", "", ""])),
        "1 of 3 photos (33 %) is flagged: 1 as dark.\n"
        "No class has more of them than a: 1 of its 1 photo.",
    ),
    "some_flagged": (
        (readings.photos_flagged, rows(label=["a", "b", "b"], flags=["dark", "blur dark", "blur"])),
        "3 of 3 photos (100 %) are flagged: 2 as dark and 2 as blur.\n"
        "No class has more of them than b: 2 of its 2 photos.",
    ),
    "one_size": (
        (readings.photo_sizes, rows(), (96, 224)),
        "The shorter sides measure 200 px, and the longer ones up to 1.50 times as much.\n"
        "Too small, of 3 photos: 0 for 96 px and 3 for 224 px.",
    ),
    "sizes": (
        (readings.photo_sizes, rows(2, width=[90, 500], height=[180, 500]), (96, 224)),
        "The shorter sides measure 90 to 500 px, and the longer ones up to 2.00 times as much.\n"
        "Too small, of 2 photos: 1 for 96 px and 1 for 224 px.",
    ),
    "hash_tells": (
        (readings.hash_distances, {"half": 2, "mirrored": 2}, [30, 3]),
        "The copies differ from the photo in 2 of 64 bits.\n"
        "The nearest of 2 other photos differs in 3, more than every copy.",
    ),
    "hash_misses_one": (
        (readings.hash_distances, {"half": 2, "mirrored": 13}, [13]),
        "The copies differ from the photo in 2 to 13 of 64 bits.\n"
        "The only other photo differs in 13.\nNo closer than that: mirrored.",
    ),
    "hash_misses_all": (
        (readings.hash_distances, {"half": 2, "mirrored": 13}, [20, 1, 30]),
        "The copies differ from the photo in 2 to 13 of 64 bits.\n"
        "The nearest of 3 other photos differs in 1.\nNo closer than that: half and mirrored.",
    ),
    "hash_of_the_only_photo": (
        (readings.hash_distances, {"half": 2}, []),
        "The copies differ from the photo in 2 of 64 bits.\n"
        "There is no other photo to compare them with.",
    ),
    "no_copies": (
        (readings.copies_found, rows(), pairs()),
        "No copy was found among 3 files.",
    ),
    "copies": (
        (
            readings.copies_found,
            rows(copies=["a/1.jpg", "a/1.jpg", ""]),
            pairs(conflict=[True], leak=[False]),
        ),
        "2 of 3 files have a copy, which makes 1 pair.\n"
        "Pairs in two classes: 1, in two given splits: 0.",
    ),
    "pair_titles": (
        (
            readings.pair_titles,
            rows(path=["a/1.jpg", "b/2.jpg", "b/3.jpg"], label=["a", "b", "b"]),
            pd.DataFrame(
                {"path": ["a/1.jpg"], "copy": "b/2.jpg", "how": "turned by 12 degrees, mirrored"}
            ),
        ),
        ["a", "b\nturned by 12\ndegrees, mirrored"],
    ),
    "no_places": (
        (readings.places_found, rows(0)),
        "No two photos seem to show another subject in the same place.",
    ),
    "places": (
        (readings.places_found, rows(2, path=["a/1.jpg", "a/3.jpg"], copy=["b/2.jpg", "b/4.jpg"])),
        "Pairs that show another subject in the same place: 2. The surest:\na/1.jpg\nb/2.jpg",
    ),
    "none_left_out": (
        (readings.photos_left_out, 0, 3),
        "The rules leave out 0 of 3 photos; 3 remain.",
    ),
    "some_left_out": (
        (readings.photos_left_out, 2, 3),
        "The rules leave out 2 of 3 photos; 1 remains.",
    ),
    "moved": (
        (readings.photos_moved, 0, 45, 100, 11),
        "When 11 photos join 100, the hash moves 0 of the old ones, a new shuffle 45 (45 %).",
    ),
    "not_moved": (
        (readings.photos_moved, 3, 0, 9, 1),
        "When 1 photo joins 9, the hash moves 3 of the old ones, a new shuffle 0 (0 %).",
    ),
    "too_few_to_move": (
        (readings.photos_moved, 0, 0, 0, 1),
        "There are too few photos to try it.",
    ),
    "three_splits": (
        (readings.split_shares, rows(50, split="train train train validation test".split() * 10)),
        "Train 30 (60 %), validation 10 (20 %) and test 10 (20 %).\n"
        "An accuracy of 90 % on 10 test photos would have a 95 % interval from 60 % to 98 %.",
    ),
    "no_test_split": (
        (readings.split_shares, rows(1000, split=["train"] * 999 + ["validation"])),
        "Train 999 (more than 99 %) and validation 1 (less than 1 %); there is no test split.\n"
        "An accuracy of 90 % on 1 validation photo would have a 95 % interval from 17 % to more "
        "than 99 %.",
    ),
    "smallest_class": (
        (
            readings.smallest_classes,
            pd.DataFrame({"validation": [3, 7, 3], "test": [7, 4, 9]}, ["a", "b", "c"]),
        ),
        "Fewest validation photos: a and c (3 each).\n"
        "Fewest test photos: b (4).\n"
        "3 photos can only score 0, 33, 67 or 100 %.\nEven 3 of 3 right only shows "
        "that the true share is above about 44 %.",
    ),
    "smallest_class_of_one": (
        (readings.smallest_classes, pd.DataFrame({"test": [1, 3]}, ["a", "b"])),
        "Fewest test photos: a (1).\n"
        "1 photo can only score 0 or 100 %.\nEven 1 of 1 right only shows "
        "that the true share is above about 21 %.",
    ),
    "smallest_classes_are_large": (
        (readings.smallest_classes, pd.DataFrame({"validation": [80] * 4}, list("abcd"))),
        "Fewest validation photos: 4 classes (80 each).\n"
        "With 80 photos, each moves the score by 1.2 points.\nEven 80 of 80 right only shows "
        "that the true share is above about 95 %.",
    ),
    "smallest_class_is_missing": (
        (readings.smallest_classes, pd.DataFrame({"test": [0, 90]}, ["a", "b"])),
        "No test photo shows a: nothing is measured there.",
    ),
    "summary": (
        (
            readings.summary,
            rows(4, label=list("aaab"), split="train validation test test".split()),
        ),
        "4 of 4 files can be used, in 2 classes: train 1, validation 1 and test 2.\n"
        "The score to beat is 75 %: always giving the most frequent answer.\n"
        "Near 90 %, test accuracy is uncertain by about 36 points; its smallest class has 1 photo.",
    ),
    "summary_without_test": (
        (
            readings.summary,
            rows(4, label="a", split="train", status=["kept"] * 3 + ["excluded"]).assign(
                split=["train", "train", "validation", ""]
            ),
        ),
        "3 of 4 files can be used, in 1 class: train 2 and validation 1.\n"
        "The score to beat is 100 %: always giving the most frequent answer.\n"
        "Near 90 %, validation accuracy is uncertain by about 41 points; its smallest class "
        "has 1 photo.",
    ),
    "groups_given": (
        (
            readings.scenes_found,
            {"scenes": 0, "sources": [], "refused": [], "too_large": 0, "joining": 3},
            rows(4, group=["anna", "anna", "bert", ""]),
        ),
        "3 of 4 photos belong to 2 given groups.\nThe largest holds 2 photos, 50 % of all.\n"
        "3 photos lie in scenes that would join two given groups, and are not tied.",
    ),
    "scenes_proposed": (
        (
            readings.scenes_found,
            {
                "photos": 7,
                "scenes": 3,
                "largest": 3,
                "sources": ["place", "camera"],
                "refused": ["file"],
                "too_large": 0,
                "joining": 0,
            },
            rows(60, group=""),
        ),
        "7 photos probably belong to 3 scenes, by the same place and the camera's clock.\n"
        "The largest holds 3 photos, 5 % of all.\n"
        "File times would tie more than a tenth of all photos together, so they are not used.",
    ),
    "no_scene_but_a_clock_that_stands_still": (
        (
            readings.scenes_found,
            {"scenes": 0, "sources": [], "refused": ["camera"], "too_large": 20, "joining": 0},
            rows(60, group=""),
        ),
        "The camera's clock would tie more than a tenth of all photos together, so it is not used."
        "\n20 photos lie in scenes that hold too much of a class, and are not tied.",
    ),
    "no_scene": (
        (
            readings.scenes_found,
            {"scenes": 0, "sources": [], "refused": [], "too_large": 0, "joining": 0},
            rows(60, group=""),
        ),
        "No two photos seem to come from one place or one sitting.",
    ),
    "agreement": (
        (readings.split_agreement, 3, 3),
        "The package puts 3 of 3 photos where your function does.",
    ),
    "disagreement": (
        (readings.split_agreement, 2, 3),
        "The package puts 2 of 3 photos where your function does.\n"
        "The others follow a copy, a group, a scene or an earlier split.",
    ),
    "given_splits": (
        (readings.split_agreement, 0, 0),
        "Every photo came with a split, and the package keeps it.",
    ),
}


@pytest.mark.parametrize("name", EXPLORED)
def test_what_is_said_about_the_data_turns_with_its_figures(name):
    (reading, *figures), expected = EXPLORED[name]
    assert reading(*figures) == expected


@pytest.mark.parametrize(("right", "total"), [(0, 5), (3, 7), (9, 10), (63, 63), (1, 1)])
def test_the_interval_is_the_one_of_the_scores(right, total):
    expected = scores.accuracy_interval(right, total)
    assert readings._interval(right / total, total) == pytest.approx(expected, abs=1e-6)


def found_in(photos, *copied):
    table = pd.DataFrame(copied, columns=["path", "copy", "kind", "conflict"])
    return readings.findings(photos, table)


def test_every_file_that_stands_out_is_listed_with_what_was_found():
    photos = rows(
        6,
        path=[f"{name}.jpg" for name in "abcdef"],
        status=["kept", "excluded", "kept", "kept", "kept", "excluded"],
        reason=["", "is empty (0 bytes)", "", "", "", "copy of d.jpg"],
        flags=["", "", "blur dark", "", "", "blur"],
        orientation=[1, 1, 6, 1, 1, 1],
    )
    assert found_in(photos, ("a.jpg", "e.jpg", "exact", True), ("a.jpg", "c.jpg", "near", False),
                    ("d.jpg", "f.jpg", "mirrored", False)) == {
        "b.jpg": "is empty (0 bytes)",
        "c.jpg": "blur, dark, turned or mirrored by EXIF; near copy of a.jpg",
        "e.jpg": "same file as a.jpg, another class",
        "f.jpg": "copy of d.jpg",
    }  # fmt: skip
    assert found_in(rows(path=["a", "b", "c"])) == {}
    photos = rows(path=["a/1.jpg", "a/2.jpg", "b/1.jpg"])
    assert found_in(
        photos, ("a/1.jpg", "a/2.jpg", "near", False), ("a/1.jpg", "b/1.jpg", "exact", True)
    ) == {"a/2.jpg": "near copy of 1.jpg", "b/1.jpg": "same file as a/1.jpg, another class"}


def test_whether_the_planted_files_and_no_others_stand_out():
    assert readings.planted_found(["a", "b"], ["b", "a"]) == (
        "2 of the 2 files with a planted defect stand out, and no others."
    )
    assert readings.planted_found(["a", "c"], ["b", "a"]) == (
        "1 of the 2 files with a planted defect stands out, and 1 other."
    )
    assert readings.planted_found(["c", "d"], ["a"]) == (
        "0 of the 1 file with a planted defect stand out, and 2 others."
    )
