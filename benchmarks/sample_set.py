"""Measure the sample set: how much its colours give away, and what the default run makes of it.

    python benchmarks/sample_set.py [--images-per-class 200] [--seeds 0 1 2]

Everything is measured on a fresh set of pictures, from a different seed than the run's. Prints the
figures for benchmarks/README.md. Takes about eight minutes on two processor cores.
"""

import argparse
from pathlib import Path
import tempfile

from dermaface import pipeline
from dermaface.evaluation.predictions import predict_tflite
from dermaface.model import backbones
from dermaface.photos import images, sample
from dermaface.photos.pixels import decode_image
from dermaface.quiet_tensorflow import keras
from dermaface.training import datasets
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FRESH_SEED = 20_000


def main() -> None:
    """Print the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images-per-class", type=int, default=200, help="of the fresh set")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        train = load(sample.write_sample(folder / "train", defects=False))
        fresh = load(
            sample.write_sample(
                folder / "fresh", options.images_per_class, seed=FRESH_SEED, defects=False
            )
        )
        print(f"fresh set: {len(fresh[1])} pictures; trained on 440 or fewer\n")
        print(f"logistic regression on mean RGB              {mean_rgb_accuracy(train, fresh):.3f}")
        for weights in ("random", "pretrained"):
            accuracy = frozen_accuracy(train, fresh, weights)
            print(f"logistic regression on tiny, {weights:<10} frozen {accuracy:.3f}", flush=True)
        for seed in options.seeds:
            run = pipeline.run(
                {"run_name": f"seed-{seed}", "output_dir": str(folder), "seed": seed},
                say=lambda line: print(f"    {line}", flush=True),
            )
            model = keras.models.load_model(run.path("model.keras"))
            predictions = model.predict(fresh[2], verbose=0)
            released = predict_tflite(
                {"released": run.path("release/model.tflite").read_bytes()}, fresh[2]
            )["released"]
            truth = np.array([run.class_names.index(label) for label in fresh[1]])
            print(
                f"default run, seed {seed}: Keras model             "
                f"{(predictions.argmax(axis=1) == truth).mean():.3f}\n"
                f"default run, seed {seed}: released file           "
                f"{(released.argmax(axis=1) == truth).mean():.3f}",
                flush=True,
            )


def load(folder: Path):
    """Return the files, the labels and the dataset of a sample set."""
    root, frame = images.find_images(folder)
    dataset = datasets.make_dataset(frame, root, list(sample.CLASS_NAMES), 96)
    return [root / path for path in frame["path"]], frame["label"], dataset


def mean_rgb_accuracy(train, fresh) -> float:
    """Return how far three numbers per picture get a linear model."""
    means = [[decode_image(file).mean(axis=(0, 1)) for file in x[0]] for x in (train, fresh)]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return model.fit(means[0], train[1]).score(means[1], fresh[1])


def frozen_accuracy(train, fresh, weights: str) -> float:
    """Return how far the frozen features of `tiny` get a linear model."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((96, 96, 3))
    features = backbones.apply_backbone("tiny", pixels, weights)
    extractor = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(features))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    model.fit(extractor.predict(train[2], verbose=0), train[1])
    return model.score(extractor.predict(fresh[2], verbose=0), fresh[1])


if __name__ == "__main__":
    main()
