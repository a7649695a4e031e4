"""Tests of dermaface.evaluation.unknown."""

from dermaface import runs
from dermaface.evaluation import unknown
from dermaface.photos import images
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics


def test_scores_are_softmax_and_energy():
    logits = np.log([[1.0, 2.0, 5.0], [10.0, 20.0, 50.0]])
    np.testing.assert_allclose(unknown.highest_probability(logits), [0.625, 0.625])
    np.testing.assert_allclose(unknown.energy(logits), np.log([8, 80]))


def make_run(tmp_path, labels):
    """Return a run whose photos alternate between training and validation."""
    run = runs.open_run("r", tmp_path)
    rows = [{"path": f"{n:03d}.jpg", "label": label} for n, label in enumerate(labels)]
    table = pd.DataFrame(dict.fromkeys(images.COLUMNS, "") | images.EMPTY, index=range(len(rows)))
    table[["path", "label"]] = pd.DataFrame(rows)
    table["split"] = ["train", "validation"] * (len(rows) // 2)
    runs.write_csv(run.path("images.csv"), table.assign(status="kept")[images.COLUMNS])
    return run


def draw_features(run, places):
    """Return a function that gives each photo a point near its class's place."""

    def read(run, split):
        labels = images.read_images(run, split)["label"]
        noise = np.random.default_rng(len(split)).normal(0, 0.3, (len(labels), 3))
        return np.array([places[label] for label in labels]) + noise

    return read


PLACES = {"a": (5, 0, 0), "b": (0, 5, 0), "c": (0, 0, 5), "between": (2.5, 2.5, 0)}


def test_a_class_between_the_others_is_met_with_less_confidence(tmp_path):
    run = make_run(tmp_path, [name for name in PLACES for _ in range(40)])
    answers = unknown.leave_classes_out(run, draw_features(run, PLACES))
    assert list(answers) == sorted(PLACES)
    known, unmet = answers["between"]
    assert known.shape == (60, 3) and unmet.shape == (20, 3)
    highest = [unknown.highest_probability(logits) for logits in (known, unmet)]
    truth = [True] * 60 + [False] * 20
    areas = unknown.measure_areas(answers)
    area = sklearn.metrics.roc_auc_score(truth, np.concatenate(highest))
    assert areas.loc["between", "probability"] == pytest.approx(area) and area > 0.95
    assert list(areas.index) == sorted(PLACES) and list(areas) == ["probability", "energy"]


def test_three_classes_leave_heads_of_two_and_fewer_none(tmp_path):
    run = make_run(tmp_path / "3", [name for name in "abc" for _ in range(20)])
    answers = unknown.leave_classes_out(run, draw_features(run, PLACES))
    known, unmet = answers["c"]
    assert known.shape == (20, 2) and unmet.shape == (10, 2)
    # The two logits answer as scikit-learn does: a's photos first, then b's.
    np.testing.assert_array_equal(known.argmax(axis=1), [0] * 10 + [1] * 10)
    assert unknown.leave_classes_out(make_run(tmp_path / "2", "aabb"), None) == {}


@pytest.mark.parametrize(
    ("gain", "kept"), [([0.1, 0.12, 0.08], "energy"), ([0.1, -0.1, 0.05], "probability")]
)
def test_energy_is_kept_only_where_it_wins_throughout(gain, kept):
    areas = pd.DataFrame({"probability": [0.7, 0.6, 0.8]}, index=list("abc"))
    found = unknown.judge(areas.assign(energy=areas["probability"] + gain))
    assert found["kept"] == kept and found["hardest"] == "b" and found["classes"] == 3
    assert found["probability"] == pytest.approx(0.7)
    low, high = found["gain_interval"]
    assert low < found["gain"] == pytest.approx(np.mean(gain)) and found["gain"] < high


def test_one_class_is_no_sample():
    assert unknown.judge(pd.DataFrame(columns=["probability", "energy"])) == {"classes": 0}
    one = pd.DataFrame({"probability": [0.7], "energy": [0.9]})
    assert unknown.judge(one) == {"classes": 1}
