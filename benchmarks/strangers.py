"""Show a run what it has never met, and print how sure it is of that.

    python benchmarks/strangers.py outputs/clothing [--strangers FOLDER]

Prints what the released file says to drawn pictures of other things (or to the photos of a folder),
kind by kind, and how well heads on the frozen backbone tell known photos from those of a class that
was left out. Takes about half a minute on two processor cores for 3,000 photos whose features are
kept; nothing but these is written.
"""

import argparse
from pathlib import Path

from dermaface.evaluation import unknown
from dermaface.photos import others
from dermaface.readings import analyze_curves as readings
from dermaface.release.card import strangers_told
from dermaface.runs import Run
from dermaface.tflite.runtime import Classifier
from dermaface.training import features


def main() -> None:
    """Measure both for one run, and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    parser.add_argument("--strangers", type=Path, help="photos of other things; else drawn ones")
    options = parser.parse_args()
    run = Run(options.run.resolve())
    print(table(run, options.strangers))
    answers = unknown.leave_classes_out(run, features.frozen_features)
    areas = unknown.measure_areas(answers)
    print(f"\n{areas.round(2).to_string()}\n\n{readings.unknown(unknown.judge(areas))}")


def table(run: Run, folder: Path | None) -> str:
    """Return what the released file says to strangers, as a table for the README.

    Args:
        run: with `release/`.
        folder: of photos; None takes drawn pictures, kind by kind.
    """
    classifier = Classifier(run.path("release/model.tflite"))
    if folder:
        told = {"photos": strangers_told(classifier, others.find_strangers(folder, run))}
    else:
        drawn, count = others.draw_strangers(0), len(others.KINDS)
        told = {
            kind: strangers_told(classifier, drawn[number::count])
            for number, kind in enumerate(others.KINDS)
        }
        told["all"] = strangers_told(classifier, drawn)
    lines = ["| shown | sure | highest probability, mean |", "|---|---|---|"]
    for kind, found in told.items():
        counts = f"{found['sure']} of {found['pictures']}"
        lines.append(f"| {kind} | {counts} | {found['mean_confidence']:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
