"""Comparing settings of a head: which learning rates are worth it, and what a run makes of one."""

from collections.abc import Mapping, Sequence
from typing import Any

from dermaface import runs
from dermaface.training import datasets
import numpy as np
import pandas as pd

WINDOW = 15  # steps that are smoothed together; one step in a hundred is a batch, and noisy


def read_range_test(rates: Sequence[float], losses: Sequence[float]) -> dict:
    """Find where the loss falls fastest, and where it blows up, in a learning-rate range test.

    The test is that of Smith (2017), arXiv 1506.01186. The losses are smoothed by a running median
    and a running mean, both centred, so that no single batch decides and nothing is shifted to the
    right.

    Args:
        rates: of the steps, rising by the same factor in each.
        losses: of the batch of each step, before the step was made; what is no number or infinite
            counts as very large.

    Returns:
        `smoothed`, an array of losses; `fastest`, the rate at which they fall fastest, before they
        are lowest; and `blows_up`, the first rate after that at which they are above the loss at
        the beginning, or None if there is none.
    """
    window = {"window": WINDOW, "center": True, "min_periods": 1}
    seen = pd.Series(losses, dtype=float)
    finite = np.isfinite(seen)
    seen = seen.where(finite, 10 * seen[finite].max())
    smoothed = seen.rolling(**window).median().rolling(**window).mean()
    lowest = int(smoothed.argmin())
    slopes = np.gradient(smoothed)[: lowest + 1]
    above = [n for n in range(lowest, len(rates)) if smoothed[n] > smoothed[0]]
    return {
        "smoothed": smoothed.to_numpy(),
        "fastest": float(rates[int(slopes.argmin())]),
        "blows_up": float(rates[above[0]]) if above else None,
    }


def as_parameters(
    setting: Mapping[str, float], of_model: Mapping[str, Any], views: int
) -> dict[str, Any]:
    """Return the parameters of notebooks 02 and 03 that train a head as notebook 06 does.

    Args:
        setting: `learning_rate`, `inner_size` (0 is none), `dropout_rate` and `augmentation`, a
            factor; 0 gives the head one view of each photo, and leaves fine-tuning its strengths.
        of_model: the parameters of notebook 02.
        views: copies of each photo where there is augmentation.
    """
    own = {name: value for name, value in of_model.items() if name not in runs.SHARED_PARAMETERS}
    augmentation = datasets.scale_augmentation(of_model, setting["augmentation"] or 1)
    return own | augmentation | {
        "dense_units": [setting["inner_size"]] if setting["inner_size"] else [],
        "dropout_rate": setting["dropout_rate"],
        "learning_rate": setting["learning_rate"],
        "optimizer": "adamw",
        "weight_decay": 0.0,
        "schedule": "constant",
        "head_views": views if setting["augmentation"] else 1,
    }  # fmt: skip
