"""Measure what is gained by computing the frozen part once, on a folder of photos.

    python benchmarks/training.py FOLDER [--only runs head fine-tuning settings live]

FOLDER holds class folders, or train/ and validation/ with such folders in them. Prints, from one
run, with the defaults of notebooks/params/photos.yaml:

    runs         accuracy of whole runs with three seeds, and their minutes
    head         20 epochs of the head, features included, against ImageDataGenerator and fit
    fine-tuning  the stage and an epoch of it, against ImageDataGenerator and fit, and against
                 fit on this project's own datasets
    settings     twelve settings of the head over the same features, against one
    live         accuracy from kept features and from pixels, without augmentation

The runs take about half an hour on two processor cores, and so does everything else together.
"""

import argparse
from collections.abc import Callable
import contextlib
import functools
import io
from pathlib import Path
import tempfile
import time

from dermaface import pipeline, runs
from dermaface.model import build
from dermaface.photos import images
from dermaface.photos.splits import assign_splits
from dermaface.quiet_tensorflow import keras, tf
from dermaface.training import datasets, features, stages
import pandas as pd

PARAMETERS = pipeline.read_parameters(runs.project_root() / "notebooks" / "params" / "photos.yaml")
BATCH_SIZE = 32
SHUFFLED = datasets.Order(BATCH_SIZE, shuffle=True)
# As in notebook 02, with the changes of photos.yaml.
STRENGTHS = {"rotation": 0.05, "translation": 0.1, "zoom": 0.1, "contrast": 0.2}
HEAD_VIEWS = 4
PARTS = ("runs", "head", "fine-tuning", "settings", "live")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the runs")
    parser.add_argument(
        "--baseline-epochs", type=int, default=2, help="of the head by fit, scaled to 20"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if "runs" in options.only:
            whole_runs(options.folder, folder / "runs", options.seeds)
        photos = Photos(options.folder)
        if "head" in options.only:
            head(photos, folder / "head", options.baseline_epochs)
        if "fine-tuning" in options.only:
            fine_tuning(photos, folder / "fine_tuning")
        if "settings" in options.only:
            settings(photos, folder / "settings")
        if "live" in options.only:
            live(photos, folder / "live")


def whole_runs(data: Path, folder: Path, seeds: list[int]) -> None:
    """Run from photos to release with each seed."""
    accuracies = []
    for seed in seeds:
        given = PARAMETERS | {"data": str(data.resolve()), "output_dir": str(folder), "seed": seed}
        started = time.monotonic()
        run = pipeline.run(given | {"run_name": f"seed-{seed}"}, say=lambda line: None)
        minutes = (time.monotonic() - started) / 60
        metrics = pd.read_json(run.path("metrics.json"))["validation"]
        parts = run.read()["notebooks"]
        to_curves = sum(parts[name]["seconds"] for name in runs.NOTEBOOKS[:4]) / 60
        accuracies.append(metrics["accuracy"])
        print(
            f"run, seed {seed}: validation accuracy {metrics['accuracy']:.4f}, {minutes:.1f} "
            f"minutes from photos to release, {to_curves:.1f} of them in notebooks 01 to 04",
            flush=True,
        )
    print(f"mean accuracy {sum(accuracies) / len(accuracies):.4f}\n", flush=True)


class Photos:
    """The photos of a folder, their datasets, and a fresh model for them."""

    def __init__(self, data: Path):
        """List, check and split the photos."""
        self.root, frame = images.find_images(data)
        frame = assign_splits(images.check_images(self.root, frame))
        frame = frame[frame["status"] == "kept"]
        self.frames = {split: rows for split, rows in frame.groupby("split")}
        self.class_names = sorted(set(frame["label"]))
        self.size = PARAMETERS["image_size"]
        self.augment = datasets.make_augmentation(True, **STRENGTHS)

    def dataset(self, split: str, order=datasets.IN_ORDER, augment=None) -> tf.data.Dataset:
        """Return the photos of a split in batches."""
        return datasets.make_dataset(
            self.frames[split], self.root, self.class_names, self.size, order, augment
        )

    def model(self) -> keras.Model:
        """Return an untrained model, always with the same weights."""
        keras.utils.set_random_seed(0)
        return build.build_model(
            len(self.class_names), PARAMETERS["backbone"], self.size,
            dropout_rate=PARAMETERS["dropout_rate"],
        )  # fmt: skip

    def features(self, frozen: keras.Model, path: Path, views: int = 1):
        """Return features of the training photos, shuffled, and of the validation photos."""
        augment = self.augment if views > 1 else None
        kept = functools.partial(features.cache_features, frozen, path=path)
        train = kept(
            self.dataset("train"),
            key={"split": "train"},
            views=views,
            augment=augment,
            order=SHUFFLED,
        )
        return train, kept(self.dataset("validation"), key={"split": "validation"})

    def generator(self):
        """Return the training photos as Keras's ImageDataGenerator reads and augments them."""
        generator = tf.keras.preprocessing.image.ImageDataGenerator(
            horizontal_flip=True, rotation_range=360 * STRENGTHS["rotation"],
            width_shift_range=STRENGTHS["translation"], height_shift_range=STRENGTHS["translation"],
            zoom_range=STRENGTHS["zoom"], fill_mode="reflect",
        )  # fmt: skip
        rows = self.frames["train"]
        with contextlib.redirect_stdout(io.StringIO()):
            return generator.flow_from_dataframe(
                rows.assign(file=[str(self.root / path) for path in rows["path"]]),
                x_col="file", y_col="label", target_size=(self.size,) * 2, batch_size=BATCH_SIZE,
                classes=self.class_names,
            )  # fmt: skip


def fit(
    learner: keras.Model, train, validation, epochs: int, learning_rate: float, schedule="constant",
    epoch_seconds: list | None = None,
) -> stages.Checkpoint:  # fmt: skip
    """Compile and fit as notebook 03 does, and note how long each epoch took."""
    learner.compile(
        stages.make_optimizer("adamw", learning_rate, PARAMETERS["weight_decay"]),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=PARAMETERS["label_smoothing"]),
        metrics=["accuracy"],
    )
    steering = stages.make_callbacks(schedule, learning_rate, epochs, patience=0)
    checkpoint = stages.Checkpoint("measured", epochs)
    begun = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: begun.append(time.monotonic()),
        on_epoch_end=lambda epoch, logs: (
            epoch_seconds is not None and epoch_seconds.append(time.monotonic() - begun[-1])
        ),
    )
    learner.fit(
        train, validation_data=validation, epochs=epochs, shuffle=False, verbose=0,
        callbacks=[*steering, checkpoint, clock],
    )  # fmt: skip
    return checkpoint


def best_accuracy(checkpoint: stages.Checkpoint) -> float:
    """Return the validation accuracy of the epoch with the lowest validation loss."""
    return stages.best_epoch(pd.DataFrame(checkpoint.rows))["val_accuracy"]


def timed(work: Callable):
    """Return what a function returns, and its seconds."""
    started = time.monotonic()
    result = work()
    return result, time.monotonic() - started


def head(photos: Photos, folder: Path, baseline_epochs: int) -> None:
    """Compare 20 epochs of the head with ImageDataGenerator and fit."""
    model, rate = photos.model(), PARAMETERS["learning_rate"]

    def ours():
        frozen, learner = build.split_model(model)
        return fit(learner, *photos.features(frozen, folder, HEAD_VIEWS), 20, rate)

    checkpoint, seconds = timed(ours)
    other = photos.model()
    build.set_trainable(other)
    validation = photos.dataset("validation")
    baseline, baseline_seconds = timed(
        lambda: fit(other, photos.generator(), validation, baseline_epochs, rate)
    )
    scaled = baseline_seconds * 20 / baseline_epochs
    print(
        f"head, 20 epochs with {HEAD_VIEWS} views of each photo, features included: {seconds:.0f} "
        f"s, accuracy {best_accuracy(checkpoint):.4f}; ImageDataGenerator and fit: {scaled:.0f} s "
        f"({baseline_epochs} epochs measured, accuracy {best_accuracy(baseline):.4f}); "
        f"ratio {scaled / seconds:.1f}\n",
        flush=True,
    )


def fine_tuning(photos: Photos, folder: Path) -> None:
    """Compare the fine-tuning stage with fit of the same layers on photos that are read again."""
    epochs, rate = PARAMETERS["fine_tune_epochs"], PARAMETERS["fine_tune_learning_rate"]
    first = build.backbones.get_backbone(PARAMETERS["backbone"]).fine_tune_from
    model, kept_epochs = photos.model(), []

    def ours():
        frozen, learner = build.split_model(model, first)
        kept = photos.features(frozen, folder, PARAMETERS["fine_tune_views"])
        return fit(learner, *kept, epochs, rate, "cosine", kept_epochs)

    _, seconds = timed(ours)
    kept_epoch = sorted(kept_epochs[1:])[len(kept_epochs[1:]) // 2]
    print(
        f"fine-tuning from {first} with features: an epoch {kept_epoch:.1f} s, {epochs} epochs "
        f"{seconds:.0f} s",
        flush=True,
    )
    for name, train in (
        ("ImageDataGenerator and fit", photos.generator()),
        ("fit on own datasets", photos.dataset("train", SHUFFLED, photos.augment)),
    ):
        other, live = photos.model(), []
        build.set_trainable(other, first)
        fit(other, train, photos.dataset("validation"), 3, rate, "cosine", live)
        # The first epoch also compiles, as it does with features.
        epoch = sum(live[1:]) / 2
        stage = live[0] + (epochs - 1) * epoch
        print(
            f"  {name}: an epoch {epoch:.1f} s, ratio {epoch / kept_epoch:.1f}; {epochs} epochs "
            f"{stage:.0f} s (three measured), ratio {stage / seconds:.1f}",
            flush=True,
        )
    print()


def settings(photos: Photos, folder: Path) -> None:
    """Compare twelve settings over one cache, as in notebook 06, with a single one."""
    frozen, _ = build.split_model(photos.model())

    def try_one(units: int, rate: float):
        kept = photos.features(frozen, folder, views=4)
        learner = build.build_head(
            kept[0].element_spec[0].shape[-1], len(photos.class_names), [units] if units else []
        )
        fit(learner, *kept, 10, rate)

    started = time.monotonic()
    finished = []
    for units in (0, 32, 128):
        for rate in (0.0003, 0.001, 0.003, 0.01):
            try_one(units, rate)
            finished.append(time.monotonic() - started)
    print(
        f"one setting with features: {finished[0]:.0f} s, twelve: {finished[-1]:.0f} s, ratio "
        f"{finished[-1] / finished[0]:.1f}\n",
        flush=True,
    )


def live(photos: Photos, folder: Path) -> None:
    """Compare kept features with pixels: same seed, no augmentation, head first as in a run."""
    total = len(photos.frames["validation"])
    first = build.backbones.get_backbone(PARAMETERS["backbone"]).fine_tune_from
    weights = photos.model().get_weights()
    for at, epochs, rate, schedule in (
        ("head", 6, PARAMETERS["learning_rate"], "constant"),
        (first, 5, PARAMETERS["fine_tune_learning_rate"], "cosine"),
    ):
        outcomes = []
        for kept in (False, True):
            model = photos.model()
            model.set_weights(weights)
            frozen, learner = build.split_model(model, at)
            if kept:
                data = photos.features(frozen, folder)
            else:
                learner = model
                data = photos.dataset("train", SHUFFLED), photos.dataset("validation")
            checkpoint = fit(learner, *data, epochs, rate, schedule)
            stages.keep_if_better(learner, checkpoint)
            outcomes.append([row["val_accuracy"] for row in checkpoint.rows])
            outcomes[-1].append(best_accuracy(checkpoint))
        weights = model.get_weights()
        differences = [round(abs(a - b) * total) for a, b in zip(*outcomes, strict=True)]
        print(
            f"from {at} on, {epochs} epochs, live and kept: accuracy {outcomes[0][-1]:.4f} and "
            f"{outcomes[1][-1]:.4f}, that is {differences[-1]} of {total} photos; by epoch "
            f"{differences[:-1]}",
            flush=True,
        )


if __name__ == "__main__":
    main()
