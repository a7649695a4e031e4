"""A static site that answers photos and proves the release in the visitor's own browser."""

import base64
from collections.abc import Mapping
import contextlib
import functools
import hashlib
import http.server
import itertools
import os
from pathlib import Path
import re
import shutil
import string
import subprocess
import tarfile
import tempfile
import threading

from dermaface.release import contract
from dermaface.release.output import new_folder
import mistune

SOURCE = Path(__file__).with_name("page")
LICENSE = "LICENSE.txt"
LITERTJS = "2.5.3"
# The npm packages of LiteRT.js with their integrity as the registry states it, and which of their
# files go where. Of the builds, "compat" serves browsers without relaxed SIMD.
PACKAGES = {
    "core": (
        "sha512-PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        {
            "package/dist/index.js": "index.js",
            "package/wasm/litert_wasm_internal.js": "litert_wasm_internal.js",
            "package/wasm/litert_wasm_internal.wasm": "litert_wasm_internal.wasm",
            "package/wasm/litert_wasm_compat_internal.js": "litert_wasm_compat_internal.js",
            "package/wasm/litert_wasm_compat_internal.wasm": "litert_wasm_compat_internal.wasm",
        },
    ),
    "wasm-utils": (
        "sha512-4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
        {"package/dist/index.js": "wasm-utils.js"},
    ),
}
NOTICE = f"""LiteRT.js {LITERTJS}, copyright Google LLC, under the Apache License 2.0 below.

These are files of the npm packages @litertjs/core and @litertjs/wasm-utils. One line of index.js
was changed: it imports ./wasm-utils.js, because a page without a bundler cannot look up a package.

"""
POLICY = (
    "default-src 'self'; connect-src 'self'; script-src 'self' 'wasm-unsafe-eval'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    # JupyterLab on this computer may show the page within a notebook.
    "Content-Security-Policy": f"{POLICY}; frame-ancestors http://127.0.0.1:* http://localhost:*",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
TYPES = {
    ".js": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".md": "text/plain; charset=utf-8",
    ".tflite": "application/octet-stream",
}
PORT = 8000


def write_site(release: str | Path, output: str | Path) -> None:
    """Write the site around a release, in one step; only an older site is replaced.

    Args:
        release: a release folder; it is proven here first.
        output: the site's folder.

    Raises:
        ValueError: the release does not pass `check_release`, `output` holds something else, or
            LiteRT.js cannot be had.
    """
    release = Path(release)
    contract.check_release(release)
    runtime = read_runtime()
    with new_folder(release, output, litertjs=LITERTJS) as site:
        # New times for all files: a server compares times to tell whether a file has changed.
        copy = functools.partial(shutil.copytree, copy_function=shutil.copyfile)
        copy(SOURCE, site, ignore=shutil.ignore_patterns("*.html", LICENSE), dirs_exist_ok=True)
        copy(release, site / "release")
        (site / "runtime").mkdir()
        for name, content in runtime.items():
            (site / "runtime" / name).write_bytes(content)
        card = (release / "MODEL_CARD.md").read_text(encoding="utf-8")
        for page in SOURCE.glob("*.html"):
            text = string.Template(page.read_text(encoding="utf-8"))
            (site / page.name).write_text(
                text.safe_substitute(policy=POLICY, card=render_card(card)), encoding="utf-8"
            )


def render_card(text: str) -> str:
    """Return a model card in Markdown as HTML, its headings with ids, its tables able to scroll."""
    # Class names come from the user's folders: no HTML of theirs reaches the page.
    html = str(mistune.create_markdown(escape=True, plugins=["table"])(text))
    html = re.sub(
        r"<h2>([^<]*)</h2>",
        lambda match: f'<h2 id="{match[1].lower().replace(" ", "-")}">{match[1]}</h2>',
        html,
    )
    html = html.replace("<th", '<th scope="col"').replace('<th scope="col"ead', "<thead")
    numbers = itertools.count(1)
    html = re.sub(
        "<table>",
        lambda _: (
            '<div class="scroll" tabindex="0" role="region" '
            f'aria-label="Table {next(numbers)}"><table>'
        ),
        html,
    )
    return html.replace("</table>", "</table></div>")


def read_runtime() -> Mapping[str, bytes]:
    """Return LiteRT.js's files by their names on the site, after taking them from npm once.

    Raises:
        ValueError: npm is missing or fails, or a package is not the one that is expected.
    """
    files: dict[str, bytes] = {}
    for name, (integrity, members) in PACKAGES.items():
        path = cache_folder() / f"litertjs-{name}-{LITERTJS}.tgz"
        if not path.is_file():
            _take(f"@litertjs/{name}@{LITERTJS}", path)
        content = path.read_bytes()
        found = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
        if found != integrity:
            raise ValueError(
                f"{path} is not the package @litertjs/{name} {LITERTJS} that this version of "
                "dermaface knows: its SHA-512 differs. Delete the file and repeat the command."
            )
        with tarfile.open(path) as archive:
            for member, target in members.items():
                file = archive.extractfile(member)
                files[target] = file.read() if file else b""
    old, new = b'from "@litertjs/wasm-utils"', b'from "./wasm-utils.js"'
    files["index.js"] = files["index.js"].replace(old, new)
    licence = (SOURCE / LICENSE).read_text(encoding="utf-8")
    files[LICENSE] = (NOTICE + licence).encode("utf-8")
    return files


def cache_folder() -> Path:
    """Return the folder in which the packages of LiteRT.js are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dermaface"


def _take(package: str, path: Path) -> None:
    """Let npm download a package to `path`.

    Raises:
        ValueError: npm is missing, or has failed.
    """
    npm = shutil.which("npm")
    help_ = (
        f"Or run 'npm pack {package}' on a computer that has npm and a network, and put the file "
        f"that it writes there: {path}"
    )
    if npm is None:
        raise ValueError(
            "The page needs LiteRT.js, which is taken once from npm, and npm was not found. "
            f"Install Node.js, which brings it. {help_}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        done = subprocess.run(  # noqa: S603 - the package is one of those above
            [npm, "pack", "--silent", "--ignore-scripts", package],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        packed = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(packed) != 1:
            said = " ".join((done.stderr or done.stdout).split())[-300:]
            raise ValueError(
                f"npm could not download {package}: {said or 'no reason given'}. {help_}"
            )
        os.replace(packed[0], path)


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves the site's files with their types and the headers that a server should set."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | TYPES

    def handle(self) -> None:
        """Answer requests until the browser has enough, which may be in the middle of a file."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def end_headers(self) -> None:
        """Add the headers."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def serve_aside(site: str | Path) -> str:
    """Serve the site until this process ends, without waiting for it, and return its address."""
    server = open_server(site, 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def open_server(site: str | Path, port: int = PORT) -> http.server.ThreadingHTTPServer:
    """Return a server of the site on this computer's loopback address, not yet serving.

    Args:
        site: the site's folder.
        port: tried first; if it is taken, any free one.
    """
    handler = functools.partial(_Handler, directory=str(site))
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        return http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
