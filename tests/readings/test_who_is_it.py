"""Tests that what the walkthrough "Who is it?" says about its figures turns when they turn."""

from dermaface.evaluation import verification
from dermaface.readings import who_is_it as readings
import numpy as np
import pandas as pd


def rows(*people):
    return pd.DataFrame({"label": people})


def test_persons():
    said = readings.persons(rows("a", "a", "b"), rows("c", "c"))
    assert "2 persons to learn from, 3 photos\n1 person to judge by, 2 photos\n" in said
    assert said.endswith("Nobody is on both sides. The photos to judge by make 1 pair.")
    said = readings.persons(rows("a", "b"), rows("a", "c", "c"))
    assert "1 person on both sides! The photos to judge by make 3 pairs." in said


def test_classifier():
    sure = {"known": np.array([0.9, 0.1]), "new": np.array([0.9, 0.5, 0.5, 0.1])}
    said = readings.classifier(40, {"known": 0.5, "new": 0.0}, sure)
    assert said.startswith("A classifier with 40 names to give.")
    assert "whom it knows: 50 % named right, 50 % sure.\n" in said
    assert said.endswith("Photos of new persons: 0 % named right, 75 % sure.")
    assert "new persons: 90 % named" in readings.classifier(2, {"known": 0.5, "new": 0.9}, sure)


def test_training():
    said = readings.training({"loss": [7.0, 1.0], "accuracy": [0.1, 0.9]})
    assert "After 2 epochs, the loss is 1.00 (it was 7.00" in said and "90 %" in said


LOW, HIGH = (0.1, (0.08, 0.12)), (0.3, (0.27, 0.33))


def errors(before, after):
    return {"untrained": before, "trained": after}


def test_verification():
    said = readings.verification(errors(HIGH, LOW), (0.15, 0.25), 20)
    assert "trained: equal error rate 10.0 % (95 % interval 8.0 to 12.0 %)" in said
    assert said.endswith("by 20 persons. This training has lowered it by 15.0 to 25.0 points "
                         "(95 % interval).")  # fmt: skip
    assert "might not be: by -1.0" in readings.verification(errors(HIGH, LOW), (-0.01, 0.2), 20)
    assert "has not lowered it" in readings.verification(errors(LOW, HIGH), (-0.2, 0.01), 20)
    assert "has raised it" in readings.verification(errors(LOW, HIGH), (-0.25, -0.15), 20)


def identified(named_strangers, of=20):
    people = ["a"] * 10 + [f"x{n}" for n in range(of)]
    named = ["a"] * 8 + [verification.UNKNOWN, "b"]
    named += ["a"] * named_strangers + [verification.UNKNOWN] * (of - named_strangers)
    return verification.identification_frame(people, named, ["a", "b"])


def test_identification():
    said = readings.identification(identified(2), [0.6, 0.7], 0.05, [5, 4])
    assert said.startswith("Lists of 5 and 4 persons. Photos of those enrolled: 80 % get the right")
    assert "10 % another's. Photos of strangers: 10 % get a name\n" in said
    assert said.endswith("in keeping with the 5 % that the limits, 0.60 and 0.70, were chosen for.")
    for strangers, words in ((identified(15), "more than"), (identified(0, of=400), "less than")):
        assert f"{words} the 5 %" in readings.identification(strangers, [0.6], 0.05, [5])


def test_certainty():
    said = readings.certainty("a", 0.789, 0, 120)
    assert "The answer is a, with a similarity of 0.79" in said and "fewer than 1 in 120" in said
    assert "\n3 in 120 came as near to anyone" in readings.certainty("(unknown)", 0.5, 3, 120)


def test_neighbours():
    said = readings.neighbours(np.array([[True, True], [False, True]]))
    assert "For 50 % of 2 photos" in said and said.endswith("of the 2 nearest, 75 % do.")


def served(refused, mistaken):
    return pd.DataFrame(
        {"refused": refused, "mistaken": mistaken, "taken_for": ["b", "a", "a"]},
        index=["a", "b", "c"],
    )


def test_unequal():
    said = readings.unequal(served([0.5, 0.1, 0], [0, 0.2, 0]))
    assert said.startswith("a is refused most: in 50 % of the pairs of their own photos\n")
    assert "(the median person in 10 %). b is mistaken most: in 20 % of the pairs" in said
    assert said.endswith("Persons with less than 1 % of both errors: 1 of 3.")
    assert readings.unequal(served([0, 0, 0], [0, 0, 0])).endswith("both errors: 3 of 3.")


def conversion(*drops):
    table = pd.DataFrame({"variant": ["float32", "int8"], "accuracy_drop": drops})
    return table.assign(accuracy=0.9 - table["accuracy_drop"], passed=table["accuracy_drop"] < 0.02)


def test_converted():
    cosines = {"float32": np.array([1.0000001, 1]), "int8": np.array([0.9, 0.98])}
    said = readings.converted(cosines, conversion(0, 0.02))
    assert "float32: cosines with Keras's embeddings from 1.0000 on" in said
    assert "accuracy 0.900,\n  +0.0 points against Keras; passed the gate" in said
    assert (
        "from 0.9000 on; verification accuracy 0.880,\n  -2.0 points against Keras; refused" in said
    )
    assert "+1.0 points against Keras; passed the gate" in readings.converted(
        cosines, conversion(0, -0.01)
    )


def test_summary_and_the_source():
    both, table = errors(HIGH, LOW), served([0.5, 0.1, 0], [0, 0.2, 0])
    numbers = {"size": 64, "persons": 40, "new": 20, "enrolled": 1, "listed": 5}
    said = readings.summary(both, identified(2), table, conversion(0, 0.01), numbers)
    assert "30.0 % untrained, 10.0 % trained (8.0 to 12.0 %)" in said
    assert "1 photo to enrol a person, 5 on a list: 80 % of their photos are named right" in said
    assert "and 10 % of strangers' photos get a name" in said
    assert "refuses 50 % of one person's pairs and 0 % of another's" in said
    assert said.endswith("against Keras: float32 0.0 and int8 -1.0.")
    beside = readings.beside_the_source(both, identified(2), numbers | {"enrolled": 3})
    assert beside.loc["embedding", "here"] == "64 numbers, trained here on 40 persons"
    assert beside.loc["comparison", "here"] == "cosine with the mean of 3 photos"
    assert "10.0 % (8.0 to 12.0 %) on 20 new persons" in beside.loc["figures", "here"]
    assert beside.loc["figures", "the project"] == "none published"
