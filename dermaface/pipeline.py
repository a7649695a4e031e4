"""The notebooks in order through papermill, and the report made of them."""

import ast
from collections.abc import Callable, Mapping
import difflib
from pathlib import Path
import re
import shutil
import time

from dermaface import backbones, images, runs
from dermaface.quiet import quiet
from dermaface.runs import NOTEBOOKS, SHARED_PARAMETERS, Run
from nbconvert import HTMLExporter
import nbformat
import papermill
import yaml

TYPES = {"int": int, "float": float, "str": str, "bool": bool, "list": list}


class PipelineError(ValueError):
    """A run cannot start, or a notebook failed; the message is what the user reads."""


def notebook_path(notebook: str) -> Path:
    """Return the path of a notebook's source."""
    return runs.project_root() / "notebooks" / f"{notebook}.ipynb"


def known_parameters() -> dict[str, dict[str, tuple[str, object]]]:
    """Return for each notebook its parameters: name to (type name, default), from its own cell."""
    known = {}
    for notebook in NOTEBOOKS:
        inspected = papermill.inspect_notebook(notebook_path(notebook))
        known[notebook] = {
            name: (entry["inferred_type_name"], ast.literal_eval(entry["default"]))
            for name, entry in inspected.items()
        }
    return known


def read_parameters(file: str | Path) -> dict[str, object]:
    """Read a YAML file of parameters.

    Raises:
        PipelineError: it is not there or not a mapping of names to values.
    """
    try:
        values = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise PipelineError(
            f"The parameter file {file} cannot be read: {error.strerror}."
        ) from error
    except yaml.YAMLError as error:
        raise PipelineError(f"The parameter file {file} is not valid YAML: {error}") from error
    if not isinstance(values, dict):
        raise PipelineError(f"The parameter file {file} must hold lines like 'epochs: 20'.")
    return values


def assign_parameters(given: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """Give each parameter to the notebook that owns it, beside the defaults of all others.

    Args:
        given: parameter names and values; a value may be the text typed on a command line.

    Returns:
        For each notebook, all its parameters.

    Raises:
        PipelineError: an unknown parameter (the message names the nearest known one) or a value of
            the wrong type.
    """
    known = known_parameters()
    names = {name for parameters in known.values() for name in parameters}
    for name in given:
        if name not in names:
            near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0)[0]
            raise PipelineError(
                f"There is no parameter {name!r}. Did you mean {near!r}? Known parameters: "
                f"{', '.join(sorted(names))}."
            )
    return {
        notebook: {
            name: _convert(name, given[name], type_name) if name in given else default
            for name, (type_name, default) in parameters.items()
        }
        for notebook, parameters in known.items()
    }


def _convert(name: str, value: object, type_name: str) -> object:
    """Return `value` in the parameter's type; text is read as YAML unless text is wanted."""
    wanted = TYPES[type_name]
    if wanted is str:
        return str(value)
    if isinstance(value, str):
        # YAML 1.1 takes 1e-3 for text, Python for a number.
        numeric = re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value)
        value = float(value) if numeric else yaml.safe_load(value)
    if wanted is float and type(value) is int:
        value = float(value)
    if wanted is list and isinstance(value, (int, float)):
        value = [value]
    if type(value) is not wanted:
        raise PipelineError(f"Parameter {name!r} must be of type {type_name}; got {value!r}.")
    return value


def run(
    given: Mapping[str, object],
    resume: bool = False,
    say: Callable[[str], None] = print,
) -> Run:
    """Run the five notebooks in order and write the report.

    Args:
        given: parameters that differ from the notebooks' defaults, with `run_name`.
        resume: go on with an existing run; a notebook runs again only if its parameters, or the
            files it reads or wrote, have changed.
        say: takes each line of progress.

    Returns:
        The finished run.

    Raises:
        PipelineError: wrong parameters, a run folder that exists, or a notebook that failed.
    """
    parameters = assign_parameters(given)
    _check_before_start(parameters)
    shared = {name: parameters[NOTEBOOKS[0]][name] for name in SHARED_PARAMETERS}
    folder = runs.run_folder(shared["run_name"], shared["output_dir"])
    uses_sample = parameters[NOTEBOOKS[0]]["data"] == ""
    if folder.exists() and not resume:
        _clear_sample_run(Run(folder), uses_sample)
    current = runs.open_run(shared["run_name"], shared["output_dir"])
    started = time.monotonic()
    _remove_leftovers(current)
    for number, notebook in enumerate(NOTEBOOKS):
        # Notebook 01 always runs: what it reads is the folder of photos itself.
        if resume and number > 0 and current.is_finished(notebook, parameters[notebook]):
            say(f"[{number + 1}/5] {notebook}: unchanged, not run again")
            continue
        head = f"[{number + 1}/5] {notebook}: "
        seconds = _run_notebook(current, notebook, parameters[notebook], Progress(say, head))
        say(f"{head}{seconds:.0f} s")
    write_report(current)
    say(f"Finished in {time.monotonic() - started:.0f} s.")
    return current


def _check_before_start(parameters: Mapping[str, Mapping[str, object]]) -> None:
    """Find in a second what would stop a notebook later, before anything is written.

    Raises:
        ValueError: no photos where `data` says, or an unknown backbone.
    """
    backbones.get_backbone(parameters["02_build_model"]["backbone"])
    explore = parameters["01_explore_data"]
    if explore["data"]:
        images.find_images(explore["data"], explore["image_root"])


def _clear_sample_run(run: Run, uses_sample: bool) -> None:
    """Empty the folder of an earlier run of the sample set, so that it can be made anew.

    Raises:
        PipelineError: the folder holds anything else.
    """
    if not any(run.folder.iterdir()):
        return
    if not (uses_sample and run.is_sample):
        raise PipelineError(
            f"The run folder {run.folder} exists already, and nothing is written over. Give "
            "another name with --run-name, go on with it with --resume, or delete it yourself."
        )
    written = [name for names in runs.WRITES.values() for name in names]
    for name in (*written, "tflite", "checkpoints", "notebooks", "report.html", "run.json"):
        if run.path(name).is_dir():
            shutil.rmtree(run.path(name))
        else:
            run.path(name).unlink(missing_ok=True)


def _remove_leftovers(run: Run) -> None:
    """Remove what was being written when the run was killed; see `runs.atomic_path`."""
    for folder in (run.folder, run.path("checkpoints")):
        for leftover in folder.glob(".*"):
            shutil.rmtree(leftover, ignore_errors=True)


class Progress:
    """A file that passes on what progress bars in a notebook say, a line each."""

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
    run: Run, notebook: str, parameters: Mapping[str, object], progress: Progress | None = None
) -> float:
    """Execute one notebook into the run folder and return the seconds it took.

    Raises:
        PipelineError: it failed; the executed notebook holds the traceback.
    """
    output = run.path(f"notebooks/{notebook}.ipynb")
    output.parent.mkdir(exist_ok=True)
    started = time.monotonic()
    failure = None
    with quiet():  # the kernel's own start-up notes
        try:
            papermill.execute_notebook(
                notebook_path(notebook),
                output,
                parameters=dict(parameters),
                kernel_name="python3",
                cwd=notebook_path(notebook).parent,
                progress_bar=False,
                stdout_file=progress,
            )
        except (papermill.PapermillExecutionError, RuntimeError) as error:
            failure = error
    if isinstance(failure, papermill.PapermillExecutionError):
        # The project's own errors speak for themselves; others are named.
        kind = "" if failure.ename in ("ValueError", "GateError") else f"{failure.ename}: "
        raise PipelineError(
            f"Notebook {notebook} stopped. {kind}{failure.evalue.strip()}\n"
            f"The traceback is in {output}."
        )
    if failure:  # nbclient's DeadKernelError is a RuntimeError
        raise PipelineError(
            f"Notebook {notebook} stopped because its kernel died, most often for lack of memory: "
            f"try a smaller batch_size or image_size. What it had done is in {output}. ({failure})"
        )
    return time.monotonic() - started


def write_report(run: Run) -> None:
    """Write `report.html`: the executed notebooks on one page, without their code."""
    merged = nbformat.v4.new_notebook(metadata={"title": f"Run {run.name}"})
    for notebook in NOTEBOOKS:
        executed = nbformat.read(run.path(f"notebooks/{notebook}.ipynb"), as_version=4)
        merged.cells += executed.cells
    for number, cell in enumerate(merged.cells):
        cell["id"] = f"cell-{number}"
    exporter = HTMLExporter(
        exclude_input=True, exclude_output_prompt=True, mathjax_url="", require_js_url=""
    )
    html, _ = exporter.from_notebook_node(merged)
    runs.write_text(run.path("report.html"), html)
