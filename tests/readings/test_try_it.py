"""Tests of dermaface.readings.try_it: what notebook 08 says is true of its figures."""

from dermaface.readings import try_it as readings

SURE = {
    "predictions": [{"label": "acne", "probability": 0.953}, {"label": "milia", "probability": 0}],
    "sure": True,
    "blurred": False,
    "set": ["acne"],
}
UNSURE = SURE | {"sure": False, "blurred": True, "set": ["acne", "milia", "rosacea"]}


def test_answer():
    assert readings.answer("a.jpg", SURE, "acne") == (
        "a.jpg: acne at 0.95, sure; may be acne (in truth acne)"
    )
    said = readings.answer("b.jpg", UNSURE)
    assert said == "b.jpg: acne at 0.95, not sure; may be acne, milia or rosacea; blurred"
    without = {name: value for name, value in SURE.items() if name != "set"}
    assert "may be" not in readings.answer("c.jpg", without)


def test_resizers():
    right = [{"a": 0.9, "b": 0.1}, {"a": 0.4, "b": 0.6}]
    other = [{"a": 0.8, "b": 0.2}, {"a": 0.55, "b": 0.45}]
    said = readings.resizers({"rule": right, "other": other, "same": right})
    assert "Of 4 answers through other resizers, 1 named another class" in said
    assert "probability was 0.15" in said


def test_served():
    other = SURE | {"predictions": [{"label": "acne", "probability": 0.9}]}
    assert readings.served([SURE, SURE], [SURE, other]).endswith("for 1 of 2.")


def test_summary():
    said = readings.summary([SURE, UNSURE, SURE], ["acne", "acne", "milia"])
    assert "of 3 held-out photos, 2 answered right and 2 called sure" in said
