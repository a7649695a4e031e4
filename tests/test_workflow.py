"""Tests of the CI workflow: it calls the README's commands, and its linters agree."""

from pathlib import Path
import shutil
import subprocess

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / ".github/workflows/test.yml"


def commands(job):
    steps = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"][job]["steps"]
    return [step["run"] for step in steps if "run" in step]


def test_the_workflow_calls_the_commands_of_the_readme():
    readme = [line.split("#")[0].strip() for line in (ROOT / "README.md").open(encoding="utf-8")]
    assert commands("make") == ["make demo", "make test"]
    assert len(commands("windows")) == 4
    for command in (*commands("make"), *commands("windows")):
        assert command in readme, command


def test_the_workflow_tests_every_python_that_the_project_names():
    named = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    for job in named.values():
        assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]


def test_actionlint_has_nothing_to_say():
    actionlint = shutil.which("actionlint")
    if actionlint is None:
        pytest.skip("actionlint is not installed")
    done = subprocess.run([actionlint, WORKFLOW], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_pre_commit_and_the_lock_name_the_same_ruff():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert f"ruff=={hooks['repos'][0]['rev'].removeprefix('v')}" in lock
