"""Tests of benchmarks/mutations.py: its list of faults fits the project as it is."""

import ast
import runpy

from dermaface import runs
import nbformat
import pytest

ROOT = runs.project_root()
MUTATIONS = runpy.run_path(str(ROOT / "benchmarks/mutations.py"))
FAULTS = MUTATIONS["FAULTS"]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault[0] for fault in FAULTS])
def test_every_fault_fits_its_file_once_and_names_tests_that_are_there(fault):
    mutated = MUTATIONS["mutate"](ROOT, fault)
    assert mutated != (ROOT / fault[1]).read_text(encoding="utf-8")
    if fault[1].endswith(".ipynb"):
        sources = [c.source for c in nbformat.reads(mutated, 4).cells if c.cell_type == "code"]
    else:
        sources = [mutated]
    for source in sources:
        ast.parse(source)
    for test in MUTATIONS["likely_tests"](fault):
        file, _, name = test.partition("::")
        assert (ROOT / file).exists()
        assert not name or f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


def test_faults_are_told_apart_by_their_names():
    assert len({fault[0] for fault in FAULTS}) == len(FAULTS) >= 20


@pytest.mark.parametrize("content", ["1 1", ""])
def test_a_text_that_is_not_there_once_is_refused(tmp_path, content):
    (tmp_path / "a.py").write_text(content)
    with pytest.raises(ValueError, match=r"'a fault' replaces '1'.*must be there once"):
        MUTATIONS["mutate"](tmp_path, ("a fault", "a.py", "1", "2", ""))


@pytest.mark.slow
def test_the_test_that_fails_is_named(tmp_path):
    (tmp_path / "test_a.py").write_text("def test_a():\n    pass\n\ndef test_b():\n    assert 0\n")
    assert MUTATIONS["run_tests"](tmp_path, ["test_a.py"]) == "test_a.py::test_b"
