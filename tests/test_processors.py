"""Tests of dermaface.processors."""

import os
from pathlib import Path
import re

from dermaface import processors
import pytest


def use(monkeypatch, folder, count):
    """Let the system grant `count` cores and the control groups say what lies in `folder`."""
    monkeypatch.setattr(os, "process_cpu_count", lambda: count, raising=False)
    monkeypatch.setattr(processors, "CONTROL_GROUPS", folder)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "10000 100000\n"}, 1),
        ({"cpu.max": "6400000 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
    ],
)
def test_a_container_uses_what_it_is_granted(tmp_path, monkeypatch, files, expected):
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    use(monkeypatch, tmp_path, 8)
    assert processors.count_processors() == expected


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system binds no process")
def test_a_process_bound_to_one_core_uses_one(tmp_path, monkeypatch):
    monkeypatch.setattr(processors, "CONTROL_GROUPS", tmp_path)
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(mine)})
    try:
        assert processors.count_processors() == 1
    finally:
        os.sched_setaffinity(0, mine)
    assert processors.count_processors() == len(mine)


def test_where_nothing_is_known_it_is_one(tmp_path, monkeypatch):
    use(monkeypatch, tmp_path, None)
    assert processors.count_processors() == 1


def test_nobody_counts_the_cores_of_the_host():
    package = Path(processors.__file__).parent
    for folder in (package, package.parent / "benchmarks"):
        for file in folder.glob("*.py"):
            if file.stem != "processors":
                assert not re.search(r"cpu_count\(", file.read_text(encoding="utf-8")), file
