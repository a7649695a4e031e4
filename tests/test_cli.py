"""Tests of dermaface.cli, apart from `run`, which tests/test_pipeline.py covers."""

import csv
import io
import json
import os
import shutil
import struct
import subprocess
import sys

import awkward
from conftest import CLASS_NAMES
import dermaface
from dermaface import cli
from dermaface.photos import sample
from PIL import Image
import pytest


@pytest.fixture
def photos(sample_folder, tmp_path):
    for number in range(2):
        source = sample_folder / "acne" / f"acne_000{number}.jpg"
        shutil.copy(source, tmp_path / f"photo {number}.jpg")
    return tmp_path


def test_predict_prints_one_line_per_photo_and_the_notice(labelled_file, photos, capsys):
    assert cli.main(["predict", str(labelled_file), str(photos), "--top", "2"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) == 2 and all(line.count(",") == 1 for line in lines)
    assert lines[0].startswith(str(photos / "photo 0.jpg"))
    assert sample.NOTICE in err


def test_predict_names_what_it_passes_over_in_a_folder(labelled_file, photos, capsys):
    awkward.heic()(photos / "IMG_0001.HEIC")
    for name in ("film.mov", "notes.txt", ".hidden", "Thumbs.db"):
        (photos / name).write_bytes(b"x")
    assert cli.main(["predict", str(labelled_file), str(photos)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3 and "IMG_0001.HEIC" in out
    passed = [line for line in err.splitlines() if "passed over" in line]
    assert len(passed) == 2 and "film.mov" in passed[0] and "notes.txt" in passed[1]


def test_predict_json(labelled_file, photos, capsys):
    assert cli.main(["predict", str(labelled_file), str(photos), "--json", "--top", "9"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["image"] for row in rows] == [str(photos / f"photo {n}.jpg") for n in range(2)]
    predictions = rows[0]["predictions"]
    assert sorted(entry["label"] for entry in predictions) == CLASS_NAMES
    assert sum(entry["probability"] for entry in predictions) == pytest.approx(1, abs=0.02)


def test_predict_csv(labelled_file, photos, capsys):
    assert cli.main(["predict", str(labelled_file), str(photos), "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 6 and [row["rank"] for row in rows[:3]] == ["1", "2", "3"]
    assert float(rows[0]["probability"]) >= float(rows[1]["probability"])


def test_predict_goes_on_past_a_bad_photo_with_status_1(labelled_file, photos, capsys):
    (photos / "bad.jpg").write_text("no picture")
    assert cli.main(["predict", str(labelled_file), str(photos)]) == 1
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert "bad.jpg" in err and "not an image" in err


@pytest.mark.parametrize("name", ["blank.avif", "textual.tif", "gap.jpg", "pipe.jpg", "circle.jpg"])
def test_predict_names_what_no_decoder_can_read_and_answers_for_the_rest(
    labelled_file, photos, name
):
    awkward.EXCLUDED[name][0](photos / name)
    done = ask(labelled_file, photos / name, photos / "photo 0.jpg")
    assert done.returncode == 1
    assert name.encode() in done.stderr and b"Traceback" not in done.stderr
    assert b"photo 0.jpg: " in done.stdout and done.stdout.count(b"\n") == 1


def test_predict_holds_back_what_pillow_says_of_odd_photos(labelled_file, photos):
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 2, 1, 1, 0)
    with Image.open(photos / "photo 0.jpg") as image:
        image.save(photos / "odd.jpg", exif=exif)
    done = ask(labelled_file, photos / "odd.jpg")
    assert done.returncode == 0
    assert all(line.startswith("dermaface: ") for line in done.stderr.decode().splitlines())


def test_predict_shows_a_name_that_is_not_utf_8(labelled_file, photos):
    try:
        (photos / "photo 0.jpg").rename(photos / os.fsdecode(b"caf\xe9.jpg"))
    except OSError:
        pytest.skip("names that are not UTF-8: this file system has none")
    for form in ("--json", "--csv"):
        done = ask(labelled_file, photos, form)
        assert done.returncode == 0, done.stderr
        assert b"caf\\xe9.jpg" in done.stdout.replace(b"\\\\", b"\\") and b"photo 1" in done.stdout


def test_predict_says_when_it_is_not_sure(labelled_file, photos, capsys):
    def lines(limit):
        arguments = ["predict", str(labelled_file), str(photos), "--min-confidence", limit]
        assert cli.main(arguments) == 0
        return capsys.readouterr().out.splitlines()

    assert all(": not sure: " in line.replace("  ", " ") for line in lines("1"))
    assert not any("not sure" in line for line in lines("0"))
    assert cli.main(["predict", str(labelled_file), str(photos), "--json"]) == 0
    assert [row["sure"] for row in json.loads(capsys.readouterr().out)] == [True, True]


def test_predict_warns_of_blur_by_the_files_own_threshold(labelled_file, photos, capsys):
    with Image.open(photos / "photo 0.jpg") as image:
        image.resize((12, 12)).resize((600, 600)).save(photos / "soft.png")
    assert cli.main(["predict", str(labelled_file), str(photos), "--csv", "--top", "1"]) == 0
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["blurred"] for row in rows] == ["false", "false", "true"]
    assert "soft.png is blurred" in err and err.count("is blurred") == 1


def ask(*arguments, given=b""):
    command = [sys.executable, "-m", "dermaface", "predict", *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, timeout=60)


def test_predict_reads_standard_input(labelled_file, photos):
    done = ask(labelled_file, "-", "--json", given=(photos / "photo 0.jpg").read_bytes())
    by_name = ask(labelled_file, photos / "photo 0.jpg", "--json")
    assert done.returncode == by_name.returncode == 0, done.stderr
    (row,), (expected,) = json.loads(done.stdout), json.loads(by_name.stdout)
    assert row.pop("image") == "standard input" and expected.pop("image")
    assert row == expected
    done = ask(labelled_file, "-", given=b"no picture")
    assert done.returncode == 1 and b"Standard input is not an image" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["missing.tflite", "x.jpg"], "no model file"),
        (["MODEL", "missing.jpg"], "no file 'missing.jpg'"),
        (["MODEL", "EMPTY"], "no images in the folder"),
        (["MODEL", "x.jpg", "--top", "0"], "--top must be at least 1"),
        (["MODEL", "x.jpg", "--min-confidence", "2"], "between 0 and 1"),
        (["MODEL", "-", "-"], "only once"),
    ],
)
def test_predict_says_what_is_wrong(labelled_file, tmp_path, capsys, arguments, word):
    names = {"MODEL": str(labelled_file), "EMPTY": str(tmp_path)}
    assert cli.main(["predict", *(names.get(a, a) for a in arguments)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and word in err and "Traceback" not in err


def test_sample_draws_the_set_and_refuses_a_folder_of_something_else(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sample, "CLASS_NAMES", sample.CLASS_NAMES[:1])
    assert cli.main(["sample", str(tmp_path / "drawn")]) == 0
    assert len(list((tmp_path / "drawn").rglob("*.jpg"))) == 40 + 1
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "a.txt").write_text("mine")
    assert cli.main(["sample", str(tmp_path / "thesis")]) == 1
    assert (tmp_path / "thesis" / "a.txt").read_text() == "mine"


def test_run_without_the_notebooks_packages_says_what_to_install():
    code = (
        "import sys; sys.modules['papermill'] = None\n"
        "from dermaface.cli import main; sys.exit(main(['run']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "extra 'notebooks'" in done.stderr and "papermill" in done.stderr


def test_signals_end_a_run_as_ctrl_c_does():
    code = (
        "import os, signal\nfrom dermaface import cli, pipeline\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run in the background\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def send(number):\n"
        "    def run(*_, **__):\n"
        "        os.kill(os.getpid(), number)\n"
        "        raise ValueError('goes on')\n"
        "    pipeline.run = run\n"
        "    return cli.main(['run'])\n"
        "print([send(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)])\n"
        "assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does\n"
        "print(send(signal.SIGHUP))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[130, 143, 129]\n1\n", done.stderr
    line = "dermaface: interrupted. To continue a run, repeat the command with --resume.\n"
    assert done.stderr == 3 * line + "dermaface: goes on\n"


def test_help_is_light():
    code = (
        "import sys\nfrom dermaface.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'tensorflow', 'numpy', 'papermill'} & set(sys.modules), 'heavy import'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("run", "predict", "check", "sample"):
        assert command in done.stdout


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"dermaface {dermaface.__version__}\n"
