"""Tests of dermaface.photos.copies: which photos show the same picture, and which a place."""

import math
import re

import cv2
from dermaface.photos import alignment, copies, images, keypoints
from dermaface.photos.splits import conflicts, exclude
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps
import pytest


def scene(seed, size=(120, 90)):
    """Return a picture of a few soft blobs, different for each seed."""
    generator = np.random.default_rng(seed)
    small = Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def photo(seed, size=(400, 300)):
    """Return a picture with coarse and fine detail all over, different for each seed."""
    generator = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells, height in ((4, 60), (16, 40), (48, 30)):
        values = generator.normal(0, height, (cells * 3 // 4, cells, 3))
        total += cv2.resize(values, size, interpolation=cv2.INTER_CUBIC)
    return Image.fromarray(np.clip(128 + total, 0, 255).astype(np.uint8))


def turned(image, degrees, cut):
    """Turn a picture, and cut a share off at each edge."""
    image = image.rotate(degrees, Image.Resampling.BICUBIC)
    width, height = image.size
    box = (width * cut, height * cut, width * (1 - cut), height * (1 - cut))
    return image.crop([round(side) for side in box])


def cropped(image, share):
    """Keep a share of the width and height, at the lower right."""
    return image.crop((round(image.width * (1 - share)), round(image.height * (1 - share)),
                       image.width, image.height))  # fmt: skip


def written(image, text="SPECIMEN"):
    """Write on a picture, half transparent."""
    layer = Image.new("RGBA", image.size)
    font = ImageFont.load_default(image.width // 8)
    middle = (image.width // 2, image.height // 2)
    ImageDraw.Draw(layer).text(middle, text, (255, 255, 255, 140), font, anchor="mm")
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def barred(image, height=40):
    """Lay black bars over a picture's top and bottom."""
    inner = image.crop((0, height, image.width, image.height - height))
    return ImageOps.expand(inner, (0, height), "black")


def captioned(image):
    """Lay a coloured bar with a caption over the lowest fifth."""
    image, top = image.copy(), image.height * 4 // 5
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, top, *image.size), (200, 30, 60))
    draw.text((20, top + 4), "only today", "white", ImageFont.load_default(image.height // 8))
    return image


def saved(folder, pictures, quality=92):
    """Write pictures, `a/name.jpg`, and check them."""
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.convert("RGB").save(folder / name, quality=quality)
    return images.check_images(*images.find_images(folder))


def others(count=12):
    """Return unlike pictures in two classes."""
    return {f"{'ab'[number % 2]}/other{number}.jpg": photo(100 + number) for number in range(count)}


EDITS = {
    "smaller": lambda image: image.resize((60, 45)),
    "brighter": lambda image: image.point(lambda level: min(255, level * 1.2)),
    "grey": lambda image: image.convert("L"),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "compressed": lambda image: image,
}


def test_near_copies_are_found_and_other_photos_are_not(tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        for number in range(20):
            scene(f"{label}{number}".encode()[0] * 100 + number).save(
                tmp_path / label / f"{number}.jpg", quality=95
            )
    for name, edit in EDITS.items():
        edit(scene(97 * 100)).save(tmp_path / "b" / f"{name}.jpg", quality=40)
    (tmp_path / "a" / "equal.jpg").write_bytes((tmp_path / "a" / "7.jpg").read_bytes())

    root, frame = images.find_images(tmp_path)
    photos = images.check_images(root, frame)
    pairs = copies.find_copies(root, photos)
    photos = copies.group_copies(photos, pairs)
    together = photos[photos["copies"] != ""].groupby("copies")["path"].apply(set).tolist()
    assert sorted(together, key=len) == [
        {"a/7.jpg", "a/equal.jpg"},
        {"a/0.jpg", *(f"b/{name}.jpg" for name in EDITS)},
    ]
    of_first = pairs[pairs["path"] == "a/0.jpg"]
    kinds = dict(zip(of_first["copy"], of_first["kind"], strict=True))
    assert kinds["b/mirrored.jpg"] == "mirrored" and kinds["b/smaller.jpg"] == "near"
    exact = pairs.set_index("kind").loc["exact"]
    assert exact["copy"] == "a/equal.jpg" and exact["how"] == "same file"
    assert pairs["conflict"].sum() >= len(EDITS) and not pairs["leak"].any()
    assert pairs["conflict"].is_monotonic_decreasing and not pairs["conflict"].iloc[-1]

    reasons = conflicts(photos, pairs)
    assert set(reasons) == {"a/0.jpg", *(f"b/{name}.jpg" for name in EDITS)}
    assert "labelled a" in reasons["b/grey.jpg"]
    left = exclude(photos, reasons)
    assert left["status"].eq("excluded").sum() == 6
    assert left.set_index("path").loc["b/grey.jpg", "reason"] == reasons["b/grey.jpg"]


def test_close_hashes_are_all_found():
    generator = np.random.default_rng(0)
    left = generator.integers(0, 2**63, 300, dtype=np.uint64)
    flips = [generator.permutation(64)[: number % 12] for number in range(300)]
    right = np.array(
        [x ^ np.bitwise_or.reduce([np.uint64(0)] + [np.uint64(1) << np.uint64(b) for b in bits])
         for x, bits in zip(left, flips, strict=True)]
    )  # fmt: skip
    found = copies._close_pairs(left, right)
    expected = {(n, n) for n in range(300) if n % 12 <= 10}
    assert len(found & expected) >= 0.99 * len(expected)
    assert {(n, n) for n in range(300) if n % 12 <= 7} <= found
    assert all(np.bitwise_count(left[i] ^ right[j]) <= 10 for i, j in found)


# A change; how it is called; degrees, scale and share of the area in percent, where they are named.
CHANGES = {
    "turned by 5": (lambda image: image.rotate(5), "near", (5, None, None)),
    "turned by 25": (lambda image: image.rotate(-25), "near", (25, None, 85)),
    "shown whole": (lambda image: image.rotate(15, expand=True), "near", (15, None, None)),
    "white corners": (lambda image: image.rotate(15, fillcolor="white"), "near", (15, None, 90)),
    "upright": (lambda image: image.transpose(Image.Transpose.ROTATE_90), "near", (90, None, None)),
    "upside down": (lambda image: image.rotate(180), "near", (180, None, None)),
    "cropped to 90": (lambda image: cropped(image, 0.9), "near", (None, None, 81)),
    "cropped to 70": (lambda image: cropped(image, 0.7), "near", (None, None, 49)),
    "halved": (lambda image: ImageOps.scale(image, 0.5), "near", (None, 50, None)),
    "mirrored": (ImageOps.mirror, "mirrored", (None, None, None)),
    "flipped": (ImageOps.flip, "mirrored", (180, None, None)),
    "mirrored, cropped": (
        lambda image: cropped(ImageOps.mirror(image), 0.8), "mirrored", (None, None, 64)
    ),
    "turned, cropped": (lambda image: turned(image, 12, 0.15), "near", (12, None, 49)),
    "turned, cropped, brighter": (
        lambda image: ImageEnhance.Brightness(turned(image, 20, 0.15)).enhance(1.3),
        "near", (20, None, 49),
    ),
    "written on": (written, "near", (None, None, None)),
    "framed": (lambda image: ImageOps.expand(image, 30, "navy"), "near", (None, None, None)),
    "barred": (barred, "near", (None, None, 73)),
    "captioned": (captioned, "near", (None, None, None)),
}  # fmt: skip


def test_every_change_is_found_and_told_in_words(tmp_path):
    made = {
        f"b/z_{name}.jpg": edit(photo(number))
        for number, (name, (edit, _, _)) in enumerate(CHANGES.items())
    }
    plain = {f"a/{name}.jpg": photo(n) for n, name in enumerate(CHANGES)}
    root, photos = tmp_path, saved(tmp_path, others() | plain | made)
    pairs, places = copies.find_pairs(root, photos)
    assert len(places) == 0
    found = dict(zip(pairs["path"], pairs["copy"], strict=True))
    assert found == dict(zip(plain, made, strict=True))
    assert len(pairs) == len(CHANGES) and pairs["conflict"].all()
    told = pairs.set_index("copy")
    for name, (_, kind, (degrees, scale, share)) in CHANGES.items():
        how = told.loc[f"b/z_{name}.jpg", "how"]
        assert told.loc[f"b/z_{name}.jpg", "kind"] == kind, name
        assert how.startswith("mirrored") == (kind == "mirrored"), how
        for pattern, expected, within in (
            (r"turned by (\d+) degrees?", degrees, 2), (r"scaled to (\d+) %", scale, 3),
            (r"(?<!the first )cropped to (\d+) %", share, 5),
        ):  # fmt: skip
            found = re.search(pattern, how)
            if expected is None:
                assert not found, (name, how)
            else:
                assert found and abs(int(found[1]) - expected) <= within, (name, how)
    assert "brighter" in told.loc["b/z_turned, cropped, brighter.jpg", "how"]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((False, 0, 1, (1, 1), 0), "saved again"),
        ((True, 0, 1, (1, 1), 0), "mirrored"),
        ((False, -1.2, 1, (1, 1), 0), "turned by 1 degree"),
        ((False, 359.9, 0.5, (0.81, 1), 0), "scaled to 50 %, cropped to 81 %"),
        ((False, 270, 1, (1, 0.7), -30), "turned by 90 degrees, the first cropped to 70 %, darker"),
    ],
)
def test_a_difference_is_told_in_words(numbers, expected):
    assert copies.describe(*numbers) == expected


def test_another_subject_in_the_same_place_is_no_copy(tmp_path):
    pictures = others()
    for number in range(2):
        place = photo(7)
        shift = Image.Transform.AFFINE, (1, 0, 6 * number, 0, 1, 4 * number)
        place = place.transform(place.size, *shift).crop((0, 0, 380, 280))
        place.paste(photo(50 + number, (200, 180)), (90, 50))
        pictures[f"{'ab'[number]}/place{number}.jpg"] = place
    pairs, places = copies.find_pairs(tmp_path, saved(tmp_path, pictures))
    assert len(pairs) == 0
    assert places[["path", "copy"]].to_numpy().tolist() == [["a/place0.jpg", "b/place1.jpg"]]


@pytest.mark.parametrize("spoil", [written, barred, lambda image: image.rotate(15, expand=True)])
def test_writing_bars_and_corners_in_common_make_no_copy(tmp_path, spoil):
    photos = saved(tmp_path, {name: spoil(picture) for name, picture in others(16).items()})
    pairs, places = copies.find_pairs(tmp_path, photos)
    assert len(pairs) == len(places) == 0


def smooth(seed):
    """Return a picture with hardly a detail: light that falls from the sides."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC)


def test_photos_of_few_key_points_are_found_by_their_hashes(tmp_path):
    pictures = {f"{'ab'[number % 2]}/{number}.png": smooth(number) for number in range(12)}
    pictures["a/half.png"] = ImageOps.scale(smooth(3), 0.5)
    photos = saved(tmp_path, {name.replace("png", "jpg"): p for name, p in pictures.items()})
    picture = alignment.load_picture(tmp_path / "b/3.jpg")
    points, _ = keypoints.find_points(picture.grey, picture.shown)
    assert len(points) < copies.SURE
    pairs, places = copies.find_pairs(tmp_path, photos)
    assert pairs[["path", "copy", "how"]].to_numpy().tolist() == [
        ["a/half.jpg", "b/3.jpg", "scaled to 200 %"]
    ]
    assert len(places) == 0


def test_the_order_and_the_number_of_threads_do_not_matter(tmp_path, monkeypatch):
    changed = {
        "b/turned.jpg": turned(photo(100), 8, 0.1),
        "b/half.jpg": ImageOps.scale(photo(103), 0.5),
    }
    photos = saved(tmp_path, others() | changed)
    expected = copies.find_pairs(tmp_path, photos)
    assert len(expected[0]) == 2
    shuffled = photos.sample(frac=1, random_state=1)
    for count in (1, 3):
        monkeypatch.setattr(copies, "count_processors", lambda count=count: count)
        monkeypatch.setattr(keypoints, "count_processors", lambda count=count: count)
        for mine, same in zip(copies.find_pairs(tmp_path, shuffled), expected, strict=True):
            pd.testing.assert_frame_equal(mine, same)


def test_a_second_look_reads_only_what_is_new(tmp_path, monkeypatch):
    data, cache = tmp_path / "data", tmp_path / "cache"
    photos = saved(data, others() | {"b/turned.jpg": turned(photo(100), 8, 0.1)})
    first = copies.find_pairs(data, photos, cache)
    assert first[0]["copy"].tolist() == ["b/turned.jpg"]
    seen = []
    look, find = alignment.load_picture, keypoints.find_points
    monkeypatch.setattr(
        alignment, "load_picture", lambda path: seen.append(path.name) or look(path)
    )
    found = []
    monkeypatch.setattr(keypoints, "find_points", lambda *given: found.append(1) or find(*given))

    def same(pairs):
        for mine, expected in zip(pairs, first, strict=True):
            pd.testing.assert_frame_equal(mine, expected)

    same(copies.find_pairs(data, photos, cache))
    assert not seen and not found
    (data / "a" / "other0.jpg").rename(data / "a" / "moved.jpg")  # the same content elsewhere
    moved = images.check_images(*images.find_images(data))
    assert copies.find_pairs(data, moved, cache)[0]["path"].tolist() == ["a/moved.jpg"]
    assert not seen and not found
    more = saved(data, {"a/new.jpg": ImageOps.scale(photo(105), 0.5)})
    assert copies.find_pairs(data, more, cache)[0]["path"].tolist() == ["a/moved.jpg", "a/new.jpg"]
    assert len(found) == 1

    (data / "a" / "moved.jpg").rename(data / "a" / "other0.jpg")
    (data / "a" / "new.jpg").unlink()
    for damaged in (b"", b"damaged", None):
        (file,) = cache.iterdir()
        file.write_bytes(file.read_bytes()[:-900] if damaged is None else damaged)
        found.clear()
        same(copies.find_pairs(data, photos, cache))
        assert len(found) == len(photos)
        found.clear()
        same(copies.find_pairs(data, photos, cache))
        assert not found


def test_a_cache_that_cannot_be_written_causes_a_warning_and_stops_nothing(tmp_path):
    photos = saved(tmp_path / "data", others(4))
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="cannot be remembered in .*file"):
        pairs, _ = copies.find_pairs(tmp_path / "data", photos, tmp_path / "file" / "cache")
    assert len(pairs) == 0


def pair_rows(*rows):
    """Return pairs as `_holding` takes them: both ends, key points, and whether it is sure."""
    return pd.DataFrame(rows, columns=["path", "copy", "inliers", "sure"])


# What makes a pair one picture where few windows look the same; less of any is not enough.
ENOUGH = {
    "under a sticker": {
        "inliers": 100, "matches": 110, "residual": 0.2, "spread": 0.5, "patches": 0.15,
    },
    "written on, in a frame": {
        "inliers": 10, "matches": 11, "spread": 0.05, "patches": 0.01, "alike": 0.56,
    },
    "blurred": {"inliers": 10, "matches": 12, "patches": 0.02, "alike": 0.5, "hashed": True},
}  # fmt: skip
LESS = {
    "inliers": 9, "matches": 200, "residual": 0.3, "spread": 0.01, "patches": 0.2, "alike": 0.49,
    "hashed": False, "first": 1.0, "second": 1.0, "scale": 1.0,
}  # fmt: skip


@pytest.mark.parametrize("way", ENOUGH)
def test_weak_evidence_counts_only_as_a_whole(way):
    first = pd.DataFrame(
        {"sha256": ["a" * 64, "b" * 64], "path": ["a.jpg", "b.jpg"], "width": 400, "height": 300}
    )

    def same(facts):
        row = np.zeros(1, copies.COMPARED)
        row["a"], row["b"] = b"a" * 16, b"b" * 16
        for name, value in (LESS | facts).items():
            row[name] = value
        return copies._judge(row, first)["same"].any()

    assert same(ENOUGH[way])
    for name in ENOUGH[way]:
        assert not same(ENOUGH[way] | {name: LESS[name]}), name
    assert not same(ENOUGH[way] | {"first": 0.29, "second": 0.29})


def test_groups_do_not_grow_by_chains_of_weak_pairs():
    chain = pair_rows(("a", "b", 9, False), ("b", "c", 8, False), ("c", "d", 7, False))
    assert copies._holding(chain).tolist() == [True, False, True]
    groups = [("a", "b", 90, True), ("c", "d", 80, True)]
    one, two = ("b", "c", 9, False), ("a", "d", 8, False)
    assert copies._holding(pair_rows(*groups, one)).tolist() == [True, True, False]
    assert copies._holding(pair_rows(*groups, one, two)).tolist() == [True] * 4
    assert copies._holding(pair_rows(*groups, ("d", "e", 6, False))).tolist() == [True] * 3
    assert copies._holding(pair_rows(*groups, ("b", "c", 25, True))).tolist() == [True] * 3


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_folder_of_hardly_any_photos_has_no_copies(tmp_path, count):
    photos = saved(tmp_path, dict(list(others().items())[:2]))
    photos.loc[photos.index[count:], "status"] = "excluded"
    pairs, places = copies.find_pairs(tmp_path, photos)
    assert len(pairs) == len(places) == 0
    assert list(pairs) == ["path", "copy", "kind", "conflict", "leak", "how"]
    assert list(places) == ["path", "copy", "how"]
    assert pairs["conflict"].dtype == pairs["leak"].dtype == bool


def test_mirrored_descriptors_are_those_of_the_mirrored_photo():
    grey = np.array(photo(1).convert("L"))
    shown = np.ones_like(grey)
    places, descriptors = keypoints.find_points(grey, shown)
    there, mirrored = keypoints.find_points(np.ascontiguousarray(grey[:, ::-1]), shown)
    there = there * [-1, 1] + [grey.shape[1] - 1, 0]
    nearest = np.linalg.norm(places[:, None] - there, axis=2)
    same = nearest.argmin(axis=1)[nearest.min(axis=1) < 0.8]
    mine = keypoints.mirror(descriptors)[nearest.min(axis=1) < 0.8].astype(float)
    unit = mirrored[same].astype(float)
    likeness = (mine * unit).sum(1) / np.linalg.norm(mine, axis=1) / np.linalg.norm(unit, axis=1)
    assert len(same) > 150 and np.median(likeness) > 0.97


def test_key_points_in_one_spot_match_nothing():
    generator = np.random.default_rng(0)
    descriptors = generator.integers(0, 256, (40, 128)).astype(np.uint8)
    places = generator.uniform(0, 300, (40, 2)).astype(np.float32)
    spot = np.full((40, 2), 150, np.float32)
    both = np.concatenate([descriptors, descriptors])
    points = keypoints.Points(
        np.array([0, 40, 80]), np.array([320, 320]), np.concatenate([places, spot]), both
    )
    assert keypoints.match(points, 0, 1, mirrored=False).inliers == 0
    assert keypoints.match(points, 1, 0, mirrored=False).inliers == 0
    same = points._replace(places=np.concatenate([places, places]))
    assert keypoints.match(same, 0, 1, mirrored=False).inliers == 40


def test_nothing_is_shown_in_a_border_or_in_filled_corners():
    grey, walled = photo(2).convert("L"), photo(2).convert("L")
    walled.paste(128, (0, 0, 150, 220))  # a wall of the frame's tone, which runs into the frame
    for picture, share in (
        (grey, 1.0), (ImageOps.expand(grey, 50, 254), 0.6), (grey.rotate(15, expand=True), 0.65),
        (barred(grey, 60), 0.6), (ImageOps.expand(walled, 50, 128), 0.6), (walled, 1.0),
    ):  # fmt: skip
        assert math.isclose(keypoints.content_mask(np.array(picture)).mean(), share, abs_tol=0.04)
