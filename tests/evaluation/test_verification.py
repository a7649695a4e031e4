"""Tests of dermaface.evaluation.verification: pairs, error rates, intervals by person."""

from dermaface.evaluation import verification
from dermaface.release import gate
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics

WHO = ["a", "a", "b", "b", "b", "c"]


@pytest.fixture
def embeddings():
    """Return 120 embeddings of twelve persons, near to their person's direction, and who is who."""
    rng = np.random.default_rng(0)
    people = np.repeat([f"p{n:02d}" for n in range(12)], 10)
    centres = rng.normal(size=(12, 6)).repeat(10, axis=0)
    return centres + rng.normal(scale=0.9, size=(120, 6)), people


def test_every_pair_once_with_its_cosine():
    vectors = np.array([[2, 0], [0, 5], [1, 1], [-3, 0], [0, -1], [4, 0]])
    pairs = verification.pair_frame(vectors, WHO)
    assert len(pairs) == 15 and pairs["same"].sum() == 1 + 3
    first = pairs.iloc[0]
    assert (first["first"], first["second"], first["same"]) == ("a", "a", True)
    assert pairs["similarity"].tolist()[:5] == pytest.approx([0, 0.5**0.5, -1, 0, 1])


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4, 5], [5, 2, 0, 4, 1, 3]])
def test_every_person_and_every_two_persons_count_the_same(order):
    pairs = verification.pair_frame(np.eye(6)[order], np.array(WHO)[order])
    two = pairs[["first", "second"]].apply(lambda row: "".join(sorted(set(row))), axis=1)
    assert pairs.groupby(two)["weight"].sum().to_dict() == pytest.approx(
        {"a": 1, "b": 1, "ab": 1, "ac": 1, "bc": 1}
    )


def test_a_vector_of_zeros_is_like_nothing():
    assert verification.unit_length(np.zeros((1, 3))).tolist() == [[0, 0, 0]]


def test_error_rates_are_those_of_scikit_learn(embeddings):
    pairs = verification.pair_frame(*embeddings)
    rates = verification.error_rates(pairs)
    false, true, limits = sklearn.metrics.roc_curve(
        pairs["same"], pairs["similarity"], drop_intermediate=False
    )
    np.testing.assert_allclose(rates["threshold"], limits[1:])
    np.testing.assert_allclose(rates["false_match"], false[1:], atol=1e-9)
    np.testing.assert_allclose(rates["false_non_match"], 1 - true[1:], atol=1e-9)


def frame(same, similarity, weight=1.0):
    return pd.DataFrame({"same": same, "similarity": similarity, "weight": weight})


def test_pairs_of_equal_similarity_are_accepted_together_and_weights_count():
    same, similarity = [True, False, True, False], [0.5, 0.5, 0.2, 0.1]
    rates = verification.error_rates(frame(same, similarity))
    assert rates["threshold"].tolist() == [0.5, 0.2, 0.1]
    assert rates["false_match"].tolist() == [0.5, 0.5, 1]
    assert rates["false_non_match"].tolist() == [0.5, 0, 0]
    weighted = verification.error_rates(frame(same, similarity, [3, 1, 1, 0]))
    assert weighted["threshold"].tolist() == [0.5, 0.2]  # of the pairs that count
    assert weighted["false_match"].tolist() == [1, 1]
    assert weighted["false_non_match"].tolist() == [0.25, 0]


def test_one_kind_of_pairs_has_no_error_rates():
    with pytest.raises(ValueError, match="pairs of one person and pairs of two"):
        verification.error_rates(frame([True, True], [0.1, 0.2]))


def equal(rates):
    return verification.equal_error(rates)[0]


def test_the_equal_error_lies_where_both_kinds_meet(embeddings):
    rates = verification.error_rates(verification.pair_frame(*embeddings))
    error, threshold = verification.equal_error(rates)
    at = rates[rates["threshold"] == threshold].iloc[0]
    assert at["false_match"] == pytest.approx(at["false_non_match"], abs=0.01)
    assert error == pytest.approx(at["false_match"], abs=0.01) and 0.05 < error < 0.3


def test_the_interval_counts_persons_and_not_pairs(embeddings):
    pairs = verification.pair_frame(*embeddings)
    draws = verification.draw_persons(pairs, equal)
    assert draws.shape == (verification.REPEATS,)
    low, high = verification.interval(draws)
    error = equal(verification.error_rates(pairs))
    assert low < error < high
    # Three times as many photos of the same persons are nearly no news.
    vectors, people = embeddings
    more = verification.pair_frame(np.tile(vectors, (3, 1)), np.tile(people, 3))
    low_more, high_more = verification.interval(verification.draw_persons(more, equal))
    independent = 1.96 * 2 * np.sqrt(error * (1 - error) / len(pairs))
    assert high_more - low_more > 0.6 * (high - low) > 2 * independent


def test_two_embeddings_meet_the_same_draws(embeddings):
    vectors, people = embeddings
    pairs = verification.pair_frame(vectors, people)
    opposite = pairs.assign(similarity=-pairs["similarity"])
    for frames in ((pairs, pairs.sample(frac=1, random_state=0)), (pairs, pairs)):
        one, other = (verification.draw_persons(pair, equal) for pair in frames)
        np.testing.assert_allclose(one, other, atol=1e-9)
    # Turned round, the similarities have the errors of the same draws turned round.
    turned = verification.draw_persons(opposite, equal)
    np.testing.assert_allclose(turned, 1 - verification.draw_persons(pairs, equal), atol=0.02)


def test_by_person_names_the_worst_served_first():
    pairs = pd.DataFrame(
        [
            ("a", "a", True, 0.9), ("b", "b", True, 0.1), ("a", "b", False, 0.2),
            ("a", "c", False, 0.1), ("c", "b", False, 0.8), ("c", "c", True, 0.7),
        ],
        columns=["first", "second", "same", "similarity"],
    )  # fmt: skip
    table = verification.by_person(pairs, 0.5)
    assert list(table.index) == ["b", "c", "a"]
    assert table["refused"].tolist() == [1, 0, 0]
    assert table["mistaken"].tolist() == [0.5, 0.5, 0]
    assert table["taken_for"].tolist() == ["c", "b", ""]


def test_the_many_pairs_of_two_do_not_drown_the_others():
    pairs = frame([True] * 2 + [False] * 100, [0.9, 0.1] + [0.1] * 100)
    assert verification.verification_accuracy(pairs, 0.5) == 0.75
    assert verification.verification_accuracy(pairs, 0.1) == 0.5


def test_a_file_that_refuses_its_own_persons_does_not_pass_the_gate():
    same = [True] * 40 + [False] * 960
    pairs = frame(same, [0.9] * 40 + [0.1] * 960)
    worse = frame(same, [0.1] * 16 + [0.9] * 24 + [0.1] * 960)
    files = {"equal": pairs, "worse": worse}
    table = verification.compare_decisions(pairs, files, 0.5).set_index("variant")
    assert table.loc["equal", ["accuracy_drop", "agreement", "changed"]].tolist() == [0, 1, 0]
    assert table.loc["worse", "accuracy_drop"] == pytest.approx(0.2)
    assert table.loc["worse", "agreement"] == pytest.approx(0.6)
    assert table.loc["worse", "changed"] == 16
    assert gate.gate(table, 0.02, 0.95).tolist() == [True, False]


def test_identification_counts_each_outcome_among_those_it_can_befall():
    people = ["a"] * 4 + ["b"] * 4 + ["x"] * 2 + ["y"] * 3
    unknown = verification.UNKNOWN
    named = ["a", "a", "a", "b"] + ["b", "b", unknown, "b"] + ["a", unknown] + [unknown] * 3
    table = verification.identification_frame(people, named, ["a", "b"])
    assert table.loc[("enrolled", "right name"), ["photos", "of"]].tolist() == [6, 8]
    assert table.loc[("enrolled", "another's name"), "photos"] == 1
    assert table.loc[("enrolled", "not known"), "photos"] == 1
    assert table.loc[("stranger", "somebody's name"), ["photos", "of"]].tolist() == [1, 5]
    assert (table["low"] <= table["share"]).all() and (table["share"] <= table["high"]).all()
    # Two persons are little: the interval is wider than that of eight photos.
    low, high = table.loc[("enrolled", "right name"), ["low", "high"]]
    assert high - low > 0.5


def people(count, photos):
    return pd.DataFrame({"label": [f"p{n}" for n in range(count) for _ in range(photos)]})


def test_too_few_persons_or_photos_are_refused_in_one_paragraph():
    verification.check_people(people(2, 1), people(8, 4), 3)
    with pytest.raises(ValueError, match="2 persons to learn from and 7 to judge by"):
        verification.check_people(people(2, 1), people(7, 4), 3)
    with pytest.raises(ValueError, match="1 persons to learn from"):
        verification.check_people(people(1, 9), people(8, 4), 3)
    with pytest.raises(ValueError, match="'p0' has too few photos, 3: 3 enrol a person"):
        verification.check_people(people(2, 1), people(8, 3), 3)
