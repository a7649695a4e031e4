"""The release folder: the file, its contract, golden pictures and card."""

from collections.abc import Mapping, Sequence
import hashlib
import json
from pathlib import Path
import shutil
from typing import Any
import zipfile

import dermaface
from dermaface.photos import images, sample
from dermaface.photos.pixels import decode_image, load_image
from dermaface.photos.splits import SPLITS
from dermaface.release import contract
from dermaface.release.card import model_card
from dermaface.release.guide import guide
from dermaface.runs import Run, atomic_path, hash_file, write_json
from dermaface.tflite import file as tflite_file
from dermaface.tflite import runtime
import numpy as np
import pandas as pd
from PIL import Image

PIXEL_RULE = (
    "Turn the photo upright by EXIF and make it RGB, on white where it is transparent. Decode a "
    "JPEG or HEIC photo at 1/2, 1/4 or 1/8 of its size where its shorter side stays at least twice "
    "image_size. Stretch it to the square by bilinear interpolation with half-pixel centres and no "
    "antialiasing. Round to whole grey levels 0..255 and feed them as they are: the model scales "
    "them itself."
)


def label_files(
    run: Run, files: Mapping[str, bytes], trust: Mapping[str, Any], recipes: Mapping[str, str]
) -> dict[str, bytes]:
    """Return `.tflite` files that carry the run's labels and the facts about them.

    Args:
        run: its `labels.txt`, `model.keras` and `run.json` are read.
        files: a variant and the content of its file.
        trust: the limits that the file carries, as from `confidence.choose_limits`.
        recipes: for each variant, in words, how its file was made.
    """
    return {
        variant: tflite_file.embed(
            content,
            run.class_names,
            facts_for(run, variant, recipe=recipes[variant], **trust),
        )
        for variant, content in files.items()
    }


def facts_for(run: Run, variant: str, made_from: bytes | None = None, **more: object) -> dict:
    """Return the facts that every `.tflite` file of a run carries.

    Args:
        run: its `model.keras` and `run.json` are read.
        variant: of the file.
        made_from: what the file was made from, if that is not `model.keras`.
        more: further facts.

    Returns:
        Names and values for JSON. `keras_model_sha256` is the SHA-256 of `config.json` and
        `model.weights.h5`, one after the other, as `model.keras` holds them: the archive's other
        part says when it was saved. `unzip -p model.keras config.json model.weights.h5 |
        sha256sum` gives the same. With `made_from`, it is `model_sha256` instead.
    """
    if made_from is None:
        with zipfile.ZipFile(run.path("model.keras")) as archive:
            parts = [archive.read(name) for name in ("config.json", "model.weights.h5")]
        made_from, source = b"".join(parts), "keras_model"
    else:
        source = "model"
    model_sha256 = hashlib.sha256(made_from).hexdigest()
    return {
        "name": run.name,
        "version": f"{dermaface.__version__}-{model_sha256[:12]}",
        "variant": variant,
        "made_by": f"dermaface {dermaface.__version__}",
        "notice": sample.NOTICE if run.is_sample else "",
        "pixel_rule": PIXEL_RULE,
        f"{source}_sha256": model_sha256,
        "temperature": run.read().get("temperature", 1.0),
        "blur_threshold": run.parameters("01_explore_data")["blur_threshold"],
        **more,
    }


def withdraw(run: Run) -> None:
    """Remove an earlier `release/` of the run, which passed with another model or other limits."""
    shutil.rmtree(run.path("release"), ignore_errors=True)


def write_release(
    run: Run,
    variant: str,
    conversion: pd.DataFrame,
    measured: Mapping[str, Any],
    limits: Mapping[str, float],
    photos: Sequence[str] = (),
    content: bytes | None = None,
    output: Path | None = None,
) -> None:
    """Write `release/` in one step: the file, its contract, golden pictures, card and README.

    The folder is proven as its receiver will prove it, by `contract.check_release`, before it gets
    its name; if that fails, there is none.

    Args:
        run: its `tflite/VARIANT.tflite`, `labels.txt`, `images.csv` and `run.json` are read.
        variant: the chosen one.
        conversion: the rows of `conversion.csv`, for the figures.
        measured: what else was measured of the chosen file: `scores`, for each split its figures,
            as from `score`; `resizers`, as from `score_resizers`; `strangers`, as from
            `strangers_told`; `trust`, what its limits are worth, as from `trust_frame`; and
            `errors`, calibration errors as from `errors`.
        limits: names and values of the gate's limits.
        photos: paths of the user's own photos, relative to the data root, that become golden
            pictures, too; only their pixels are copied.
        content: the file, if it is not among the run's `tflite/`.
        output: the folder, if it is not the run's `release/`.
    """
    content = content or run.path(f"tflite/{variant}.tflite").read_bytes()
    output = output or run.path("release")
    contents, found = tflite_file.read(content), tflite_file.audit(content)
    shape = runtime.open_interpreter(contents.model).get_input_details()[0]["shape"]
    image_size = int(shape[1])
    kind, scale, zero_point = found.input
    figures = conversion[conversion["variant"] == variant].drop(columns=["variant", "passed"])
    labels_text = "\n".join(run.class_names) + "\n"
    counted = images.read_images(run, *SPLITS).groupby("split").size()
    description = contents.facts | {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "min_runtime": f"TensorFlow Lite {found.min_runtime}",
        "operators": found.operators,
        "float_operators": list(found.float_operators),
        "input": {
            "shape": [1, image_size, image_size, 3],
            "type": kind.lower(),
            "range": [0, 255],
            "scale": scale,
            "zero_point": zero_point,
            "pixel_rule": PIXEL_RULE,
        },
        "output": {"type": "float32", "meaning": "one probability per class, in label order"},
        "labels": run.class_names,
        "labels_sha256": hashlib.sha256(labels_text.encode("utf-8")).hexdigest(),
        "data_fingerprint": run.read()["data"]["fingerprint"],
        "data_images": {split: int(count) for split, count in counted.items()},
        "limits": dict(limits),
        "figures": _plain_records(figures),
        "scores": dict(measured["scores"]),
        "resizers": _plain_records(measured["resizers"]),
        "trust": _plain_records(measured["trust"].rename_axis("class").reset_index()),
        "calibration": dict(measured["errors"]),
        "golden": "golden/expected.json: pictures and the probabilities that the file gave them",
    }
    with atomic_path(output) as folder:
        folder.mkdir()
        (folder / "model.tflite").write_bytes(content)
        (folder / "labels.txt").write_text(labels_text, encoding="utf-8")
        text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (folder / "model.json").write_text(text, encoding="utf-8")
        classifier = runtime.Classifier(folder / "model.tflite")
        own = [decode_image(run.data_root / path, 2 * image_size) for path in photos]
        write_golden(folder / "golden", classifier, variant, own)
        card = model_card(run, description, measured["strangers"])
        (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        text = guide(description, contract.tolerance_of(variant))
        (folder / "README.md").write_text(text, encoding="utf-8")
        contract.check_release(folder)


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
    """Write pictures and the answers that a correct client gets for them.

    There are ten drawn pictures, one of them a JPEG file that lies on its side and says so in EXIF,
    one large enough to be decoded at reduced size; then the photos. Beside each `picture` stands
    its `input`, resized by the pixel rule, so that a client whose answers are off sees whether its
    resizing or its feeding is to blame.

    Args:
        folder: where to write; it is made.
        classifier: of the file that ships.
        variant: of that file, which decides the tolerance.
        photos: uint8 (height, width, 3), 0..255, upright.
    """
    folder.mkdir()
    names = []
    for number in range(contract.GOLDEN_PICTURES):
        class_name = sample.CLASS_NAMES[number % len(sample.CLASS_NAMES)]
        picture = sample.draw(class_name, np.random.default_rng([20, number]))
        if number == contract.GOLDEN_PICTURES - 2:
            name, exif = f"picture_{number:02d}.jpg", Image.Exif()
            exif[0x0112] = 6  # a viewer turns it a quarter to the right
            picture.rotate(90, expand=True).save(folder / name, quality=95, exif=exif)
        elif number == contract.GOLDEN_PICTURES - 1:
            name = f"picture_{number:02d}.jpg"
            times = -(-5 * classifier.image_size // min(picture.size))  # rounded up
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
        pixels = load_image(folder / name, classifier.image_size)
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
        "what": "Read each picture by the pixel rule in model.json, or feed its input as it is: "
        "no probability may be off by more than the tolerance. The pictures are drawn and need "
        "not show any of the classes.",
        "tolerance": contract.tolerance_of(variant),
        "labels": classifier.labels,
        "pictures": entries,
    }
    write_json(folder / "expected.json", expected)
