"""Train on the clothing photos by their given split and by sender, and print both accuracies.

    python benchmarks/senders.py clothing clothing_senders.csv [--seeds 0 1 2]

The default run of photos is made twice for each seed: with the split that the photos came with,
where nearly every sender is on both sides, and with one in which no sender is. Prints a table for
the README, and what the senders on both sides are worth to a head on frozen features. Takes about
twelve minutes a seed on two processor cores. A run that is already there is continued, not
repeated; `--photos-per-class 20 -p fine_tune_epochs 1` tries it in a few minutes.
"""

import argparse
import json
from pathlib import Path

from dermaface import pipeline, runs
from dermaface.photos import images
from dermaface.photos.splits import SPLITS
from dermaface.readings.analyze_curves import relatives
from dermaface.runs import Run
import numpy as np
import pandas as pd

# As many photos to choose by as in the given split, and as many again that choose nothing.
SIZES = {"validation_size": 0.1, "test_size": 0.1}


def main() -> None:
    """Make the runs that are not there yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder, with train/ and validation/")
    parser.add_argument("groups", type=Path, help="a CSV file of path and group")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output-dir", type=Path, default=Path("outputs/senders"))
    parser.add_argument("--photos-per-class", type=int, help="of each split, to try it")
    parser.add_argument("-p", dest="more", nargs=2, action="append", default=[])
    options = parser.parse_args()
    folder = options.output_dir.resolve()
    root, photos = images.find_images(options.data, groups=options.groups)
    if options.photos_per_class:
        shuffled = photos.sample(frac=1, random_state=0).groupby(["label", "split"])
        photos = shuffled.head(options.photos_per_class).sort_index()
    rows = []
    for seed in options.seeds:
        for kind, columns in {"given": ["split"], "by sender": []}.items():
            given = {
                "data": write_list(photos[["path", "label", "group", *columns]], folder, kind),
                "image_root": str(root),
                "run_name": f"{kind.replace(' ', '-')}-{seed}",
                "output_dir": str(folder),
                "seed": seed,
                "split_seed": seed,
            }
            given = pipeline.lay_over_photos(given | SIZES | dict(options.more))
            started = Run(runs.run_folder(given["run_name"], folder)).is_run
            run = pipeline.run(given, resume=started, say=lambda line: print(line, flush=True))
            rows += figures(run, kind, seed)
    print(f"\n{table(pd.DataFrame(rows))}\n")
    for seed in options.seeds:
        metrics = read_metrics(Run(folder / f"given-{seed}"))["validation"]
        print(f"Seed {seed}.", *relatives(metrics["relatives"]))


def write_list(rows: pd.DataFrame, folder: Path, kind: str) -> str:
    """Write the CSV file of a kind of split and return its path."""
    path = folder / f"{kind.replace(' ', '-')}.csv"
    runs.write_csv(path, rows)
    return str(path)


def read_metrics(run: Run) -> dict:
    """Return a run's metrics.json."""
    return json.loads(run.path("metrics.json").read_text(encoding="utf-8"))


def figures(run: Run, kind: str, seed: int) -> list[dict]:
    """Return what a run reached on each held-out split, and how many senders train it shares."""
    photos = images.read_images(run, *SPLITS)
    train = photos[photos["split"] == "train"]
    return [
        {
            "split": kind,
            "seed": seed,
            "measured on": name,
            "trained on": len(train),
            "photos": score["images"],
            "senders": here["group"].nunique(),
            "photos of senders in training": int(here["group"].isin(train["group"]).sum()),
            "accuracy": score["accuracy"],
            "low": score["accuracy_interval"][0],
            "high": score["accuracy_interval"][1],
        }
        for name, score in read_metrics(run).items()
        for here in [photos[photos["split"] == name]]
    ]


def table(rows: pd.DataFrame) -> str:
    """Return one line for each kind of split and held-out split, over all seeds, in Markdown.

    Args:
        rows: as from `figures`.
    """
    head = ["split", "measured on", "trained on", "senders", "of senders in training"]
    head += ["accuracy by seed", "mean", "95 % intervals"]
    lines = [head, ["---"] * len(head)]
    for (kind, name), some in rows.groupby(["split", "measured on"], sort=False):
        shared = some["photos of senders in training"]
        lines.append(
            [
                str(kind),
                f"{span(some['photos'])} {name} photos",
                f"{span(some['trained on'])} photos",
                span(some["senders"]),
                f"{span(shared)} photos",
                ", ".join(f"{accuracy:.3f}" for accuracy in some["accuracy"]),
                f"{np.mean(some['accuracy']):.3f}",
                ", ".join(
                    f"{low:.3f} to {high:.3f}"
                    for low, high in zip(some["low"], some["high"], strict=True)
                ),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def span(numbers: pd.Series) -> str:
    """Return the smallest and the largest of some numbers, or the one that all are."""
    low, high = numbers.min(), numbers.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


if __name__ == "__main__":
    main()
