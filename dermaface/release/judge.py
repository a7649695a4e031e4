"""A `.tflite` file from anywhere, scored on a run's photos and released through the same gate."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
import tempfile
from typing import Any

from dermaface.evaluation import confidence, predictions, scores
from dermaface.photos import images, others
from dermaface.photos.pixels import load_image
from dermaface.release import card, contract, folder, gate
from dermaface.runs import Run
from dermaface.tflite import file as tflite_file
from dermaface.tflite import runtime
import numpy as np
import pandas as pd
import scipy.stats

# As in notebook 05, where a run has not been through it.
LIMITS = {"max_accuracy_drop": 0.02, "min_agreement": 0.95, "max_bytes": 0}
WANTED = {"min_confidence": 0.0, "sure_accuracy": 0.95, "set_coverage": 0.95}
# What other makers feed; each is also tried with red and blue swapped.
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # ImageNet's
FEEDS = {
    "pixels 0..255": lambda pixels: pixels,
    "pixels divided by 255": lambda pixels: pixels / 255,
    "pixels scaled to -1..1": lambda pixels: pixels / 127.5 - 1,
    "pixels less ImageNet's mean, over its deviation": lambda pixels: (
        (pixels / 255 - MEAN) / DEVIATION
    ),
}
OURS, SWAPPED = "pixels 0..255", " in the order blue, green, red"
PROBED = 300  # photos of training and validation by which a file's feed is recognised
FEED_CHANCE = 0.01  # p below which another feed counts as better
BLOCK = 32


def judge(
    run: Run,
    path: Path,
    labels: Sequence[str] = (),
    independent: bool = False,
    output: Path | None = None,
) -> str:
    """Score a `.tflite` file on a run's held-out photos and, if the gate passes it, release it.

    The limits are those of the run's notebook 05, if it ran, or its defaults for photos.

    Args:
        run: with `images.csv`, `labels.txt` and the answers of its trained model, `predictions.csv`
            and `metrics.json`.
        path: the file: made from that model by whatever converter, or another maker's.
        labels: its classes in order, if it does not carry them.
        independent: whether it is another model than the run's. Then it need not agree with the
            run's model, but it may not be less accurate by more than the limit.
        output: the release folder, which must not exist yet; `release/` of the run unless given.

    Returns:
        What was found, and the verdict.

    Raises:
        ValueError: the file is damaged or takes something else than one upright RGB photo of raw
            pixels, its labels are not the run's, or `output` exists. Nothing was written.
        GateError: it answers too differently. Nothing was written.
    """
    output = output or run.path("release")
    if output.exists():
        raise ValueError(
            f"{output} exists, and nothing is overwritten. Name another with --output."
        )
    content, name = path.read_bytes(), path.name
    try:
        contents = tflite_file.read(content)
    except tflite_file.DamagedFileError as error:
        raise ValueError(f"{name} cannot be judged. {error}") from error
    check_labels(name, list(labels) or contents.labels, run.class_names)
    size = check_input(name, contents, len(run.class_names))
    photos = images.read_images(run, "validation", "test")
    expected = scores.read_predictions(run)
    variant = tflite_file.audit(contents.model).kind
    asked = predictions.predict_tflite({variant: contents.model}, _batches(run, photos, size))
    check_probabilities(name, asked[variant])
    probed = images.read_images(run, "train", "validation")
    probed = probed.sample(min(PROBED, len(probed)), random_state=0)
    truth = probed["label"].map(run.class_names.index).to_numpy()
    fed = check_feed(name, score_feeds(contents.model, load_all(run, probed, size), truth))
    own = scores.prediction_frame(photos, asked[variant], run.class_names)
    wanted, limits = (_asked_for(run, default) for default in (WANTED, LIMITS))
    limits |= {"min_agreement": 0.0} if independent else {}
    trust, _, _ = confidence.choose_limits(
        own[own["split"] == "validation"], run.class_names, wanted
    )
    foreign = independent or not run.path("model.keras").is_file()
    more = trust | ({"temperature": 1.0} if independent else {})
    facts = folder.facts_for(
        run, variant, contents.model if foreign else None, recipe=f"judged as it came: {name}",
        network="a network that this run did not train" if independent else "", **more,
    )  # fmt: skip
    labelled = tflite_file.embed(contents.model, run.class_names, facts)
    conversion, answers = gate.compare_files(
        {variant: labelled}, expected, _batches(run, photos, size), run.class_names, limits
    )
    validation = conversion[conversion["split"] == "validation"].iloc[0]
    if not validation["passed"]:
        raise gate.GateError(_refusal(name, validation, limits))
    said = f"{name}: {variant}, one upright RGB photo of {size} x {size}.\n{fed}\n\n"
    return said + _release(
        run, variant, labelled, conversion, answers[variant], trust, limits, output
    )


def check_labels(name: str, labels: Sequence[str], class_names: Sequence[str]) -> None:
    """Make sure that a file's labels are the classes in their order.

    Raises:
        ValueError: they are not, or there are none.
    """
    if not labels:
        raise ValueError(
            f"{name} carries no labels. Name a text file with one class a line, in the order of "
            "its answers, with --labels."
        )
    if list(labels) == list(class_names):
        return
    if sorted(labels) == sorted(class_names):
        raise ValueError(
            f"{name} has the run's classes in another order: {', '.join(labels)}. The run's is "
            f"{', '.join(class_names)}. Reorder the rows of its last layer, or train it with the "
            "run's labels.txt."
        )
    theirs, ours = sorted(set(labels) - set(class_names)), sorted(set(class_names) - set(labels))
    raise ValueError(
        f"{name} does not have the run's classes. It alone has: {', '.join(theirs) or 'none'}; the "
        f"run alone has: {', '.join(ours) or 'none'}."
    )


def check_input(name: str, contents: tflite_file.Contents, num_classes: int) -> int:
    """Make sure that a file takes one square RGB photo and gives one number per class.

    Args:
        name: of the file, for messages.
        contents: of the file.
        num_classes: how many answers it should give.

    Returns:
        The side of the square in pixels.

    Raises:
        ValueError: it does not; the message says what it takes, and what to change.
    """
    interpreter = runtime.open_interpreter(contents.model)
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"{name} has {len(inputs)} inputs and {len(outputs)} outputs; a classifier has one of "
            "each."
        )
    shape = [int(side) for side in inputs[0]["shape_signature"]]
    if len(shape) != 4:
        raise ValueError(f"{name} takes numbers of shape {shape}, which is no photo.")
    if shape[0] != 1:
        batch = "a batch of any size" if shape[0] < 0 else f"{shape[0]} photos at a time"
        raise ValueError(
            f"{name} takes {batch}. Convert it for exactly one: some runtimes refuse anything else."
        )
    if shape[1] == 3 and shape[3] != 3:
        raise ValueError(
            f"{name} takes channels first, {shape}, as PyTorch does. Phones give them last: put a "
            "permutation in front of the network, before it is converted."
        )
    if shape[3] != 3 or shape[1] != shape[2] or shape[1] < 1:
        raise ValueError(f"{name} takes {shape}, not one square RGB photo.")
    if inputs[0]["dtype"] not in (np.float32, np.uint8):
        raise ValueError(
            f"{name} takes {inputs[0]['dtype'].__name__}. Photos are unsigned bytes: convert it "
            "with an input of uint8, or of float32."
        )
    kind, (scale, zero_point) = inputs[0]["dtype"].__name__, inputs[0]["quantization"]
    if kind == "uint8" and (scale, zero_point) != (1.0, 0):
        raise ValueError(
            f"{name} takes bytes of scale {scale:g} and zero point {zero_point}, so its network "
            "takes scaled pixels. Put the scaling into the network as its first layer, and show "
            "the converter photos of 0..255."
        )
    if contents.mean not in (None, 0.0) or contents.std not in (None, 1.0):
        raise ValueError(
            f"{name} takes scaled pixels: its metadata tells clients to subtract "
            f"{contents.mean:g} and divide by {contents.std:g}. Put that into the network as its "
            "first layer, so that no client can forget it."
        )
    given = [int(side) for side in outputs[0]["shape"]]
    if given != [1, num_classes]:
        raise ValueError(
            f"{name} answers with {given} numbers; for the run's {num_classes} classes it would "
            f"be {[1, num_classes]}."
        )
    if outputs[0]["dtype"] != np.float32:
        raise ValueError(
            f"{name} answers in {outputs[0]['dtype'].__name__}. Convert it with a float output: "
            "the release promises probabilities."
        )
    return shape[1]


def score_feeds(
    content: bytes, pixels: Sequence[np.ndarray], truth: Sequence[int] | np.ndarray
) -> pd.DataFrame:
    """Return what a file gives to the truth if it is fed in the ways that clients feed.

    Args:
        content: a file as `check_input` lets through.
        pixels: uint8 (size, size, 3) each, by the pixel rule.
        truth: the index of each photo's class.

    Returns:
        One column per feed, ours first, and one row per photo: the number given to its class.
    """
    interpreter = runtime.open_interpreter(content)
    taken, told = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    given = {}
    for ending, step in (("", 1), (SWAPPED, -1)):
        for feed, scale in FEEDS.items():
            column = []
            for photo, index in zip(pixels, truth, strict=True):
                values = scale(photo[None, :, :, ::step].astype(np.float32)).astype(np.float32)
                interpreter.set_tensor(taken["index"], runtime.to_input(values, taken))
                interpreter.invoke()
                column.append(float(interpreter.get_tensor(told["index"])[0][index]))
            given[feed + ending] = column
    return pd.DataFrame(given)


def check_feed(name: str, given: pd.DataFrame) -> str:
    """Make sure that a file does best with raw pixels, red first, and say by how much.

    Accuracy would miss a file that takes blue first where colours matter little. The probability of
    the truth sees more: its logarithms are compared photo by photo (Wilcoxon's signed-rank test).

    Args:
        name: of the file, for messages.
        given: as from `score_feeds`.

    Raises:
        ValueError: it does better with another feed, with p below 0.01.
    """
    logs = np.log(given.clip(lower=1 / 512))
    means = logs.mean()
    best = str(means.drop(OURS).idxmax())
    if means[best] > means[OURS]:
        chance = scipy.stats.wilcoxon(logs[best] - logs[OURS]).pvalue
        if chance < FEED_CHANCE:
            raise ValueError(
                f"{name} takes {best}: with these it gives the true class of {len(given)} "
                f"photos {np.exp(means[best]):.2f} (geometric mean), with {OURS} "
                f"{np.exp(means[OURS]):.2f}. Put that step into the network as its first layer and "
                "convert it again, so that an app can feed the photo as it is."
            )
    return (
        f"Fed with {OURS}, it gives the true class of {len(given)} photos "
        f"{np.exp(means[OURS]):.2f} (geometric mean);\nthe best of {len(means) - 1} other ways to "
        f"feed it, {best}, {np.exp(means[best]):.2f}."
    )


def check_probabilities(name: str, answers: np.ndarray) -> None:
    """Make sure that answers are probabilities.

    Raises:
        ValueError: some are no numbers or not within 0..1, or they do not sum to 1.
    """
    sums = answers.sum(axis=1)
    if np.isnan(sums).any():
        raise ValueError(f"{name} answers with NaN, which is no number, to some of the photos.")
    if answers.min() < -0.01 or np.abs(sums - 1).max() > 0.05:
        raise ValueError(
            f"{name} answers with numbers from {answers.min():.2f} to {answers.max():.2f} that sum "
            f"to {sums.min():.2f} and more: no probabilities. End the network with softmax."
        )


def load_all(run: Run, photos: pd.DataFrame, size: int) -> list[np.ndarray]:
    """Return photos by the pixel rule, uint8 (size, size, 3) each."""
    return [load_image(run.data_root / path, size) for path in photos["path"]]


def _batches(run: Run, photos: pd.DataFrame, size: int) -> Iterator[tuple[np.ndarray, None]]:
    """Yield photos as `datasets.make_dataset` does, without TensorFlow and without labels."""
    for start in range(0, len(photos), BLOCK):
        rows = photos.iloc[start : start + BLOCK]
        yield np.stack(load_all(run, rows, size)).astype(np.float32), None


def _asked_for(run: Run, default: Mapping[str, float]) -> dict[str, float]:
    """Return parameters of the run's notebook 05, or those given where it has not run."""
    given = run.read()["notebooks"].get("05_convert_and_test_tflite", {}).get("parameters", {})
    return {name: given.get(name, value) for name, value in default.items()}


def _refusal(name: str, row: pd.Series, limits: Mapping[str, float]) -> str:
    """Say why the gate does not let a file through."""
    agrees = (
        f" and agrees with it on {row['agreement']:.3f} (at least {limits['min_agreement']:g})"
        if limits["min_agreement"]
        else ""
    )
    size = f" It has {row['bytes']} bytes." if limits["max_bytes"] else ""
    return (
        f"Nothing is released: on {row['images']} validation photos, {name} loses "
        f"{row['accuracy_drop']:.3f} of accuracy against the run's model (at most "
        f"{limits['max_accuracy_drop']:g}){agrees}.{size} {row['problem']}"
    ).strip()


def _release(
    run: Run,
    variant: str,
    content: bytes,
    conversion: pd.DataFrame,
    probabilities: np.ndarray,
    trust: Mapping[str, float],
    limits: Mapping[str, float],
    output: Path,
) -> str:
    """Write the release as notebook 05 does, and return the verdict."""
    names = run.class_names
    photos = images.read_images(run, "validation", "test")
    answered = confidence.mark_answers(
        scores.prediction_frame(photos, probabilities, names), names, trust
    )
    by_split = answered.groupby("split")
    figures: dict[str, Any] = {split: scores.score(rows, names) for split, rows in by_split}
    split = "test" if "test" in figures else "validation"
    here, before = by_split.get_group(split), scores.read_predictions(run)
    _, errors = confidence.compare(before[before["split"] == split], here, names)
    reported = photos[photos["split"] == split]
    with tempfile.TemporaryDirectory() as temporary:
        kept = Path(temporary) / "model.tflite"
        kept.write_bytes(content)
        strange = card.strangers_told(runtime.Classifier(kept), others.draw_strangers(0))
    measured = {
        "scores": figures,
        "resizers": predictions.score_resizers(content, run.data_root, reported, names),
        "strangers": strange,
        "errors": errors,
        "trust": confidence.trust_frame(here),
    }
    folder.write_release(run, variant, conversion, measured, limits, content=content, output=output)
    checked = contract.check_release(output)
    verdict = gate.verdict(variant, conversion, here, figures, strange)
    return "\n".join([*checked, "", verdict.replace("release/model", f"{output.name}/model")])
