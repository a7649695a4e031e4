"""Tests of dermaface.release.web and .device: the page's files, and what a device reports.

What the page does in a browser is tested by `make test-clients` (tests/clients/test_page.py).
"""

import base64
import hashlib
import io
import json
import re
import tarfile
import threading
import urllib.request

from dermaface import cli
from dermaface.release import device, web
import pytest
from test_release import folder, released  # noqa: F401 - fixtures

LARGEST = 60_000


def package(members):
    """Return a .tgz file with these members, and its integrity as npm writes it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    digest = hashlib.sha512(file.getvalue()).digest()
    return file.getvalue(), "sha512-" + base64.b64encode(digest).decode()


@pytest.fixture
def litertjs(tmp_path, monkeypatch):
    """Stand in for LiteRT.js, which npm would have to download, and return where it is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    known = {}
    for name, (_, members) in web.PACKAGES.items():
        imports = b'import {createWasmLib} from "@litertjs/wasm-utils";'
        content, integrity = package({member: imports + member.encode() for member in members})
        path = tmp_path / "cache" / "dermaface" / f"litertjs-{name}-{web.LITERTJS}.tgz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        known[name] = (integrity, members)
    monkeypatch.setattr(web, "PACKAGES", known)
    return tmp_path / "cache" / "dermaface"


@pytest.fixture
def site(released, litertjs, tmp_path, capsys):  # noqa: F811
    assert cli.main(["web", str(released), str(tmp_path / "site")]) == 0
    assert "https server" in capsys.readouterr().out
    return tmp_path / "site"


def test_the_site_is_the_release_the_runtime_and_a_small_page(site, released):  # noqa: F811
    index = json.loads((site / "files.json").read_text())
    on_disk = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert set(index["files"]) | {"files.json"} == on_disk
    for name, sha256 in index["files"].items():
        assert hashlib.sha256((site / name).read_bytes()).hexdigest() == sha256
    for path in released.rglob("*"):
        if path.is_file():
            assert (site / "release" / path.relative_to(released)).read_bytes() == path.read_bytes()
    # The card and the index are the release's, as long as its classes are many.
    own = {path.name for path in web.SOURCE.iterdir()} - {web.LICENSE, "card.html"}
    assert own <= on_disk and sum((site / name).stat().st_size for name in own) < LARGEST
    runtime = (site / "runtime" / "index.js").read_text()
    assert 'from "./wasm-utils.js"' in runtime and "@litertjs/wasm-utils" not in runtime
    licence = (site / "runtime" / "LICENSE.txt").read_text()
    assert "LiteRT.js" in licence and "Apache License" in licence


def test_nothing_on_the_page_is_left_to_fill_in_or_comes_from_elsewhere(site):
    for page in site.glob("*.html"):
        text = page.read_text()
        assert f'content="{web.POLICY}"' in text and "$" not in text
        assert not re.findall(r"<style|<script>|\son\w+=|\sstyle=", text)
        assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", text)
        for name in re.findall(r"(?:src|href)=\"([^\"#]+)", text):
            assert (site / name).exists(), name
    for script in site.glob("*.js"):
        text = script.read_text()
        assert not re.findall(r"https?://", text)
        for name in re.findall(r"from \"(.+?)\"", text):
            assert (site / name).is_file(), name


def test_the_model_card_becomes_a_page_without_the_users_html(site):
    text = (site / "card.html").read_text()
    assert 'id="limits"' in text and "<table>" in text and '<th scope="col">' in text
    bad = web.render_card("# Card\n\n## Limits\n\n| <b onclick=x> |\n|---|\n| <script> |\n")
    assert "<script>" not in bad and "<b " not in bad and "&lt;script&gt;" in bad


def test_the_licence_of_the_runtime_is_the_projects_own():
    root = web.SOURCE.parents[2]
    if not (root / "LICENSE").is_file():
        pytest.skip("this is no checkout")
    assert (web.SOURCE / web.LICENSE).read_bytes() == (root / "LICENSE").read_bytes()


def test_only_an_older_site_is_replaced(site, released, tmp_path, capsys):  # noqa: F811
    assert cli.main(["web", str(released), str(site)]) == 0
    mine, named_alike = tmp_path / "mine", tmp_path / "named_alike"
    for folder_of_mine in (mine, named_alike):
        folder_of_mine.mkdir()
        (folder_of_mine / "thesis.txt").write_text("years of work")
    (named_alike / "files.json").write_text('{"dependencies": {"litertjs": "1"}}')
    (tmp_path / "file").write_text("")
    for output, word in (
        (mine, "nothing is overwritten"),
        (named_alike, "nothing is overwritten"),
        (tmp_path / "file", "nothing is overwritten"),
        (tmp_path / "file" / "x", "cannot be made"),
        (released / "x", "inside the release"),
        ("", "has no name"),
    ):
        assert cli.main(["web", str(released), str(output)]) == 1
        assert word in capsys.readouterr().err
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]
    assert len(list(named_alike.iterdir())) == 2


@pytest.mark.parametrize("name", ["CNAME", ".git/config", "index.html"])
def test_a_site_to_which_something_was_added_is_left_alone(site, released, capsys, name):  # noqa: F811
    (site / name).parent.mkdir(exist_ok=True)
    (site / name).write_text("mine")
    assert cli.main(["web", str(released), str(site)]) == 1
    assert name in capsys.readouterr().err and (site / name).read_text() == "mine"


def test_a_damaged_release_gets_no_page(folder, litertjs, tmp_path, capsys):  # noqa: F811
    content = bytearray((folder / "model.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.tflite").write_bytes(content)
    assert cli.main(["web", str(folder), str(tmp_path / "site")]) == 1
    assert "is not the file that model.json describes" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_another_runtime_is_refused(released, litertjs, tmp_path, capsys):  # noqa: F811
    path = next(litertjs.glob("*core*"))
    path.write_bytes(path.read_bytes() + b"\0")
    assert cli.main(["web", str(released), str(tmp_path / "site")]) == 1
    said = capsys.readouterr().err
    assert "SHA-512 differs" in said and str(path) in said
    assert not (tmp_path / "site").exists()


def test_without_npm_one_is_told_what_to_do(released, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["web", str(released), str(tmp_path / "site")]) == 1
    said = capsys.readouterr().err
    assert (
        "Install Node.js" in said and "npm pack @litertjs/core@" in said and "Traceback" not in said
    )


def test_a_failing_npm_is_quoted(released, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'no network here' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert cli.main(["web", str(released), str(tmp_path / "site")]) == 1
    assert "no network here" in capsys.readouterr().err
    assert not list((tmp_path / "cache").rglob("*.tgz"))


def test_it_is_served_on_loopback_with_its_policy(site):
    with web.open_server(site) as server, web.open_server(site, server.server_port) as second:
        assert server.server_address[0] == second.server_address[0] == "127.0.0.1"
        assert second.server_port != server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        kinds = {
            "/": "text/html",
            "/app.js": "text/javascript",
            "/runtime/litert_wasm_internal.wasm": "application/wasm",
            "/manifest.webmanifest": "application/manifest+json",
        }
        for path, kind in kinds.items():
            with urllib.request.urlopen(address + path) as answer:  # noqa: S310 - loopback
                assert answer.headers["Content-Type"].startswith(kind)
                assert web.POLICY in answer.headers["Content-Security-Policy"]
        server.shutdown()


@pytest.fixture
def report(released):  # noqa: F811
    """Return what a faithful device would report."""
    golden = json.loads((released / "golden" / "expected.json").read_text())
    model = json.loads((released / "model.json").read_text())
    return {
        "report": "dermaface device report",
        "model": {name: model[name] for name in ("name", "version", "variant", "sha256")},
        "runtime": "LiteRT.js",
        "device": {"user_agent": "a phone"},
        "labels": model["labels"],
        "milliseconds": 14.0,
        "answers": [
            {
                "picture": entry["picture"],
                "input_sha256": entry["input_sha256"],
                "probabilities": entry["probabilities"],
                "from_file": entry["probabilities"],
            }
            for entry in golden["pictures"]
        ],
    }


def swap(answer, kind="probabilities"):
    """Let an answer name another class."""
    answer[kind] = answer[kind][1:] + answer[kind][:1]


def test_a_faithful_device_passes(released, report, tmp_path, capsys):  # noqa: F811
    path = tmp_path / "report.json"
    swap(report["answers"][3], "from_file")
    path.write_text(json.dumps(report))
    assert cli.main(["check", str(released), "--device", str(path)]) == 0
    said = capsys.readouterr().out
    assert "10 golden pictures answered as expected, at most 0.0000 off" in said
    assert "9 of 10 as expected" in said and "photos are read differently there" in said
    assert "as it did where it was made" in said


def test_a_report_cannot_steer_the_terminal(released, report, tmp_path, capsys):  # noqa: F811
    path = tmp_path / "report.json"
    report["device"]["model"] = "Pixel\ndevice, given the pixels: fine\x1b[2J"
    path.write_text("\ufeff" + json.dumps(report), encoding="utf-8")
    assert cli.main(["check", str(released), "--device", str(path)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "Pixel?device" in out


@pytest.mark.parametrize(
    ("harm", "word"),
    [
        (lambda r: swap(r["answers"][4]), "the device says"),
        (lambda r: r["answers"].pop(), "no answer to the golden picture"),
        (lambda r: r["answers"][0]["probabilities"].pop(), "lacks probabilities"),
        (lambda r: r["model"].update(sha256="0" * 64), "about another file"),
        (lambda r: r["labels"].reverse(), "other labels"),
        (lambda r: r.pop("answers"), "does not hold what it should"),
        (lambda r: r["answers"][0]["probabilities"].__setitem__(0, float("nan")), "damaged"),
        (lambda r: r.update(report="something else"), "does not hold what it should"),
        (lambda r: r["answers"].append(r["answers"][0]), "twice"),
        (lambda r: r.update(milliseconds=10**400), "does not hold what it should"),
    ],
)
def test_an_unfaithful_report_is_refused(released, report, tmp_path, capsys, harm, word):  # noqa: F811
    harm(report)
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    assert cli.main(["check", str(released), "--device", str(path)]) == 1
    said = capsys.readouterr()
    assert word in said.err and "Traceback" not in said.err
    assert "answers on the device" not in said.out


def test_a_report_that_is_not_there(released, tmp_path):  # noqa: F811
    with pytest.raises(ValueError, match=r"no 'nowhere\.json'"):
        device.check_report(released, "nowhere.json")
