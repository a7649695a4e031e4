"""Tests of the container's files, as far as they go without an engine."""

from pathlib import Path
import re
import shutil
import subprocess

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def versions(file):
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ;")[0].split("==") for line in lines if "==" in line)


def test_hadolint_has_nothing_to_say():
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_gpu_lock_is_the_lock_with_cuda():
    cpu, gpu = versions("requirements.txt"), versions("requirements-gpu.txt")
    assert all(gpu[name] == cpu[name] for name in gpu if name in cpu)
    added = {name for name in gpu if name not in cpu}
    assert "nvidia-cudnn-cu12" in added and all(name.startswith("nvidia-") for name in added)
    assert {"tensorflow", "jupyterlab", "papermill", "tensorflow-hub"} <= set(gpu)


def test_what_is_copied_is_there_and_let_through():
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignore[0] == "*"
    copied = [
        name
        for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    own = ["pyproject.toml", "setup.py", "README.md", "LICENSE", "dermaface", "notebooks"]
    assert copied == ["requirements-gpu.txt", *own]
    for name in copied:
        assert (ROOT / name).exists() and f"!{name}" in ignore


def test_the_image_runs_without_privileges_and_with_a_token():
    assert DOCKERFILE.index("USER 1000") > DOCKERFILE.index("pip install")
    assert "HEALTHCHECK" in DOCKERFILE
    assert "token" not in DOCKERFILE.split("CMD")[-1] and "allow-root" not in DOCKERFILE


@pytest.mark.parametrize("data", ["photos ü", "labels.csv"])
def test_make_mounts_the_photos_read_only(tmp_path, data):
    if data.endswith(".csv"):
        (tmp_path / data).write_text("path,label\n")
        mount = f"{tmp_path}:/data:ro"
    else:
        (tmp_path / data).mkdir()
        mount = f"{tmp_path / data}:/data/{data}:ro"
    # A stand-in for the engine prints what it is given.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "bin" / "docker").chmod(0o755)
    done = subprocess.run(
        ["make", "docker-run", f"DATA={tmp_path / data}", "ARGS=-p epochs 3", "GPUS="],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env={"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
    )  # fmt: skip
    given = done.stdout.splitlines()
    assert mount in given and "--gpus" not in given
    assert given[-7:] == ["dermaface", "run", "--data", f"/data/{data}", "-p", "epochs", "3"]
