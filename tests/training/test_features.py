"""Tests of dermaface.training.features."""

import collections
import concurrent.futures
import errno
import functools
import os
import shutil
import threading

from conftest import CLASS_NAMES
from dermaface import runs
from dermaface.model import build, hub
from dermaface.photos import images
from dermaface.quiet_tensorflow import keras, tf
from dermaface.training import datasets, features
import numpy as np
import pytest

SHAPE = (12, 12, 16)  # of tiny's features after block 5


@pytest.fixture(scope="module")
def front(small_model):
    return keras.Model(small_model.input, small_model.get_layer("block_5_add").output)


@pytest.fixture(scope="module")
def photos(sample_folder):
    root, frame = images.find_images(sample_folder)
    frame = frame[frame["label"].isin(CLASS_NAMES)].reset_index(drop=True).head(26)
    return datasets.make_dataset(frame, root, CLASS_NAMES, 96, datasets.Order(8))


@pytest.fixture(scope="module")
def expected(front, photos):
    """Return the features and labels that Keras gives, in order."""
    pixels, labels = (
        np.concatenate(part) for part in zip(*photos.as_numpy_iterator(), strict=True)
    )
    return front.predict(pixels, verbose=0), labels


def collect(dataset):
    """Return the features and labels of one pass."""
    return [np.concatenate(part) for part in zip(*dataset.as_numpy_iterator(), strict=True)]


def cache(front, photos, folder, **options):
    return features.cache_features(front, photos, **{"key": {"a": 1}, "path": folder} | options)


def forbid(monkeypatch):
    """Make any computation of features fail."""

    def fail(*_):
        raise AssertionError("features are computed although they are there")

    monkeypatch.setattr(features, "make_front", fail)


AUGMENT = datasets.make_augmentation(rotation=0.2)


def test_features_are_those_of_the_front_with_their_labels(front, photos, expected, tmp_path):
    dataset = cache(front, photos, tmp_path, order=datasets.Order(10))
    assert int(dataset.cardinality()) == 3 and dataset.element_spec[0].shape == (None, *SHAPE)
    found, labels = collect(dataset)
    np.testing.assert_allclose(found, expected[0], rtol=1e-3, atol=1e-3)  # half precision
    np.testing.assert_array_equal(labels, expected[1])


def test_vectors_are_kept_in_full_precision(small_model, photos, tmp_path):
    frozen, _ = build.split_model(small_model)
    pixels = np.concatenate([batch for batch, _ in photos.as_numpy_iterator()])
    found, _ = collect(cache(frozen, photos, tmp_path))
    np.testing.assert_allclose(found, frozen.predict(pixels, verbose=0), atol=1e-5)


def test_a_second_run_computes_nothing(front, photos, tmp_path, monkeypatch):
    options = {"views": 3, "augment": AUGMENT}
    first = collect(cache(front, photos, tmp_path, **options))
    forbid(monkeypatch)
    for one, other in zip(first, collect(cache(front, photos, tmp_path, **options)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "change",
    [
        {"key": {"a": 2}},
        {"views": 2},
        {"augment": datasets.make_augmentation(rotation=0.1)},
        {"seed": 1},
        {"order": datasets.Order(seed=1)},
        "weights",
        "cut",
    ],
    ids=["photos", "views", "augmentation", "seed", "order's seed", "weights", "cut"],
)
def test_whatever_changes_the_features_makes_new_ones(
    front, photos, tmp_path, monkeypatch, change, small_model
):
    options = {"views": 3, "augment": AUGMENT}
    cache(front, photos, tmp_path, **options)
    forbid(monkeypatch)
    if change == "weights":
        front = keras.models.clone_model(front)
    elif change == "cut":
        front = keras.Model(small_model.input, small_model.get_layer("block_4_add").output)
    else:
        options |= change
    with pytest.raises(AssertionError, match="although"):
        cache(front, photos, tmp_path, **options)


@pytest.mark.parametrize("damage", ["cut short", "flipped", "sums lost", "sums cut"])
def test_what_is_missing_or_damaged_is_computed_again(front, photos, tmp_path, monkeypatch, damage):
    options = {"views": 2, "augment": AUGMENT}
    whole = collect(cache(front, photos, tmp_path, **options))
    (rows,), (sums,) = tmp_path.glob("*.rows"), tmp_path.glob("*.sums")
    content = bytearray(rows.read_bytes())
    expected_batches = 2
    if damage == "cut short":
        content = content[: len(content) * 5 // 8]
    elif damage == "flipped":
        content[len(content) * 5 // 8] ^= 1
    elif damage == "sums lost":
        sums.unlink()
        expected_batches = 4
    else:
        sums.write_bytes(sums.read_bytes()[:38])
    rows.write_bytes(content)

    computed = []
    make_front = features.make_front

    def counting(frozen, pixels, batches):
        run = make_front(frozen, pixels, batches)
        return lambda images: computed.append(len(images)) or run(images)

    monkeypatch.setattr(features, "make_front", counting)
    mended = collect(cache(front, photos, tmp_path, **options))
    assert len(computed) == 2 * expected_batches  # two views a batch
    for one, other in zip(whole, mended, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_each_pass_takes_another_view_and_the_first_is_not_augmented(
    front, photos, expected, tmp_path
):
    dataset = cache(front, photos, tmp_path, views=3, augment=AUGMENT, order=datasets.Order(26))
    passes = [collect(dataset)[0] for _ in range(4)]
    # In pass p, photo n shows view (n + p) modulo 3.
    near = [
        [np.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(p, expected[0], strict=True)]
        for p in passes
    ]
    assert [[n for n in range(26) if row[n]] for row in near] == (
        [[n for n in range(26) if (n + number) % 3 == 0] for number in range(4)]
    )
    np.testing.assert_array_equal(passes[0], passes[3])


def test_shuffled_the_order_is_that_of_the_photos_themselves(front, sample_folder, tmp_path):
    root, frame = images.find_images(sample_folder)
    frame = frame.groupby("label").head(2).reset_index(drop=True)
    names = sorted(set(frame["label"]))
    order = datasets.Order(5, shuffle=True, seed=3, first_epoch=7)
    live = datasets.make_dataset(frame, root, names, 96, order)
    kept = cache(front, datasets.make_dataset(frame, root, names, 96), tmp_path, order=order)
    for _ in range(2):
        pixels, labels = collect(live)
        found, kept_labels = collect(kept)
        np.testing.assert_array_equal(labels, kept_labels)
        np.testing.assert_allclose(found, front.predict(pixels, verbose=0), rtol=1e-3, atol=1e-3)


def test_the_last_batch_may_be_left_out(front, photos, tmp_path):
    dataset = cache(front, photos, tmp_path, order=datasets.Order(10, drop_remainder=True))
    assert [len(labels) for _, labels in dataset.as_numpy_iterator()] == [10, 10]
    with pytest.raises(ValueError, match="26 photos do not fill a batch of 40"):
        cache(front, photos, tmp_path, order=datasets.Order(40, drop_remainder=True))


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_beyond_the_budget_features_are_computed_live(
    front, photos, expected, tmp_path, capsys, precision
):
    if precision == "mixed_float16":
        weights, front = front.get_weights(), keras.models.clone_model(front)
        front.set_weights(weights)
        for layer in front.layers:  # as in the front of a model of that precision
            layer.dtype_policy = precision
    dataset = cache(front, photos, tmp_path, cache_gb=1e-4)
    assert "computed anew in every epoch: they need 0.00 GB" in capsys.readouterr().out
    assert not list(tmp_path.iterdir()) and dataset.element_spec[0].shape == (None, *SHAPE)
    for _ in range(2):
        found, labels = collect(dataset)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected[0], atol=1e-4 if precision == "float32" else 0.1)
        np.testing.assert_array_equal(labels, expected[1])


KEPT_GB = 4 * 8 * (12 * 12 * 16 + 4) * 2 / 1e9  # four batches of eight photos


def test_what_is_in_use_does_not_make_room(front, photos, expected, tmp_path, capsys):
    train, validation = (
        cache(front, photos, tmp_path, key={"split": split}, cache_gb=1.5 * KEPT_GB)
        for split in ("train", "validation")
    )
    assert "Features are not kept but computed anew in every epoch" in capsys.readouterr().out
    for dataset in (train, validation, train):
        np.testing.assert_allclose(collect(dataset)[0], expected[0], rtol=1e-3, atol=1e-3)
    (rows,) = tmp_path.glob("*.rows")
    del dataset, train
    cache(front, photos, tmp_path, key={"split": "validation"}, cache_gb=1.5 * KEPT_GB)
    assert not rows.exists() and len(list(tmp_path.glob("*.rows"))) == 1
    assert capsys.readouterr().out == ""


def test_deleting_the_caches_does_not_disturb_who_reads_them(front, photos, expected, tmp_path):
    dataset = cache(front, photos, tmp_path / "caches", order=datasets.Order(10))
    passing = dataset.as_numpy_iterator()
    next(passing)
    shutil.rmtree(tmp_path / "caches")
    found = np.concatenate([features for features, _ in passing])
    np.testing.assert_allclose(found, expected[0][10:], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(collect(dataset)[0], expected[0], rtol=1e-3, atol=1e-3)


def test_deleting_the_caches_does_not_disturb_who_fills_them(
    front, photos, expected, tmp_path, monkeypatch
):
    def deleting(images):
        shutil.rmtree(tmp_path / "caches", ignore_errors=True)
        return front.predict_on_batch(images)

    monkeypatch.setattr(features, "make_front", lambda *_: deleting)
    dataset = cache(front, photos, tmp_path / "caches")
    for _ in range(2):
        np.testing.assert_allclose(collect(dataset)[0], expected[0], rtol=1e-3, atol=1e-3)


def test_of_two_who_fill_the_same_cache_one_waits(
    front, photos, expected, tmp_path, monkeypatch, capsys
):
    both, computed, asked = threading.Barrier(2), [], threading.Event()

    def tell(*values, **options):
        print(*values, **options)
        if "this one waits" in str(values):
            asked.set()

    def slowly(images):
        if not computed:
            both.wait(30)
            assert asked.wait(30)  # until the other one asks
        computed.append(len(images))
        return expected[0][sum(computed) - len(images) : sum(computed)]

    def second():
        both.wait(30)
        return collect(cache(front, photos, tmp_path))

    monkeypatch.setattr(features, "make_front", lambda *_: slowly)
    monkeypatch.setattr(features, "print", tell, raising=False)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(second)
        found = [collect(cache(front, photos, tmp_path)), waiting.result()]
    assert computed == [8, 8, 8, 2]
    assert "this one waits" in capsys.readouterr().out
    for answer, labels in found:
        np.testing.assert_allclose(answer, expected[0], rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(labels, expected[1])


def test_two_passes_at_once_do_not_mix(front, photos, expected, tmp_path):
    dataset = cache(front, photos, tmp_path, order=datasets.Order(1))
    for (one, _), (other, _), wanted in zip(dataset, dataset, expected[0], strict=True):
        np.testing.assert_allclose(one[0], wanted, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(other[0], wanted, rtol=1e-3, atol=1e-3)


def test_a_folder_that_cannot_be_written_is_named(front, photos, expected, tmp_path, capsys):
    (tmp_path / "file").touch()
    dataset = cache(front, photos, tmp_path / "file" / "caches")
    printed = capsys.readouterr().out
    assert printed.count(f"the disk says: Not a directory ({tmp_path / 'file' / 'caches'})") == 2
    np.testing.assert_allclose(collect(dataset)[0], expected[0], atol=1e-4)


Usage = collections.namedtuple("Usage", "total used free")


def test_without_room_on_the_disk_features_are_computed_live(
    front, photos, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(features.shutil, "disk_usage", lambda _: Usage(10**9, 0, 10**9))
    collect(cache(front, photos, tmp_path))
    assert "the disk has 1.00 GB free" in capsys.readouterr().out


def test_a_disk_that_fills_up_in_the_middle(front, photos, expected, tmp_path, capsys, monkeypatch):
    class Full:
        """A file whose disk is full after two batches."""

        def __init__(self, file):
            self.file, self.writes = file, 0

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, content):
            self.writes += 1
            if self.writes > 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.file.write(content)

    real = features._open_for_update
    monkeypatch.setattr(features, "_open_for_update", lambda path: Full(real(path)))
    found, _ = collect(cache(front, photos, tmp_path))
    assert "the disk says: No space left" in capsys.readouterr().out
    np.testing.assert_allclose(found, expected[0], atol=1e-4)


def test_the_cache_unused_for_longest_makes_room(front, photos, tmp_path):
    cache(front, photos, tmp_path, key={"a": "old"})
    (old,) = tmp_path.glob("*.rows")
    os.utime(old, (1, 1))
    cache(front, photos, tmp_path, key={"a": "used"})
    (used,) = set(tmp_path.glob("*.rows")) - {old}
    budget = 3.2 * KEPT_GB
    cache(front, photos, tmp_path, key={"a": "used"}, cache_gb=budget)
    for name in ("new", "newer"):
        cache(front, photos, tmp_path, key={"a": name}, cache_gb=budget)
    assert used.exists() and not old.exists()
    assert len(list(tmp_path.glob("*.rows"))) == len(list(tmp_path.glob("*.json"))) == 3


def test_litert_runs_a_large_front_and_agrees(front, photos, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "WORTH_CONVERTING", 0)
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("a GPU runs the front through Keras")
    pixels = np.concatenate([batch for batch, _ in photos.as_numpy_iterator()])
    run = features.make_front(front, pixels[:8], 1)
    assert run != front.predict_on_batch
    np.testing.assert_allclose(run(pixels[:7]), expected[0][:7], atol=1e-3)
    found, _ = collect(cache(front, photos, tmp_path))
    np.testing.assert_allclose(found, expected[0], rtol=1e-3, atol=2e-3)


def test_keras_runs_what_litert_does_otherwise(front, photos, capsys, monkeypatch):
    monkeypatch.setattr(features, "WORTH_CONVERTING", 0)
    pixels, _ = next(photos.as_numpy_iterator())
    other = keras.models.clone_model(front)  # new random weights
    export = features.convert.export_saved_model
    monkeypatch.setattr(features.convert, "export_saved_model", lambda _, f: export(other, f))
    assert features.make_front(front, pixels, 1) == front.predict_on_batch
    assert "LiteRT and Keras differ by" in capsys.readouterr().out


@pytest.fixture
def pictures(sample_folder):
    """Return how `make_dataset` reads a few pictures, and the same once in order."""
    root, frame = images.find_images(sample_folder)
    frame = frame.groupby("label").head(2).reset_index(drop=True)
    make = functools.partial(datasets.make_dataset, frame, root, sorted(set(frame["label"])), 96)
    return make, make(datasets.Order(8))


@pytest.mark.parametrize("augment", [None, AUGMENT], ids=["plain", "augmented"])
def test_kept_pixels_are_those_of_the_photos_in_every_pass(pictures, tmp_path, augment):
    make, in_order = pictures
    options = {"order": datasets.Order(5, True, seed=3, first_epoch=7), "augment": augment}
    live = make(**options)
    kept = features.cache_pixels(in_order, key={}, path=tmp_path, **options)
    for _ in range(2):
        for expected, found in zip(collect(live), collect(kept), strict=True):
            np.testing.assert_array_equal(expected, found)
    (rows,) = tmp_path.glob("*.rows")
    assert rows.stat().st_size == 22 * (96 * 96 * 3 + 11)  # one byte per number


def test_kept_pixels_are_not_read_again(pictures, tmp_path):
    _, in_order = pictures
    first = collect(features.cache_pixels(in_order, key={}, path=tmp_path))
    black = in_order.map(lambda pixels, labels: (0 * pixels, labels))
    for one, other in zip(
        first, collect(features.cache_pixels(black, key={}, path=tmp_path)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_front_without_weights_keeps_the_photos(small_model, photos, tmp_path):
    front, _ = build.split_model(small_model, "Conv1")
    dataset = cache(front, photos, tmp_path, live=photos.take(1))
    found, labels = collect(dataset)
    expected = front.predict(photos, verbose=0)
    np.testing.assert_array_equal(found, expected)
    assert len(labels) == 26 and found.min() >= -1 and found.max() <= 1
    for views, alike in ((1, True), (2, False)):
        dataset = cache(front, photos, tmp_path, views=views, augment=AUGMENT)
        first, second = (collect(dataset)[0] for _ in range(2))
        assert np.array_equal(first, expected) == np.array_equal(first, second) == alike


def test_beyond_the_budget_the_photos_are_read_live(small_model, photos, tmp_path, capsys):
    front, _ = build.split_model(small_model, "Conv1")
    dataset = cache(front, photos, tmp_path, live=photos.take(1), cache_gb=1e-5)
    assert "Photos are read anew in every epoch: they need 0.00 GB" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    found, _ = collect(dataset)
    assert found.shape == (8, 96, 96, 3)


def test_without_a_folder_the_features_go_with_the_program(front, photos, expected):
    found, _ = collect(features.cache_features(front, photos, key={}))
    np.testing.assert_allclose(found, expected[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("options", [{"views": 0}, {"views": 2}])
def test_views_need_an_augmentation(front, photos, tmp_path, options):
    with pytest.raises(ValueError, match="views"):
        cache(front, photos, tmp_path, **options)


def test_a_hub_module_is_cut_behind_its_features(front, photos, tmp_path):
    pixels = keras.Input((96, 96, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(front(pixels))
    handle = hub.save_module(keras.Model(pixels, pooled), str(tmp_path / "module"))
    model = build.build_model(4, handle, 96)
    frozen, head = build.split_model(model)
    found, _ = collect(cache(frozen, photos, tmp_path / "cache"))
    assert found.shape == (26, 16)
    pixels, _ = next(photos.as_numpy_iterator())
    np.testing.assert_allclose(
        head.predict(found[:8], verbose=0), model.predict(pixels, verbose=0), atol=1e-4
    )
    with pytest.raises(ValueError, match="no inner cut points"):
        build.split_model(model, 0.5)


@pytest.mark.parametrize("num_classes", [2, 100])
def test_any_number_of_classes(front, photos, tmp_path, num_classes):
    relabelled = photos.map(lambda pixels, _: (pixels, tf.one_hot(
        tf.range(tf.shape(pixels)[0]) % num_classes, num_classes)))  # fmt: skip
    _, labels = collect(cache(front, relabelled, tmp_path))
    assert labels.shape == (26, num_classes) and (labels.sum(axis=1) == 1).all()


def test_the_features_of_a_run_are_those_of_its_splits(sample_folder, tmp_path):
    root, frame = images.find_images(sample_folder)
    frame = frame[frame["label"].isin(CLASS_NAMES)].iloc[::4].reset_index(drop=True)
    frame = images.check_images(root, frame).assign(
        split=["train", "validation"] * (len(frame) // 2)
    )
    run = runs.open_run("some", tmp_path)
    images.write_images(run, frame, root)
    pixels = keras.Input((32, 32, 3))
    front = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(pixels))
    order = datasets.Order(batch_size=7, shuffle=True)
    train, validation = features.keep_features(run, front, order, views=2, augment=AUGMENT)
    (seen, _), (again, _), (held, labels) = map(collect, (train, train, validation))
    means = front.predict(
        datasets.make_dataset(images.read_images(run, "validation"), root, CLASS_NAMES, 32),
        verbose=0,
    )
    np.testing.assert_allclose(held, means, rtol=1e-4)
    assert seen.shape == again.shape == held.shape and not np.allclose(seen, again)
    expected = [CLASS_NAMES.index(c) for c in frame.loc[frame["split"] == "validation", "label"]]
    np.testing.assert_array_equal(labels.argmax(axis=1), expected)


def test_a_runs_frozen_features_are_pooled_and_in_the_order_of_its_photos(
    sample_folder, small_model, tmp_path
):
    root, frame = images.find_images(sample_folder)
    frame = frame[frame["label"].isin(CLASS_NAMES)].iloc[::6].reset_index(drop=True)
    frame = images.check_images(root, frame).assign(split="train")
    frame.loc[::2, "split"] = "test"
    run = runs.open_run("some", tmp_path)
    images.write_images(run, frame, root)
    small_model.save(run.path("model_untrained.keras"))
    run.update(notebooks={"03_train_model": {"parameters": {"cache_gb": 1.0}}})
    found = features.frozen_features(run, "test")
    front = keras.Model(small_model.input, small_model.get_layer("pooling").output)
    seen = datasets.make_dataset(images.read_images(run, "test"), root, CLASS_NAMES, 96)
    np.testing.assert_allclose(found, front.predict(seen, verbose=0), rtol=1e-3, atol=1e-3)
