"""The `dermaface` command."""

import argparse
import csv
import json
from pathlib import Path
import sys

MISSING_NOTEBOOKS = (
    "dermaface run needs the notebooks' packages, which are not installed ({name} is missing). "
    "Install the project with its extra 'notebooks', or everything with requirements.txt."
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 1 with one paragraph on standard error."""
    options = parse(arguments)
    try:
        return options.command(options)
    except (ValueError, OSError) as error:
        print(f"dermaface: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("dermaface: interrupted. dermaface run --resume goes on with a run.", file=sys.stderr)
        return 130


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="dermaface",
        description="From a folder of labelled photos to a TFLite file, with proof.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the five notebooks in order")
    run.set_defaults(command=run_command)
    run.add_argument(
        "--data", metavar="FOLDER|FILE.csv", help="your photos; without it, the drawn sample set"
    )
    run.add_argument("--run-name", metavar="NAME", help="the run's folder in the output folder")
    run.add_argument("--output-dir", metavar="FOLDER", help="where runs lie (default: outputs)")
    run.add_argument(
        "-f",
        dest="file",
        metavar="PARAMS.yaml",
        help="a file of parameters, such as in notebooks/params",
    )
    run.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="one parameter; wins over -f; may be repeated",
    )  # fmt: skip
    run.add_argument("--resume", action="store_true", help="go on with an existing run")

    predict = commands.add_parser("predict", help="classify photos with a .tflite file")
    predict.set_defaults(command=predict_command)
    predict.add_argument("model", metavar="MODEL.tflite")
    predict.add_argument("images", nargs="+", metavar="IMAGE|FOLDER")
    predict.add_argument("--top", type=int, default=3, metavar="K", help="classes a photo (3)")
    form = predict.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV")

    sample = commands.add_parser("sample", help="draw the sample set into a folder")
    sample.set_defaults(command=sample_command)
    sample.add_argument("folder", metavar="FOLDER")
    return parser.parse_args(arguments)


def run_command(options: argparse.Namespace) -> int:
    """Run the notebooks and print the results table."""
    try:
        from dermaface import pipeline, runs
    except ModuleNotFoundError as error:
        raise ValueError(MISSING_NOTEBOOKS.format(name=error.name)) from error
    given = {}
    if options.data is not None:
        # The kernel has another working folder, so the path is made absolute here.
        given["data"] = str(Path(options.data).expanduser().resolve())
        given["run_name"] = Path(options.data).resolve().stem
        given |= pipeline.read_parameters(
            runs.project_root() / "notebooks" / "params" / "photos.yaml"
        )
    if options.file is not None:
        given |= pipeline.read_parameters(options.file)
    given |= dict(options.parameters)
    # The kernel has another working folder: a Hub module's or weights file's path is made absolute.
    for name in ("backbone", "weights"):
        if name in given and Path(given[name]).expanduser().exists():
            given[name] = str(Path(given[name]).expanduser().resolve())
    if options.run_name is not None:
        given["run_name"] = options.run_name
    if options.output_dir is not None:
        given["output_dir"] = str(Path(options.output_dir).expanduser().resolve())
    run = pipeline.run(given, resume=options.resume, say=lambda line: print(line, flush=True))
    print_results(run)
    return 0


def print_results(run) -> None:
    """Print the table of variants and where the results lie."""
    from dermaface import sample

    with run.path("conversion.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    release = json.loads(run.path("release/model.json").read_text(encoding="utf-8"))
    split = "test" if any(row["split"] == "test" for row in rows) else "validation"
    note = "" if split == "test" else " (also used to choose)"
    print(f"\nOn the {split} photos{note}:\n")
    print(f"{'variant':<10} {'KB':>7} {'accuracy':>9} {'agreement':>10}")
    for row in rows:
        if row["split"] == split:
            kilobytes, accuracy = int(row["bytes"]) / 1000, float(row["accuracy"])
            mark = "  <- released" if row["variant"] == release["variant"] else ""
            print(
                f"{row['variant']:<10} {kilobytes:>7.0f} {accuracy:>9.3f}"
                f" {float(row['agreement']):>10.3f}{mark}"
            )
    print(f"\nrelease: {run.path('release')}\nreport:  {run.path('report.html')}")
    if run.is_sample:
        print(f"\n{sample.NOTICE}")


def predict_command(options: argparse.Namespace) -> int:
    """Classify photos and print the answers; a bad photo is named and the others go on."""
    from dermaface import runtime

    if options.top < 1:
        raise ValueError(f"--top must be at least 1; got {options.top}.")
    classifier = runtime.Classifier(options.model)
    if classifier.notice:
        print(f"dermaface: {classifier.notice}", file=sys.stderr)
    status = 0
    answers = []
    for path in _image_paths(options.images):
        try:
            answers.append((path, classifier.predict(path, top=options.top)))
        except ValueError as error:
            print(f"dermaface: {error}", file=sys.stderr)
            status = 1
    if options.json:
        rows = [
            {"image": str(path), "predictions": [{"label": n, "probability": p} for n, p in answer]}
            for path, answer in answers
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    elif options.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["image", "rank", "label", "probability"])
        for path, answer in answers:
            writer.writerows(
                [path, rank, name, f"{p:.6f}"] for rank, (name, p) in enumerate(answer, start=1)
            )
    else:
        for path, answer in answers:
            print(
                f"{path}: " + ", ".join(f"{name} {probability:.3f}" for name, probability in answer)
            )
    return status


def _image_paths(arguments: list[str]) -> list[Path]:
    """Return the files named, and the images in the folders named."""
    from dermaface import runtime

    paths = []
    for argument in map(Path, arguments):
        if argument.is_dir():
            found = runtime.find_image_files(argument)
            if not found:
                raise ValueError(f"There are no images in the folder {argument}.")
            paths += found
        else:
            paths.append(argument)
    return paths


def sample_command(options: argparse.Namespace) -> int:
    """Draw the sample set."""
    from dermaface import sample

    folder = sample.write_sample(options.folder)
    print(f"The sample set is in {folder}. {sample.NOTICE}")
    return 0
