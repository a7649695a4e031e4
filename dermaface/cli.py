"""The `dermaface` command."""

import argparse
from collections.abc import Iterator
import contextlib
import csv
import io
import json
import os
from pathlib import Path
import shlex
import signal
import sys
from typing import TYPE_CHECKING
import warnings

import dermaface

if TYPE_CHECKING:
    from dermaface.runs import Run

MISSING_NOTEBOOKS = (
    "dermaface {command} needs the notebooks' packages, which are not installed ({name} is "
    "missing). Install the package with its extra 'notebooks', or in a clone everything in "
    "requirements.txt."
)


# What `judge` needs of a run.
JUDGED_BY = ("images.csv", "labels.txt", "predictions.csv", "metrics.json")


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status.

    Returns:
        0, or 1 with one paragraph on standard error, or 128 plus the number of the signal that
        ended it (130 after Ctrl-C).
    """
    options = parse(arguments)
    for stream in (sys.stdout, sys.stderr):
        # A file's name may have letters that the terminal cannot show.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return options.command(options)
    except (ValueError, OSError) as error:
        print(f"dermaface: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        with contextlib.suppress(OSError):  # The terminal may be gone.
            print(
                "dermaface: interrupted. To continue a run, repeat the command with --resume.",
                file=sys.stderr,
            )
        return 128 + (error.args[0] if error.args else signal.SIGINT)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="dermaface",
        description="From a folder of labelled photos to a TFLite file, with proof.",
    )
    parser.add_argument("--version", action="version", version=f"dermaface {dermaface.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the five notebooks in order")
    run.set_defaults(command=run_command)
    run.add_argument(
        "--data", metavar="FOLDER|FILE.csv", help="your photos; without it, the drawn sample set"
    )
    run.add_argument("--run-name", metavar="NAME", help="name of the folder of the run")
    run.add_argument("--output-dir", metavar="FOLDER", help="where runs go (default: outputs)")
    run.add_argument(
        "-f",
        dest="file",
        metavar="PARAMS.yaml",
        help="a file of parameters, like those in notebooks/params; its paths are relative to the "
        "current folder, as with -p (output_dir: to the project's, image_root: to the CSV file's)",
    )
    run.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"),
        help="one parameter; wins over -f; can be repeated",
    )  # fmt: skip
    run.add_argument("--resume", action="store_true", help="continue an existing run")

    predict = commands.add_parser("predict", help="classify photos with a .tflite file")
    predict.set_defaults(command=predict_command)
    predict.add_argument("model", metavar="MODEL.tflite")
    predict.add_argument(
        "images", nargs="+", metavar="IMAGE|FOLDER|-", help="- reads one image from standard input"
    )
    predict.add_argument("--top", type=int, default=3, metavar="K", help="classes per photo (3)")
    predict.add_argument(
        "--min-confidence", type=float, metavar="P",
        help="the probability below which an answer is 'not sure' (default: the file's own)",
    )  # fmt: skip
    predict.add_argument(
        "--sets", action="store_true", help="name every class that the photo may show"
    )
    form = predict.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print CSV")

    check = commands.add_parser("check", help="prove that a release folder answers as measured")
    check.set_defaults(command=check_command)
    check.add_argument("folder", metavar="RELEASE_FOLDER")
    check.add_argument(
        "--device", metavar="REPORT.json",
        help="also judge what a device has answered, by the report of the page of 'dermaface web'",
    )  # fmt: skip

    web = commands.add_parser(
        "web", help="make a page that proves a release, and answers photos, in the browser"
    )
    web.set_defaults(command=web_command)
    web.add_argument("folder", metavar="RELEASE_FOLDER")
    web.add_argument("output", metavar="OUT", help="the folder of the page's files")
    web.add_argument("--serve", action="store_true", help="then serve it on this computer")

    function = commands.add_parser(
        "function", help="make a folder that serves a release over HTTP (Firebase, Cloud Run)"
    )
    function.set_defaults(command=function_command)
    function.add_argument("folder", metavar="RELEASE_FOLDER")
    function.add_argument("output", metavar="OUT", help="the folder to deploy")

    judge = commands.add_parser(
        "judge", help="score a .tflite file from anywhere on a run's photos, and release it"
    )
    judge.set_defaults(command=judge_command)
    judge.add_argument("model", metavar="FILE.tflite")
    judge.add_argument("--run", required=True, metavar="RUN_FOLDER", help="such as outputs/faces")
    judge.add_argument(
        "--labels", metavar="FILE.txt", help="its classes, one a line, if it does not carry them"
    )
    judge.add_argument(
        "--independent", action="store_true",
        help="it was not made from the run's model: it may answer otherwise, not less accurately",
    )  # fmt: skip
    judge.add_argument("--output", metavar="FOLDER", help="the release (default: RUN/release)")

    new = commands.add_parser("new", help="lay out the notebooks in a new folder, to work there")
    new.set_defaults(command=new_command)
    new.add_argument("folder", metavar="FOLDER")

    sample = commands.add_parser("sample", help="draw the sample set into a folder")
    sample.set_defaults(command=sample_command)
    sample.add_argument("folder", metavar="FOLDER")
    return parser.parse_args(arguments)


@contextlib.contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does, so that the kernel is shut down.

    Raises:
        KeyboardInterrupt: with the signal's number.
    """
    signals = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    # Under nohup, SIGHUP is ignored and stays ignored.
    signals = [number for number in signals if signal.getsignal(number) == signal.SIG_DFL]

    def interrupt(number: int, frame: object) -> None:
        for other in signals:
            signal.signal(other, signal.SIG_IGN)  # A second one must not disturb the cleanup.
        raise KeyboardInterrupt(number)

    for number in signals:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in signals:
            signal.signal(number, signal.SIG_DFL)


@_ended_like_ctrl_c()
def run_command(options: argparse.Namespace) -> int:
    """Run the notebooks and print the results table."""
    try:
        from dermaface import pipeline
        from dermaface.model import backbones
    except ModuleNotFoundError as error:
        raise ValueError(MISSING_NOTEBOOKS.format(command="run", name=error.name)) from error
    if options.data == "":
        raise ValueError("--data is empty. Name the folder or CSV file of your photos, or omit it.")
    given = pipeline.read_parameters(options.file) if options.file is not None else {}
    if given.get("data") in ("", "~"):
        raise ValueError(
            f"data is empty in {options.file}. Name the folder or CSV file of your photos, or "
            "leave data out for the drawn sample set."
        )
    given |= dict(options.parameters)
    for name in ("data", "run_name"):
        if getattr(options, name) is not None:
            given[name] = getattr(options, name)
    if options.output_dir is not None:
        given["output_dir"] = _absolute(options.output_dir)
    # The kernel works in another folder, so paths are made absolute here.
    words = {
        "backbone": {*backbones.BACKBONES, *backbones.HUB_HANDLES},
        "weights": {"pretrained", "random"},
    }
    for name, known in words.items():
        if name in given and given[name] not in known and os.path.exists(_absolute(given[name])):
            given[name] = _absolute(given[name])
    for name in ("groups", "previous", "strangers"):
        if given.get(name):
            given[name] = _absolute(given[name])
    if given.get("data"):
        given["data"] = _absolute(given["data"])
        given = pipeline.lay_over_photos(given)
    run = pipeline.run(given, resume=options.resume, say=lambda line: print(line, flush=True))
    print_results(run)
    return 0


def _absolute(path: str) -> str:
    """Return a path that means the same from any folder."""
    return os.path.realpath(os.path.expanduser(path))


def print_results(run: "Run") -> None:
    """Print the table of variants and where the results are."""
    from dermaface.photos import sample

    with run.path("conversion.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    release = json.loads(run.path("release/model.json").read_text(encoding="utf-8"))
    split = "test" if any(row["split"] == "test" for row in rows) else "validation"
    note = "" if split == "test" else " (also used to choose)"
    print(f"\nOn the {split} photos{note}:\n")
    print(f"{'variant':<12} {'KB':>7} {'accuracy':>9} {'agreement':>10}")
    for row in rows:
        if row["split"] == split:
            kilobytes, accuracy = int(row["bytes"]) / 1000, float(row["accuracy"])
            mark = "  <- released" if row["variant"] == release["variant"] else ""
            print(
                f"{row['variant']:<12} {kilobytes:>7.0f} {accuracy:>9.3f}"
                f" {float(row['agreement']):>10.3f}{mark}"
            )
    print(f"\nrelease: {run.path('release')}\nreport:  {run.path('report.html')}")
    print(f"\nTry it:\n{ways_to_try(run)}")
    if run.is_sample:
        print(f"\n{sample.NOTICE}")


def ways_to_try(run: "Run") -> str:
    """Return the commands that ask a run's release about photos, one a line."""
    names = ("release", "page", "function")
    paths = [min(str(run.path(name)), os.path.relpath(run.path(name)), key=len) for name in names]
    release, page, served = map(shlex.quote, paths)
    ways = {
        f"dermaface predict {release}/model.tflite PHOTO": "answers here",
        f"dermaface check {release}": "proves the folder wherever it arrives",
        f"dermaface web {release} {page} --serve": "answers, and proves itself, in a browser",
        f"dermaface function {release} {served}": "makes a folder that answers over HTTP",
    }
    width = max(map(len, ways))
    return "\n".join(f"  {command:<{width}}  {what}" for command, what in ways.items())


def predict_command(options: argparse.Namespace) -> int:
    """Classify photos and print the answers; name a bad photo and go on with the others."""
    from dermaface.photos.pixels import printable_path
    from dermaface.tflite import runtime

    if options.top < 1:
        raise ValueError(f"--top must be at least 1; got {options.top}.")
    given = options.min_confidence
    if given is not None and not 0 <= given <= 1:
        raise ValueError(f"--min-confidence must lie between 0 and 1; got {given}.")
    # Pillow's warnings about odd photos do not say which photo they mean.
    warnings.filterwarnings("ignore", module="PIL")
    classifier = runtime.Classifier(options.model)
    if options.sets and "set_threshold" not in classifier.facts:
        raise ValueError(runtime.NO_SETS)
    paths = _image_paths(options.images)
    if classifier.notice:
        print(f"dermaface: {classifier.notice}", file=sys.stderr)
    names = ["standard input" if path == "-" else printable_path(path) for path in paths]
    width = max(map(len, names))
    rows = csv.writer(sys.stdout, lineterminator="\n")
    if options.csv:
        columns = ["image", "rank", "label", "probability", "sure", "blurred"]
        rows.writerow([*columns, *(["in_set"] if options.sets else [])])
    status, photos = 0, []
    for path, name in zip(paths, names, strict=True):
        try:
            image = io.BytesIO(sys.stdin.buffer.read()) if path == "-" else path
            said = classifier.answer(image, len(classifier.labels), given)
        except ValueError as error:
            reason = str(error).replace("The file", "Standard input", 1 if path == "-" else 0)
            print(f"dermaface: {reason}", file=sys.stderr)
            status = 1
            continue
        classes, possible = said["predictions"], said.get("set", [])
        if said["blurred"]:
            print(f"dermaface: {name} is blurred; the answer may be wrong.", file=sys.stderr)
        if options.json:
            photo = {"image": name} | said | {"predictions": classes[: options.top]}
            if not options.sets:
                photo.pop("set", None)
            photos.append(photo)
        elif options.csv:
            told = [str(said[key]).lower() for key in ("sure", "blurred")]
            for rank, entry in enumerate(classes[: options.top], start=1):
                label, probability = entry.values()
                in_set = [str(label in possible).lower()] if options.sets else []
                rows.writerow([name, rank, label, f"{probability:.6f}", *told, *in_set])
        else:
            named = [entry for entry in classes if entry["label"] in possible]
            shown = named if options.sets else classes[: options.top]
            text = (" or " if options.sets else ", ").join(
                f"{entry['label']} {entry['probability']:.3f}" for entry in shown
            )
            unsure = "" if said["sure"] else "not sure: "
            print(f"{name + ':':<{width + 1}} {unsure}{text}", flush=True)
    if options.json:
        print(json.dumps(photos, indent=2, ensure_ascii=False))
    return status


def _image_paths(arguments: list[str]) -> list[Path | str]:
    """Return the files named, the images in the folders named, and "-" for standard input.

    What a folder holds besides images is passed over, and named on standard error.

    Raises:
        ValueError: a folder holds no images, or "-" comes twice.
    """
    from dermaface.photos.pixels import find_image_files, find_other_files, printable_path

    if arguments.count("-") > 1:
        raise ValueError("Standard input (-) can be read only once.")
    paths: list[Path | str] = []
    for argument in arguments:
        if argument != "-" and os.path.isdir(argument):
            found = find_image_files(argument)
            if not found:
                raise ValueError(f"There are no images in the folder {argument}.")
            paths += found
            for path in find_other_files(argument):
                print(
                    f"dermaface: {printable_path(path)} is passed over: its name is not that of an "
                    "image.",
                    file=sys.stderr,
                )
        else:
            paths.append(argument if argument == "-" else Path(argument))
    return paths


def check_command(options: argparse.Namespace) -> int:
    """Check a release folder and print what was checked."""
    from dermaface.photos.pixels import printable_path
    from dermaface.release import contract, device

    for line in contract.check_release(options.folder):
        print(line)
    print(f"{printable_path(options.folder)} answers here as it did where it was made.")
    if options.device is not None:
        for line in device.check_report(options.folder, options.device):
            print(line)
    return 0


def web_command(options: argparse.Namespace) -> int:
    """Write the site around a release, and serve it if that is asked for."""
    from dermaface.photos.pixels import printable_path
    from dermaface.release import web

    web.write_site(options.folder, options.output)
    print(f"The page is in {printable_path(options.output)}: put these files on any https server.")
    if options.serve:
        with web.open_server(options.output) as server:
            address = f"http://127.0.0.1:{server.server_port}/"
            if server.server_port != web.PORT:
                print(f"Port {web.PORT} is taken, so another one is used.")
            print(f"Serving it on this computer at {address} until Ctrl-C.", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                server.serve_forever()
    return 0


def function_command(options: argparse.Namespace) -> int:
    """Write the folder of a function around a release."""
    from dermaface.photos.pixels import printable_path
    from dermaface.release import function

    function.write_function(options.folder, options.output)
    folder = printable_path(options.output)
    print(f"The function is in {folder}; {folder}/README.md says how to try and deploy it.")
    return 0


def judge_command(options: argparse.Namespace) -> int:
    """Score a file on a run's photos, and release it if the gate passes it."""
    from dermaface.photos.pixels import printable_path
    from dermaface.runs import Run

    try:
        from dermaface.release.judge import judge
    except ModuleNotFoundError as error:
        raise ValueError(MISSING_NOTEBOOKS.format(command="judge", name=error.name)) from error
    path, folder = Path(options.model), Path(options.run)
    if not path.is_file():
        raise ValueError(f"There is no model file {printable_path(path)}.")
    run = Run(folder.resolve())
    missing = [name for name in JUDGED_BY if not run.path(name).is_file()]
    if not run.is_run or missing:
        raise ValueError(
            f"{printable_path(folder)} is not a run whose model has answered"
            + (f": {missing[0]} is missing. " if missing else ". ")
            + "Notebooks 01 to 04 make one: dermaface run --data FOLDER."
        )
    labels = []
    if options.labels:
        try:
            labels = Path(options.labels).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"The labels {options.labels} cannot be read: {error}") from error
    output = Path(options.output).resolve() if options.output else None
    print(judge(run, path, labels, options.independent, output))
    print(f"\nrelease: {printable_path(output or run.path('release'))}")
    return 0


def new_command(options: argparse.Namespace) -> int:
    """Lay out the notebooks in a new folder."""
    from dermaface import new
    from dermaface.photos.pixels import printable_path

    folder = printable_path(new.lay_out(options.folder))
    print(f"The notebooks are in {folder}. Go on from there:\n\n  cd {shlex.quote(folder)}")
    print("  dermaface run --run-name demo")
    return 0


def sample_command(options: argparse.Namespace) -> int:
    """Draw the sample set."""
    from dermaface.photos import sample

    folder = sample.write_sample(options.folder)
    print(f"The sample set is in {folder}. {sample.NOTICE}")
    return 0
