"""Tests of how the built-in backbone was made, and of the resulting weights."""

from dermaface.photos import textures
import numpy as np
import pretrain_tiny
import pytest


def test_the_pool_depends_on_the_seed_alone():
    images, labels = pretrain_tiny.make_pool(510, seed=3, size=16)
    assert images.shape == (510, 16, 16, 3) and images.dtype == np.uint8
    assert labels.shape == (510,) and set(labels) == set(range(len(textures.FAMILIES)))
    again = pretrain_tiny.make_pool(510, seed=3, size=16, processes=1)
    assert (images == again[0]).all() and (labels == again[1]).all()


def test_batches_are_varied_but_keep_their_range():
    pool = (np.full((70, 16, 16, 3), 200, "uint8"), np.arange(70, dtype="int32"))
    images, labels = next(pretrain_tiny.make_dataset(pool).as_numpy_iterator())
    assert images.shape == (64, 16, 16, 3) and len(set(labels)) == 64
    assert images.min() >= 0 and images.max() <= 255 and images.mean(axis=(1, 2)).std() > 5


@pytest.mark.slow
def test_a_short_training_learns_and_saves_weights_that_load_back(tmp_path):
    from dermaface.quiet_tensorflow import keras

    keras.utils.set_random_seed(0)
    pool = pretrain_tiny.make_pool(64, size=32)
    backbone, classifier = pretrain_tiny.build_classifier()
    before = [np.array(variable) for variable in backbone.trainable_variables]
    path = tmp_path / "small.weights.h5"
    accuracy = pretrain_tiny.train(
        classifier,
        pool,
        minutes=0.05,
        every_minute=lambda: pretrain_tiny.save_weights(backbone, path),
    )
    assert len(accuracy) >= 1
    assert all(
        np.isfinite(new).all() and (np.array(new) != old).any()
        for old, new in zip(before, backbone.trainable_variables, strict=True)
    )
    learnt = backbone.get_weights()
    for variable in backbone.weights:
        variable.assign(variable * 0)
    backbone.load_weights(path)
    for stored, variable in zip(backbone.get_weights(), learnt, strict=True):
        assert (stored == stored.astype("float16")).all()
        np.testing.assert_allclose(stored, variable, rtol=1e-3, atol=1e-6)


def test_weights_that_do_not_fit_into_float16_are_refused(tmp_path):
    from dermaface.quiet_tensorflow import keras

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.layers[0].kernel.assign([[1e6]])
    with pytest.raises(ValueError, match="kernel does not fit"):
        pretrain_tiny.save_weights(model, tmp_path / "a.weights.h5")
    assert not list(tmp_path.iterdir())


def test_committed_weights_are_small():
    assert pretrain_tiny.TINY_WEIGHTS.stat().st_size <= 2_000_000
