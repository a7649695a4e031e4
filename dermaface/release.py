"""What ships: labels inside the file, the gate, and the release folder."""

from collections.abc import Mapping, Sequence
import hashlib
import io
import json
import shutil
import zipfile

import dermaface
from dermaface import sample
from dermaface.runs import Run, atomic_path
import pandas as pd

PIXEL_RULE = (
    "Turn the photo upright by EXIF and make it RGB, on white where it is transparent. Decode a "
    "JPEG at 1/2, 1/4 or 1/8 of its size where its shorter side stays at least twice image_size. "
    "Stretch it to the square by bilinear interpolation with half-pixel centres and no "
    "antialiasing. Round to whole grey levels 0..255 and feed them as they are: the model scales "
    "them itself."
)


def embed_metadata(content: bytes, labels: Sequence[str], facts: Mapping[str, object]) -> bytes:
    """Return a `.tflite` file with its labels and some facts behind the model.

    They are put into a zip archive at the end of the file, stored and not compressed, which is
    where TFLite metadata keeps associated files; the model's own bytes do not change.

    Args:
        content: the `.tflite` file.
        labels: the classes in index order.
        facts: what `runtime.read_metadata` shall return, JSON values.
    """
    files = {"labels.txt": "\n".join(labels) + "\n", "dermaface.json": json.dumps(facts, indent=2)}
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            # A fixed date makes equal models equal files.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


def facts_for(run: Run, variant: str) -> dict:
    """Return the facts that ride inside every `.tflite` file of a run."""
    return {
        "name": run.name,
        "variant": variant,
        "made_by": f"dermaface {dermaface.__version__}",
        "notice": sample.NOTICE if run.is_sample else "",
    }


def gate(conversion: pd.DataFrame, max_accuracy_drop: float, min_agreement: float) -> pd.Series:
    """Tell for each row whether it keeps what was asked, allowing for one photo at the least.

    A threshold finer than one photo would let chance decide: with 66 photos, one changed answer
    already is an agreement of 0.985.

    Args:
        conversion: rows as from `evaluation.compare`.
        max_accuracy_drop: how much accuracy a variant may lose against Keras, 0..1.
        min_agreement: share of photos that must get the same first guess, 0..1.

    Raises:
        ValueError: a threshold is out of range.
    """
    for name, value in {
        "max_accuracy_drop": max_accuracy_drop, "min_agreement": min_agreement,
    }.items():  # fmt: skip
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie between 0 and 1; got {value}.")
    one_image = 1 / conversion["images"]
    rounding = 1e-9
    drop = conversion["accuracy_drop"] <= one_image.clip(lower=max_accuracy_drop) + rounding
    agreement = conversion["agreement"] >= (1 - one_image).clip(upper=min_agreement) - rounding
    return drop & agreement


def choose_variant(conversion: pd.DataFrame, variant_preference: Sequence[str]) -> str | None:
    """Return the first preferred variant that passed on the validation split, or None.

    Args:
        conversion: rows with `variant`, `split` and `passed`.
        variant_preference: variants, the most wanted first.

    Raises:
        ValueError: a preferred variant was not converted.
    """
    validation = conversion[conversion["split"] == "validation"].set_index("variant")
    for variant in variant_preference:
        if variant not in validation.index:
            raise ValueError(
                f"variant_preference names {variant!r}, which is not among the converted variants "
                f"{', '.join(validation.index)}."
            )
    return next((v for v in variant_preference if validation.loc[v, "passed"]), None)


class GateError(ValueError):
    """No variant answers closely enough to the Keras model, so nothing is released."""


def require_variant(variant: str | None, conversion: pd.DataFrame) -> str:
    """Return the chosen variant.

    Raises:
        GateError: there is none; the message says how close each came.
    """
    if variant is not None:
        return variant
    validation = conversion[conversion["split"] == "validation"]
    figures = "; ".join(
        f"{row.variant} loses {row.accuracy_drop:.3f} and agrees on {row.agreement:.3f}"
        for row in validation.itertuples()
    )
    raise GateError(
        "Nothing is released: on the validation photos no preferred variant keeps to "
        f"max_accuracy_drop and min_agreement ({figures}). Loosen the thresholds, allow another "
        "variant with variant_preference, or give int8 more calibration_images."
    )


def withdraw(run: Run) -> None:
    """Remove an earlier `release/` of the run, which another model or other limits allowed."""
    shutil.rmtree(run.path("release"), ignore_errors=True)


def write_release(run: Run, variant: str, conversion: pd.DataFrame) -> None:
    """Write `release/`: `model.tflite`, `labels.txt` and `model.json`, in one step.

    Args:
        run: its `tflite/VARIANT.tflite`, `labels.txt` and `run.json` are read.
        variant: the chosen one.
        conversion: its rows, for the figures.
    """
    content = run.path(f"tflite/{variant}.tflite").read_bytes()
    image_size = run.parameters("02_build_model")["image_size"]
    figures = conversion[conversion["variant"] == variant].drop(columns=["variant", "passed"])
    description = facts_for(run, variant) | {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "input": {
            "shape": [1, image_size, image_size, 3],
            "type": "uint8" if variant == "int8" else "float32",
            "range": [0, 255],
            "pixel_rule": PIXEL_RULE,
        },
        "output": {"type": "float32", "meaning": "a probability a class, in the order of labels"},
        "labels": run.class_names,
        "data_fingerprint": run.read()["data"]["fingerprint"],
        "figures": figures.to_dict(orient="records"),
    }
    with atomic_path(run.path("release")) as folder:
        folder.mkdir()
        (folder / "model.tflite").write_bytes(content)
        (folder / "labels.txt").write_text("\n".join(run.class_names) + "\n", encoding="utf-8")
        text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        (folder / "model.json").write_text(text, encoding="utf-8")
