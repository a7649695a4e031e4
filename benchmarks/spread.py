"""Measure how far the demo's figures are off on other computers, and bound them by that.

    python benchmarks/spread.py [--python PATH ...] [--only NAME ...] [--add] [--list]

Runs notebooks 01 and 02 of the demo once, and then the others once for each variation: other
numbers of threads and processors, other instruction sets, and the Pythons that you name, each with
the packages of this project. Writes tests/expected_metrics.json: for each figure its value in the
first run, the lowest and the highest seen, and the bounds that `make test` holds it to (the rule is
in tests/expected.py). With `--add`, the lowest and the highest in the file are kept and widened: so
a run on a computer of another kind adds what it sees. Takes two minutes a variation on two
processor cores, and needs Linux.
"""

import argparse
import contextlib
import os
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
import time

from dermaface import runs

ROOT = runs.project_root()
sys.path.append(str(ROOT / "tests"))
import expected  # noqa: E402  # it lies with the tests that use it

THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
ONE_THREAD, TWO_THREADS = dict.fromkeys(THREADS, "1"), dict.fromkeys(THREADS, "2")
PLAIN = {"TF_ENABLE_ONEDNN_OPTS": "0"}  # TensorFlow's own kernels instead of oneDNN's
OLD = {"ONEDNN_MAX_CPU_ISA": "SSE41", "OPENBLAS_CORETYPE": "Nehalem"}
NEWER = {"ONEDNN_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell"}
# The environment of each, and whether it is bound to one processor core.
VARIATIONS = {
    "as it comes": ({}, False),
    "one thread": (ONE_THREAD, False),
    "two threads": (TWO_THREADS, False),
    "one core": ({}, True),
    "without oneDNN": (PLAIN, False),
    "without oneDNN, one thread": (PLAIN | ONE_THREAD, False),
    "SSE 4.1": (OLD, False),
    "SSE 4.1, one thread": (OLD | ONE_THREAD, False),
    "AVX2": (NEWER, False),
    "AVX2, one core": (NEWER, True),
}


def main() -> None:
    """Run the variations, print what they give, and write the bounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", nargs="+", default=[], metavar="PATH", help="more Pythons")
    parser.add_argument("--only", nargs="+", choices=VARIATIONS, metavar="NAME")
    parser.add_argument("--add", action="store_true", help="keep what the file has seen")
    parser.add_argument("--list", action="store_true", help="print the names and exit")
    options = parser.parse_args()
    if options.list:
        print("\n".join(VARIATIONS))
        return
    names = options.only or list(VARIATIONS)
    cases = [(name, sys.executable, *VARIATIONS[name]) for name in names]
    cases += [(path, shutil.which(path) or path, {}, False) for path in options.python]
    seen = []
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "start"
        run_notebooks(start, runs.NOTEBOOKS[:2], sys.executable)
        for name, python, environment, one_core in cases:
            started = time.monotonic()
            copy = Path(folder) / "copy"
            # What is kept of the frozen layers is computed anew, on other threads.
            shutil.copytree(start, copy, ignore=shutil.ignore_patterns(".cache"))
            with bound_to_one_core() if one_core else contextlib.nullcontext():
                later = (*runs.NOTEBOOKS[2:], *runs.FURTHER_NOTEBOOKS)
                run_notebooks(copy, later, python, environment)
            seen.append(expected.measure(runs.Run(copy / "outputs" / "demo")))
            shutil.rmtree(copy)
            print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    table = expected.make_table(seen, expected.read_table() if options.add else None)
    runs.write_json(expected.FILE, table)
    columns = ["value", "lowest", "highest", "at_least", "at_most"]
    print(f"\n| figure | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, row in table.items():
        print(f"| {name} | {' | '.join(f'{row[column]:g}' for column in columns)} |")


def run_notebooks(
    folder: Path, notebooks: tuple[str, ...], python: str, environment: dict[str, str] | None = None
) -> None:
    """Run notebooks with their own parameters, as nbval does, into a folder's `outputs`.

    Raises:
        subprocess.CalledProcessError: a notebook stopped.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    wanted = {"DERMAFACE_OUTPUT_ROOT": str(folder), "PYTHONPATH": os.pathsep.join(paths)}
    folder.mkdir(exist_ok=True)
    for notebook in notebooks:
        subprocess.run(
            [python, "-m", "papermill", "--no-progress-bar", "--log-level", "ERROR",
             "--cwd", str(ROOT / "notebooks"), "--kernel", "python3",
             str(ROOT / "notebooks" / f"{notebook}.ipynb"), str(folder / f"{notebook}.ipynb")],
            env=os.environ | wanted | (environment or {}), check=True,
        )  # fmt: skip


@contextlib.contextmanager
def bound_to_one_core():
    """Bind this process, and so what it starts, to one of its processor cores."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


if __name__ == "__main__":
    main()
