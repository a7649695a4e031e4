"""Tests of dermaface.training.comparison: range tests, and settings as parameters of a run."""

from dermaface import pipeline
from dermaface.training import comparison
import numpy as np
import pytest

TESTED = np.geomspace(1e-5, 10, num=100)
STEPS = np.log10(TESTED)
# Flat at 2.4, falls around 0.01 by 2, rises from about 0.3 on.
FALLS = 0.4 + 2 / (1 + np.exp(6 * (STEPS + 2)))
CURVE = FALLS + np.exp(6 * STEPS)


def test_the_steepest_fall_and_the_blow_up_are_found_through_noise():
    for seed in range(5):
        noisy = CURVE + np.random.default_rng(seed).normal(0, 0.1, 100)
        found = comparison.read_range_test(TESTED, noisy)
        assert found["fastest"] == pytest.approx(0.01, rel=0.7)
        assert 0.3 < found["blows_up"] < 3


def test_a_single_batch_decides_nothing():
    odd = CURVE.copy()
    odd[[10, 60]] = 50.0, -50.0
    found, expected = (comparison.read_range_test(TESTED, losses) for losses in (odd, CURVE))
    assert found["fastest"] == pytest.approx(expected["fastest"], rel=0.2)
    assert found["blows_up"] == expected["blows_up"]


def test_a_loss_that_only_falls_never_blows_up():
    assert comparison.read_range_test(TESTED, FALLS)["blows_up"] is None


@pytest.mark.parametrize("lost", [np.nan, np.inf])
def test_a_loss_that_is_no_number_has_blown_up(lost):
    losses = np.where(TESTED < 0.5, FALLS, lost)
    found = comparison.read_range_test(TESTED, losses)
    assert found["fastest"] == pytest.approx(0.01, rel=0.7)
    assert 0.5 / 3 < found["blows_up"] < 0.5 * 3 and len(found["smoothed"]) == 100


def test_a_setting_is_a_set_of_parameters_that_a_run_takes():
    of_model = {
        name: value for name, (_, value) in pipeline.known_parameters()["02_build_model"].items()
    }
    setting = {"learning_rate": 0.01, "inner_size": 64, "dropout_rate": 0.5, "augmentation": 2.0}
    values = comparison.as_parameters(setting, of_model | {"backbone": "xception"}, views=4)
    assigned = pipeline.assign_parameters(values)
    build, train = assigned["02_build_model"], assigned["03_train_model"]
    assert "run_name" not in values and build["backbone"] == "xception"
    assert build["dense_units"] == [64] and build["dropout_rate"] == 0.5
    assert build["rotation"] == 2 * of_model["rotation"] > 0
    assert (train["learning_rate"], train["head_views"], train["weight_decay"]) == (0.01, 4, 0.0)


def test_a_head_without_augmentation_leaves_fine_tuning_its_own():
    of_model = {
        name: value for name, (_, value) in pipeline.known_parameters()["02_build_model"].items()
    }
    setting = {"learning_rate": 0.01, "inner_size": 0, "dropout_rate": 0.5, "augmentation": 0.0}
    values = comparison.as_parameters(setting, of_model, views=4)
    assert values["dense_units"] == [] and values["head_views"] == 1
    assert values["rotation"] == of_model["rotation"] > 0 and values["horizontal_flip"]
