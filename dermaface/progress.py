"""One progress bar for long work, which says how much time is left and does not fill a log."""

import sys

from tqdm import tqdm


def progress_bar(total: int, what: str, unit: str, done: int = 0) -> tqdm:
    """Return a bar that is silent for half a minute and then speaks at most twenty times.

    A bar that moves all the time is fine in a terminal, but papermill's log and the executed
    notebook keep every movement. This one is the same in all three places.

    Args:
        total: how many pieces of work there are.
        what: the work, such as "computing features".
        unit: what a piece is called, in the plural.
        done: how many of them are done already.
    """
    return tqdm(
        total=total, desc=what, unit=f" {unit}", initial=done, delay=30, mininterval=10,
        maxinterval=float("inf"), miniters=max(1, total // 20), leave=False,
        file=sys.stdout,
        bar_format="{desc}: {percentage:3.0f} % of {total_fmt}{unit}, {remaining} left",
    )  # fmt: skip
