"""Tests of dermaface.release: the gate, and the release folder with all that lies in it."""

import hashlib
import json
import shutil
import time
import zipfile

from conftest import CLASS_NAMES
from dermaface import cli, runs
from dermaface.evaluation.scores import CONVERSION_COLUMNS, prediction_frame
from dermaface.photos import sample
from dermaface.photos.pixels import load_image
from dermaface.release import contract, gate
from dermaface.release.card import strangers_told
from dermaface.release.folder import facts_for, label_files, withdraw, write_release
from dermaface.tflite import file as tflite_file
from dermaface.tflite import runtime
import numpy as np
import pandas as pd
from PIL import Image
import pytest

LIMITS = {"max_accuracy_drop": 0.02, "min_agreement": 0.95, "max_bytes": 0}


def table(*rows, images=100):
    """Return rows of conversion.csv from (variant, split, accuracy_drop, agreement)."""
    frame = pd.DataFrame(rows, columns=["variant", "split", "accuracy_drop", "agreement"])
    return frame.assign(images=images)


def test_the_gate():
    rows = table(
        ("a", "validation", 0.02, 0.95),
        ("b", "validation", 0.03, 0.99),
        ("c", "validation", 0.0, 0.94),
        ("d", "validation", -0.05, 0.95),
    )
    assert gate.gate(rows, 0.02, 0.95).tolist() == [True, False, False, True]


def test_the_gate_is_never_stricter_than_one_image():
    rows = table(("a", "validation", 0.05, 0.95), ("b", "validation", 0.1, 0.9), images=20)
    assert gate.gate(rows, 0.0, 1.0).tolist() == [True, False]


def test_the_gate_judges_size_and_problems_too():
    rows = table(*[(v, "validation", 0.0, 1.0) for v in "abc"])
    rows["bytes"], rows["problem"] = [100, 101, 100], ["", "", "broken"]
    assert gate.gate(rows, 0, 1, max_bytes=100).tolist() == [True, False, False]
    assert gate.gate(rows, 0, 1).tolist() == [True, True, False]
    with pytest.raises(ValueError, match="max_bytes"):
        gate.gate(rows, 0, 1, max_bytes=-1)


def test_a_broken_file_does_not_pass(tflite_files):
    def problem(content):
        return gate.find_problem(content, "int8", CLASS_NAMES)

    whole = tflite_file.embed(tflite_files["int8"], CLASS_NAMES, {})
    assert problem(whole) == ""
    assert "cut short" in problem(whole[:-100]) or "damaged" in problem(whole[:-100])
    swapped = [CLASS_NAMES[1], CLASS_NAMES[0], *CLASS_NAMES[2:]]
    assert "not the classes" in problem(tflite_file.embed(tflite_files["int8"], swapped, {}))
    model = tflite_file.unpack(tflite_files["int8"])
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].quantization.scale = np.float32([1 / 255])
    scaled = tflite_file.embed(tflite_file.pack(model), CLASS_NAMES, {})
    assert "a client that feeds raw bytes" in problem(scaled)
    assert "is dynamic" in problem(tflite_file.embed(tflite_files["dynamic"], CLASS_NAMES, {}))
    rows = table(("int8", "validation", 0.0, 1.0)).assign(problem=problem(scaled))
    assert not gate.gate(rows, 0.02, 0.95).any()
    with pytest.raises(gate.GateError, match="raw bytes would get wrong answers"):
        gate.require_variant(None, rows)


@pytest.mark.parametrize("limits", [(-0.1, 0.9), (0.1, 1.2)])
def test_limits_out_of_range(limits):
    with pytest.raises(ValueError, match="between 0 and 1"):
        gate.gate(table(("a", "validation", 0, 1)), *limits)


def test_the_first_preferred_variant_that_passed_on_validation_is_chosen():
    rows = table(
        ("int8", "validation", 0.5, 0.5),
        ("float16", "validation", 0.0, 1.0),
        ("float32", "validation", 0.0, 1.0),
        ("int8", "test", 0.0, 1.0),
        ("float16", "test", 0.5, 0.5),
    )
    rows["passed"] = gate.gate(rows, 0.02, 0.95)
    assert gate.choose_variant(rows, ["int8", "float16", "float32"]) == "float16"
    assert gate.choose_variant(rows, ["float32", "float16"]) == "float32"
    assert gate.choose_variant(rows, ["int8"]) is None
    with pytest.raises(ValueError, match="'int4', which is not among"):
        gate.choose_variant(rows, ["int4"])


def test_nothing_passed_is_an_error_with_the_figures():
    rows = table(("int8", "validation", 0.5, 0.25))
    with pytest.raises(gate.GateError, match=r"int8 loses 0.500 and agrees on 0.250"):
        gate.require_variant(None, rows)
    assert gate.require_variant("int8", rows) == "int8"


def test_files_are_compared_and_judged_in_one_table(tflite_files, small_model, calibration):
    from dermaface.quiet_tensorflow import tf

    pixels = calibration.astype("float32")
    dataset = tf.data.Dataset.from_tensor_slices((pixels, np.zeros((len(pixels), 4)))).batch(4)
    splits = ["validation"] * 6 + ["test"] * 4
    photos = pd.DataFrame({"path": "x", "split": splits, "label": ["acne"] * 10})
    photos[["group", "copies", "scene"]] = ""
    predictions = prediction_frame(photos, small_model.predict(pixels, verbose=0), CLASS_NAMES)
    files = {
        "float32": tflite_file.embed(tflite_files["float32"], CLASS_NAMES, {}),
        "int8": tflite_file.embed(turned_upside_down(tflite_files["int8"]), CLASS_NAMES, {}),
        "float16": tflite_file.embed(tflite_files["dynamic"], CLASS_NAMES, {}),
    }
    rows, answers = gate.compare_files(files, predictions, dataset, CLASS_NAMES, LIMITS)
    recalls = [f"recall_change_{name}" for name in CLASS_NAMES]
    assert rows.columns.tolist() == [*CONVERSION_COLUMNS, *recalls]
    assert rows[["variant", "split"]].drop_duplicates().shape[0] == len(rows) == 6
    assert rows["bytes"].tolist() == [len(files[variant]) for variant in rows["variant"]]
    assert rows.filter(like="latency").gt(0).all(axis=None)
    assert rows["passed"].tolist() == [True, True, False, False, False, False]
    assert "is dynamic" in rows["problem"].iloc[-1] and rows["problem"].iloc[0] == ""
    assert {name: given.shape for name, given in answers.items()} == dict.fromkeys(files, (10, 4))
    small = LIMITS | {"max_bytes": len(files["float32"]) - 1}
    assert not gate.compare_files(files, predictions, dataset, CLASS_NAMES, small)[0][
        "passed"
    ].any()


def test_an_audit_is_a_row_for_each_file(tflite_files):
    table = gate.audit_files(tflite_files)
    assert table.index.tolist() == list(tflite_files)
    assert (table["it is"] == table.index).all() and table["output"].eq("FLOAT32").all()
    assert table.loc["int8", "input"] == "UINT8, scale 1, zero 0"
    assert table.loc["float32", "input"] == "FLOAT32"
    assert table["operators in floats"].tolist() == [67, 67, 67, 0, 67]
    assert table["DEQUANTIZE"].gt(0).tolist() == [False, False, True, True, True]
    stored = table["weights (KB)"] / table.loc["float32", "weights (KB)"]
    assert stored["float16"] == pytest.approx(0.5, abs=0.01)
    assert stored[["dynamic", "int8", "int8_weights"]].between(0.25, 0.29).all()


def test_recipes_are_tried_until_one_passes(tflite_files, small_model, calibration):
    from dermaface.quiet_tensorflow import tf

    pixels = calibration.astype("float32")
    dataset = tf.data.Dataset.from_tensor_slices((pixels, np.zeros((len(pixels), 4)))).batch(4)
    probabilities = small_model.predict(pixels, verbose=0)
    rows = pd.DataFrame({"path": "x", "split": "validation", "label": ["acne"] * len(pixels)})
    rows[["group", "copies", "scene"]] = ""
    asked = []

    def recipe(name, content):
        return {name: lambda: asked.append(name) or content}

    def attempt(recipes, probabilities=probabilities):
        asked.clear()
        predictions = prediction_frame(rows, probabilities, CLASS_NAMES)
        return gate.try_recipes(recipes, predictions, dataset, CLASS_NAMES, LIMITS)

    good, bad = tflite_files["int8"], turned_upside_down(tflite_files["int8"])
    tried, content, made_by = attempt(recipe("a", bad) | recipe("b", good) | recipe("c", bad))
    assert asked == ["a", "b"] and tried["passed"].tolist() == [False, True]
    assert (content, made_by) == (good, "b")
    # If none passes, the one that agrees best goes on; among equals, the first.
    others = np.concatenate([probabilities[:7], np.roll(probabilities[7:], 1, axis=1)])
    for recipes in (recipe("a", bad) | recipe("b", good), recipe("b", good) | recipe("a", bad)):
        tried, content, made_by = attempt(recipes | recipe("c", good), others)
        assert tried["passed"].tolist() == [False] * 3
        assert (content, made_by) == (good, "b")


def test_the_verdict_is_readable_for_the_person_who_decides():
    rows = table(("int8", "validation", 0.5, 0.5), ("float16", "validation", 0.0, 1.0), images=4)
    rows = rows.assign(accuracy=0.5, bytes=4_500_000, changed=2)
    rows["passed"] = gate.gate(rows, 0.02, 0.95)
    answered = pd.DataFrame(
        {
            "split": "validation",
            "label": list("aabb"),
            "predicted": list("abbb"),
            "sure": [True, False, True, False],
            "held": [True, True, True, False],
            "set_size": [1, 1, 2, 3],
        }
    )
    strangers = {"pictures": 36, "sure": 30, "drawn": True}
    said = gate.verdict("float16", rows, answered, {"validation": SCORE}, strangers)
    assert "The gate passes release/model.tflite: the float16 file, 4,500 KB." in said
    assert "50.0 % of 4 validation photos (also used to choose)" in said
    assert "The trained model is right for 50.0 %; the file changed 2 of its answers." in said
    assert "sure of 2 of 4 photos, and 100.0 % of its sure answers are right." in said
    assert "hold the truth for 3 of 4 photos, with 1.75 classes on average." in said
    assert "Weakest class: melasma, with 5 of 10 recognised." in said
    assert "The gate refused int8." in said
    assert said.endswith(
        "\nBefore you ship it: it calls itself sure of 83 % of 36 drawn pictures of other things."
    )
    scores, none = {"validation": SCORE}, {"pictures": 34, "sure": 0, "drawn": False}
    wrong = answered.assign(predicted=list("bbbb"))
    said = gate.verdict("float16", rows, wrong, scores, none)
    assert "\nIt is sure of none of 34 photos of other things.\n" in said
    assert said.endswith("\nBefore you ship it: 1 of its 2 sure answers is wrong.")
    said = gate.verdict("float16", rows, wrong.assign(sure=True), scores, strangers)
    assert said.endswith("of other things,\nand 2 of its 4 sure answers are wrong.")


def test_the_verdict_is_plain_when_there_is_nothing_to_report():
    rows = table(("int8", "test", 0.0, 1.0), ("int8", "validation", 0.0, 1.0))
    rows = rows.assign(accuracy=1.0, bytes=1000, changed=0, passed=True)
    answered = pd.DataFrame({"split": ["test"], "label": "a", "predicted": "a", "sure": False})
    answered = answered.assign(held=True, set_size=1)
    classes = {name: figures | {"recall": 1.0} for name, figures in SCORE["classes"].items()}
    none = {"pictures": 34, "sure": 0, "drawn": True}
    said = gate.verdict("int8", rows, answered, {"test": SCORE | {"classes": classes}}, none)
    assert "Before you ship it" not in said
    assert "the file changed none of its answers." in said
    assert "It calls itself sure of none of the 1 photos." in said
    assert "Every photo of every class is recognised." in said
    assert "The gate refused no file." in said


SCORE = {
    "images": 40,
    "pictures": 36,
    "groups": 20,
    "independent": 24.4,
    "accuracy": 0.9,
    "accuracy_interval": [0.77, 0.96],
    "macro_f1": 0.9,
    "log_loss": 0.3,
    "classes": {
        name: {"images": 10, "precision": 0.8, "recall": recall, "f1": 0.8}
        for name, recall in zip(CLASS_NAMES, (0.9, 0.5, 1.0, 0.8), strict=True)
    },
}


def make_run(output_dir, tflite_files, sample_folder):
    """Return a run that has everything that the release is made of."""
    run = runs.open_run("r", output_dir)
    with zipfile.ZipFile(run.path("model.keras"), "w") as archive:
        for name in ("config.json", "model.weights.h5"):
            archive.writestr(name, "stands for the model")
    run.update(
        data={"fingerprint": "f1n9er", "sample": True, "root": str(sample_folder)},
        temperature=1.25,
        notebooks={
            "01_explore_data": {"parameters": {"blur_threshold": 15.0}},
            "02_build_model": {"parameters": {"image_size": 96, "backbone": "tiny"}},
        },
    )
    runs.write_text(run.path("labels.txt"), "\n".join(CLASS_NAMES) + "\n")
    runs.write_json(run.path("metrics.json"), {"test": {"accuracy": 0.91}})
    photos = [f"{name}/{name}_{n:04d}.jpg" for name in CLASS_NAMES for n in range(3)]
    frame = pd.DataFrame({"path": photos, "status": "kept", "split": "train"})
    frame[["group", "copies", "scene"]] = ""
    frame["label"] = [path.split("/")[0] for path in photos]
    frame.loc[::3, "split"] = "test"
    runs.write_csv(run.path("images.csv"), frame)
    runs.write_text(run.path("release/old.txt"), "from an earlier run")
    run.path("tflite").mkdir()
    trust = {
        "min_confidence": 0.5,
        "sure_accuracy": 0.9,
        "set_threshold": 0.1,
        "set_coverage": 0.95,
    }
    files = label_files(run, {"int8": tflite_files["int8"]}, trust, {"int8": "converter"})
    run.path("tflite/int8.tflite").write_bytes(files["int8"])
    return run


@pytest.fixture
def run(tmp_path, tflite_files, sample_folder):
    return make_run(tmp_path, tflite_files, sample_folder)


@pytest.fixture(scope="module")
def released(tmp_path_factory, tflite_files, sample_folder):
    """Return a release folder for all tests to read."""
    return write(make_run(tmp_path_factory.mktemp("released"), tflite_files, sample_folder))


@pytest.fixture
def folder(released, tmp_path):
    """Return a release folder for one test to harm."""
    return shutil.copytree(released, tmp_path / "release")


def write(run, score=SCORE, **more):
    rows = table(("int8", "test", 0.01, 0.99)).assign(
        passed=True,
        drop_low=-0.02,
        drop_high=0.04,
        changed=1,
        max_abs_diff=0.1,
        recall_change_x=np.nan,
    )
    resizers = pd.DataFrame({"resizer": ["Pillow"], "accuracy": [0.8], "agreement": [0.9]})
    strangers = {"pictures": 4, "mean_confidence": 0.75, "sure": 3, "drawn": True}
    measured = {"scores": {"test": score}, "resizers": resizers, "strangers": strangers}
    measured["errors"] = {"before": 0.06, "now": 0.071, "chance": 0.052}
    counts = {"photos": [10, 40], "sure": [6, 30], "right": [5, 28], "held": [9, 39]}
    measured["trust"] = pd.DataFrame(counts, ["acne", "all"]).assign(set_size=[1.5, 1.25])
    write_release(run, "int8", rows, measured, LIMITS, **more)
    return run.path("release")


def test_the_release_folder(run):
    folder = write(run)
    names = sorted(p.name for p in folder.iterdir())
    assert names == [
        "MODEL_CARD.md",
        "README.md",
        "golden",
        "labels.txt",
        "model.json",
        "model.tflite",
    ]
    described = json.loads((folder / "model.json").read_text())
    content = (folder / "model.tflite").read_bytes()
    assert described["sha256"] == hashlib.sha256(content).hexdigest()
    assert described["labels"] == (folder / "labels.txt").read_text().splitlines() == CLASS_NAMES
    text = (folder / "labels.txt").read_bytes()
    assert described["labels_sha256"] == hashlib.sha256(text).hexdigest()
    assert described["variant"] == "int8" and described["input"]["type"] == "uint8"
    assert described["input"]["shape"] == [1, 96, 96, 3]
    assert (described["input"]["scale"], described["input"]["zero_point"]) == (1, 0)
    assert "upright" in described["input"]["pixel_rule"]
    assert described["figures"][0]["agreement"] == 0.99
    assert "recall_change_x" not in described["figures"][0]
    assert described["data_fingerprint"] == "f1n9er"
    assert described["data_images"] == {"test": 4, "train": 8}
    assert described["limits"]["min_agreement"] == 0.95 and described["recipe"] == "converter"
    assert described["scores"]["test"]["accuracy"] == 0.9
    assert described["notice"] == sample.NOTICE and described["min_confidence"] == 0.5
    assert described["operators"]["CONV_2D"] == 35 and described["float_operators"] == []
    assert described["min_runtime"].startswith("TensorFlow Lite 1.")
    assert runtime.Classifier(folder / "model.tflite").labels == CLASS_NAMES
    withdraw(run)
    assert not folder.exists()


def test_the_model_card_says_how_good_and_where_not(released):
    card = (released / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.startswith("# Model card: r\n") and sample.NOTICE in card
    assert "Not a medical device" in card and "Intended use" in card
    assert "accuracy 0.900, 95 % interval 0.770 to 0.960 (Wilson, for the\n  24 independent" in card
    assert "Measured on 40 test photos, 36 pictures, 20 groups, with the file that ships" in card
    assert "1.00 points of accuracy lost" in card and "-2.00 to 4.00" in card
    # The weakest class comes first.
    assert card.index("| melasma | 10 | 0.50 |") < card.index("| wrinkles | 10 | 0.80 |")
    assert "| train | 8 |" in card and "f1n9er" in card
    assert "Of 4 drawn pictures of other things" in card and "| Pillow | 0.800 | 0.900 |" in card
    assert "3 got an answer of 0.50 or more" in card and "0.75 on average." in card


def test_the_model_card_tells_of_further_trainings(run, released):
    assert "trained again" not in (released / "MODEL_CARD.md").read_text(encoding="utf-8")
    again = {"test": {"accuracy": 0.9, "trained_again": {"1": 0.88, "2": 0.91}}}
    runs.write_json(run.path("metrics.json"), again)
    card = (write(run) / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "- trained again with 2 other seeds, the Keras model reaches 0.880 to 0.910\n" in card
    assert "(with its own 0.900);\n- compared with the run's trained model" in card


def test_what_a_file_says_about_strangers(labelled_file, tflite_files, tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (50, 60, 3), np.uint8) for _ in range(4)]
    classifier = runtime.Classifier(labelled_file)
    highest = [classifier.predict(picture, top=1)[0][1] for picture in pictures]
    told = strangers_told(classifier, pictures)
    mean = pytest.approx(np.mean(highest))
    assert told == {"pictures": 4, "drawn": True, "mean_confidence": mean, "sure": 4}
    Image.fromarray(pictures[0]).save(tmp_path / "a.png")
    assert not strangers_told(classifier, [tmp_path / "a.png"])["drawn"]
    path = tmp_path / "strict.tflite"
    path.write_bytes(
        tflite_file.embed(tflite_files["int8"], CLASS_NAMES, {"min_confidence": sorted(highest)[2]})
    )
    assert strangers_told(runtime.Classifier(path), pictures)["sure"] == 2


def test_the_model_card_says_what_lies_in_two_splits(run):
    card = (write(run) / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "No group or picture lies in two splits" in card
    frame = pd.read_csv(run.path("images.csv"), keep_default_na=False)
    frame.loc[:4, "group"] = "Jane Doe"
    frame.loc[6:7, "copies"] = frame["path"][6]
    runs.write_csv(run.path("images.csv"), frame)
    card = (write(run) / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "Groups that lie in more than one split: 1 (photos: train 3, test 2)" in card
    assert "Pictures that lie in more than one split: 1 (photos: train 1, test 1)" in card
    assert "No group or picture" not in card and "Jane Doe" not in card


def test_a_class_that_was_not_measured_is_named_and_is_not_the_weakest(run):
    missing = {"images": 0, "precision": None, "recall": None, "f1": None}
    score = SCORE | {"classes": SCORE["classes"] | {"acne": missing}}
    card = (write(run, score) / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "no test photo shows acne" in card and "| acne | 0 | - | - |" in card
    assert card.index("| melasma | 10 | 0.50 |") < card.index("| acne | 0 |")
    rows = table(("int8", "test", 0.0, 1.0)).assign(accuracy=0.9, bytes=1, changed=0, passed=True)
    answered = pd.DataFrame({"split": ["test"], "label": "a", "predicted": "a", "sure": True})
    answered = answered.assign(held=True, set_size=1)
    none = {"pictures": 34, "sure": 0, "drawn": True}
    said = gate.verdict("int8", rows, answered, {"test": score}, none)
    assert "Weakest class: melasma, with 5 of 10 recognised." in said
    assert "no test photo shows acne" in said


def test_golden_pictures_hold_what_clients_stumble_over(released):
    folder = released / "golden"
    expected = json.loads((folder / "expected.json").read_text())
    assert len(expected["pictures"]) == 10 and expected["labels"] == CLASS_NAMES
    classifier = runtime.Classifier(folder.parent / "model.tflite")
    turned = large = 0
    for entry in expected["pictures"]:
        for kind in ("picture", "input"):
            pixels = load_image(folder / entry[kind], 96)
            answer = classifier.predict_pixels(pixels)
            np.testing.assert_allclose(answer, entry["probabilities"], atol=1e-5)
        with Image.open(folder / entry["picture"]) as image:
            turned += image.getexif().get(0x0112, 1) != 1
            large += min(image.size) >= 4 * 96
        assert entry["predicted"] == CLASS_NAMES[int(np.argmax(entry["probabilities"]))]
    assert (turned, large) == (1, 1)


def test_own_photos_are_golden_on_request_and_lose_their_exif(run, tmp_path):
    root = tmp_path / "photos"
    (root / "acne").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Camera of Jane Doe", 6
    picture = sample.draw("acne", np.random.default_rng(0))
    picture.save(root / "acne" / "a.jpg", exif=exif)
    run.update(data=run.read()["data"] | {"root": str(root)})
    folder = write(run, photos=["acne/a.jpg"]) / "golden"
    expected = json.loads((folder / "expected.json").read_text())
    assert len(expected["pictures"]) == 11
    with Image.open(folder / "photo_00.png") as image:
        assert not image.getexif() and image.size == picture.size[::-1]
    assert b"Jane Doe" not in b"".join(p.read_bytes() for p in folder.iterdir())


def test_check_replays_a_release(released, capsys):
    assert cli.main(["check", str(released)]) == 0
    out = capsys.readouterr().out
    assert "10 pictures answered as expected" in out and "unchanged" in out


def change_json(path, **facts):
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


EXPECTED = "golden/expected.json"


MISSING = object()


def change_field(path, place, value):
    """Put a value where keys and indices lead to in a JSON file, or remove what is there."""
    content = json.loads(path.read_text())
    parent = content
    for key in place[:-1]:
        parent = parent[key]
    if value is MISSING:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    path.write_text(json.dumps(content))


def change_picture(folder, **facts):
    for name, value in facts.items():
        change_field(folder / EXPECTED, ["pictures", 0, name], value)


def repeat_a_picture(path):
    pictures = json.loads(path.read_text())["pictures"]
    change_json(path, pictures=[*pictures[:-1], pictures[0]])


def turned_upside_down(content):
    """Return a file whose largest block of weights runs backwards."""
    model = tflite_file.unpack(content)
    largest = max((b for b in model.buffers if b.data is not None), key=lambda b: b.data.nbytes)
    largest.data = np.frombuffer(bytes(largest.data)[::-1], np.uint8)
    return tflite_file.pack(model)


def another_model(folder, tflite_files):
    """Put a whole file with other answers there, and let model.json describe it."""
    content = tflite_file.embed(turned_upside_down(tflite_files["int8"]), CLASS_NAMES, {})
    (folder / "model.tflite").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    change_json(folder / "model.json", bytes=len(content), sha256=digest)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "word"),
    [
        (lambda folder, files: flip(folder / "model.tflite"), "some of its bytes have changed"),
        (lambda folder, files: (folder / "model.tflite").unlink(), "incomplete"),
        (lambda folder, files: (folder / "labels.txt").unlink(), "incomplete"),
        (lambda folder, files: (folder / "MODEL_CARD.md").unlink(), "incomplete"),
        (lambda folder, files: change_json(folder / "model.json", notice=""), "differ in notice"),
        (lambda folder, files: change_json(folder / "model.json", min_confidence=0), "differ in m"),
        (lambda folder, files: (folder / "model.json").write_text("{}"), "must contain ['bytes'"),
        (lambda folder, files: (folder / "model.json").unlink(), "Name a release folder"),
        (lambda folder, files: (folder / "model.json").write_text("{"), "is damaged"),
        (lambda folder, files: flip(folder / "labels.txt"), "differ"),
        (
            lambda folder, files: change_json(folder / "model.json", labels=CLASS_NAMES[::-1]),
            "differ",
        ),
        (
            lambda folder, files: change_json(folder / "model.json", variant="float16"),
            "claims to be float16 but is int8",
        ),
        (
            lambda folder, files: change_json(folder / "model.json", bytes=float("nan")),
            "NaN is not a number",
        ),
        (
            lambda folder, files: (folder / "model.json").write_text("[" * 100_000),
            "is damaged",
        ),
        (
            lambda folder, files: change_field(folder / "model.json", ["input", "scale"], 0.5),
            "does not take the input",
        ),
        (
            lambda folder, files: change_json(folder / EXPECTED, labels=CLASS_NAMES[::-1]),
            "differ",
        ),
        (lambda folder, files: change_json(folder / EXPECTED, tolerance=1e9), "1000000000.0 off"),
        (lambda folder, files: change_json(folder / EXPECTED, pictures=[]), "has 0 different"),
        (lambda folder, files: repeat_a_picture(folder / EXPECTED), "has 9 different"),
        (
            lambda folder, files: change_picture(folder, picture="../golden/picture_00.png"),
            "must match pattern",
        ),
        (
            lambda folder, files: change_picture(folder, input=str(folder / "labels.txt")),
            "must match pattern",
        ),
        (
            lambda folder, files: change_picture(folder, probabilities=[1.0]),
            "for each of the 4 labels",
        ),
        (
            lambda folder, files: change_picture(folder, predicted="wrinkles and more"),
            "contradicts itself",
        ),
        (lambda folder, files: flip(folder / "golden/input_picture_03.png"), "has changed"),
        (lambda folder, files: (folder / "golden/picture_04.png").unlink(), "is missing"),
        (another_model, "a probability is off by"),
    ],
)
def test_check_says_what_is_wrong_with_a_release(folder, tflite_files, capsys, harm, word):
    harm(folder, tflite_files)
    assert cli.main(["check", str(folder)]) == 1
    out, err = capsys.readouterr()
    assert word in err and out == "" and "Traceback" not in err


def places(value, place=()):
    """Yield the place of each value in a JSON document, and the value; of lists, only the first."""
    yield list(place), value
    inner = value.items() if isinstance(value, dict) else ()
    inner = list(enumerate(value[:1])) if isinstance(value, list) else inner
    for key, item in inner:
        yield from places(item, (*place, key))


# Every type of JSON, and what is awkward in each.
VALUES = [None, True, 0, -1, 10**400, 0.5, "", "../x", "a\0", "\ud800", [], [None], {}]


@pytest.mark.parametrize(
    ("name", "schema", "free"),
    [
        ("model.json", contract.MODEL_SCHEMA, [["input", "pixel_rule"]]),
        (EXPECTED, contract.EXPECTED_SCHEMA, [["tolerance"]]),  # a smaller one does no harm
    ],
)
def test_no_json_breaks_the_check(folder, name, schema, free):
    path = folder / name
    whole = json.loads(path.read_text())
    # The fields that the check does not read may hold anything.
    told = runtime.Classifier(folder / "model.tflite").facts if name == "model.json" else {}
    content = {key: whole[key] for key in {**schema["properties"], **told}}
    for place, found in places(content):
        for value in VALUES:
            if type(value) is type(found) and value == found:
                continue
            path.write_text(json.dumps(content if place else value))
            if place:
                change_field(path, place, value)
            assert is_refused(folder) or place in free, (place, value)
        if place and isinstance(place[-1], str):
            path.write_text(json.dumps(content))
            change_field(path, place, MISSING)
            assert is_refused(folder), place
    path.write_text(json.dumps(content))
    assert not is_refused(folder)


def is_refused(folder):
    """Tell whether the check refuses a folder; it may do so by a ValueError alone."""
    try:
        contract.check_release(folder)
    except ValueError:
        return True
    return False


def test_a_release_that_fails_its_own_check_is_not_written(run, monkeypatch):
    withdraw(run)
    monkeypatch.setattr(
        runtime.Classifier, "predict_pixels", lambda self, pixels: np.random.rand(4).astype("f4")
    )
    with pytest.raises(ValueError, match="a probability is off by"):
        write(run)
    assert not run.path("release").exists()


def test_a_model_saved_again_has_the_same_facts(tmp_path):
    from dermaface.quiet_tensorflow import keras

    run = runs.open_run("r", tmp_path)
    run.update(notebooks={"01_explore_data": {"parameters": {"data": "", "blur_threshold": 4.0}}})
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    facts, files = [], []
    for _ in range(2):
        model.save(run.path("model.keras"))
        facts.append(facts_for(run, "int8"))
        files.append(run.path("model.keras").read_bytes())
        time.sleep(1.1)  # the archive notes the second in which it was saved
    assert facts[0] == facts[1] and files[0] != files[1]
    model.layers[0].bias.assign([0.0, 1.0])
    model.save(run.path("model.keras"))
    changed = facts_for(run, "int8")
    assert changed["keras_model_sha256"] != facts[0]["keras_model_sha256"]
    assert changed["version"] != facts[0]["version"]
