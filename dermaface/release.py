"""What ships: the gate, and the release folder with its contract, golden pictures and card."""

from collections.abc import Callable, Mapping, Sequence
import hashlib
import json
from pathlib import Path
import shutil
import zipfile

import dermaface
from dermaface import evaluation, images, runtime, sample, tflite_file
from dermaface.runs import Run, atomic_path, hash_file, write_json
import numpy as np
import pandas as pd
from PIL import Image

PIXEL_RULE = (
    "Turn the photo upright by EXIF and make it RGB, on white where it is transparent. Decode a "
    "JPEG at 1/2, 1/4 or 1/8 of its size where its shorter side stays at least twice image_size. "
    "Stretch it to the square by bilinear interpolation with half-pixel centres and no "
    "antialiasing. Round to whole grey levels 0..255 and feed them as they are: the model scales "
    "them itself."
)


def facts_for(run: Run, variant: str, **more: object) -> dict:
    """Return the facts that ride inside every `.tflite` file of a run.

    Args:
        run: its `model.keras` and `run.json` are read.
        variant: of the file.
        more: further facts.

    Returns:
        Names and values for JSON. `keras_model_sha256` is the SHA-256 of `config.json` and
        `model.weights.h5`, one after the other, as `model.keras` holds them: the archive's other
        part tells when it was saved. `unzip -p model.keras config.json model.weights.h5 |
        sha256sum` gives the same.
    """
    with zipfile.ZipFile(run.path("model.keras")) as archive:
        parts = [archive.read(name) for name in ("config.json", "model.weights.h5")]
    model_sha256 = hashlib.sha256(b"".join(parts)).hexdigest()
    return {
        "name": run.name,
        "version": f"{dermaface.__version__}-{model_sha256[:12]}",
        "variant": variant,
        "made_by": f"dermaface {dermaface.__version__}",
        "notice": sample.NOTICE if run.is_sample else "",
        "pixel_rule": PIXEL_RULE,
        "keras_model_sha256": model_sha256,
        "blur_threshold": run.parameters("01_explore_data")["blur_threshold"],
        **more,
    }


def find_problem(content: bytes, variant: str, class_names: Sequence[str]) -> str:
    """Return why a file must not ship, whatever its accuracy, or "" where nothing speaks against.

    Args:
        content: the file, with its metadata.
        variant: what it claims to be.
        class_names: the classes in index order.
    """
    try:
        labels = tflite_file.read(content).labels
        if labels != list(class_names):
            return "The labels inside the file are not the classes in their order."
        tflite_file.check_claim(content, variant)
        runtime.open_interpreter(content)
    except ValueError as error:
        return str(error)
    return ""


def gate(
    conversion: pd.DataFrame, max_accuracy_drop: float, min_agreement: float, max_bytes: int = 0
) -> pd.Series:
    """Tell for each row whether it keeps what was asked, allowing for one photo at the least.

    A threshold finer than one photo would let chance decide: with 66 photos, one changed answer
    already is an agreement of 0.985.

    Args:
        conversion: rows as from `evaluation.compare`; where they have `bytes` and `problem` (as
            from `find_problem`), these are judged, too.
        max_accuracy_drop: how much accuracy a variant may lose against Keras, 0..1.
        min_agreement: share of photos that must get the same first guess, 0..1.
        max_bytes: the largest size of the file, or 0 for any.

    Raises:
        ValueError: a threshold is out of range.
    """
    for name, value in {
        "max_accuracy_drop": max_accuracy_drop, "min_agreement": min_agreement,
    }.items():  # fmt: skip
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie between 0 and 1; got {value}.")
    if max_bytes < 0:
        raise ValueError(f"max_bytes must be 0 (any size) or more; got {max_bytes}.")
    one_image = 1 / conversion["images"]
    rounding = 1e-9
    passed = conversion["accuracy_drop"] <= one_image.clip(lower=max_accuracy_drop) + rounding
    passed &= conversion["agreement"] >= (1 - one_image).clip(upper=min_agreement) - rounding
    if max_bytes:
        passed &= conversion["bytes"] <= max_bytes
    if "problem" in conversion:
        passed &= conversion["problem"] == ""
    return passed


def try_recipes(
    recipes: Mapping[str, Callable[[], bytes]],
    predictions: pd.DataFrame,
    dataset,
    class_names: Sequence[str],
    max_accuracy_drop: float,
    min_agreement: float,
) -> tuple[pd.DataFrame, dict[str, bytes], dict[str, str]]:
    """Make 8-bit files in one way after the other until one passes the gate on validation photos.

    Args:
        recipes: a name in words and what makes the file.
        predictions: the Keras model's on the validation photos, as from `prediction_frame`.
        dataset: the same photos as from `datasets.make_dataset`.
        class_names: the classes in index order.
        max_accuracy_drop: as in `gate`.
        min_agreement: as in `gate`.

    Returns:
        A row a recipe tried, as from `evaluation.compare` with `recipe` and `passed`; for each kind
        of file (int8 and, where that was reached, int8_mixed) the one that agrees best; and by
        which recipe it was made.
    """
    rows, files, made_by, best = [], {}, {}, {}
    for recipe, make in recipes.items():
        content = make()
        kind = tflite_file.audit(content).kind
        answers = evaluation.predict_tflite({kind: content}, dataset)
        row = evaluation.compare(predictions, answers, class_names)
        row["passed"] = gate(row, max_accuracy_drop, min_agreement)
        rows.append(row.assign(recipe=recipe))
        rank = (row["passed"].item(), row["agreement"].item())
        if rank > best.get(kind, (False, -1)):
            best[kind], files[kind], made_by[kind] = rank, content, recipe
        if row["passed"].item():
            break
    return pd.concat(rows, ignore_index=True), files, made_by


def choose_variant(conversion: pd.DataFrame, variant_preference: Sequence[str]) -> str | None:
    """Return the first preferred variant that passed on the validation split, or None.

    `int8_mixed` is made where int8 missed the gate, and then stands next to it.

    Args:
        conversion: rows with `variant`, `split` and `passed`.
        variant_preference: variants, the most wanted first.

    Raises:
        ValueError: a preferred variant was not converted.
    """
    validation = conversion[conversion["split"] == "validation"].set_index("variant")
    wanted = []
    for variant in variant_preference:
        if variant not in validation.index:
            raise ValueError(
                f"variant_preference names {variant!r}, which is not among the converted variants "
                f"{', '.join(validation.index)}."
            )
        wanted.append(variant)
        if variant == "int8" and "int8_mixed" in validation.index:
            wanted.append("int8_mixed")
    return next((v for v in wanted if validation.loc[v, "passed"]), None)


class GateError(ValueError):
    """No variant answers closely enough to the Keras model, so nothing is released."""


def require_variant(variant: str | None, conversion: pd.DataFrame) -> str:
    """Return the chosen variant.

    Raises:
        GateError: there is none; the message says how close each came.
    """
    if variant is not None:
        return variant
    figures = []
    for row in conversion[conversion["split"] == "validation"].to_dict("records"):
        said = (
            f"{row['variant']} loses {row['accuracy_drop']:.3f} and agrees on "
            f"{row['agreement']:.3f}"
        )
        if row.get("bytes"):
            said += f" with {row['bytes']} bytes"
        if row.get("problem"):
            said += f" ({row['problem'].rstrip('.')})"
        figures.append(said)
    raise GateError(
        "Nothing is released: on the validation photos no preferred variant keeps to "
        f"max_accuracy_drop, min_agreement and max_bytes ({'; '.join(figures)}). Loosen the "
        "limits, allow another variant with variant_preference, or give int8 more "
        "calibration_images."
    )


def withdraw(run: Run) -> None:
    """Remove an earlier `release/` of the run, which another model or other limits allowed."""
    shutil.rmtree(run.path("release"), ignore_errors=True)


def write_release(
    run: Run,
    variant: str,
    conversion: pd.DataFrame,
    scores: Mapping[str, dict],
    *,
    limits: Mapping[str, float],
    resizers: pd.DataFrame,
    recipe: str = "",
    strangers: Sequence[np.ndarray] = (),
    photos: Sequence[str] = (),
) -> None:
    """Write `release/` in one step: the file, its contract, golden pictures and the model card.

    The folder is proven as its receiver will prove it, by `runtime.check_release`, before it gets
    its name; where that fails there is none.

    Args:
        run: its `tflite/VARIANT.tflite`, `labels.txt`, `images.csv` and `run.json` are read.
        variant: the chosen one.
        conversion: its rows, for the figures.
        scores: for each split the figures of the chosen file, as from `evaluation.score`.
        limits: names and values of the gate's limits.
        resizers: as from `evaluation.score_resizers`.
        recipe: how the file was quantized, in words.
        strangers: pictures of none of the classes, uint8 (height, width, 3); what the file says to
            them goes into the model card.
        photos: paths of the user's own photos, relative to the data root, that shall be golden
            pictures, too; only their pixels are copied.
    """
    content = run.path(f"tflite/{variant}.tflite").read_bytes()
    contents, found = tflite_file.read(content), tflite_file.audit(content)
    image_size = run.parameters("02_build_model")["image_size"]
    kind, scale, zero_point = found.input
    figures = conversion[conversion["variant"] == variant].drop(columns=["variant", "passed"])
    labels_text = "\n".join(run.class_names) + "\n"
    counted = images.read_images(run, *images.SPLITS).groupby("split").size()
    description = contents.facts | {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "min_runtime": f"TensorFlow Lite {found.min_runtime}",
        "operators": found.operators,
        "float_operators": list(found.float_operators),
        "recipe": recipe,
        "input": {
            "shape": [1, image_size, image_size, 3],
            "type": kind.lower(),
            "range": [0, 255],
            "scale": scale,
            "zero_point": zero_point,
            "pixel_rule": PIXEL_RULE,
        },
        "output": {"type": "float32", "meaning": "a probability a class, in the order of labels"},
        "labels": run.class_names,
        "labels_sha256": hashlib.sha256(labels_text.encode("utf-8")).hexdigest(),
        "data_fingerprint": run.read()["data"]["fingerprint"],
        "data_images": {split: int(count) for split, count in counted.items()},
        "limits": dict(limits),
        "figures": _plain_records(figures),
        "scores": dict(scores),
        "resizers": _plain_records(resizers),
        "golden": "golden/expected.json: pictures and the probabilities that the file gave them",
    }
    with atomic_path(run.path("release")) as folder:
        folder.mkdir()
        (folder / "model.tflite").write_bytes(content)
        (folder / "labels.txt").write_text(labels_text, encoding="utf-8")
        text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (folder / "model.json").write_text(text, encoding="utf-8")
        classifier = runtime.Classifier(folder / "model.tflite")
        own = [runtime.decode_image(run.data_root / path, 2 * image_size) for path in photos]
        write_golden(folder / "golden", classifier, variant, own)
        card = model_card(run, description, strangers_told(classifier, strangers))
        (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        runtime.check_release(folder)


def _plain_records(frame: pd.DataFrame) -> list[dict]:
    """Return a frame's rows as dictionaries for JSON, without the values that are missing."""
    return [
        {name: value for name, value in row.items() if not pd.isna(value)}
        for row in frame.to_dict(orient="records")
    ]


def write_golden(
    folder: Path,
    classifier: runtime.Classifier,
    variant: str,
    photos: Sequence[np.ndarray] = (),
) -> None:
    """Write pictures and the answers that a right client gets for them.

    There are ten drawn pictures, one of them a JPEG file that lies on its side by EXIF, one large
    enough to be decoded at reduced size; then the photos. Beside each `picture` stands its `input`,
    resized by the pixel rule, so that a client whose answers are off sees whether its resizing or
    its feeding is to blame.

    Args:
        folder: where to write; it is made.
        classifier: of the file that ships.
        variant: of that file, which decides the tolerance.
        photos: uint8 (height, width, 3), 0..255, upright.
    """
    folder.mkdir()
    names = []
    for number in range(runtime.GOLDEN_PICTURES):
        class_name = sample.CLASS_NAMES[number % len(sample.CLASS_NAMES)]
        picture = sample.draw(class_name, np.random.default_rng([20, number]))
        if number == runtime.GOLDEN_PICTURES - 2:
            name, exif = f"picture_{number:02d}.jpg", Image.Exif()
            exif[0x0112] = 6  # a viewer turns it by a quarter to the right
            picture.rotate(90, expand=True).save(folder / name, quality=95, exif=exif)
        elif number == runtime.GOLDEN_PICTURES - 1:
            name, times = f"picture_{number:02d}.jpg", -(-5 * classifier.image_size // 144)
            large = picture.resize((times * picture.width, times * picture.height))
            large.save(folder / name, quality=90)
        else:
            name = f"picture_{number:02d}.png"
            picture.save(folder / name)
        names.append(name)
    for number, pixels in enumerate(photos):
        names.append(f"photo_{number:02d}.png")
        Image.fromarray(pixels).save(folder / names[-1])
    entries = []
    for name in names:
        pixels = runtime.load_image(folder / name, classifier.image_size)
        input_name = f"input_{Path(name).stem}.png"
        Image.fromarray(pixels).save(folder / input_name)
        probabilities = classifier.predict_pixels(pixels)
        entries.append(
            {
                "picture": name,
                "picture_sha256": hash_file(folder / name),
                "input": input_name,
                "input_sha256": hash_file(folder / input_name),
                "predicted": classifier.labels[int(probabilities.argmax())],
                "probabilities": [round(float(p), 6) for p in probabilities],
            }
        )
    expected = {
        "what": "Read each picture by the pixel rule of model.json, or feed its input as it is: "
        "no probability may lie further off than the tolerance. The pictures are drawn and need "
        "not show any of the classes.",
        "tolerance": runtime.TOLERANCES.get(variant, runtime.INTEGER_TOLERANCE),
        "labels": classifier.labels,
        "pictures": entries,
    }
    write_json(folder / "expected.json", expected)


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
        for name, entry in _weakest_first(score)
    ]
    rows += [f"| {name} | 0 | - | - |" for name, e in score["classes"].items() if not e["images"]]
    rows = "\n".join(rows)
    missing = "".join(f"- {sentence}\n" for sentence in evaluation.describe_missing(scores))
    photos = images.read_images(run, *images.SPLITS)
    across = {noun: images.across_splits(photos, column) for column, noun in images.TIES.items()}
    ties = "\n".join(
        f"**{noun.capitalize()}s that lie in more than one split: {len(table)} (photos: "
        f"{images.count_words(table.sum())}).** That flatters the figures below.\n"
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


def _weakest_first(score: Mapping) -> list[tuple[str, Mapping]]:
    """Return the classes of a split that have photos, with their figures, by rising recall."""
    measured = [item for item in score["classes"].items() if item[1]["images"]]
    return sorted(measured, key=lambda item: item[1]["recall"])


def verdict(
    variant: str, conversion: pd.DataFrame, answered: pd.DataFrame, scores: Mapping[str, dict]
) -> str:
    """Return in a few sentences what ships and how good it is, for whoever decides.

    Args:
        variant: the released one.
        conversion: all rows of `conversion.csv`.
        answered: what the released file says, as from `evaluation.prediction_frame`, with `sure`,
            whether its highest probability reaches `min_confidence`.
        scores: for each split its figures, as from `evaluation.score`.
    """
    split = "test" if "test" in scores else "validation"
    photos = f"{split} photos" + ("" if split == "test" else " (also used to choose)")
    row = conversion[(conversion["variant"] == variant) & (conversion["split"] == split)].iloc[0]
    low, high = scores[split]["accuracy_interval"]
    name, weakest = _weakest_first(scores[split])[0]
    here = answered[answered["split"] == split]
    sure = here[here["sure"]]
    trust = f"{(sure['label'] == sure['predicted']).mean():.1%}" if len(sure) else "none"
    refused = conversion[(conversion["split"] == "validation") & ~conversion["passed"]]["variant"]
    sentences = [
        f"Ship release/model.tflite: the {variant} file, {row['bytes'] / 1000:,.0f} KB.",
        f"It is right for {row['accuracy']:.1%} of {row['images']} {photos}, 95 % interval "
        f"{low:.1%} to {high:.1%}.",
        f"The trained model is right for {row['accuracy'] + row['accuracy_drop']:.1%}; "
        f"answers that the file changed: {row['changed']}.",
        f"It calls itself sure of {len(sure) / len(here):.0%} and is right for {trust} of those.",
        f"Weakest class: {name}, known in {weakest['recall']:.0%} of {weakest['images']} photos.",
        f"Not allowed out: {', '.join(refused) or 'none of the others was refused'}.",
        *evaluation.describe_missing(scores),
    ]
    return "\n".join(sentences)
