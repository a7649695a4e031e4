"""How many processor cores may be used."""

import math
import os
from pathlib import Path

CONTROL_GROUPS = Path("/sys/fs/cgroup")


def count_processors() -> int:
    """Return the number of processor cores that this process may use, at least 1.

    That is fewer than the machine has if the process is bound to some of them, or if a container
    is granted a share of their time (`docker run --cpus`), which is rounded up.

    Sources: the operating system, and `/sys/fs/cgroup` for a container (control groups 2 and 1).
    """
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        counts = [os.process_cpu_count() or 1]
    elif hasattr(os, "sched_getaffinity"):  # neither macOS nor Windows has it
        counts = [len(os.sched_getaffinity(0))]
    else:
        counts = [os.cpu_count() or 1]
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            texts = [(CONTROL_GROUPS / name).read_text() for name in names]
            quota, period = map(int, " ".join(texts).split())  # microseconds
        except (OSError, ValueError):  # no such file, or "max"
            continue
        if quota > 0:  # -1 where there is no limit
            counts.append(math.ceil(quota / period))
    return min(counts)
