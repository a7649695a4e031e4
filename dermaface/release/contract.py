"""What a release must hold, and its proof wherever it arrives; needs only the base install."""

import hashlib
import json
import math
from pathlib import Path

from dermaface.photos.pixels import load_image
from dermaface.tflite import file as tflite_file
from dermaface.tflite import runtime
import fastjsonschema
import numpy as np

# How far an answer may be from the expected probabilities. Another processor rounds last digits
# differently; in 8 bits, such a difference can grow on its way through the layers.
TOLERANCES = {"float32": 0.001, "float16": 0.005, "int8_weights": 0.005}
INTEGER_TOLERANCE = 0.05
GOLDEN_PICTURES = 10

TEXT, NUMBER, SHA256 = {"type": "string"}, {"type": "number"}, {"pattern": "^[0-9a-f]{64}$"}
PROBABILITIES = {"type": "array", "items": NUMBER | {"minimum": 0, "maximum": 1}}
_LABELS = {"type": "array", "items": TEXT, "minItems": 2}
# No folder, no drive: the pictures lie beside expected.json.
_FILE_NAME = {"type": "string", "pattern": r"^\w[\w.-]*$"}


def tolerance_of(variant: str) -> float:
    """Return how far a probability of a file of a variant may be from the expected one."""
    return TOLERANCES.get(variant, INTEGER_TOLERANCE)


def record(**fields: dict) -> dict:
    """Return the JSON schema of an object that has these fields, and perhaps others."""
    return {"type": "object", "properties": fields, "required": list(fields)}


# What `check_release` needs from the two files.
MODEL_SCHEMA = record(
    bytes={"type": "integer"},
    sha256=TEXT | SHA256,
    labels=_LABELS,
    variant=TEXT,
    input=record(
        shape={"type": "array", "items": {"type": "integer"}},
        type=TEXT,
        range={"const": [0, 255]},
        scale=NUMBER,
        zero_point=NUMBER,
        pixel_rule=TEXT,
    ),
)
EXPECTED_SCHEMA = record(
    tolerance=NUMBER,
    labels=_LABELS,
    pictures={
        "type": "array",
        "items": record(
            picture=_FILE_NAME,
            picture_sha256=TEXT | SHA256,
            input=_FILE_NAME,
            input_sha256=TEXT | SHA256,
            predicted=TEXT,
            probabilities=PROBABILITIES,
        ),
    },
)


def check_release(folder: str | Path) -> list[str]:
    """Prove that a release folder is whole and that its model answers here as it did at home.

    How much is asked is fixed here, not by the folder: at least `GOLDEN_PICTURES` different
    pictures, and the tolerance of the file's variant.

    Args:
        folder: `release/` of a run, as `write_release` makes it.

    Returns:
        What was checked, one line each.

    Raises:
        ValueError: something is missing or changed, the labels differ between the files, the model
            is not the variant that it claims to be, the folder asks for less than is fixed here, or
            an answer to a golden picture is off.
    """
    folder = Path(folder)
    path = folder / "model.tflite"
    described = read_json(folder / "model.json", MODEL_SCHEMA)
    for needed in (path, folder / "labels.txt", folder / "MODEL_CARD.md"):
        if not needed.is_file():
            raise ValueError(f"The release is incomplete: there is no {str(needed)!r}.")
    expected = read_json(folder / "golden" / "expected.json", EXPECTED_SCHEMA)
    content = path.read_bytes()
    changed = ""
    if len(content) != described["bytes"]:
        changed = f"it has {len(content)} bytes where {described['bytes']} are expected"
    elif hashlib.sha256(content).hexdigest() != described["sha256"]:
        changed = "its length is right, but some of its bytes have changed"
    if changed:
        raise ValueError(
            f"{str(path)!r} is not the file that model.json describes: {changed}. Copy the release "
            "folder again."
        )
    classifier = runtime.Classifier(path)
    lines = [f"model.tflite: {len(content)} bytes, unchanged"]
    listed = (folder / "labels.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    if not classifier.labels == described["labels"] == expected["labels"] == listed:
        raise ValueError(
            "The labels in model.tflite, model.json, golden/expected.json and labels.txt differ. "
            "One of the four belongs to another model."
        )
    lines.append(
        f"labels: the same {len(listed)} in model.tflite, model.json, labels.txt and golden/"
    )
    tflite_file.check_claim(content, described["variant"])
    found = tflite_file.audit(content)
    taken = described["input"]
    if found.input != (taken["type"].upper(), taken["scale"], taken["zero_point"]) or (
        taken["shape"] != [1, classifier.image_size, classifier.image_size, 3]
    ):
        raise ValueError("model.tflite does not take the input that model.json describes.")
    for name, value in classifier.facts.items():
        # The file's own hash is taken without its archive, model.json's with it.
        if name != "sha256" and described.get(name) != value:
            raise ValueError(
                f"model.json and model.tflite differ in {name}; model.tflite carries {value!r}. "
                "One of the two belongs to another release, or was changed by hand."
            )
    lines.append(f"variant: {found.kind}, takes {found.input[0].lower()} pixels 0..255")
    tolerance = tolerance_of(found.kind)
    if expected["tolerance"] > tolerance:
        raise ValueError(
            f"golden/expected.json allows answers to be {expected['tolerance']} off; for a file "
            f"of the variant {found.kind}, at most {tolerance} is allowed."
        )
    return lines + _replay_golden(folder / "golden", expected["pictures"], classifier, tolerance)


def _replay_golden(
    folder: Path, pictures: list[dict], classifier: runtime.Classifier, tolerance: float
) -> list[str]:
    """Ask the model about every golden picture and compare its answers with the expected ones.

    Raises:
        ValueError: there are too few, one is missing or changed, or an answer lies beyond the
            tolerance.
    """
    largest, seen = 0.0, set()
    for entry in pictures:
        probabilities = dict(zip(classifier.labels, entry["probabilities"], strict=False))
        if len(entry["probabilities"]) != len(classifier.labels) or (
            probabilities.get(entry["predicted"]) != max(entry["probabilities"])
        ):
            raise ValueError(
                f"golden/expected.json contradicts itself about {entry['picture']!r}: it must give "
                f"a probability for each of the {len(classifier.labels)} labels, and the highest "
                "to the one that is predicted."
            )
        for kind in ("picture", "input"):
            path = folder / entry[kind]
            if not path.is_file():
                raise ValueError(f"The golden picture {str(path)!r} is missing.")
            if hashlib.sha256(path.read_bytes()).hexdigest() != entry[f"{kind}_sha256"]:
                raise ValueError(f"The golden picture {str(path)!r} has changed.")
            pixels = load_image(path, classifier.image_size)
            seen.add(pixels.tobytes())
            answer = classifier.predict_pixels(pixels)
            off = float(np.abs(answer - entry["probabilities"]).max())
            largest = max(largest, off)
            if not off <= tolerance:
                guess = classifier.labels[int(answer.argmax())]
                raise ValueError(
                    f"For {str(path)!r}, the model says {guess} and {entry['predicted']} is "
                    f"expected; a probability is off by {off:.4f}, where {tolerance} is allowed. "
                    "This file or this runtime does not answer as measured."
                )
    # A picture and its input show the same; what counts is what the model is shown.
    if len(seen) < GOLDEN_PICTURES:
        raise ValueError(
            f"golden/expected.json has {len(seen)} different pictures, but {GOLDEN_PICTURES} are "
            "needed to prove a file."
        )
    return [f"golden: {len(pictures)} pictures answered as expected, at most {largest:.4f} off"]


def read_json(
    path: Path, schema: dict, hint: str = "Name a release folder, such as outputs/RUN/release."
) -> dict:
    """Return what a JSON file holds.

    Args:
        path: the file.
        schema: of its content.
        hint: what to do if there is none.

    Raises:
        ValueError: it is not there, damaged, or does not fit the schema.
    """
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder. {hint}")
    if not path.is_file():
        raise ValueError(f"There is no {str(path)!r}. {hint}")

    def to_number(text: str) -> float:
        # NaN and Infinity come here, and so does 1e999.
        if not math.isfinite(float(text)):
            raise ValueError(f"{text} is not a number in JSON")
        return float(text)

    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text, parse_float=to_number, parse_constant=to_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is damaged: {error}.") from error
    try:
        return fastjsonschema.validate(schema, content)
    except fastjsonschema.JsonSchemaValueException as error:
        raise ValueError(f"{str(path)!r} does not hold what it should: {error}.") from error
