"""What notebook 08 says about its answers; each function returns one text."""

from collections.abc import Mapping, Sequence
from typing import Any

from dermaface.readings.words import counted, listed


def answer(name: str, said: Mapping[str, Any], truth: str = "") -> str:
    """Return what a file says of a photo.

    Args:
        name: of the photo.
        said: as from `Classifier.answer`.
        truth: the photo's class, if it is known.
    """
    best = said["predictions"][0]
    sure = "sure" if said["sure"] else "not sure"
    line = f"{name}: {best['label']} at {best['probability']:.2f}, {sure}"
    if "set" in said:
        line += f"; may be {listed(said['set'], 'or')}"
    if said["blurred"]:
        line += "; blurred"
    if truth:
        line += f" (in truth {truth})"
    return line


def resizers(answers: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return what other resizers change.

    Args:
        answers: for each resizer, of each photo the probability of every class; the first resizer
            is that of the pixel rule.
    """
    (_, right), *others = answers.items()
    turned, largest = 0, 0.0
    for _, given in others:
        for mine, theirs in zip(right, given, strict=True):
            turned += max(mine, key=mine.__getitem__) != max(theirs, key=theirs.__getitem__)
            largest = max(largest, *(abs(mine[label] - theirs[label]) for label in mine))
    tries = counted(len(others) * len(right), "answer")
    return (
        f"Of {tries} through other resizers, {turned} named another class.\n"
        f"The largest change of a probability was {largest:.2f}."
    )


def served(here: Sequence[Mapping[str, Any]], there: Sequence[Mapping[str, Any]]) -> str:
    """Return how the function's answers compare with those of the notebook.

    Args:
        here: as from `Classifier.answer`, a photo each.
        there: the function's, in the same order.
    """
    same = sum(a["predictions"] == b["predictions"] for a, b in zip(here, there, strict=True))
    return f"The function gave the same probabilities to the last digit for {same} of {len(here)}."


def summary(answers: Sequence[Mapping[str, Any]], truths: Sequence[str]) -> str:
    """Return what the photos came to.

    Args:
        answers: as from `Classifier.answer`, a photo each.
        truths: their classes.
    """
    right = sum(
        said["predictions"][0]["label"] == truth
        for said, truth in zip(answers, truths, strict=True)
    )
    sure = sum(said["sure"] for said in answers)
    photos = counted(len(answers), "held-out photo")
    return (
        f"- of {photos}, {right} answered right and {sure} called sure\n"
        "- so few cannot show how good the file is; MODEL_CARD.md has the figures for all of them"
    )
