"""Tests of what the walkthrough on ImageNet says: opposite figures give opposite sentences."""

from dermaface.readings import what_imagenet_knows as readings
import numpy as np
import pandas as pd
import pytest

NAMES = ["jean", "jersey", "pillow"]
FITTING = {"pants": "jean", "t-shirt": "jersey"}
CURVE = pd.DataFrame({"photos": [5, 5, 100, 100], "accuracy": [0.5, 0.7, 0.8, 0.9]})
FIGURES = {"accuracy": 0.86, "accuracy_interval": [0.82, 0.9], "images": 341}


def verdicts_of(*answers):
    """Return verdicts, the surest first, of (probability, verdict)."""
    rows = [(f"{n}.jpg", "pants", "jean", *answer) for n, answer in enumerate(answers)]
    columns = ["path", "label", "name", "probability", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def test_how_many_photos_and_how_large_a_network():
    photos = pd.DataFrame(
        {"label": ["hat", "hat", "skirt", "hat"], "split": ["train", "train", "validation", "test"]}
    )
    assert readings.at_hand(photos[:3], [0, 60, 40]) == (
        "2 classes, 2 photos to learn from and 1 to judge by.\n"
        "3 layers, 100 parameters: 40 (40 %) are the last layer's."
    )
    assert "1 to judge by; 1 test photo not opened." in readings.at_hand(photos, [1])


def test_titles_never_round_up_to_certainty():
    answers = [("n1", "jean", 0.996), ("n2", "jersey", 0.41)]
    assert readings.titles(["pants", "hat"], answers) == [
        "pants:\njean over 99%",
        "hat:\njersey 41%",
    ]


def test_how_many_answers_are_sure():
    assert readings.sureness([0.9, 0.5, 0.3, 0.1], 0.5, 0.2) == (
        "4 first answers: 2 with 50 % or more, 1 with less than 20 %."
    )


def test_what_a_wrong_range_changes():
    names = pd.DataFrame({"-1..1": ["a", "b", "c"], "0..1": ["a", "b", "c"], "0..255": ["d"] * 3})
    shares = pd.DataFrame({"-1..1": [0.2] * 3, "0..1": [0.1] * 3, "0..255": [0.9] * 3})
    assert readings.wrong_scaling(names, shares, "-1..1").splitlines() == [
        "Fed -1..1: the median probability of the first answer is 0.20.",
        "Fed 0..1: 0 of 3 first answers change; 3 names in all, median probability 0.10.",
        "Fed 0..255: 3 of 3 first answers change; 1 name in all, median probability 0.90.",
    ]


def test_whether_the_table_names_what_imagenet_knows():
    assert readings.names_known(FITTING, "pillow", NAMES, ["pants", "t-shirt"]) == (
        "All 3 names in the table are among ImageNet's 3."
    )
    told = readings.names_known(FITTING, "pilow", NAMES, ["pants", "shirt"])
    assert "Not among ImageNet's 3 names: pilow." in told
    assert "No name fits shirt: there the network cannot be right." in told


def test_verdicts_follow_the_table_and_the_surest_comes_first():
    photos = pd.DataFrame({"path": list("abcd"), "label": ["pants", "pants", "pants", "shirt"]})
    answers = np.array([[0.6, 0.2, 0.2], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    found = readings.judge(photos, answers, NAMES, FITTING, "")
    assert found["path"].tolist() == ["b", "c", "a", "d"]
    assert found["verdict"].tolist() == ["near", "absurd", "fits", "near"]
    near = readings.judge(photos, answers, NAMES, FITTING, "pillow")
    assert near["verdict"].tolist() == ["near", "near", "fits", "near"]
    shown = readings.examples(found, 1)
    assert shown["path"].tolist() == ["a", "c", "d"]
    assert shown["title"].iloc[0] == "pants:\njean 60%"


def test_what_sureness_tells():
    told = readings.judged(verdicts_of((0.9, "fits"), (0.3, "near"), (0.1, "absurd")), 0.5, 0.2)
    assert told.splitlines() == [
        "All, 3 photos: 1 fit, 1 near, 1 absurd.",
        "Sure (50 % or more), 1 photo: 1 fit, 0 near, 0 absurd.",
        "Guesses (below 20 %), 1 photo: 0 fit, 0 near, 1 absurd.",
        "Sure answers fit more often than guesses: 100 % against 0 %.",
    ]
    turned = readings.judged(verdicts_of((0.9, "absurd"), (0.1, "fits")), 0.5, 0.2)
    assert "fit no more often than guesses: 0 % against 100 %" in turned
    assert "than guesses" not in readings.judged(verdicts_of((0.9, "fits")), 0.5, 0.2)


@pytest.mark.parametrize(
    ("off", "said"), [(1e-7, "equal to the sixth digit."), (0.1, "that is not equal.")]
)
def test_whether_a_convolution_is_keras_own(off, said):
    mine = np.full((2, 2, 3), 2.0)
    told = readings.same_convolution(mine, mine + off, 324)
    assert told.startswith("2 x 2 x 3 numbers from 324 multiplications.") and told.endswith(said)


def test_filters_are_of_colour_of_light_or_blank():
    kernels = np.zeros((3, 3, 3, 3))
    kernels[0, :, :, 0] = 1  # a light row: grey
    kernels[:, :, 0, 1] = 1  # red
    assert readings.filters(kernels) == (
        "The 3 filters: 1 of colour, 1 of light and dark, 1 blank."
    )


def test_whether_pooling_is_a_mean():
    made = {"first": np.ones((4, 4, 2)), "last": np.full((2, 2, 6), 3.0)}
    assert readings.maps(made, np.full(6, 3.0)) == (
        "From the first to the last: 4 times fewer places, 3 times as many maps.\n"
        "The means of the last 6 maps are the network's own vector."
    )
    assert "are not the network's own vector" in readings.maps(made, np.full(6, 2.0))


def test_whether_neighbours_are_of_one_class():
    asked = pd.Series(["hat", "skirt"] * 50)
    learnt = pd.Series(["hat", "skirt"])
    told = readings.neighbours(asked, asked, learnt)
    assert "for 100 of 100 photos (100 %);\none drawn blindly would be for 50 %." in told
    assert told.endswith("tell your classes apart.")
    blind = readings.neighbours(asked, pd.Series(["hat"] * 100), learnt)
    assert blind.endswith("say little about your classes.")


def test_how_a_dense_layer_comes_by_its_answer():
    amounts, weights = np.array([1.0, 2.0]), np.array([[3.0, 0.0], [-1.0, 0.0]])
    powers = np.exp([1.5, 0.0])
    arguments = amounts, weights, np.array([0.5, 0.0])
    told = readings.how_much(*arguments, powers / powers.sum(), "jean")
    assert "jean: 2 products and the bias add up to 1.50." in told
    assert "1 feature with a positive product; the ten strongest bring 1.00." in told
    assert "that is the network's own answer" in told
    assert "not the network's own" in readings.how_much(*arguments, np.array([0.6, 0.4]), "jean")


def test_how_many_photos_it_takes():
    told = readings.photos_needed(CURVE, FIGURES)
    assert "5 photos of each class: 0.600 on average, 0.500 to 0.700 with the draw." in told
    assert "All photos: 0.860, 95 % interval 0.820 to 0.900, on 341 validation photos." in told
    assert told.endswith("From 100 photos of each class on, the mean lies in that interval.")
    short = readings.photos_needed(CURVE[CURVE["photos"] == 5], FIGURES)
    assert short.count("of each class") == 1 and "No mean reaches that interval" in short


def test_the_summary_and_the_course_quote_these_figures():
    verdicts = verdicts_of((0.9, "fits"), (0.8, "fits"), (0.3, "near"), (0.1, "absurd"))
    told = readings.summary(verdicts, CURVE, FIGURES)
    assert "to 4 validation photos: 50 % fit, 25 % near, 25 % absurd." in told
    assert "\n0.60 with 5 and 0.85 with 100.\nWith all of them: 0.860" in told
    assert all(len(line) <= 92 for line in told.splitlines())
    names = pd.DataFrame({"-1..1": ["a", "b"], "0..1": ["a", "c"], "0..255": ["d", "d"]})
    table = readings.beside_the_course("tiny", names, "-1..1", verdicts, CURVE, FIGURES)["here"]
    assert table["the network's own answers"] == "tiny, 4 photos: 50 % fit, 25 % absurd"
    assert table["pixels of a wrong range"] == "1 and 2 of 2 answers change"
    assert table["classes of your own"] == "0.860 (0.820 to 0.900) on validation"
    assert table["photos of each class"].endswith("0.85 with 100: means of 2 draws")
