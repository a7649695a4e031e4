"""Tests of dermaface.evaluation.confidence: temperature, reliability, threshold and sets."""

from dermaface.evaluation import confidence, scores
from dermaface.evaluation.scores import accuracy_interval
from mapie.classification import SplitConformalClassifier
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin


def drawn(count=4000, classes=5, temperature=1.0, seed=0):
    """Return answers, the classes drawn by them, and logits multiplied by a temperature."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (count, classes))
    honest = confidence.soften(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), 1)
    truth = (honest.cumsum(axis=1) < generator.random((count, 1))).sum(axis=1)
    return confidence.soften(honest, 1 / temperature), np.minimum(truth, classes - 1)


@pytest.mark.parametrize("temperature", [0.4, 0.65, 1.0, 2.5])
def test_the_temperature_of_a_model_that_is_too_sure_or_not_sure_enough_is_found(temperature):
    given, truth = drawn(temperature=temperature)
    assert confidence.fit_temperature(given, truth) == pytest.approx(temperature, rel=0.05)


def test_a_temperature_changes_no_answer_and_undoes_its_inverse():
    given, _ = drawn(300)
    softened = confidence.soften(given, 2.0)
    assert np.allclose(softened.sum(axis=1), 1)
    assert (softened.argmax(axis=1) == given.argmax(axis=1)).all()
    assert (softened.max(axis=1) < given.max(axis=1)).all()
    assert np.allclose(confidence.soften(softened, 0.5), given, atol=1e-6)


def test_a_few_photos_that_are_all_right_do_not_make_a_model_certain():
    given, _ = drawn(60)
    temperature = confidence.fit_temperature(given, given.argmax(axis=1))
    assert confidence.LOWEST < temperature < 1
    loose = confidence.fit_temperature(given[:3], given[:3].argmax(axis=1))
    assert loose > confidence.fit_temperature(given[:50], given[:50].argmax(axis=1))
    assert confidence.fit_temperature(given[:0], []) == 1.0


def test_honest_answers_have_a_small_calibration_error_and_others_a_large_one():
    given, truth = drawn(20000)
    assert confidence.calibration_error(given, truth) < 0.015
    for temperature in (0.5, 2.0):
        off = confidence.soften(given, temperature)
        assert confidence.calibration_error(off, truth) > 0.08
        back = confidence.soften(off, confidence.fit_temperature(off, truth))
        assert confidence.calibration_error(back, truth) < 0.015


def test_reliability_counts_by_hand():
    given = np.array([[0.95, 0.05], [0.91, 0.09], [0.62, 0.38], [1.0, 0.0], [0.35, 0.65]])
    table = confidence.reliability(given, [0, 1, 0, 0, 0], bins=10)
    assert table["photos"].tolist() == [2, 3]
    assert table["confidence"].tolist() == pytest.approx([0.635, (0.95 + 0.91 + 1) / 3])
    assert table["accuracy"].tolist() == pytest.approx([0.5, 2 / 3])
    assert table.loc[1, ["low", "high"]].tolist() == list(accuracy_interval(2, 3))
    error = (2 * abs(0.635 - 0.5) + 3 * abs((0.95 + 0.91 + 1) / 3 - 2 / 3)) / 5
    assert confidence.calibration_error(given, [0, 1, 0, 0, 0], bins=10) == pytest.approx(error)


def test_as_many_answers_are_sure_as_the_interval_allows():
    given_to = np.linspace(0.99, 0.51, 200)
    given = np.column_stack([given_to, 1 - given_to])
    truth = np.zeros(200, int)
    truth[120::3] = 1  # from there on, every third answer is wrong
    chosen = confidence.choose_confidence(given, truth, 0.9)
    assert chosen.reached and chosen.low >= 0.9 and chosen.photos == 200
    assert accuracy_interval(chosen.right, chosen.sure)[0] == chosen.low
    sure = given_to >= chosen.min_confidence
    assert sure.sum() == chosen.sure and (truth[sure] == 0).sum() == chosen.right
    # No more answers would do.
    for more in range(chosen.sure + 1, 201):
        assert accuracy_interval((truth[:more] == 0).sum(), more)[0] < 0.9
    assert confidence.choose_confidence(given, truth, 0.5).min_confidence == 0.0
    stricter = confidence.choose_confidence(given, truth, 0.995)
    assert not stricter.reached and stricter.sure == 120
    with pytest.raises(ValueError, match="at least one photo"):
        confidence.choose_confidence(given[:0], [], 0.9)


def test_photos_of_one_confidence_are_all_sure_or_none_is():
    given = np.array([[0.9, 0.1]] * 30 + [[0.6, 0.4]] * 30)
    truth = np.array([0] * 30 + [0] * 15 + [1] * 15)
    chosen = confidence.choose_confidence(given, truth, 0.85)
    assert chosen.sure == 30 and chosen.min_confidence == pytest.approx(0.75)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_sets_hold_the_truth_of_new_photos_as_often_as_they_should(coverage):
    shares, sizes = [], []
    for seed in range(40):
        given, truth = drawn(600, temperature=0.6, seed=seed)
        temperature = confidence.fit_temperature(given[:300], truth[:300])
        calm = confidence.soften(given, temperature)
        threshold = confidence.fit_set_threshold(
            calm[:300], truth[:300], range(300), coverage, temperature
        )
        sets = confidence.in_set(calm[300:], threshold)
        shares.append(sets[range(300), truth[300:]].mean())
        sizes.append(sets.sum(axis=1).mean())
    assert coverage - 0.01 < np.mean(shares) < coverage + 0.02
    assert np.mean(sizes) < 4


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose photos are its own probabilities, for mapie."""

    def __init__(self, classes=5):
        self.classes = classes
        self.classes_ = np.arange(classes)

    def fit(self, x, y):
        return self

    def predict_proba(self, x):
        return np.asarray(x)

    def predict(self, x):
        return np.asarray(x).argmax(axis=1)

    def __sklearn_is_fitted__(self):
        return True


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("count", [60, 199, 200, 341])
def test_sets_are_those_that_mapie_finds(coverage, count):
    given, truth = drawn(count + 300, seed=count)
    classes = given.shape[1]
    reference = SplitConformalClassifier(
        Given(classes), confidence_level=coverage, conformity_score="lac", prefit=True
    ).conformalize(given[:count], truth[:count])
    _, expected = reference.predict_set(given[count:])
    threshold = confidence.set_threshold(given[range(count), truth[:count]], coverage)
    found = given[count:] >= threshold
    assert (found == expected[:, :, 0]).all()
    # Ours always hold the likeliest class, where those of mapie may be empty.
    ours = confidence.in_set(given[count:], threshold).sum(axis=1)
    assert (ours == np.maximum(found.sum(axis=1), 1)).all()


def test_each_fold_of_photos_is_scored_with_the_temperature_of_the_others():
    given, truth = drawn(199, seed=3)
    folds = np.arange(199) % confidence.FOLDS
    scores = np.empty(199)
    for number in range(confidence.FOLDS):
        here = folds == number
        own = confidence.fit_temperature(given[~here], truth[~here])
        scores[here] = confidence.soften(given[here], own)[range(here.sum()), truth[here]]
    found = confidence.fit_set_threshold(given, truth, range(199), 0.9)
    assert found == pytest.approx(confidence.set_threshold(scores, 0.9))
    # With so few photos nothing can be promised, so every class belongs to every set.
    assert confidence.fit_set_threshold(given[:10], truth[:10], range(10), 0.95) == 0.0


def test_a_group_lies_in_one_fold(monkeypatch):
    given, truth = drawn(100)
    sizes = []
    fit = confidence.fit_temperature
    monkeypatch.setattr(
        confidence, "fit_temperature", lambda p, t: sizes.append(len(t)) or fit(p, t)
    )
    confidence.fit_set_threshold(given, truth, ["anna"] * 60 + list(range(40)), 0.9)
    assert min(sizes) == 100 - 60 - 8  # one fold is anna and every fifth of the others


def test_what_limits_are_worth_is_counted_class_by_class():
    given = np.array([[0.9, 0.1, 0.0], [0.5, 0.3, 0.2], [0.2, 0.7, 0.1], [0.05, 0.05, 0.9]])
    images = pd.DataFrame({"path": list("1234"), "split": "test", "label": list("abac")})
    images = images.assign(group="", copies="", scene="", sha256=list("1234"))
    answers = scores.prediction_frame(images, given, ["a", "b", "c"])
    limits = {"min_confidence": 0.6, "set_threshold": 0.2}
    table = confidence.trust_frame(confidence.mark_answers(answers, ["a", "b", "c"], limits))
    assert table.loc["a"].tolist() == [2, 2, 1, 2, 1.5]
    assert table.loc["b"].tolist() == [1, 0, 0, 1, 3.0]
    assert table.loc["all"].tolist() == [4, 3, 2, 4, 1.75]
    # The likeliest class is in every set.
    assert confidence.in_set(given, 0.95).sum() == 4


def test_errors_are_told_with_what_chance_alone_makes():
    honest, truth = drawn(300)
    sharp = confidence.soften(honest, 0.4)
    errors = confidence.errors(sharp, honest, truth)
    assert errors["before"] == confidence.calibration_error(sharp, truth) > 0.1
    assert errors["now"] == confidence.calibration_error(honest, truth)
    assert 0.02 < errors["chance"] < 0.08
    many, classes = drawn(10000)
    assert confidence.errors(many, many, classes, draws=20)["chance"] < 0.02
