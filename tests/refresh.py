"""Renew what is committed of the sample run: the notebooks' outputs and what is made from them.

    make refresh                (all of it)
    make refresh-walkthroughs   (the outputs of the walkthroughs alone)

Runs the notebooks in place, writes the figures that training produced into
tests/expected_metrics.json, and cuts the README's figure out of notebook 05. The bounds of the
figures stay; it says which figures leave them. A walkthrough that lacks something here, such as
photos, keeps its outputs, and that is said. Look at the notebooks before you commit.
"""

import base64
import os
from pathlib import Path
import sys
import tempfile

from dermaface import runs
from dermaface.runs import FURTHER_NOTEBOOKS, NOTEBOOKS, Run
import expected
from ipykernel.ipkernel import IPythonKernel
import nbclient
import nbformat
import walkthroughs

ROOT = runs.project_root()
FIGURE = ROOT / "notebooks" / "answers.jpg"
FIGURE_TAG = "readme-figure"
# What ipykernel calls the kernel of the environment in which Jupyter runs.
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def execute(path: Path) -> None:
    """Run one notebook in place, from its own folder, and leave no timestamps in it."""
    print(path.stem, flush=True)
    content = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(
        content,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": path.parent}},
    ).execute()
    normalize(content)
    nbformat.write(content, path)


def normalize(content: nbformat.NotebookNode) -> None:
    """Leave in a notebook what JupyterLab itself would write there, so that it opens unchanged.

    That includes the version of Python: under another one, JupyterLab marks it as changed.
    """
    content.metadata = {"kernelspec": KERNELSPEC, "language_info": IPythonKernel.language_info}
    for cell in content.cells:
        cell.metadata = {name: cell.metadata[name] for name in ("tags",) if name in cell.metadata}


def renew_values(run: Run) -> None:
    """Write the figures of a run into expected_metrics.json, and say which leave their bounds."""
    measured, table = expected.measure(run), expected.read_table()
    for problem in expected.outside(measured, table):
        print(f"{problem}: python benchmarks/spread.py makes new bounds")
    for name in table.keys() & measured.keys():
        table[name]["value"] = measured[name]
    runs.write_json(expected.FILE, table)


def readme_figure() -> bytes:
    """Return the JPEG in the tagged cell of notebook 05."""
    content = nbformat.read(ROOT / "notebooks" / f"{NOTEBOOKS[4]}.ipynb", as_version=4)
    (cell,) = [c for c in content.cells if FIGURE_TAG in c.metadata.get("tags", [])]
    (jpeg,) = [o["data"]["image/jpeg"] for o in cell.outputs if "image/jpeg" in o.get("data", {})]
    return base64.b64decode(jpeg)


def execute_walkthroughs(sample_run: bool) -> None:
    """Run in place the walkthroughs that lack nothing here, and say what the others lack.

    Args:
        sample_run: whether the numbered notebooks have just run, for what is set beside them.
    """
    for path in walkthroughs.FILES:
        reason = walkthroughs.lacking(path.stem)
        if path.stem == walkthroughs.IN_PYTORCH and not sample_run:
            reason = reason or "make refresh makes the run that it is set beside"
        if reason:
            print(f"{path.stem}: not renewed ({reason})")
        else:
            execute(path)


def main(everything: bool) -> None:
    """Renew everything, or the walkthroughs alone."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DERMAFACE_OUTPUT_ROOT"] = folder
        if everything:
            for notebook in (*NOTEBOOKS, *FURTHER_NOTEBOOKS):
                execute(ROOT / "notebooks" / f"{notebook}.ipynb")
            renew_values(runs.open_run("demo"))
            FIGURE.write_bytes(readme_figure())
        execute_walkthroughs(everything)


if __name__ == "__main__":
    main(everything="--walkthroughs" not in sys.argv[1:])
