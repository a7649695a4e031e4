"""Renew what is committed of the sample run: the notebooks' outputs and what is made from them.

    make refresh

Runs the notebooks in place, writes tests/expected_metrics.json with the figures that training
produced, and cuts the README's figure out of notebook 05. Look at the notebooks before you commit.
"""

import base64
import json
import os
import tempfile

from dermaface import runs
from dermaface.runs import FURTHER_NOTEBOOKS, NOTEBOOKS, Run
from ipykernel.ipkernel import IPythonKernel
import nbclient
import nbformat
import pandas as pd

ROOT = runs.project_root()
EXPECTED = ROOT / "tests" / "expected_metrics.json"
FIGURE = ROOT / "notebooks" / "answers.jpg"
FIGURE_TAG = "readme-figure"
# What ipykernel calls the kernel of the environment in which Jupyter runs.
KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}

# How far off another processor may be, by the last word of the figure's name: with 60 photos per
# split, 0.1 is six photos.
TOLERANCES = {"images": 0, "epochs": 0, "bytes": 2000, "accuracy": 0.1, "macro_f1": 0.12}
TOLERANCES |= {"log_loss": 0.5, "loss": 0.3, "agreement": 0.08, "accuracy_drop": 0.08}


def execute(notebook: str) -> None:
    """Run one notebook in place, from its own folder, and leave no timestamps in it."""
    path = ROOT / "notebooks" / f"{notebook}.ipynb"
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


def measure(run: Run) -> dict[str, float]:
    """Return the figures of a finished run that depend on trained weights, and a few others."""
    metrics = json.loads(run.path("metrics.json").read_text(encoding="utf-8"))
    history = pd.read_csv(run.path("history.csv"))
    figures = {"epochs": len(history), "first validation loss": history["val_loss"].iloc[0]}
    for split, values in metrics.items():
        for name in ("images", "accuracy", "macro_f1", "log_loss"):
            figures[f"{split} {name}"] = values[name]
    for row in pd.read_csv(run.path("conversion.csv")).itertuples():
        figures[f"{row.variant} bytes"] = row.bytes
        figures[f"{row.variant} {row.split} agreement"] = row.agreement
        figures[f"{row.variant} {row.split} accuracy_drop"] = row.accuracy_drop
    return {name: round(float(value), 4) for name, value in figures.items()}


def tolerance(name: str) -> float:
    """Return how far off a figure may be: floats must answer like Keras on any processor."""
    return (
        0.02 if name.startswith("float") and "bytes" not in name else TOLERANCES[name.split()[-1]]
    )


def expected_metrics(run: Run) -> dict[str, dict[str, float]]:
    """Return the content of expected_metrics.json: for each figure a value and a tolerance."""
    return {
        name: {"value": value, "tolerance": tolerance(name)} for name, value in measure(run).items()
    }


def readme_figure() -> bytes:
    """Return the JPEG in the tagged cell of notebook 05."""
    content = nbformat.read(ROOT / "notebooks" / f"{NOTEBOOKS[4]}.ipynb", as_version=4)
    (cell,) = [c for c in content.cells if FIGURE_TAG in c.metadata.get("tags", [])]
    (jpeg,) = [o["data"]["image/jpeg"] for o in cell.outputs if "image/jpeg" in o.get("data", {})]
    return base64.b64decode(jpeg)


def main() -> None:
    """Renew everything."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DERMAFACE_OUTPUT_ROOT"] = folder
        for notebook in (*NOTEBOOKS, *FURTHER_NOTEBOOKS):
            print(notebook, flush=True)
            execute(notebook)
        runs.write_json(EXPECTED, expected_metrics(runs.open_run("demo")))
    FIGURE.write_bytes(readme_figure())


if __name__ == "__main__":
    main()
