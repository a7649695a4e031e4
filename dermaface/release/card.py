"""The model card: a run's figures, filled into the text of `card.md`."""

from collections.abc import Mapping, Sequence
import json
from pathlib import Path

from dermaface.evaluation.scores import weakest_first
from dermaface.photos import images
from dermaface.photos.splits import SPLITS, TIES, across_splits, count_words
from dermaface.readings.analyze_curves import unmeasured
from dermaface.readings.words import counted, measured_on, strange
from dermaface.runs import Run
from dermaface.tflite import runtime
import numpy as np

TEMPLATE = Path(__file__).with_name("card.md")


def strangers_told(
    classifier: runtime.Classifier, pictures: Sequence[np.ndarray] | Sequence[Path]
) -> dict:
    """Return what a file says about pictures of none of its classes.

    Args:
        classifier: the file's.
        pictures: drawn ones, uint8 (height, width, 3), 0..255, or files of photos.

    Returns:
        `pictures`, how many there are, and `drawn`, whether they are no photos; `mean_confidence`,
        the mean of the highest probability;
        `sure`, how many got an answer at or above the file's "min_confidence".
    """
    highest = [classifier.predict(picture, top=1)[0][1] for picture in pictures]
    limit = classifier.facts.get("min_confidence", 0.0)
    return {
        "pictures": len(highest),
        "drawn": not any(isinstance(picture, Path) for picture in pictures),
        "mean_confidence": float(np.mean(highest)) if highest else 0.0,
        "sure": sum(value >= limit for value in highest),
    }


def trained_again(run: Run, split: str) -> str:
    """Return what further trainings of the Keras model came to, as an item of the card, or "".

    Args:
        run: its `metrics.json` is read.
        split: of the photos.
    """
    figures = json.loads(run.path("metrics.json").read_text(encoding="utf-8"))[split]
    again = figures.get("trained_again", {}).values()
    if not again:
        return ""
    return (
        f"- trained again with {counted(len(again), 'other seed')}, the Keras model reaches "
        f"{min(again):.3f} to {max(again):.3f}\n  (with its own {figures['accuracy']:.3f});\n"
    )


def model_card(run: Run, description: Mapping, strangers: Mapping) -> str:
    """Return `MODEL_CARD.md`, filled from the run (Mitchell et al., 2019, Model Cards).

    Args:
        run: its `run.json`, `images.csv` and `metrics.json` are read.
        description: the content of `model.json`.
        strangers: as from `strangers_told`.
    """
    scores = description["scores"]
    split = "test" if "test" in scores else "validation"
    score = scores[split]
    figures = next(row for row in description["figures"] if row["split"] == split)
    classes = [
        f"| {name} | {entry['images']} | {entry['recall']:.2f} | {entry['precision']:.2f} |"
        for name, entry in weakest_first(score)
    ]
    classes += [
        f"| {n} | 0 | - | - |" for n, entry in score["classes"].items() if not entry["images"]
    ]
    photos = images.read_images(run, *SPLITS)
    across = {noun: across_splits(photos, column) for column, noun in TIES.items()}
    ties = "\n".join(
        f"**{noun.capitalize()}s that lie in more than one split: {len(table)} (photos: "
        f"{count_words(table.sum())}).** That {'may flatter' if noun == 'scene' else 'flatters'} "
        "the figures below.\n"
        for noun, table in across.items()
        if len(table)
    )
    return TEMPLATE.read_text(encoding="utf-8").format(
        model=description,
        notice=f"\n> **{description['notice']}**\n" if description["notice"] else "",
        num_classes=len(run.class_names),
        class_names=", ".join(run.class_names),
        lowest=description["min_confidence"],
        sure_accuracy=100 * description["sure_accuracy"],
        set_coverage=100 * description["set_coverage"],
        temperature="Nothing was done to its probabilities."
        if description.get("network") or description["temperature"] == 1
        else f"All probabilities have the temperature {description['temperature']:.2f}, chosen on "
        "the validation photos.",
        trust="\n".join(
            f"| {row['class']} | {row['photos']} | {row['sure']} | {row['right']} | {row['held']} "
            f"| {row['set_size']:.2f} |"
            for row in description["trust"]
        ),
        network=description.get("network")
        or "{backbone} at {image_size} px".format(**run.parameters("02_build_model")),
        ties=ties or "No group or picture lies in two splits, as far as copies were found.\n",
        data="\n".join(f"| {name} | {n} |" for name, n in description["data_images"].items()),
        split=split,
        measured_on=measured_on(score, split),
        chosen_by="" if split == "test" else " (also used to choose)",
        score=score,
        figures=figures,
        lost=100 * figures["accuracy_drop"],
        least=100 * figures["drop_low"],
        most=100 * figures["drop_high"],
        missing="".join(f"- {sentence}\n" for sentence in unmeasured(scores)),
        rows="\n".join(classes),
        strangers=strangers,
        strange=strange(strangers),
        again=trained_again(run, split),
        resizers="\n".join(
            f"| {row['resizer']} | {row['accuracy']:.3f} | {row['agreement']:.3f} |"
            for row in description["resizers"]
        ),
    )
