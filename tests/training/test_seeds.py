"""Tests of dermaface.training.seeds."""

from conftest import CLASS_NAMES
from dermaface import runs
from dermaface.photos import images
from dermaface.training import features, seeds, stages
import numpy as np
import pytest

GIVEN = {
    "seed": 0, "batch_size": 8, "epochs": 3, "learning_rate": 0.01, "schedule": "constant",
    "head_views": 2, "fine_tune_epochs": 1, "fine_tune_learning_rate": 0.0001,
    "fine_tune_schedule": "cosine", "fine_tune_from": "Conv_1", "fine_tune_views": 1,
    "full_epochs": 0, "full_learning_rate": 0.00001, "full_schedule": "cosine", "cache_gb": 1.0,
    "early_stopping_patience": 0, "optimizer": "adamw", "weight_decay": 0.0,
    "label_smoothing": 0.1, "use_class_weights": True, "mixed_precision": False,
    "mirrored": False, "steps_per_execution": 1,
}  # fmt: skip
AUGMENTATION = {
    "horizontal_flip": True, "rotation": 0.1, "translation": 0.0, "zoom": 0.0, "contrast": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(sample_folder, small_model, tmp_path_factory):
    root, frame = images.find_images(sample_folder)
    frame = frame[frame["label"].isin(CLASS_NAMES)].reset_index(drop=True)
    frame = images.check_images(root, frame).assign(
        split=["train", "train", "validation"] * (len(frame) // 3)
    )
    run = runs.open_run("some", tmp_path_factory.mktemp("seeds"))
    images.write_images(run, frame, root)
    small_model.save(run.path("model_untrained.keras"))
    run.update(
        notebooks={
            "02_build_model": {"parameters": {"backbone": "tiny"} | AUGMENTATION},
            "03_train_model": {"parameters": GIVEN},
        }
    )
    return run


def test_a_seed_repeats_itself_another_differs_and_kept_features_serve(run, monkeypatch):
    fitted = []
    monkeypatch.setattr(
        stages, "fit_stage",
        lambda model, data, checkpoint, fit=stages.fit_stage, **more: (
            fitted.append((checkpoint.stage, len(model.trainable_weights))),
            fit(model, data, checkpoint, **more),
        ),
    )  # fmt: skip
    pixels = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3)).astype("float32")
    first = seeds.train_again(run, 1)
    answers = first.predict(pixels, verbose=0)
    assert [stage for stage, _ in fitted] == ["head", "fine_tune"]
    assert fitted[0][1] == 2 < fitted[1][1]
    assert first.dtype_policy.name == "float32" and answers.shape == (4, len(CLASS_NAMES))

    def fail(*_):
        raise AssertionError("features are computed although they are there")

    monkeypatch.setattr(features, "make_front", fail)
    other = seeds.train_again(run, 2).predict(pixels, verbose=0)
    assert np.abs(other - answers).max() > 1e-3
    again = seeds.train_again(run, 1).predict(pixels, verbose=0)
    np.testing.assert_allclose(again, answers, atol=1e-3)


def test_the_head_learns_anew_from_other_weights(run, small_model):
    # The small model's head is trained already; a new start must not profit from that.
    kept = small_model.get_layer("probabilities").get_weights()[0]
    moved = seeds.train_again(run, 3).get_layer("probabilities").get_weights()[0]
    assert np.corrcoef(kept.ravel(), moved.ravel())[0, 1] < 0.9
