"""The notebooks in order through papermill, and then their report."""

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
import contextlib
import difflib
import math
import os
from pathlib import Path
import re
import shutil
import subprocess
import tempfile
import time
from typing import IO, Any, NamedTuple

from dermaface import report, runs
from dermaface.model import backbones
from dermaface.photos import images
from dermaface.quiet import quiet
from dermaface.runs import NOTEBOOKS, SHARED_PARAMETERS, Run
from jupyter_client import KernelManager
import papermill
import yaml

# What every number must obey: the rule in words, the rule, and the parameters that it is for.
RANGES = (
    ("from 0 to 4294967295", lambda value: 0 <= value < 2**32, (
        "seed", "training_seeds",
    )),
    ("of at least 0", lambda value: value >= 0, (
        "split_seed", "blur_threshold", "l2", "weight_decay", "epochs", "fine_tune_epochs",
        "full_epochs", "scratch_epochs", "cache_gb", "early_stopping_patience", "max_bytes",
    )),
    ("of at least 1", lambda value: value >= 1, (
        "image_size", "dense_units", "batch_size", "head_views", "fine_tune_views",
        "steps_per_execution", "calibration_images",
    )),
    ("from 1 to 12", lambda value: 1 <= value <= 12, ("num_mistakes",)),
    ("from 1 to 10000", lambda value: 1 <= value <= 10000, ("sample_images_per_class",)),
    ("above 0", lambda value: value > 0, (
        "alpha", "learning_rate", "fine_tune_learning_rate", "full_learning_rate",
    )),
    ("above 0 and below 1", lambda value: 0 < value < 1, ("validation_size",)),
    ("of at least 0 and below 1", lambda value: 0 <= value < 1, (
        "test_size", "dropout_rate", "label_smoothing",
    )),
    ("from 0 to 0.5", lambda value: 0 <= value <= 0.5, ("rotation",)),
    ("from 0 to 0.99", lambda value: 0 <= value <= 0.99, ("translation", "zoom")),
    ("from 0 to 1", lambda value: 0 <= value <= 1, (
        "contrast", "max_accuracy_drop", "min_agreement", "min_confidence", "sure_from",
        "sure_accuracy", "set_coverage",
    )),
)  # fmt: skip
# The words that are allowed: known here, so that a misspelt one is found before notebook 01.
CHOICES = {
    "optimizer": ("adamw", "sgd"),
    "schedule": ("constant", "cosine", "plateau"),
    "fine_tune_schedule": ("constant", "cosine", "plateau"),
    "full_schedule": ("constant", "cosine", "plateau"),
    "variant_preference": ("float32", "float16", "dynamic", "int8", "int8_weights"),
}
# Lists hold words, except these.
LISTS_OF_NUMBERS = ("dense_units", "training_seeds")
# What a kernel says also goes straight to standard error: it may die before passing it on to the
# notebook. Its start-up warnings are not last words, so they are turned off.
KERNEL_ARGUMENTS = [
    "--IPKernelApp.capture_fd_output=False",
    "--IPKernelApp.quiet=False",
    "--IPKernelApp.log_level=ERROR",
    "--HistoryManager.hist_file=:memory:",
]
# What takes a kernel longest to import; `and None`, so that nothing is displayed.
PRELOAD = "[__import__(f'dermaface.{name}') for name in ('quiet_tensorflow', 'plots')] and None"


class PipelineError(ValueError):
    """A run cannot start, or a notebook failed; the message is what the user reads."""


def notebook_path(notebook: str) -> Path:
    """Return the path of a notebook's source."""
    return runs.project_root() / "notebooks" / f"{notebook}.ipynb"


def known_parameters() -> dict[str, dict[str, tuple[str, object]]]:
    """Return each notebook's parameters, from its own cell: name to (type name, default)."""
    known = {}
    for notebook in NOTEBOOKS:
        inspected = papermill.inspect_notebook(notebook_path(notebook))
        known[notebook] = {
            name: (entry["inferred_type_name"], ast.literal_eval(entry["default"]))
            for name, entry in inspected.items()
        }
    return known


def read_parameters(file: str | Path) -> dict[str, Any]:
    """Read a YAML file of parameters.

    A value is read as its parameter's type, as on the command line, so 010 is ten.

    Returns:
        Names and values, each in its parameter's type.

    Raises:
        PipelineError: the file is not there, is not a mapping of names to values, or names a
            parameter twice; and whatever `assign_parameters` raises.
    """
    try:
        text = Path(file).read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.BaseLoader)
        values = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 (it makes only strings)
    except OSError as error:
        raise PipelineError(
            f"The parameter file {file} cannot be read: {error.strerror}."
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise PipelineError(f"The parameter file {file} is not valid YAML: {error}") from error
    if not isinstance(node, yaml.MappingNode):
        raise PipelineError(f"The parameter file {file} must hold lines like 'epochs: 20'.")
    for name, times in Counter(key.value for key, _ in node.value).items():
        if times > 1:
            raise PipelineError(
                f"The parameter file {file} gives {name!r} {times} times. Keep one of them."
            )
    return _convert_all(values)


def lay_over_photos(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run of photos: those given, laid over `params/photos.yaml`.

    Args:
        given: names and values; `data` is a path. Without `run_name`, the run is named after it.
    """
    data = Path(given["data"])
    base = {"run_name": data.name if data.is_dir() else data.stem}
    photos = runs.project_root() / "notebooks" / "params" / "photos.yaml"
    return base | read_parameters(photos) | dict(given)


def assign_parameters(given: Mapping[str, object]) -> dict[str, dict[str, Any]]:
    """Give each parameter to the notebook that owns it, and the defaults of all others.

    Args:
        given: parameter names and values; a value may be the text typed on a command line.

    Returns:
        For each notebook, all its parameters.

    Raises:
        PipelineError: an unknown parameter (the message names the nearest known one), or a value
            of the wrong type or out of its range.
    """
    values = _convert_all(given)
    return {
        notebook: {name: values.get(name, default) for name, (_, default) in parameters.items()}
        for notebook, parameters in known_parameters().items()
    }


def _convert_all(given: Mapping[str, object]) -> dict[str, Any]:
    """Return the values in their parameters' types; see `assign_parameters`."""
    types = {
        name: type_name
        for parameters in known_parameters().values()
        for name, (type_name, _) in parameters.items()
    }
    for name in given:
        if name not in types:
            near = difflib.get_close_matches(name, sorted(types), n=1, cutoff=0)[0]
            raise PipelineError(
                f"There is no parameter {name!r}. Did you mean {near!r}? Known parameters: "
                f"{', '.join(sorted(types))}."
            )
    return {name: _convert(name, value, types[name]) for name, value in given.items()}


def _convert(name: str, value: object, type_name: str) -> object:
    """Return `value`, often a text, in the parameter's type."""
    try:
        if type_name == "list":
            items = value
            if isinstance(value, str):
                items = yaml.load(value, Loader=yaml.BaseLoader)  # noqa: S506 (as above)
            item_type = "int" if name in LISTS_OF_NUMBERS else "str"
            items = items if isinstance(items, list) else [items]
            return [_convert(name, item, item_type) for item in items]
        if isinstance(value, (list, dict)):
            raise ValueError
        if type_name == "str":
            return _check_choice(name, str(value))
        if type_name == "bool":
            return yaml.SafeLoader.bool_values[str(value).lower()]
        number = (int if type_name == "int" else float)(str(value))
    except PipelineError:
        raise
    except (ValueError, KeyError, yaml.YAMLError) as error:
        raise PipelineError(
            f"Parameter {name!r} must be of type {type_name}; got {value!r}."
        ) from error
    for words, keeps, names in RANGES:
        if name in names and not (number < math.inf and keeps(number)):
            raise PipelineError(f"Parameter {name!r} must be a number {words}; got {value}.")
    return number


def _check_choice(name: str, value: str) -> str:
    """Return a word if the parameter takes it."""
    known = CHOICES.get(name)
    if known and value not in known:
        raise PipelineError(f"Parameter {name!r} takes {', '.join(known)}; got {value!r}.")
    return value


def run(
    given: Mapping[str, object],
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> Run:
    """Run the five notebooks in order and write the report, also if one of them stops.

    Args:
        given: parameters that differ from the notebooks' defaults, with `run_name`.
        resume: continue an existing run; after notebook 01, a notebook runs again only if its
            parameters, or the files it reads or wrote, have changed.
        say: receives each line of progress.

    Returns:
        The finished run.

    Raises:
        PipelineError: wrong parameters, a run folder that exists (or, with `resume`, holds no
            run), or a notebook that failed.
        ValueError: another run is using the folder, or it cannot be written to.
    """
    started = time.monotonic()
    parameters = assign_parameters(given)
    _check_before_start(parameters)
    shared = {name: parameters[NOTEBOOKS[0]][name] for name in SHARED_PARAMETERS}
    data = parameters[NOTEBOOKS[0]]["data"]
    current = Run(runs.run_folder(shared["run_name"], shared["output_dir"]))
    _check_folder(current, resume, data)
    runs.open_run(shared["run_name"], shared["output_dir"])
    with current.lock():
        _check_folder(current, resume, data)  # Another command may just have filled it.
        if not resume:
            _clear_sample_run(current)
        for folder in (current.folder, current.path("checkpoints")):
            runs.clear_leftovers(folder)
        if not current.is_run:
            # A run that is killed before its first notebook starts is still a run.
            current.update(run_name=current.name, notebooks={}, asked_for=data)
        # From here on, an earlier report would tell of another run.
        current.path("report.html").unlink(missing_ok=True)
        try:
            _run_notebooks(current, parameters, resume, say)
        except PipelineError:
            with contextlib.suppress(OSError):  # A full disk must not hide why the run stopped.
                report.write_report(current)
            raise
        report.write_report(current)
    say(f"Finished in {time.monotonic() - started:.0f} s.")
    return current


def _run_notebooks(
    run: Run,
    parameters: Mapping[str, Mapping[str, object]],
    resume: bool,
    say: Callable[[str], None],
) -> None:
    """Run the notebooks in order, or those of them that must run again; see `run`.

    Raises:
        PipelineError: one failed.
    """
    with contextlib.ExitStack() as kernels:
        # While a notebook runs, the next one's kernel starts and imports TensorFlow.
        kernel = kernels.enter_context(_start_kernel())
        for number, notebook in enumerate(NOTEBOOKS):
            # Notebook 01 always runs: what it reads is the folder of photos itself.
            if resume and number > 0 and run.is_finished(notebook, parameters[notebook]):
                say(f"[{number + 1}/5] {notebook}: unchanged, not run again")
                continue
            now, head = kernel, f"[{number + 1}/5] {notebook}: "
            if number + 1 < len(NOTEBOOKS):
                kernel = kernels.enter_context(_start_kernel(PRELOAD))
            progress = Progress(say, head)
            seconds = _run_notebook(run, notebook, parameters[notebook], now, progress)
            say(f"{head}{seconds:.0f} s")


class Kernel(NamedTuple):
    """A Jupyter kernel, and what it writes to standard error, above all its last words."""

    manager: KernelManager
    words: IO[bytes]


@contextlib.contextmanager
def _start_kernel(first: str = "") -> Iterator[Kernel]:
    """Start a kernel for a notebook, which runs `first` before anything else.

    It is shut down afterwards, if it still runs.
    """
    manager = KernelManager(client_class="jupyter_client.asynchronous.AsyncKernelClient")
    with tempfile.TemporaryFile() as words:
        manager.start_kernel(
            extra_arguments=[*KERNEL_ARGUMENTS, f"--IPKernelApp.exec_lines={first}"],
            cwd=runs.project_root() / "notebooks",
            stdout=subprocess.DEVNULL,
            stderr=words,
            # Without this, its debugger, which nobody uses here, prints a warning.
            env=os.environ | {"PYDEVD_DISABLE_FILE_VALIDATION": "1"},
        )
        try:
            yield Kernel(manager, words)
        finally:
            manager.shutdown_kernel(now=True)


def _check_folder(run: Run, resume: bool, data: str) -> None:
    """Refuse a folder whose content this run may neither continue nor replace.

    Raises:
        PipelineError: it holds something else, or there is no run to continue.
    """
    if run.is_empty:
        if resume:
            raise PipelineError(
                f"There is no run in {run.folder} to continue. Check --run-name and --output-dir, "
                "or leave out --resume."
            )
        return
    if resume and not run.is_run:
        raise PipelineError(
            f"The folder {run.folder} is not a run: it holds files, but not a run's run.json. "
            "Nothing in it was touched. Name a run with --run-name, and the folder it is in with "
            "--output-dir."
        )
    if resume and run.asked_for is not None and run.asked_for != data:
        raise PipelineError(
            f"The run {run.folder} was begun with {run.asked_for or 'the sample set'}, not with "
            f"{data or 'the sample set'}. Nothing in it was touched. Repeat the command that began "
            "it, with its --data, -f and -p, and add --resume."
        )
    if not resume and not (data == "" and run.is_run and run.is_sample):
        raise PipelineError(
            f"The run folder {run.folder} already exists, and nothing is overwritten. Give another "
            "name with --run-name, continue the run with --resume, or delete the folder yourself."
        )


def _check_before_start(parameters: Mapping[str, Mapping[str, Any]]) -> None:
    """Find in a second what would stop a notebook later, before anything is written.

    Raises:
        ValueError: no photos where `data` or `strangers` says, a file of groups or an earlier list
            that cannot be used, no run to compare with, an unknown backbone, weights that are not
            there, or a run folder among the photos.
    """
    build, explore = parameters["02_build_model"], parameters["01_explore_data"]
    backbones.get_backbone(build["backbone"])
    if build["weights"] not in ("pretrained", "random") and not Path(build["weights"]).is_file():
        raise PipelineError(
            f"There is no weights file {build['weights']!r}. weights must be 'pretrained', "
            "'random' or the path of a Keras weights file (.h5 or .weights.h5)."
        )
    if parameters["05_convert_and_test_tflite"]["strangers"]:
        images.find_unlabelled(parameters["05_convert_and_test_tflite"]["strangers"])
    if name := parameters["04_analyze_curves"]["compare_with"]:
        runs.finished_run(name, explore["output_dir"])
    if explore["previous"]:
        images.read_previous(explore["previous"])
    if explore["data"]:
        images.find_images(explore["data"], explore["image_root"], explore["groups"])
        folder = runs.run_folder(explore["run_name"], explore["output_dir"])
        if folder.is_relative_to(Path(explore["data"]).resolve()):
            raise PipelineError(
                f"The run folder {folder} would lie among the photos in {explore['data']} and "
                "count as a class. Choose another place with --output-dir."
            )


def _clear_sample_run(run: Run) -> None:
    """Remove what an earlier run of the sample set wrote, so that it can start afresh.

    Whatever the five notebooks did not write stays: notebook 06's settings, and anything that a
    person put there.
    """
    written = [name for notebook in NOTEBOOKS for name in runs.WRITES[notebook]]
    written += [f"notebooks/{notebook}.ipynb" for notebook in NOTEBOOKS]
    for name in (*written, "tflite", "checkpoints", "report.html", "run.json"):
        if run.path(name).is_dir():
            shutil.rmtree(run.path(name))
        else:
            run.path(name).unlink(missing_ok=True)


class Progress:
    """A file that passes on what progress bars in a notebook say, line by line."""

    def __init__(self, say: Callable[[str], None], head: str):
        """Pass on to `say`, with `head` before each line."""
        self.say, self.head = say, head

    def write(self, text: str) -> None:
        """Pass on the lines that tell how much time is left."""
        for line in re.split(r"[\r\n]", text):
            if line.strip().endswith(" left"):
                self.say(self.head + line.strip())

    def flush(self) -> None:
        """Do nothing: every line is passed on at once."""


def _run_notebook(
    run: Run,
    notebook: str,
    parameters: Mapping[str, object],
    kernel: Kernel,
    progress: Progress | None = None,
) -> float:
    """Execute one notebook into the run folder and return the seconds it took.

    Raises:
        PipelineError: it failed; the executed notebook holds the traceback.
    """
    output = run.path(f"notebooks/{notebook}.ipynb")
    output.parent.mkdir(exist_ok=True)
    started = time.monotonic()
    failure, last_words = None, []
    with quiet():  # papermill's own log would repeat what is said below.
        try:
            papermill.execute_notebook(
                notebook_path(notebook),
                output,
                parameters=dict(parameters),
                kernel_name="python3",
                progress_bar=False,
                stdout_file=progress,
                km=kernel.manager,
            )
        except (papermill.PapermillExecutionError, RuntimeError) as error:
            failure = error
            kernel.words.seek(max(0, kernel.words.seek(0, os.SEEK_END) - 5000))
            last_words = kernel.words.read().decode(errors="replace").strip().splitlines()[-10:]
        finally:
            kernel.manager.shutdown_kernel()  # not killed: it may have temporary files to remove
    if isinstance(failure, papermill.PapermillExecutionError):
        # The project's own errors speak for themselves; others are named.
        kind = "" if failure.ename in ("ValueError", "GateError") else f"{failure.ename}: "
        raise PipelineError(
            f"Notebook {notebook} stopped. {kind}{failure.evalue.strip()}\n"
            f"The traceback is in {output}."
        )
    if failure:  # nbclient's DeadKernelError is a RuntimeError
        told = "\n".join(["\nIts last words:", *last_words]) if last_words else ""
        raise PipelineError(
            f"Notebook {notebook} stopped because its kernel died, most often for lack of memory: "
            f"try a smaller batch_size or image_size. What it had done is in {output}. ({failure})"
            f"{told}"
        )
    return time.monotonic() - started
