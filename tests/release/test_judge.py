"""Tests of dermaface.release.judge: files from anywhere, by a run's photos and its gate."""

from pathlib import Path
import types

from conftest import CLASS_NAMES
from dermaface import cli, runs
from dermaface.evaluation import scores
from dermaface.release import contract, gate
from dermaface.release import judge as judging
from dermaface.tflite import file as tflite_file
from dermaface.tflite import runtime
import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path, sample_folder, keras_answers):
    """Return a run whose trained model is the small one."""
    run = runs.open_run("theirs", tmp_path)
    run.update(
        run_name="theirs",
        data={"fingerprint": "f1n9er", "sample": True, "root": str(sample_folder)},
        temperature=1.25,
        notebooks={
            "01_explore_data": {"parameters": {"blur_threshold": 4.0}},
            "02_build_model": {"parameters": {"image_size": 96, "backbone": "tiny"}},
        },
    )
    runs.write_text(run.path("labels.txt"), "\n".join(CLASS_NAMES) + "\n")
    files = [file for name in CLASS_NAMES for file in sorted((sample_folder / name).iterdir())]
    frame = pd.DataFrame({"path": [f"{file.parent.name}/{file.name}" for file in files]})
    frame["label"] = [file.parent.name for file in files]
    frame["split"] = np.resize(["train", "validation", "test"], len(frame))
    frame[["group", "copies", "scene"]] = ""
    frame[["status", "orientation"]] = "kept", 1
    runs.write_csv(run.path("images.csv"), frame)
    held = pd.concat([frame[frame["split"] == split] for split in ("validation", "test")])
    table = scores.prediction_frame(held, keras_answers[held.index], CLASS_NAMES)
    runs.write_csv(run.path("predictions.csv"), table)
    figures = {split: scores.score(rows, CLASS_NAMES) for split, rows in table.groupby("split")}
    runs.write_json(run.path("metrics.json"), figures)
    return run


def write(folder, content, name="theirs.tflite"):
    path = Path(folder) / name
    path.write_bytes(content)
    return path


def test_a_file_of_the_runs_model_passes_and_its_release_proves_itself(
    run, tflite_files, tmp_path, capsys
):
    path = write(tmp_path, tflite_files["int8"])
    labels = write(tmp_path, "\n".join(CLASS_NAMES).encode(), "labels.txt")
    arguments = ["judge", str(path), "--run", str(run.folder), "--labels", str(labels)]
    assert cli.main(arguments) == 0
    said = capsys.readouterr().out
    assert "theirs.tflite: int8, one upright RGB photo of 96 x 96." in said
    assert "Fed with pixels 0..255, it gives" in said and "The gate passes release/model" in said
    contract.check_release(run.path("release"))
    assert "temperature 1.25" in run.path("release/MODEL_CARD.md").read_text()
    assert cli.main(arguments) == 1
    assert "exists, and nothing is overwritten" in capsys.readouterr().err


def test_another_model_must_be_as_good_but_need_not_agree(run, tflite_files, tmp_path):
    path, output = write(tmp_path, tflite_files["float32"]), tmp_path / "released"
    table = pd.read_csv(run.path("predictions.csv"))
    # The run's model answers with the next class: it is always wrong, and agrees with nobody.
    names = [f"p_{name}" for name in CLASS_NAMES]
    table[names] = table[np.roll(names, 1)].to_numpy()
    table["predicted"] = [CLASS_NAMES[i] for i in table[names].to_numpy().argmax(axis=1)]
    runs.write_csv(run.path("predictions.csv"), table)
    with pytest.raises(gate.GateError, match="Nothing is released: on 16 validation photos"):
        judging.judge(run, path, CLASS_NAMES, output=output)
    assert not output.exists()
    said = judging.judge(run, path, CLASS_NAMES, independent=True, output=output)
    assert "The gate passes released/model.tflite: the float32 file" in said
    card = (output / "MODEL_CARD.md").read_text()
    assert "a network that this run did not train" in card and "Nothing was done to its" in card


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([], "carries no labels"),
        (CLASS_NAMES[::-1], "the run's classes in another order"),
        ([*CLASS_NAMES[1:], "warts"], "It alone has: warts; the run alone has: " + CLASS_NAMES[0]),
    ],
)
def test_labels_that_are_not_the_runs_are_refused(labels, said):
    with pytest.raises(ValueError, match="theirs") as caught:
        judging.check_labels("theirs", labels, CLASS_NAMES)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("given", "answers", "metadata", "said"),
    [
        ({"shape_signature": [-1, 96, 96, 3]}, {}, (None, None), "a batch of any size"),
        ({"shape_signature": [8, 96, 96, 3]}, {}, (None, None), "8 photos at a time"),
        ({"shape_signature": [1, 3, 96, 96]}, {}, (None, None), "channels first"),
        ({"shape_signature": [1, 96, 64, 3]}, {}, (None, None), "not one square RGB photo"),
        ({"shape_signature": [1, 64]}, {}, (None, None), "which is no photo"),
        ({"dtype": np.int8}, {}, (None, None), "Photos are unsigned bytes"),
        ({"dtype": np.uint8, "quantization": (0.0039, 0)}, {}, (None, None), "scaled pixels"),
        ({}, {}, (127.5, 127.5), "subtract 127.5 and divide by 127.5"),
        ({}, {"shape": [1, 1000]}, (None, None), "it would be [1, 4]"),
        ({}, {"dtype": np.uint8}, (None, None), "with a float output"),
    ],
)
def test_what_takes_something_else_is_refused_in_words(monkeypatch, given, answers, metadata, said):
    taken = {"shape_signature": [1, 96, 96, 3], "dtype": np.float32, "quantization": (0.0, 0)}
    told = {"shape": [1, 4], "dtype": np.float32}
    interpreter = types.SimpleNamespace(
        get_input_details=lambda: [taken | given], get_output_details=lambda: [told | answers]
    )
    monkeypatch.setattr(runtime, "open_interpreter", lambda _: interpreter)
    contents = tflite_file.Contents(b"", [], {}, *metadata)
    with pytest.raises(ValueError, match="theirs") as caught:
        judging.check_input("theirs", contents, 4)
    assert said in str(caught.value)


def test_a_file_that_does_better_with_other_pixels_is_recognised():
    generator = np.random.default_rng(0)
    well, badly = generator.uniform(0.7, 1, 40), generator.uniform(0, 0.4, 40)
    feeds = {feed + end: badly for end in ("", judging.SWAPPED) for feed in judging.FEEDS}
    given = pd.DataFrame(feeds)
    assert "it gives the true class of 40 photos" in judging.check_feed(
        "theirs", given.assign(**{judging.OURS: well})
    )
    for other in given.columns[1:]:
        with pytest.raises(ValueError, match="theirs takes pixels") as caught:
            judging.check_feed("theirs", given.assign(**{other: well}))
        assert f"takes {other}: with these" in str(caught.value)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([[np.nan, 0.5]], "NaN"),
        ([[-3.0, 4.0]], "End the network with softmax"),
        ([[0.9, 0.9]], "no probabilities"),
    ],
)
def test_what_are_no_probabilities_is_refused(answers, said):
    with pytest.raises(ValueError, match=said):
        judging.check_probabilities("theirs", np.array(answers))


def test_a_folder_that_is_no_run_is_refused(tmp_path, tflite_files, capsys):
    path = write(tmp_path, tflite_files["int8"])
    assert cli.main(["judge", str(path), "--run", str(tmp_path)]) == 1
    assert "is not a run whose model has answered" in capsys.readouterr().err
    assert cli.main(["judge", str(tmp_path / "no.tflite"), "--run", str(tmp_path)]) == 1
    assert "There is no model file" in capsys.readouterr().err
