"""The model card."""

from collections.abc import Mapping, Sequence

from dermaface.evaluation.scores import describe_missing, weakest_first
from dermaface.photos import images
from dermaface.photos.splits import SPLITS, TIES, across_splits, count_words
from dermaface.runs import Run
from dermaface.tflite import runtime
import numpy as np


def strangers_told(classifier: runtime.Classifier, pictures: Sequence[np.ndarray]) -> dict:
    """Return what a file says to pictures of none of its classes.

    Args:
        classifier: of the file.
        pictures: uint8 (height, width, 3), 0..255.

    Returns:
        `pictures`, how many; `mean_confidence`, the mean of the highest probability; `sure`, how
        many got an answer at or above the file's "min_confidence".
    """
    highest = [classifier.predict(picture, top=1)[0][1] for picture in pictures]
    limit = classifier.facts.get("min_confidence", 0.0)
    return {
        "pictures": len(highest),
        "mean_confidence": float(np.mean(highest)) if highest else 0.0,
        "sure": sum(value >= limit for value in highest),
    }


def model_card(run: Run, description: Mapping, strangers: Mapping) -> str:
    """Return `MODEL_CARD.md`, filled from the run (Mitchell et al., 2019, Model Cards).

    Args:
        run: its `run.json` and `images.csv` are read.
        description: the content of `model.json`.
        strangers: as from `strangers_told`.
    """
    scores = description["scores"]
    split = "test" if "test" in scores else "validation"
    chosen_by = "" if split == "test" else " (also used to choose)"
    score = scores[split]
    figures = next(row for row in description["figures"] if row["split"] == split)
    low, high = score["accuracy_interval"]
    rows = [
        f"| {name} | {entry['images']} | {entry['recall']:.2f} | {entry['precision']:.2f} |"
        for name, entry in weakest_first(score)
    ]
    rows += [f"| {name} | 0 | - | - |" for name, e in score["classes"].items() if not e["images"]]
    rows = "\n".join(rows)
    missing = "".join(f"- {sentence}\n" for sentence in describe_missing(scores))
    photos = images.read_images(run, *SPLITS)
    across = {noun: across_splits(photos, column) for column, noun in TIES.items()}
    ties = "\n".join(
        f"**{noun.capitalize()}s that lie in more than one split: {len(table)} (photos: "
        f"{count_words(table.sum())}).** That flatters the figures below.\n"
        for noun, table in across.items()
        if len(table)
    )
    ties = ties or "No group and no picture lies in two splits, as far as copies were found.\n"
    data = "\n".join(f"| {name} | {count} |" for name, count in description["data_images"].items())
    resizers = "\n".join(
        f"| {row['resizer']} | {row['accuracy']:.3f} | {row['agreement']:.3f} |"
        for row in description["resizers"]
    )
    lowest = description.get("min_confidence", 0.0)
    parameters = run.parameters("02_build_model")
    notice = f"\n> **{description['notice']}**\n" if description["notice"] else ""
    lost, least, most = (100 * figures[n] for n in ("accuracy_drop", "drop_low", "drop_high"))
    return f"""# Model card: {description["name"]}
{notice}
> **Not a medical device.** This file may not be used to diagnose or treat anybody. It knows only
> the classes and the kind of photos that it was trained on.

{description["name"]} {description["version"]}, the `{description["variant"]}` variant,
{description["bytes"]:,} bytes, made by {description["made_by"]}. It tells {len(run.class_names)}
classes apart: {", ".join(run.class_names)}.

## Intended use

Classify one upright RGB photo of the kind it was trained on, as a suggestion that a person looks
at. Every photo gets an answer; treat one below a probability of {lowest:.2f} as "not sure". It is
not meant for decisions about a person's health, and not for photos of another kind or source
without measuring it there first.

## Data

{parameters["backbone"]} at {parameters["image_size"]} px. The data's fingerprint is

`{description["data_fingerprint"]}`

{ties}
| split | images |
|---|---|
{data}

## Figures of this file

Measured on {score["images"]} {split} photos{chosen_by}, with the file that ships:

- accuracy {score["accuracy"]:.3f}, 95 % interval {low:.3f} to {high:.3f} (Wilson);
- against the Keras model that was trained, {lost:.2f} points of accuracy lost, 95 % interval
  {least:.2f} to {most:.2f} (Bonett and Price, paired);
- the same answer as the Keras model on {figures["agreement"]:.3f} of the photos
  ({figures["changed"]} changed), largest change of a probability {figures["max_abs_diff"]:.3f}.
{missing}
The classes, the weakest first:

| class | images | recall | precision |
|---|---|---|---|
{rows}

With few images a class, these shares are rough: one photo of 20 is 5 points.

## Photos of none of the classes

It cannot say "none of these". Of {strangers["pictures"]} drawn patterns that show nothing it knows,
{strangers["sure"]} got an answer of {lowest:.2f} or more; the mean of the highest probability was
{strangers["mean_confidence"]:.2f}.

## How the photo is resized

The same file on the {split} photos, when the client resizes in another way:

| resizer | accuracy | same answer |
|---|---|---|
{resizers}

## Limits

- The photos to test with come from the same source as the photos to train with. Other cameras,
  other light and other people cost accuracy, and no figure here says how much.
- The figures hold for photos read by the pixel rule in `model.json`. `dermaface check` and the
  pictures in `golden/` show whether a client keeps to it.
- A probability is the file's own belief. It is not calibrated for other photos than these.
"""
