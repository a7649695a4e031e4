"""Tests of dermaface.release.function and .service: the folder, and what it says over HTTP.

`make test-function` tries it in an environment of its own, under load.
"""

import base64
import csv
import importlib.metadata
import io
import json
import shutil
import subprocess
import sys
import threading
import zipfile

import awkward
from dermaface import cli
from dermaface.release import function, service
from dermaface.tflite import runtime
import functions_framework
import numpy as np
from PIL import Image
import pytest
from test_release import folder, released  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def served(released, tmp_path_factory):  # noqa: F811
    output = tmp_path_factory.mktemp("served") / "function"
    assert cli.main(["function", str(released), str(output)]) == 0
    return output


@pytest.fixture(scope="module")
def client(served):
    app = functions_framework.create_app("classify", str(served / "main.py"), "http")
    return app.test_client()


@pytest.fixture(scope="module")
def photo(released):  # noqa: F811
    return (released / "golden" / "picture_08.jpg").read_bytes()


def test_the_folder_is_small_and_complete(served, released):  # noqa: F811
    names = {path.name for path in served.iterdir()}
    (wheel,) = served.glob("*.whl")
    assert names == {
        *("README.md", "files.json", "firebase.json", "main.py", "release", "requirements.txt"),
        wheel.name,
    }
    assert len((served / "main.py").read_text().splitlines()) <= 60
    (codebase,) = json.loads((served / "firebase.json").read_text())["functions"]
    assert codebase["runtime"] == "python312"
    lines = (served / "requirements.txt").read_text().splitlines()
    assert lines[0] == f"./{wheel.name}" and all("==" in line for line in lines[1:])
    assert not [line for line in lines if "tensorflow" in line]
    assert {"ai-edge-litert", "numpy", "pillow", "firebase-functions"} < {
        line.split("==")[0] for line in lines
    }
    text = (served / "README.md").read_text()
    assert "$" not in text and "has been tried" in text
    example = json.loads(text.split("```")[-2])
    assert example["model"]["name"] == "r" and len(example["predictions"]) == 3


def test_the_wheel_is_this_package_without_what_only_training_needs(served, tmp_path):
    (wheel,) = served.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = archive.namelist()
        assert archive.testzip() is None
        (record,) = [name for name in inside if name.endswith("/RECORD")]
        listed = [row[0] for row in csv.reader(io.StringIO(archive.read(record).decode()))]
    assert sorted(listed) == sorted(inside)
    assert "dermaface/release/page/app.js" in inside
    assert not [name for name in inside if name.endswith((".h5", ".pyc", ".ipynb"))]
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", tmp_path / "in", wheel], check=True
    )
    assert (tmp_path / "in" / "dermaface" / "cli.py").is_file()


def test_it_answers_as_the_classifier_does(client, photo, released):  # noqa: F811
    classifier = runtime.Classifier(released / "model.tflite")
    expected = classifier.answer(io.BytesIO(photo))
    encoded = base64.b64encode(photo).decode()
    answers = [
        client.post("/", data=photo, content_type="image/jpeg"),
        client.post("/", data=photo, content_type="application/octet-stream"),
        client.post("/", data={"photo": (io.BytesIO(photo), "IMG 1.jpg")}),
        client.post("/", json={"image": encoded}),
        client.post("/", json={"image": f"data:image/jpeg;base64,{encoded}"}),
        client.post("/", json={"image": base64.encodebytes(photo).decode()}),
    ]
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert answer.json["predictions"] == expected["predictions"]
        assert answer.json["sure"] == expected["sure"] and answer.json["set"] == expected["set"]
        assert answer.json["model"]["version"] == classifier.facts["version"]
        assert answer.json["warnings"][0] == classifier.notice


def test_it_reads_heic_and_warns_of_blurred_photos(client, tmp_path):
    awkward.heic(orientation=6)(tmp_path / "a.heic")
    answer = client.post("/", data=(tmp_path / "a.heic").read_bytes(), content_type="image/heic")
    assert answer.status_code == 200
    assert any("blurred" in warning for warning in answer.json["warnings"])


def test_health(client, released):  # noqa: F811
    answer = client.get("/health")
    facts = runtime.Classifier(released / "model.tflite").facts
    assert answer.status_code == 200 and answer.json["status"] == "ok"
    assert answer.json["model"]["version"] == facts["version"]


def png(mode, size):
    file = io.BytesIO()
    Image.new(mode, size).save(file, "PNG")
    return file.getvalue()


OCTETS = {"content_type": "application/octet-stream"}
REFUSED = {
    "another path": (404, "/other", OCTETS | {"data": b"x"}, "nothing here"),
    "no image": (400, "/", OCTETS | {"data": b""}, "No image was sent"),
    "text": (415, "/", {"data": b"x", "content_type": "text/plain"}, "text/plain"),
    "no type": (415, "/", {"data": b"x"}, "nothing"),
    "what curl sends": (
        *(415, "/", {"data": b"x", "content_type": "application/x-www-form-urlencoded"}),
        "application/octet-stream",
    ),
    "large": (413, "/", OCTETS | {"data": bytes(service.LARGEST_BODY + 1)}, "10,000,000 bytes"),
    "far too large": (413, "/other", OCTETS | {"data": bytes(40_000_000)}, "10,000,000 bytes"),
    "large form": (
        *(413, "/", {"data": {"a": (io.BytesIO(bytes(service.LARGEST_BODY)), "a.jpg")}}),
        "10,000,000 bytes",
    ),
    "two files": (
        *(400, "/", {"data": {"a": (io.BytesIO(b"a"), "a"), "b": (io.BytesIO(b"b"), "b")}}),
        "it holds 2",
    ),
    "no file": (
        *(400, "/", {"data": {"a": "text"}, "content_type": "multipart/form-data"}),
        "it holds 0",
    ),
    "no boundary": (400, "/", {"data": b"x", "content_type": "multipart/form-data"}, "damaged"),
    "no json": (400, "/", {"data": b"{", "content_type": "application/json"}, "not JSON"),
    "deep json": (
        *(400, "/", {"data": b"[" * 100_000, "content_type": "application/json"}),
        "not JSON",
    ),
    "other json": (400, "/", {"json": ["aGk="]}, "The JSON must be"),
    "no base64": (400, "/", {"json": {"image": "!"}}, "not in base64"),
    "no picture": (422, "/", OCTETS | {"data": b"dear diary"}, "not an image"),
    "a program": (
        *(422, "/", OCTETS | {"data": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"}),
        "kind that is read here",
    ),
    "a bomb": (422, "/", OCTETS | {"data": png("1", (9000, 9000))}, "25,000,000 pixels at most"),
    "a larger bomb": (422, "/", OCTETS | {"data": png("1", (40_000, 9000))}, "many pixels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_it_refuses(client, name):
    status, path, sent, words = REFUSED[name]
    answer = client.post(path, **sent)
    assert answer.status_code == status, answer.text
    assert words in answer.json["error"]
    assert "BytesIO" not in answer.json["error"]


def test_a_body_that_breaks_off_is_refused_and_not_quoted():
    class Broken:
        def read(self, size):
            raise OSError("secret bytes")

    class Request:
        stream = Broken()

    with pytest.raises(service.RefusedError, match="damaged, or ends too early") as refused:
        service.read_body(Request())
    assert refused.value.status == 400 and refused.value.__suppress_context__


def test_a_cut_photo_is_refused(client, photo):
    answer = client.post("/", data=photo[: len(photo) // 2], content_type="image/jpeg")
    assert answer.status_code == 422 and answer.json["error"].startswith("The image cannot be read")


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch", "options"])
def test_other_methods_are_refused(client, method):
    answer = getattr(client, method)("/")
    assert answer.status_code == 405 and answer.headers["Allow"] == "POST"
    assert client.post("/health").headers["Allow"] == "GET, HEAD"


def test_a_large_photo_is_not_written_to_the_disk(client, tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    monkeypatch.setattr("werkzeug.formparser.SpooledTemporaryFile", None)
    file.seek(0)
    assert client.post("/", data={"photo": (file, "a.png")}).status_code == 200


def test_many_at_a_time_get_the_same_answer(client, photo):
    answers = []

    def ask():
        answers.append(client.post("/", data=photo, content_type="image/jpeg").data)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 16 and len(set(answers)) == 1


def test_it_does_not_start_with_another_model(served, tmp_path, photo):
    broken = shutil.copytree(served, tmp_path / "broken")
    path = broken / "release" / "golden" / "expected.json"
    golden = json.loads(path.read_text())
    entry = golden["pictures"][2]
    entry["probabilities"] = entry["probabilities"][1:] + entry["probabilities"][:1]
    entry["predicted"] = golden["labels"][int(np.argmax(entry["probabilities"]))]
    path.write_text(json.dumps(golden))
    with pytest.raises(ValueError, match="does not answer as measured"):
        functions_framework.create_app("classify", str(broken / "main.py"), "http")


def test_a_folder_that_was_changed_is_left_alone(served, released, tmp_path, capsys):  # noqa: F811
    mine = shutil.copytree(served, tmp_path / "mine")
    assert cli.main(["function", str(released), str(mine)]) == 0
    with (mine / "main.py").open("a") as file:
        file.write("# a limit of my own\n")
    assert cli.main(["function", str(released), str(mine)]) == 1
    assert "main.py" in capsys.readouterr().err
    assert "of my own" in (mine / "main.py").read_text()


def test_a_damaged_release_gets_no_function(folder, tmp_path, capsys):  # noqa: F811
    (folder / "labels.txt").unlink()
    assert cli.main(["function", str(folder), str(tmp_path / "out")]) == 1
    assert "labels.txt" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_what_is_pinned_is_what_is_installed():
    for line in function.pinned():
        name, version = line.split("==")
        if name != "firebase-functions":
            assert importlib.metadata.version(name) == version, name
