"""What the walkthrough "The same model in PyTorch" says; each returns one text or table."""

from collections.abc import Callable, Mapping, Sequence
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermaface.readings.words import counted, percent

if TYPE_CHECKING:
    from dermaface.runs import Run
    import numpy as np
    import pandas as pd

# As near as two programs come that add up the same numbers in another order.
SAME = 1e-4
KERAS = ("02_build_model", "03_train_model")  # the notebooks that build and train


def cut_away(sizes: Sequence[tuple[int, int]], normalized: "np.ndarray") -> str:
    """Say how much of photos the usual recipe keeps, and what it makes of the levels.

    Args:
        sizes: width and height of each photo.
        normalized: the photos after it.
    """
    kept = [(min(size) * 7 / 8) ** 2 / (size[0] * size[1]) for size in sizes]
    return (
        f"Of these {len(kept)} photos, the usual recipe keeps {percent(min(kept))} to "
        f"{percent(max(kept))} of the area,\nthe rule all of it. Normalized, the levels go from "
        f"{normalized.min():.1f} to {normalized.max():.1f}."
    )


def carried(network: Any, layers: int) -> str:
    """Say how much was carried over.

    Args:
        network: a `torch.nn.Module` that holds it.
        layers: with weights.
    """
    count = sum(x.numel() for name, x in network.state_dict().items() if "num_batches" not in name)
    return f"{layers} layers with {count:,} numbers were carried over."


def same_features(first: "np.ndarray", second: "np.ndarray") -> str:
    """Say whether two networks see the same.

    Args:
        first: features (n, d) of one.
        second: of the other, of the same photos.
    """
    largest, typical = float(abs(first - second).max()), float(abs(first).mean())
    if not largest <= SAME:
        return (
            f"The features, {typical:.2f} on average, differ by up to {largest:.1g}:\n"
            "it is NOT the same network."
        )
    return (
        f"{len(first)} photos, {first.shape[1]:,} features of each, {typical:.2f} on average: the "
        f"largest difference\nis {largest:.1e}. It is the same network."
    )


def stage(history: "pd.DataFrame", photos: int) -> str:
    """Say how the last stage went, and whether it was worth it.

    Args:
        history: `stage`, `loss`, `accuracy`, `val_loss` and `val_accuracy`, one row per epoch.
        photos: held back to validate.
    """
    name = history["stage"].iloc[-1]
    last, before = history[history["stage"] == name], history[history["stage"] != name]
    best = last["val_loss"].to_numpy().argmin()
    row = last.iloc[best]
    told = (
        f"Lowest validation loss {row['val_loss']:.2f}, in epoch {best + 1} of {len(last)}: these "
        f"weights are kept.\nThey answer {round(row['val_accuracy'] * photos)} of {photos} "
        "validation photos right."
    )
    if len(before):
        lowest = before["val_loss"].min()
        verb = "lowered" if row["val_loss"] < lowest else "did NOT lower"
        told += f" The stage {verb} the loss, which was {lowest:.2f}."
    return told


def likeliest(best: Any, truth: Sequence[int], class_names: Sequence[str]) -> list[str]:
    """Return a title for each photo: its class, and below it the likeliest ones, one a line.

    Args:
        best: what `torch.topk` returns: `values` and `indices`, (photos, k).
        truth: the index of each photo's class.
        class_names: the classes in index order.
    """
    names = [name.replace("_", " ") for name in class_names]
    told = zip(truth, best.values.tolist(), best.indices.tolist(), strict=True)
    titles = []
    for own, values, indices in told:
        pairs = zip(values, indices, strict=True)
        titles.append(
            "\n".join([f"{names[own]}:", *(f"{names[n]} {100 * p:.0f} %" for p, n in pairs)])
        )
    return titles


def side_by_side(
    run: "Run",
    keras: "pd.DataFrame",
    torch: "pd.DataFrame",
    history: "pd.DataFrame",
    seconds: float,
) -> "pd.DataFrame":
    """Return a table of both trainings.

    Args:
        run: the Keras run.
        keras: its answers, as from `scores.prediction_frame`.
        torch: PyTorch's.
        history: of PyTorch's training, one row per epoch.
        seconds: that it took.
    """
    from dermaface import runs
    import pandas as pd

    source = runs.project_root() / "notebooks"
    own = read_code(source / "walkthroughs" / "same_model_in_pytorch.ipynb")
    end = next(n for n, cell in enumerate(own) if "topk(" in cell["source"])
    theirs = [cell for name in KERAS for cell in read_code(source / f"{name}.ipynb")[2:-1]]
    epochs = len(pd.read_csv(run.path("history.csv")))
    noted = run.read()["notebooks"]
    took = sum(noted[name]["seconds"] for name in KERAS)
    rows = {}
    for name, table, cells, count, spent in (
        ("Keras", keras, theirs, epochs, took),
        ("PyTorch", torch, own[2:end], len(history), seconds),
    ):
        test = table[table["split"] == "test"]
        right = int((test["label"] == test["predicted"]).sum())
        rows[name] = {
            "test photos right": f"{right} of {len(test)}",
            "accuracy": f"{right / len(test):.3f}",
            "epochs": count,
            "seconds": round(spent),
            "lines of code": sum(len(cell["source"].splitlines()) for cell in cells),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def read_code(path: Path) -> list[dict]:
    """Return the code cells of a notebook, their `source` as one text."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [
        cell | {"source": "".join(cell["source"])} for cell in cells if cell["cell_type"] == "code"
    ]


def compared(
    keras: "pd.DataFrame",
    torch: "pd.DataFrame",
    interval: Callable[[float, float, float], tuple[float, float]],
) -> str:
    """Say on how many test photos two trainings agree.

    Args:
        keras: answers, as from `scores.prediction_frame`.
        torch: the other's, to the same photos.
        interval: makes a 95 % interval of the photos that only the first, and only the second
            answers right, and of all photos, as `scores.drop_interval`.
    """
    pairs = keras.merge(torch[["path", "predicted"]], on="path", suffixes=("", "_other"))
    pairs = pairs[pairs["split"] == "test"]
    same = int((pairs["predicted"] == pairs["predicted_other"]).sum())
    first = pairs["predicted"] == pairs["label"]
    second = pairs["predicted_other"] == pairs["label"]
    only = int((first & ~second).sum()), int((second & ~first).sum())
    low, high = interval(*only, len(pairs))
    beyond = "is" if low > 0 or high < 0 else "is not"
    ahead = (only[1] - only[0]) / len(pairs)
    return (
        f"They give {same} of {len(pairs)} test photos the same answer. Only Keras is right on "
        f"{only[0]}, only PyTorch\non {only[1]}: {100 * ahead:+.1f} points for PyTorch "
        f"({-100 * high:+.1f} to {-100 * low:+.1f}), which {beyond} beyond chance."
    )


def summary(figures: Mapping[str, dict], history: "pd.DataFrame") -> str:
    """Say what the walkthrough made.

    Args:
        figures: for each split its figures, as from `scores.score`.
        history: of both stages.
    """
    test = figures["test"]
    low, high = test["accuracy_interval"]
    return (
        f"{counted(len(history), 'epoch')} in a loop of your own: "
        f"{round(test['accuracy'] * test['images'])} of {counted(test['images'], 'test photo')} "
        f"right,\naccuracy {test['accuracy']:.3f}, 95 % interval {low:.3f} to {high:.3f}."
    )
