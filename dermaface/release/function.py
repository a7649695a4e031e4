"""A folder that serves a release as a function over HTTP, for Firebase and Cloud Run."""

import base64
from collections.abc import Iterator
import contextlib
import hashlib
import http.client
import importlib.metadata
import json
from pathlib import Path
import re
import shutil
import socket
import string
import subprocess
import sys
import tempfile
import time
import zipfile

import dermaface
from dermaface.release import contract, service
from dermaface.release.output import new_folder
from dermaface.tflite.runtime import Classifier

SOURCE = Path(__file__).with_name("cloud")
# What serves the function; these need not be installed where the folder is made.
SERVERS = {"functions-framework": "3.10.2", "firebase-functions": "0.6.0", "pi-heif": "1.4.0"}
# What a function never reads.
LEFT_OUT = (".h5", ".ipynb", ".yaml", ".pyc")


def write_function(release: str | Path, output: str | Path) -> None:
    """Write the folder, in one step; only an older one of this command is replaced.

    Args:
        release: a release folder; it is proven here first.
        output: the new folder.

    Raises:
        ValueError: the release does not pass `check_release`, or `output` holds something else.
    """
    release = Path(release)
    contract.check_release(release)
    classifier = Classifier(release / "model.tflite", num_threads=1)
    picture = json.loads((release / "golden" / "expected.json").read_text(encoding="utf-8"))
    photo = (release / "golden" / picture["pictures"][0]["picture"]).read_bytes()
    example = json.dumps(service.answer(classifier, photo), indent=1, ensure_ascii=False)
    with new_folder(release, output) as folder:
        shutil.copytree(release, folder / "release")
        for name in ("main.py", "firebase.json"):
            shutil.copy(SOURCE / name, folder)
        text = string.Template((SOURCE / "README.md").read_text(encoding="utf-8"))
        told = service.name_model(classifier) | {"example": example}
        (folder / "README.md").write_text(text.safe_substitute(told), encoding="utf-8")
        wheel = write_wheel(folder)
        lines = [f"./{wheel.name}", *pinned()]
        (folder / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def pinned() -> list[str]:
    """Return what the function needs, in the versions with which the release was proven here."""
    required = importlib.metadata.distribution("dermaface").requires or []
    base = [re.match(r"[\w.-]+", line) for line in required if "extra ==" not in line]
    names = sorted(match[0] for match in base if match)
    own = [f"{name}=={importlib.metadata.version(name)}" for name in names]
    return own + [f"{name}=={version}" for name, version in SERVERS.items()]


def write_wheel(folder: Path) -> Path:
    """Write the installed package as a wheel (PEP 427), without notebooks and training weights."""
    distribution = importlib.metadata.distribution("dermaface")
    name = f"dermaface-{distribution.version}"
    info = f"{name}.dist-info"
    path = folder / f"{name}-py3-none-any.whl"
    metadata = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    wheel = "Wheel-Version: 1.0\nGenerator: dermaface\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    entry_points = distribution.read_text("entry_points.txt") or ""
    files = dict(_package_files()) | {
        f"{info}/METADATA": metadata.encode("utf-8"),
        f"{info}/WHEEL": wheel.encode("ascii"),
        f"{info}/entry_points.txt": entry_points.encode("utf-8"),
    }
    record = ""
    for file, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{file},sha256={digest},{len(content)}\n"
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, content in files.items():
            archive.writestr(zipfile.ZipInfo(file), content, zipfile.ZIP_DEFLATED)
    return path


def _package_files() -> Iterator[tuple[str, bytes]]:
    """Yield the name in the wheel and the content of every file of the package that is needed."""
    root = Path(dermaface.__file__).parent
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.suffix not in LEFT_OUT:
            yield f"dermaface/{path.relative_to(root).as_posix()}", path.read_bytes()


def start(
    folder: str | Path, port: int = 0, python: str | Path = sys.executable
) -> tuple[subprocess.Popen, int]:
    """Run a function on this computer's loopback address, and wait until it is healthy.

    Args:
        folder: as from `write_function`.
        port: 0 takes any free one.
        python: of an environment with functions-framework and the package.

    Returns:
        The process, which `terminate` ends, and the port.

    Raises:
        ValueError: it ended before it was healthy.
    """
    if not port:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    command = [str(python), "-m", "functions_framework", "--target", "classify"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 - nothing of it comes from outside
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        while process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return process, port
            time.sleep(0.02)
        log.seek(0)
        last = log.read().decode("utf-8", "replace").strip().splitlines()[-1:]
    raise ValueError(f"The function did not start: {''.join(last) or 'it gave no reason'}")
