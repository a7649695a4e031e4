"""Tests of dermaface.training.datasets."""

import time

from conftest import CLASS_NAMES
from dermaface.photos import images
from dermaface.photos.pixels import load_image
from dermaface.quiet_tensorflow import tf
from dermaface.training import datasets
import numpy as np
import pandas as pd
from PIL import Image
import pytest


@pytest.fixture(scope="module")
def photos(sample_folder):
    root, frame = images.find_images(sample_folder)
    return root, frame[frame["label"].isin(CLASS_NAMES)].reset_index(drop=True)


def load(photos, augment=None, **order):
    root, frame = photos
    return datasets.make_dataset(frame, root, CLASS_NAMES, 96, datasets.Order(10, **order), augment)


def test_a_scaled_augmentation_is_one_that_can_be_made():
    given = {"horizontal_flip": True, "rotation": 0.1, "translation": 0.9, "zoom": 0.2}
    given |= {"contrast": 0.3, "backbone": "tiny"}
    assert datasets.scale_augmentation(given, 1) == {n: given[n] for n in given if n != "backbone"}
    none = datasets.scale_augmentation(given, 0)
    assert not any(none.values()) and none["horizontal_flip"] is False
    stronger = datasets.scale_augmentation(given, 2.0)
    assert (stronger["rotation"], stronger["zoom"], stronger["contrast"]) == (0.2, 0.4, 0.5)
    assert stronger["translation"] == 0.9
    assert datasets.make_augmentation(**datasets.scale_augmentation(given, 100)).keywords


def test_batches_have_pixels_and_one_hot_labels_in_the_order_of_the_rows(photos):
    batches = list(load(photos).as_numpy_iterator())
    pixels = np.concatenate([batch for batch, _ in batches])
    labels = np.concatenate([label for _, label in batches])
    _, frame = photos
    assert [len(batch) for batch, _ in batches] == [10, 10, 10, 10, 8]
    assert pixels.shape == (48, 96, 96, 3) and pixels.dtype == np.float32
    assert pixels.min() >= 0 and 200 < pixels.max() <= 255
    assert (labels.sum(axis=1) == 1).all()
    assert [CLASS_NAMES[index] for index in labels.argmax(axis=1)] == frame["label"].tolist()


def test_arrays_hold_the_same_photos_and_come_in_the_same_order(photos):
    root, frame = photos
    pixels, labels = datasets.load_arrays(frame, root, CLASS_NAMES, 96)
    assert pixels.shape == (48, 96, 96, 3) and labels.shape == (48, 4)
    augment = datasets.make_augmentation()
    for options in ({}, {"shuffle": True, "seed": 3}, {"drop_remainder": True}):
        order = datasets.Order(10, **options)
        for change in (None, augment):
            ds = datasets.from_arrays(pixels, labels, order, change)
            expected = load(photos, change, **options)
            assert ds.cardinality() == expected.cardinality()
            for _ in range(2):  # the second epoch has an order and an augmentation of its own
                for ours, theirs in zip(ds, expected, strict=True):
                    np.testing.assert_array_equal(ours[1], theirs[1])
                    np.testing.assert_allclose(ours[0], theirs[0], atol=0.01)
    with pytest.raises(ValueError, match="do not fill a batch"):
        datasets.from_arrays(pixels[:5], labels[:5], datasets.Order(10, drop_remainder=True))


def test_pixels_follow_the_pixel_rule(photos):
    root, frame = photos
    pixels = np.concatenate([batch for batch, _ in load(photos).as_numpy_iterator()])
    expected = np.stack([load_image(root / path, 96) for path in frame["path"]])
    assert np.abs(pixels - expected).max() <= 1


def test_jpegs_decoded_without_python_have_the_same_pixels(tmp_path):
    generator = np.random.default_rng(0)
    for number in range(32):
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        scale = (1, 2, 4, 8)[number // 8]
        small = generator.integers(0, 256, (12, 9, 3), dtype=np.uint8)
        picture = Image.fromarray(small).resize((70 * scale + number % 3, 50 * scale + number % 5))
        (tmp_path / "ab"[number % 2]).mkdir(exist_ok=True)
        picture.convert("L" if number % 7 == 0 else "RGB").save(
            tmp_path / "ab"[number % 2] / f"{number}.jpg", exif=exif, quality=90,
            progressive=number % 3 == 0,
        )  # fmt: skip
    root, frame = images.find_images(tmp_path)
    frame = images.check_images(root, frame)
    decoders, turns = datasets._decoders(frame, 24)
    assert set(decoders) == {1, 2, 4, 8} and set(turns) == set(range(1, 9))
    dataset = datasets.make_dataset(frame, root, ["a", "b"], 24)
    pixels = np.concatenate([batch for batch, _ in dataset.as_numpy_iterator()])
    expected = np.stack([load_image(root / path, 24) for path in frame["path"]])
    np.testing.assert_array_equal(pixels, expected)


def test_what_tensorflow_cannot_read_goes_to_pillow():
    rows = [("PNG", "RGB"), ("JPEG", "CMYK"), ("WEBP", "RGB"), ("JPEG", "RGB")]
    frame = pd.DataFrame(rows, columns=["format", "mode"]).assign(
        orientation=[1, 1, 6, 9], width=100, height=100
    )
    decoders, turns = datasets._decoders(frame, 24)
    assert decoders.tolist() == [0, 0, 0, 2] and turns.tolist() == [1, 1, 1, 1]
    assert not datasets._decoders(frame[["format"]], 24)[0].any()


def test_shuffling_changes_the_order_each_epoch_and_repeats_with_the_seed(photos):
    def order(dataset):
        return [label for _, labels in dataset.as_numpy_iterator() for label in labels.argmax(1)]

    dataset = load(photos, shuffle=True, seed=1)
    first, second = order(dataset), order(dataset)
    assert first != second and sorted(first) == sorted(second)
    assert order(load(photos, shuffle=True, seed=1)) == first
    assert order(load(photos, shuffle=True, seed=2)) != first


def test_augmentation_changes_every_epoch_and_repeats_with_the_seed(photos):
    def pixels(dataset):
        return np.concatenate([batch for batch, _ in dataset.as_numpy_iterator()])

    augment = datasets.make_augmentation()
    dataset = load(photos, augment=augment, seed=1)
    first, second = pixels(dataset), pixels(dataset)
    assert np.abs(first - second).mean() > 1
    np.testing.assert_array_equal(pixels(load(photos, augment=augment, seed=1)), first)
    assert first.min() >= 0 and first.max() <= 255


def test_every_batch_is_augmented_in_its_own_way(photos):
    root, frame = photos
    twice = load((root, frame.iloc[[0] * 20]), augment=datasets.make_augmentation())
    first, second = (pixels for pixels, _ in twice.as_numpy_iterator())
    assert np.abs(first - second).mean(axis=(1, 2, 3)).min() > 1


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(0).uniform(0, 255, (64, 24, 24, 3)).astype("float32")


NOTHING = dict(horizontal_flip=False, rotation=0.0, translation=0.0, zoom=0.0, contrast=0.0)


def test_no_augmentation_is_the_identity(batch):
    augment = datasets.make_augmentation(**NOTHING)
    np.testing.assert_allclose(augment(batch, (0, 1)), batch, atol=1e-2)


def test_flipping_mirrors_about_half_of_the_images(batch):
    out = datasets.make_augmentation(**NOTHING | {"horizontal_flip": True})(batch, (0, 1)).numpy()
    mirrored = [np.allclose(a, b[:, ::-1], atol=1e-2) for a, b in zip(out, batch, strict=True)]
    same = [np.allclose(a, b, atol=1e-2) for a, b in zip(out, batch, strict=True)]
    assert sum(mirrored) + sum(same) == 64
    assert 16 < sum(mirrored) < 48


def test_translation_moves_at_most_as_far_as_asked():
    dot = np.zeros((64, 41, 41, 3), "float32")
    dot[:, 20, 20] = 255
    out = datasets.make_augmentation(**NOTHING | {"translation": 0.1})(dot, (0, 1)).numpy()
    weights = out.sum(axis=3)
    centres = (weights.sum(axis=1) * np.arange(41)).sum(axis=1) / weights.sum(axis=(1, 2))
    assert 2 < np.abs(centres - 20).max() <= 4.1


def test_rotation_turns_about_the_centre():
    bar = np.zeros((32, 41, 41, 3), "float32")
    bar[:, 20, :] = 255
    out = datasets.make_augmentation(**NOTHING | {"rotation": 0.25})(bar, (0, 1)).numpy()
    assert out[:, 20, 20].min() > 200
    assert out[:, 2:39, 20].max(axis=(1, 2)).max() > 200  # some bar now stands nearly upright


def test_contrast_keeps_the_mean(batch):
    grey = batch / 4 + 90
    out = datasets.make_augmentation(**NOTHING | {"contrast": 0.5})(grey, (0, 1)).numpy()
    np.testing.assert_allclose(out.mean(axis=(1, 2, 3)), grey.mean(axis=(1, 2, 3)), atol=0.5)
    ratio = out.std(axis=(1, 2, 3)) / grey.std(axis=(1, 2, 3))
    assert 0.5 <= ratio.min() < 0.8 and 1.2 < ratio.max() <= 1.51


@pytest.mark.parametrize("name", ["rotation", "translation", "zoom", "contrast"])
@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_strengths_out_of_range(name, value):
    with pytest.raises(ValueError, match=name):
        datasets.make_augmentation(**{name: value})


def test_class_weights_make_classes_count_alike():
    frame = pd.DataFrame({"label": ["a"] * 30 + ["b"] * 10})
    weights = datasets.class_weights(frame, ["a", "b"])
    assert weights == {0: pytest.approx(2 / 3), 1: 2.0}
    assert sum(weights[i] * n for i, n in ((0, 30), (1, 10))) == pytest.approx(40)


def test_a_batch_is_timed_without_the_building_of_its_graph():
    def change(batch):
        time.sleep(0.3)  # once, when the graph is built
        wait = tf.numpy_function(lambda: time.sleep(0.02) or np.float32(0), [], tf.float32)
        return batch + wait

    assert 0.02 <= datasets.time_batch(change, np.zeros((2, 4, 4, 3), "float32")) < 0.3
