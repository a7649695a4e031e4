"""The figures of the demo that follow from trained weights, and how far they may be off."""

from collections.abc import Mapping, Sequence
import json

from dermaface import runs
from dermaface.runs import Run
import pandas as pd

FILE = runs.project_root() / "tests" / "expected_metrics.json"
# By how much two runs may differ at the least, by the last word of a figure's name: counts by
# nothing, bytes by a few, losses by a share; all else by one photo.
UNITS = {"images": 0.0, "epochs": 0.0, "passed": 0.0, "learning_rate": 0.0, "bytes": 1000.0}
LOSS_SHARE = 0.1


def measure(run: Run) -> dict[str, float]:
    """Return the figures of a finished run that depend on trained weights, and a few others."""
    metrics = json.loads(run.path("metrics.json").read_text(encoding="utf-8"))
    history = pd.read_csv(run.path("history.csv"))
    figures = {"epochs": len(history), "first validation loss": history["val_loss"].iloc[0]}
    for stage, passes in history.groupby("stage"):
        figures[f"{stage} mean learning_rate"] = passes["learning_rate"].mean()
        figures[f"{stage} training loss"] = passes["loss"].iloc[-1]
        figures[f"{stage} validation loss"] = passes["val_loss"].min()
    for split, values in metrics.items():
        single = {name: value for name, value in values.items() if isinstance(value, int | float)}
        figures |= {f"{split} {name}": value for name, value in single.items()}
    for row in pd.read_csv(run.path("conversion.csv")).itertuples():
        figures[f"{row.variant} bytes"] = row.bytes
        for name in ("agreement", "accuracy_drop", "passed"):
            figures[f"{row.variant} {row.split} {name}"] = getattr(row, name)
    settings = pd.read_csv(run.path("settings.csv"))
    for setting in settings[settings["setting"].isna()].itertuples():
        figures[f"setting {setting.name} validation loss"] = setting.val_loss
    for role, repeats in settings.groupby("setting"):
        figures[f"repeated {role} validation loss"] = repeats["val_loss"].mean()
    return {name: round(float(value), 4) for name, value in figures.items()}


def bounds(name: str, seen: Sequence[float], figures: Mapping[str, float]) -> tuple[float, float]:
    """Return the lowest and the highest value of a figure that other computers may get.

    The range that was seen is widened at both ends by half of its length, because a few runs do not
    show all that can be, and by what any two runs may differ.

    Args:
        name: of the figure.
        seen: its values, of several runs.
        figures: those of one run, for the number of photos in each split.
    """
    kind, low, high = name.split()[-1], min(seen), max(seen)
    if kind.endswith("loss"):
        unit = LOSS_SHARE * high
    elif kind in UNITS:
        unit = UNITS[kind]
    else:
        (split,) = {"validation", "test"} & set(name.split())
        unit = 1 / figures[f"{split} images"]
    margin = (high - low) / 2 + unit + 1e-4  # figures are rounded to four digits
    return round(low - margin, 4), round(high + margin, 4)


def make_table(
    measured: Sequence[Mapping[str, float]], known: Mapping[str, Mapping] | None = None
) -> dict[str, dict[str, float]]:
    """Return what expected_metrics.json holds, from the figures of several runs.

    Args:
        measured: the figures of each run; those of the first become the values.
        known: such a table, whose lowest and highest figures count as seen, too.

    Raises:
        ValueError: not all have the same figures.
    """
    first = measured[0]
    if any(set(figures) != set(first) for figures in [*measured, *([known] if known else [])]):
        raise ValueError("The runs have different figures, so their notebooks differ.")
    table = {}
    for name, value in first.items():
        seen = [figures[name] for figures in measured]
        seen += [known[name][end] for end in ("lowest", "highest")] if known else []
        at_least, at_most = bounds(name, seen, first)
        table[name] = {
            "value": value, "lowest": min(seen), "highest": max(seen),
            "at_least": at_least, "at_most": at_most,
        }  # fmt: skip
    return table


def read_table() -> dict[str, dict[str, float]]:
    """Return what expected_metrics.json holds."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def outside(measured: Mapping[str, float], table: Mapping[str, Mapping]) -> list[str]:
    """Say of each figure that leaves its bounds, or that only one side has, what is wrong."""
    wrong = [
        f"{name} is {value}, expected {table[name]['at_least']} to {table[name]['at_most']}"
        for name, value in measured.items()
        if name in table and not table[name]["at_least"] <= value <= table[name]["at_most"]
    ]
    wrong += [f"{name} is not in {FILE.name}" for name in measured if name not in table]
    return wrong + [f"{name} was not measured" for name in table if name not in measured]
