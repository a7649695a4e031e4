"""Measure on photos of senders never met whether probabilities mean what they say.

    python benchmarks/calibration.py clothing clothing_senders.csv

The senders are dealt into five folds. For each, a head learns on kept features of MobileNetV2 from
the photos of the other folds, with the defaults of notebooks/params/photos.yaml; an eighth of them,
whole senders at a time, is set aside as validation photos: they choose the epoch, the temperature
and the limits. Then the trained model and its int8 file answer the photos of the fold. Prints, over
all five: expected calibration errors (15 bins) before and after, how many sure answers are right,
how many sets hold the truth, and what the temperature changed of int8's agreement and operators.

Takes about ten minutes on two processor cores. A fold whose answers are there already is not
computed again; `--photos-per-class 40 --folds 2` tries it in a minute or two.
"""

import argparse
from pathlib import Path
import tempfile

from dermaface import pipeline, runs
from dermaface.evaluation import confidence
from dermaface.evaluation.predictions import predict_tflite
from dermaface.evaluation.scores import accuracy_interval, prediction_frame
from dermaface.model import build
from dermaface.photos import images
from dermaface.photos.splits import assign_splits
from dermaface.quiet_tensorflow import keras
from dermaface.tflite import convert
from dermaface.tflite import file as tflite_file
from dermaface.training import datasets, features, stages
import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

PARAMETERS = pipeline.read_parameters(runs.project_root() / "notebooks" / "params" / "photos.yaml")
WANTED = {"min_confidence": 0.0, "sure_accuracy": 0.95, "set_coverage": 0.95}
FOLDS, VALIDATION = 5, 8  # one photo in so many is to be answered, and of the others to choose by
CALIBRATION_IMAGES = 200


def main() -> None:
    """Answer the folds that are not there yet, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder, with train/ and validation/")
    parser.add_argument("groups", type=Path, help="a CSV file of path and group")
    parser.add_argument("--output-dir", type=Path, default=Path("outputs/calibration"))
    parser.add_argument("--photos-per-class", type=int, help="to try it")
    parser.add_argument("--folds", type=int, default=FOLDS, help="how many of them, to try it")
    options = parser.parse_args()
    folder = options.output_dir.resolve()
    root, photos = images.find_images(options.data, groups=options.groups)
    if options.photos_per_class:
        shuffled = photos.sample(frac=1, random_state=0).groupby("label")
        photos = shuffled.head(options.photos_per_class).sort_index()
    photos = images.check_images(root, photos.reset_index(drop=True), cache=folder)
    photos = assign_splits(photos)
    photos = photos[photos["status"] == "kept"].reset_index(drop=True)
    class_names = sorted(set(photos["label"]))
    answered = []
    for number, rows in enumerate(deal(photos)[: options.folds]):
        path = folder / f"fold-{number}-of-{len(photos)}.npz"
        if not path.is_file():
            with runs.atomic_path(path) as temporary:
                np.savez(temporary, **answer(root, photos.assign(split=rows), class_names, number))
        with np.load(path) as answers:
            answered.append(judge(photos.assign(split=rows), class_names, dict(answers)))
        print(f"fold {number + 1}: temperature {answered[-1]['temperature']:.3f}", flush=True)
    print("\n".join(report(answered)))


def deal(photos: pd.DataFrame) -> list[np.ndarray]:
    """Return for each fold the split of each photo; no sender lies in two splits of a fold."""
    labels, senders = photos["label"], photos["group"]
    folds = []
    dealt = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for number, (rest, test) in enumerate(dealt.split(labels, labels, senders)):
        split = np.full(len(photos), "train", dtype=object)
        split[test] = "test"
        inner = StratifiedGroupKFold(VALIDATION, shuffle=True, random_state=number)
        _, chosen = next(inner.split(rest, labels.iloc[rest], senders.iloc[rest]))
        split[rest[chosen]] = "validation"
        folds.append(split)
    return folds


def answer(root: Path, photos: pd.DataFrame, class_names: list[str], seed: int) -> dict:
    """Train a head, convert the model without and with its temperature, and ask all of them.

    Args:
        root: the data root.
        photos: as from `check_images`, with the fold's `split`.
        class_names: the classes in index order.
        seed: of the training.

    Returns:
        `temperature`, and the answers (n, num_classes) to the held-out photos in their order:
        `keras before`, `keras now`, `int8 before`, `int8 now`; and how many operators the two files
        have.
    """
    size = PARAMETERS["image_size"]
    keras.utils.set_random_seed(seed)
    model = build.build_model(
        len(class_names), PARAMETERS["backbone"], size, dropout_rate=PARAMETERS["dropout_rate"]
    )
    frozen, head = build.split_model(model)
    splits = {name: rows for name, rows in photos.groupby("split")}
    vectors = all_features(root, photos, class_names, frozen)
    truth = np.eye(len(class_names))[photos["label"].map(class_names.index)]
    train, validation = (
        (vectors[splits[name].index], truth[splits[name].index]) for name in ("train", "validation")
    )
    rate, epochs = PARAMETERS["learning_rate"], PARAMETERS["epochs"]
    head.compile(
        stages.make_optimizer("adamw", rate, PARAMETERS["weight_decay"]),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=PARAMETERS["label_smoothing"]),
        metrics=["accuracy"],
    )
    steering = stages.make_callbacks(
        "constant", rate, epochs, PARAMETERS["early_stopping_patience"]
    )
    head.fit(
        *train, validation_data=validation, epochs=epochs, verbose=0, callbacks=steering,
    )  # fmt: skip
    held_out = photos[photos["split"] != "train"]
    before = head.predict(vectors[held_out.index], verbose=0)
    chosen = (held_out["split"] == "validation").to_numpy()
    temperature = confidence.fit_temperature(
        before[chosen], truth[held_out.index][chosen].argmax(axis=1)
    )
    order = datasets.Order(64)
    some = splits["train"].sample(CALIBRATION_IMAGES, random_state=seed, replace=False)
    shown = datasets.make_dataset(some, root, class_names, size, order)
    shown = np.concatenate([pixels for pixels, _ in shown.as_numpy_iterator()]).astype("uint8")
    files = {"int8 before": to_int8(model, shown)}
    build.fold_temperature(model, temperature)
    now = head.predict(vectors[held_out.index], verbose=0)
    files["int8 now"] = to_int8(model, shown)
    asked = predict_tflite(files, datasets.make_dataset(held_out, root, class_names, size, order))
    operators = [sum(tflite_file.audit(content).operators.values()) for content in files.values()]
    own = {"temperature": temperature, "keras before": before, "keras now": now}
    return own | asked | {"operators": operators}


def to_int8(model: keras.Model, shown: np.ndarray) -> bytes:
    """Return a model as an int8 file; the ranges are measured on the photos shown."""
    with tempfile.TemporaryDirectory() as saved:
        convert.export_saved_model(model, Path(saved) / "model")
        return convert.convert(Path(saved) / "model", "int8", shown)


def all_features(
    root: Path, photos: pd.DataFrame, class_names: list[str], frozen: keras.Model
) -> np.ndarray:
    """Return what the frozen front makes of every photo, (n, d); kept for the next fold."""
    kept = features.cache_features(
        frozen,
        datasets.make_dataset(photos, root, class_names, PARAMETERS["image_size"]),
        key={"photos": list(photos["sha256"])},
        path=runs.project_root() / "outputs" / ".cache" / "features",
    )
    return np.concatenate([np.asarray(batch) for batch, _ in kept])


def judge(photos: pd.DataFrame, class_names: list[str], answers: dict[str, np.ndarray]) -> dict:
    """Let the validation photos of a fold choose limits, and return the others' answers with them.

    Args:
        photos: with the fold's `split`.
        class_names: the classes in index order.
        answers: as from `answer`.
    """
    held_out = photos[photos["split"] != "train"]
    chosen = (held_out["split"] == "validation").to_numpy()
    truth = held_out["label"].map(class_names.index).to_numpy()
    told: dict = {"temperature": float(answers["temperature"]), "truth": truth[~chosen]}
    told["operators"] = answers["operators"].tolist()
    for name in ("keras before", "keras now", "int8 before", "int8 now"):
        told[name] = answers[name][~chosen]
    for name in ("keras now", "int8 now"):
        some = prediction_frame(held_out[chosen], answers[name][chosen], class_names)
        limits, found, _ = confidence.choose_limits(some, class_names, WANTED, told["temperature"])
        rows = prediction_frame(held_out[~chosen], answers[name][~chosen], class_names)
        marked = confidence.mark_answers(rows, class_names, limits)
        told[f"{name} reached"] = found.reached
        told[f"{name} trust"] = confidence.trust_frame(marked)
    return told


def report(folds: list[dict]) -> list[str]:
    """Return the figures over all folds, in lines of Markdown.

    Args:
        folds: as from `judge`.
    """

    def pooled(name: str) -> np.ndarray:
        return np.concatenate([fold[name] for fold in folds])

    truth = pooled("truth")
    lines = [
        f"\n{len(truth):,} photos of {len(folds)} folds; temperatures "
        f"{', '.join('{temperature:.2f}'.format(**fold) for fold in folds)}.\n",
        "| | right | mean confidence | error before | error now | by chance |",
        "|---|---|---|---|---|---|",
    ]
    for kind in ("keras", "int8"):
        now, errors = (
            pooled(f"{kind} now"),
            confidence.errors(pooled(f"{kind} before"), pooled(f"{kind} now"), truth, draws=50),
        )
        right = (now.argmax(axis=1) == truth).mean()
        lines.append(
            f"| {kind} | {right:.4f} | {now.max(axis=1).mean():.4f} | {errors['before']:.4f} | "
            f"{errors['now']:.4f} | {errors['chance']:.4f} |"
        )
    lines += ["", "| | limits reached | sure | right of these | sets with the truth | classes |"]
    lines.append("|---|---|---|---|---|---|")
    for kind in ("keras", "int8"):
        rows = pd.DataFrame([fold[f"{kind} now trust"].iloc[-1] for fold in folds])
        photos, sure, right, held = rows[["photos", "sure", "right", "held"]].sum()
        reached = sum(fold[f"{kind} now reached"] for fold in folds)
        size = (rows["set_size"] * rows["photos"]).sum() / photos
        lines.append(
            f"| {kind} | {reached} of {len(folds)} | {sure / photos:.4f} | "
            f"{with_interval(right, sure)} | {with_interval(held, photos)} | {size:.2f} |"
        )
    same = {
        name: (pooled(f"int8 {name}").argmax(axis=1) == pooled(f"keras {name}").argmax(axis=1))
        for name in ("before", "now")
    }
    turned = (pooled("keras before").argmax(axis=1) != pooled("keras now").argmax(axis=1)).sum()
    more = [fold["operators"][1] - fold["operators"][0] for fold in folds]
    return [
        *lines,
        f"\nThe temperature turned {turned} answers of Keras. int8 agrees on "
        f"{same['before'].sum()} photos before and {same['now'].sum()} now; operators more in its "
        f"file: {more}.",
    ]


def with_interval(part: float, whole: float) -> str:
    """Return a share with its 95 % interval."""
    low, high = accuracy_interval(part, whole)
    return f"{part / whole:.4f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
