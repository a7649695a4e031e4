"""Which file may ship, and what is said about it."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from dermaface.evaluation.predictions import latency_columns, predict_tflite
from dermaface.evaluation.scores import CONVERSION_COLUMNS, compare, weakest_first
from dermaface.readings.analyze_curves import unmeasured
from dermaface.readings.words import percent, strange
from dermaface.tflite import file as tflite_file
from dermaface.tflite import runtime
import numpy as np
import pandas as pd


def find_problem(content: bytes, variant: str, class_names: Sequence[str]) -> str:
    """Return why a file must not ship, whatever its accuracy, or "" if nothing speaks against it.

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


def audit_files(files: Mapping[str, bytes]) -> pd.DataFrame:
    """Return what each file is, whatever its name says, and its size, one row per variant.

    Args:
        files: the content of each variant's file.
    """
    rows = {
        variant: tflite_file.audit(content).summary | {"size (KB)": round(len(content) / 1000)}
        for variant, content in files.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def gate(
    conversion: pd.DataFrame, max_accuracy_drop: float, min_agreement: float, max_bytes: float = 0
) -> pd.Series:
    """Tell for each row whether it keeps to the limits, which always allow for one photo.

    A threshold finer than one photo would let chance decide: with 66 photos, one changed answer
    already means an agreement of 0.985.

    Args:
        conversion: rows as from `compare`; if they have `bytes` and `problem` (as from
            `find_problem`), these are judged, too.
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
            raise ValueError(f"{name} must be between 0 and 1; got {value}.")
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


def compare_files(
    files: Mapping[str, bytes],
    predictions: pd.DataFrame,
    dataset: Iterable,
    class_names: Sequence[str],
    limits: Mapping[str, float],
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Ask every file about every held-out photo, time it, inspect it, and judge it.

    Args:
        files: the content of each variant's file, with its metadata.
        predictions: the Keras model's, as from `prediction_frame`.
        dataset: the same photos as from `datasets.make_dataset`.
        class_names: the classes in index order.
        limits: `max_accuracy_drop`, `min_agreement` and `max_bytes`, as in `gate`.

    Returns:
        The rows of `conversion.csv`, one for each variant and split; and for each variant its
        probabilities, (n, num_classes).
    """
    answers = predict_tflite(files, dataset)
    conversion = compare(predictions, answers, class_names)
    measured = {
        "bytes": {variant: len(content) for variant, content in files.items()},
        "problem": {v: find_problem(content, v, class_names) for v, content in files.items()},
        **latency_columns(files).to_dict(),
    }
    for name, values in measured.items():
        conversion[name] = conversion["variant"].map(values)
    conversion["passed"] = gate(conversion, **limits)
    return conversion[[*CONVERSION_COLUMNS, *(f"recall_change_{n}" for n in class_names)]], answers


def try_recipes(
    recipes: Mapping[str, Callable[[], bytes]],
    predictions: pd.DataFrame,
    dataset: Iterable,
    class_names: Sequence[str],
    limits: Mapping[str, float],
) -> tuple[pd.DataFrame, bytes, str]:
    """Make int8 files by one recipe after another until one passes the gate on validation photos.

    Args:
        recipes: for each name, in words, the function that makes the file.
        predictions: the Keras model's on the validation photos, as from `prediction_frame`.
        dataset: the same photos as from `datasets.make_dataset`.
        class_names: the classes in index order.
        limits: `max_accuracy_drop`, `min_agreement` and `max_bytes`, as in `gate`.

    Returns:
        One row for each recipe tried, as from `compare` with `recipe` and `passed`; the file that
        passed or, if none did, the one that agrees best; and the recipe by which it was made.
    """
    rows, files = [], {}
    for recipe, make in recipes.items():
        files[recipe] = make()
        row = compare(predictions, predict_tflite({"int8": files[recipe]}, dataset), class_names)
        row["bytes"] = len(files[recipe])
        row["passed"] = gate(row, **limits)
        rows.append(row.assign(recipe=recipe))
        if row["passed"].item():
            break
    tried = pd.concat(rows, ignore_index=True)
    best = tried.sort_values(["passed", "agreement"], ascending=False)["recipe"].iloc[0]
    return tried, files[best], best


def choose_variant(conversion: pd.DataFrame, variant_preference: Sequence[str]) -> str | None:
    """Return the first preferred variant that passed on the validation split, or None.

    Args:
        conversion: rows with `variant`, `split` and `passed`.
        variant_preference: variants, most wanted first.

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


def verdict(
    variant: str,
    conversion: pd.DataFrame,
    answered: pd.DataFrame,
    scores: Mapping[str, dict],
    strangers: Mapping,
) -> str:
    """Say in a few sentences what ships and how good it is, for the person who decides.

    Args:
        variant: the released one.
        conversion: all rows of `conversion.csv`.
        answered: the released file's answers, as from `confidence.mark_answers`.
        scores: for each split its figures, as from `score`.
        strangers: what the file says about pictures of no class, as from `strangers_told`.
    """
    split = "test" if "test" in scores else "validation"
    photos = f"{split} photos" + ("" if split == "test" else " (also used to choose)")
    row = conversion[(conversion["variant"] == variant) & (conversion["split"] == split)].iloc[0]
    low, high = scores[split]["accuracy_interval"]
    name, weakest = weakest_first(scores[split])[0]
    known = round(weakest["recall"] * weakest["images"])
    here = answered[answered["split"] == split]
    sure = here[here["sure"]]
    right = (sure["label"] == sure["predicted"]).mean()
    warnings = []
    if strangers["sure"]:
        share = percent(strangers["sure"] / strangers["pictures"])
        warnings.append(f"it calls itself sure of {share} of {strange(strangers)}")
    if wrong := int((sure["label"] != sure["predicted"]).sum()):
        warnings.append(
            f"{wrong} of its {len(sure)} sure answers {'is' if wrong == 1 else 'are'} wrong"
        )
    refused = conversion[(conversion["split"] == "validation") & ~conversion["passed"]]["variant"]
    sentences = [
        f"The gate passes release/model.tflite: the {variant} file, {row['bytes'] / 1000:,.0f} KB.",
        f"It is right for {100 * row['accuracy']:.1f} % of {row['images']} {photos}, 95 % interval "
        f"{100 * low:.1f} % to {100 * high:.1f} %.",
        f"The trained model is right for {100 * (row['accuracy'] + row['accuracy_drop']):.1f} %; "
        f"the file changed {row['changed'] or 'none'} of its answers.",
        f"It calls itself sure of {len(sure)} of {len(here)} photos, and {100 * right:.1f} % of "
        "its sure answers are right."
        if len(sure)
        else f"It calls itself sure of none of the {len(here)} photos.",
        f"Its sets of classes hold the truth for {here['held'].sum()} of {len(here)} photos, with "
        f"{here['set_size'].mean():.2f} classes on average.",
        f"Weakest class: {name}, with {known} of {weakest['images']} recognised."
        if known < weakest["images"]
        else "Every photo of every class is recognised.",
        f"The gate refused {', '.join(refused) or 'no file'}.",
        *([] if strangers["sure"] else [f"It is sure of none of {strange(strangers)}."]),
        *unmeasured(scores),
    ]
    if warnings:
        sentences.append("Before you ship it: " + ",\nand ".join(warnings) + ".")
    return "\n".join(sentences)
