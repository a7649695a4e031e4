"""Tests of dermaface.evaluation: figures with intervals, and the answers of files."""

from dermaface import runs
from dermaface.evaluation.predictions import (
    RESIZERS,
    SLIPS,
    changed_by_slips,
    fed,
    judge_yes_or_no,
    latency_columns,
    measure_latency,
    predict_tflite,
    score_resizers,
)
from dermaface.evaluation.scores import (
    accuracy_interval,
    changed_answers,
    choose_setting,
    choose_threshold,
    class_frame,
    compare,
    compare_runs,
    compare_ways,
    confident_mistakes,
    drop_interval,
    independent_images,
    mean_interval,
    prediction_frame,
    probabilities_of,
    probability_changes,
    promised_log_loss,
    read_predictions,
    reference_frame,
    score,
    summary_frame,
    threshold_frame,
)
from dermaface.photos.pixels import load_image, resize
import numpy as np
import pandas as pd
from PIL import ExifTags, Image
import pytest
import scipy.stats

NAMES = ["a", "b", "c"]
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.0, 0.9], [0.3, 0.4, 0.3]]
)


@pytest.fixture
def predictions():
    photos = pd.DataFrame(
        {"path": list("12345"), "split": ["validation"] * 3 + ["test"] * 2, "label": list("abbcc")}
    ).assign(group="", copies="", scene="")
    return prediction_frame(photos, PROBABILITIES, NAMES)


def test_prediction_frame(predictions):
    assert predictions.columns.tolist() == [
        "path",
        "split",
        "label",
        "predicted",
        "picture",
        "group",
        "p_a",
        "p_b",
        "p_c",
    ]
    assert predictions["predicted"].tolist() == list("abacb")
    np.testing.assert_array_equal(probabilities_of(predictions, NAMES), PROBABILITIES)


def test_predictions_of_classes_named_by_numbers_survive_their_file(predictions, tmp_path):
    run = runs.open_run("r", tmp_path)
    names = ["1", "01", "NA"]
    photos = predictions[["path", "split"]].assign(label=["1", "01", "01", "NA", "NA"])
    photos = photos.assign(group="", copies="", scene="")
    frame = prediction_frame(photos, PROBABILITIES, names)
    runs.write_csv(run.path("predictions.csv"), frame)
    pd.testing.assert_frame_equal(read_predictions(run), frame)


def test_score(predictions):
    figures = score(predictions, NAMES)
    assert figures["images"] == 5 and figures["accuracy"] == 0.6
    expected = -np.log([0.8, 0.7, 0.3, 0.9, 0.3]).mean()
    assert figures["log_loss"] == pytest.approx(expected)
    assert figures["classes"]["a"] == {
        "images": 1, "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3),
    }  # fmt: skip
    assert figures["classes"]["b"]["f1"] == figures["classes"]["b"]["recall"] == 0.5
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 0.5 + 2 / 3) / 3)
    assert figures["pictures"] == figures["groups"] == figures["independent"] == 5
    assert figures["accuracy_interval"] == list(accuracy_interval(3, 5))


def test_figures_count_photos_pictures_and_groups_and_the_interval_what_is_independent():
    # Twenty photos of ten pictures: of each picture, both answers are right or both are wrong.
    photos = pd.DataFrame({"path": [f"{n:02d}" for n in range(20)], "label": ["a", "a"] * 10})
    photos = photos.assign(split="test", group="", scene="")
    photos["copies"] = [f"{number // 2 * 2:02d}" for number in range(20)]
    photos.loc[[0, 2], "group"] = "anna"
    right = np.repeat([True] * 8 + [False] * 2, 2)[:, None]
    answers = np.where(right, [0.9, 0.1, 0.0], [0.1, 0.9, 0.0])
    figures = score(prediction_frame(photos, answers, NAMES), NAMES)
    assert (figures["images"], figures["pictures"], figures["groups"]) == (20, 10, 9)
    assert figures["independent"] < 10
    interval = accuracy_interval(0.8 * figures["independent"], figures["independent"])
    assert figures["accuracy_interval"] == pytest.approx(interval)
    low, high = accuracy_interval(16, 20)
    assert interval[0] < low - 0.05 and interval[1] > high


def test_independent_images_are_all_images_or_as_few_as_their_groups():
    right = np.array([1, 1, 0, 1] * 30)
    assert independent_images(right, range(120)) == 120
    assert independent_images(np.ones(120), np.repeat(range(40), 3)) == 40
    assert independent_images(right, ["one"] * 120) == 1
    # Mistakes that groups share alike say nothing less than single ones; those that heap up do.
    alike = independent_images(right, np.repeat(range(30), 4))
    quantiles = scipy.stats.t.ppf(0.975, [119, 29])
    assert alike == pytest.approx(120 * (quantiles[0] / quantiles[1]) ** 2)
    heaped = independent_images(np.sort(right), np.repeat(range(30), 4))
    assert heaped == pytest.approx(
        30 * (quantiles[0] / quantiles[1]) ** 2 * 119 / 120 * 29 / 30, rel=0.1
    )


@pytest.mark.parametrize("correlation", [0.15, 0.25])
def test_the_interval_holds_what_it_promises_where_photos_of_a_group_err_together(correlation):
    generator = np.random.default_rng(0)
    truth, sizes = 0.85, np.array([2] * 30 + [6] * 10 + [15] * 4)
    groups = np.repeat(range(len(sizes)), sizes)
    spread = (1 - correlation) / correlation
    held = {"by group": 0, "by photo": 0}
    for _ in range(400):
        shares = generator.beta(truth * spread, (1 - truth) * spread, len(sizes))
        right = generator.random(len(groups)) < shares[groups]
        independent = independent_images(right, groups)
        for name, total in {"by group": independent, "by photo": len(groups)}.items():
            low, high = accuracy_interval(right.mean() * total, total)
            held[name] += low <= truth <= high
    assert held["by group"] >= 0.92 * 400 and held["by photo"] < held["by group"] - 10


def test_a_class_without_photos_has_no_figures_and_lowers_none(predictions):
    validation = predictions[predictions["split"] == "validation"]
    figures = score(validation, NAMES)
    assert figures["classes"]["c"] == {"images": 0, "precision": None, "recall": None, "f1": None}
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert score(validation, NAMES[:2]) == figures | {
        "classes": {name: figures["classes"][name] for name in NAMES[:2]}
    }


def test_compare_has_a_column_for_a_class_that_no_split_has(predictions):
    rows = predictions[predictions["label"] != "c"]
    table = compare(rows, {"int8": probabilities_of(rows, NAMES)}, NAMES)
    assert table["recall_change_c"].isna().all() and table["recall_change_b"].eq(0).all()


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    # Wilson's interval, as tabulated in Newcombe (1998), Statistics in Medicine 17, table I.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_accuracy_interval(correct, total, low, high):
    assert accuracy_interval(correct, total) == pytest.approx((low, high), abs=5e-5)


def test_an_accuracy_of_no_images_is_an_error():
    with pytest.raises(ValueError, match="at least one image"):
        accuracy_interval(0, 0)


def test_mean_interval():
    # The sleep data of Student (1908); the interval is that of R's t.test(extra ~ group, paired).
    hours = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]
    assert mean_interval(hours) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert mean_interval([0.3, 0.3]) == (0.3, 0.3)
    with pytest.raises(ValueError, match="set repeats to at least 2"):
        mean_interval([0.3])


SEEDS = np.array([[-0.02], [-0.01], [0.0], [0.01], [0.02]])
PHOTOS = np.linspace(-0.1, 0.1, 40)[None]


@pytest.mark.parametrize(
    ("differences", "chosen"),
    [
        (SEEDS + PHOTOS - 0.05, "winner"),
        (SEEDS + PHOTOS + 0.05, "start"),
        (SEEDS + PHOTOS, "start"),
        (SEEDS * 10 + PHOTOS - 0.05, "start"),  # another seed could take the lead away
        (SEEDS + PHOTOS * 10 - 0.05, "start"),  # other photos could
        (SEEDS * 0 + PHOTOS * 0, "start"),  # the start compared with itself
        (SEEDS + PHOTOS * np.nan, "start"),
    ],
)
def test_a_setting_wins_only_if_neither_seeds_nor_photos_explain_its_lead(differences, chosen):
    assert choose_setting(differences) == chosen


def test_ways_are_compared_by_loss_and_by_mistakes(predictions):
    def answered(*of_truth):
        """Return one frame for each seed, with a probability of the truth for each photo."""
        frames = []
        for seed, given in enumerate(of_truth):
            rest = (1 - np.asarray(given)) / 2
            columns = np.stack([rest, rest, rest], axis=1)
            columns[range(5), [0, 1, 1, 2, 2]] = np.asarray(given) - seed / 1000
            frames.append(prediction_frame(photos, columns, NAMES))
        return frames

    photos = predictions.assign(copies="", scene="")
    unsure, sure, absurd = [0.5, 0.4, 0.5, 0.4, 0.5], [0.8, 0.9, 0.8, 0.9, 0.8], [0.1] * 5
    ways = {"a": answered(unsure, unsure), "b": answered(sure, sure), "c": answered(absurd, absurd)}
    measured, table = compare_ways(ways, NAMES)
    assert list(measured) == ["a", "b", "c"] and list(table.index) == ["b", "c"]
    assert measured["b"]["val_loss"].tolist() == pytest.approx([-np.log(sure).mean()] * 2, abs=0.01)
    assert measured["c"]["val_accuracy"].tolist() == [0, 0]
    assert table[["lower loss", "fewer mistakes"]].values.tolist() == [[True, False], [False] * 2]
    _, table = compare_ways({"c": ways["c"], "a": ways["a"]}, NAMES)
    assert table[["lower loss", "fewer mistakes"]].values.tolist() == [[True, True]]


def test_a_higher_threshold_finds_fewer_and_raises_fewer_alarms():
    truth = np.array([True, True, True, False, False])
    table = threshold_frame(truth, np.array([0.9, 0.6, 0.3, 0.6, 0.1]), [0.2, 0.6, 0.95])
    assert table["found"].tolist() == [3, 2, 0] and table["false alarms"].tolist() == [1, 1, 0]
    assert table["precision"].tolist()[:2] == [3 / 4, 2 / 3] and np.isnan(table["precision"][0.95])
    assert table["recall"].tolist() == [1, 2 / 3, 0]
    assert table.loc[0.6, ["low", "high"]].tolist() == pytest.approx(accuracy_interval(2, 3))


@pytest.mark.parametrize(("recall", "threshold"), [(0.3, 0.9), (0.6, 0.6), (0.9, 0.3), (1, 0.3)])
def test_the_highest_threshold_with_a_recall_is_chosen(recall, threshold):
    truth = np.array([True, True, True, False, False])
    assert choose_threshold(truth, np.array([0.9, 0.6, 0.3, 0.6, 0.1]), recall) == threshold


def test_the_answers_of_one_unit_make_a_table(predictions):
    class Model:
        def __call__(self, pixels, training):
            return pixels[:, 1:] if training else pixels[:, :1]

    photos = predictions[:3].assign(copies="", scene="")
    frame = judge_yes_or_no(Model(), photos, np.array([[0.2, 1], [0.7, 1], [0.5, 1]]), ["a", "b"])
    assert frame["predicted"].tolist() == ["a", "b", "a"]
    assert frame["p_b"].tolist() == [0.2, 0.7, 0.5]


def test_confident_mistakes_come_first(predictions):
    mistakes = confident_mistakes(predictions, NAMES, 5)
    assert mistakes["path"].tolist() == ["3", "5"]
    assert mistakes["probability"].tolist() == [0.6, 0.4]


def test_compare_with_keras_split_by_split(predictions):
    other = PROBABILITIES.copy()
    other[1] = [0.5, 0.4, 0.1]  # one right answer of three becomes wrong
    table = compare(predictions, {"same": PROBABILITIES, "int8": other}, NAMES)
    table = table.set_index(["variant", "split"])
    assert table.loc[("same", "validation"), "agreement"] == 1
    assert table.loc[("same", "test"), "max_abs_diff"] == 0
    row = table.loc[("int8", "validation")]
    assert row["images"] == 3
    assert row["accuracy"] == pytest.approx(1 / 3)
    assert row["accuracy_drop"] == pytest.approx(1 / 3)
    assert row["agreement"] == pytest.approx(2 / 3)
    assert row["max_abs_diff"] == pytest.approx(0.3)
    assert table.loc[("int8", "test"), "accuracy_drop"] == 0
    assert row["changed"] == 1 and row["drop_low"] < row["accuracy_drop"] < row["drop_high"]
    # One of the two photos of class b is lost, the one of a stays, and there is none of c.
    assert row["recall_change_b"] == -0.5 and row["recall_change_a"] == 0
    assert np.isnan(row["recall_change_c"])


def test_changed_answers_name_both_guesses(predictions):
    other = PROBABILITIES.copy()
    other[1] = [0.5, 0.4, 0.1]
    (row,) = changed_answers(predictions, other, NAMES).to_dict("records")
    assert (row["path"], row["label"], row["keras"], row["file"]) == ("2", "b", "b", "a")
    assert (row["keras_probability"], row["file_probability"]) == (0.7, 0.5)


def test_probability_changes_are_the_largest_of_each_photo(predictions):
    other = PROBABILITIES.copy()
    other[1] = [0.5, 0.4, 0.1]
    other[4] = [0.3, 0.35, 0.35]
    table = probability_changes(predictions, {"same": PROBABILITIES, "int8": other}, NAMES)
    assert table["same"].eq(0).all()
    np.testing.assert_allclose(table["int8"], [0, 0.3, 0, 0, 0.05])


def write_answers(folder, name, answers, label="a"):
    """Write a run that answered photos, given by the letters of their contents, with classes."""
    run = runs.open_run(name, folder)
    rows = pd.DataFrame({"path": [f"{name}/{letter}.jpg" for letter in answers]})
    runs.write_csv(run.path("images.csv"), rows.assign(sha256=list(answers)))
    rows = rows.assign(split="test", label=label, predicted=list(answers.values()))
    rows[["picture", "group"]] = ""
    runs.write_csv(run.path("predictions.csv"), rows)
    return run, rows


def test_two_runs_are_compared_on_the_photos_of_the_same_content(tmp_path):
    # Right or wrong: both for s and t; only the first for u, v, w, x; only the second for y.
    mine, rows = write_answers(tmp_path, "mine", dict(zip("stuvwxyz", "abaaaaba", strict=True)))
    other, _ = write_answers(tmp_path, "other", dict(zip("ystuvwx", "aabbbbb", strict=True)))
    compared = compare_runs(mine, rows, other)
    assert compared == {
        "photos": 7, "first": pytest.approx(5 / 7), "second": pytest.approx(2 / 7),
        "won": 4, "lost": 1, "p": pytest.approx(2 * (1 + 5) / 2**5),
    }  # fmt: skip
    same = compare_runs(mine, rows, mine)
    assert same["won"] == same["lost"] == 0 and same["p"] == 1
    # Photos that the other run had in another split, or under another label, do not count.
    assert compare_runs(mine, rows.assign(split="validation"), other) == {"photos": 0}
    renamed, _ = write_answers(tmp_path, "renamed", dict.fromkeys("stuv", "a"), label="b")
    assert compare_runs(mine, rows, renamed) == {"photos": 0}


def test_drop_interval():
    # Airway hyper-responsiveness before and after transplantation (Bentur et al., 2009), as
    # Fagerland, Lydersen and Laake (2014) work it out: 21 children, 1 and 7 discordant.
    low, high = drop_interval(1, 7, 21)
    assert (low, high) == pytest.approx((-0.508, -0.013), abs=5e-4)
    low, high = drop_interval(0, 0, 341)
    assert low == -high and 0 < high < 0.01
    assert drop_interval(1, 0, 1)[1] == 1
    with pytest.raises(ValueError, match="at least one image"):
        drop_interval(0, 0, 0)


def test_resizers_that_clients_use():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    flat = np.full((50, 70, 3), 77, np.uint8)
    for resizer in RESIZERS.values():
        assert resizer(pixels, 32).shape == (32, 32, 3) and resizer(pixels, 32).dtype == np.uint8
        assert (resizer(flat, 32) == 77).all() and (resizer(flat, 60) == 77).all()
    # OpenCV's linear resize is TensorFlow's, apart from the last digit.
    linear = RESIZERS["OpenCV linear"](pixels, 32).astype(int)
    assert np.abs(linear - resize(pixels, 32)).max() <= 1
    # Its area resize is the plain mean if whole pixels fit.
    means = pixels.reshape(30, 2, 30, 3, 3).mean(axis=(1, 3))
    assert np.abs(RESIZERS["OpenCV area"](pixels, 30) - means).max() <= 0.5 + 1e-9


def test_score_resizers(tflite_files, sample_folder):
    photos = pd.DataFrame({"path": [f"acne/acne_{n:04d}.jpg" for n in range(6)], "label": "acne"})
    names = ["acne", "melasma", "vitiligo", "wrinkles"]
    table = score_resizers(tflite_files["int8"], sample_folder, photos, names)
    assert table["resizer"].tolist() == list(RESIZERS)
    assert table["agreement"].iloc[0] == 1 and table["accuracy"].between(0, 1).all()
    assert table["max_abs_diff"].iloc[0] == 0 and table["max_abs_diff"].iloc[2:].gt(0).all()


def test_each_slip_reads_a_photo_in_one_wrong_way(tmp_path):
    path, exif = tmp_path / "lying.png", Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path, exif=exif)
    right = load_image(path, 16)
    fed = {slip: read(path, 16) for slip, read in SLIPS.items()}
    assert list(fed) == [
        "EXIF ignored", "resized by Pillow", "red and blue swapped", "divided by 255",
    ]  # fmt: skip
    np.testing.assert_array_equal(np.rot90(fed["EXIF ignored"], -1), right)
    assert fed["resized by Pillow"].std() < 0.6 * right.std()  # it is smoothed
    np.testing.assert_array_equal(fed["red and blue swapped"][..., [2, 1, 0]], right)
    np.testing.assert_allclose(fed["divided by 255"] * 255, right)


def test_changed_by_slips(tflite_files, sample_folder):
    photos = pd.DataFrame({"path": [f"acne/acne_{n:04d}.jpg" for n in range(6)], "label": "acne"})
    names = ["acne", "melasma", "vitiligo", "wrinkles"]
    changed = changed_by_slips(tflite_files["int8"], sample_folder, photos, names)
    assert "EXIF ignored" not in set(changed["slip"])  # these have none
    dark = changed[changed["slip"] == "divided by 255"]
    assert len(dark) and dark["careless"].nunique() == 1  # all look alike to the model
    assert (changed["by_rule"] != changed["careless"]).all()
    assert list(changed["slip"].cat.categories) == list(SLIPS)
    assert changed["slip"].cat.codes.is_monotonic_increasing
    assert dark["by_rule_probability"].is_monotonic_decreasing
    assert changed_by_slips(tflite_files["int8"], sample_folder, photos[:0], names).empty
    right, scaled = fed(next(dark.itertuples()), sample_folder, 96)
    np.testing.assert_allclose(scaled * 255, right)


def test_predict_tflite_keeps_the_order_and_measure_latency_is_positive(
    tflite_files, calibration, small_model
):
    from dermaface.quiet_tensorflow import tf

    dataset = tf.data.Dataset.from_tensor_slices(
        (calibration.astype("float32"), np.zeros((len(calibration), 4), "float32"))
    ).batch(4)
    answers = predict_tflite(tflite_files, dataset)
    expected = small_model.predict(dataset, verbose=0)
    assert set(answers) == set(tflite_files)
    np.testing.assert_allclose(answers["float32"], expected, atol=1e-4)
    median, ninetieth = measure_latency(tflite_files["int8"], repeats=3)
    assert 0 < median <= ninetieth
    columns = latency_columns({"int8": tflite_files["int8"]}, repeats=2)
    assert columns.shape == (1, 4) and (columns > 0).all(axis=None)


def test_each_class_has_a_row_with_the_interval_of_its_recall(predictions):
    frame = class_frame(score(predictions[predictions["split"] == "validation"], NAMES))
    assert frame.index.tolist() == NAMES
    assert frame[["images", "found"]].to_numpy().tolist() == [[1, 1], [2, 1], [0, 0]]
    assert tuple(frame.loc["b", ["low", "high"]]) == accuracy_interval(1, 2)
    assert frame.loc["b", "precision"] == 1 and frame.loc["c"].isna().sum() == 5


def test_ways_to_answer_stand_in_one_table():
    frame = reference_frame({"majority": (10, 0), "trained": (81, 7)}, 100)
    assert frame.columns.tolist() == ["accuracy", "low", "high", "passes"]
    assert frame.loc["trained"].tolist() == [0.81, *accuracy_interval(81, 100), 7]


def test_a_model_that_keeps_its_word_gets_the_promised_log_loss():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([0.5, 1, 2], size=400)
    promised, margin = promised_log_loss(probabilities)
    losses = []
    for _ in range(300):
        uniform = rng.random((400, 1))
        truth = (probabilities.cumsum(axis=1) < uniform).sum(axis=1).clip(max=2)
        losses.append(-np.log(probabilities[range(400), truth]).mean())
    assert np.mean(losses) == pytest.approx(promised, abs=margin / 5)
    assert 0.9 < (np.abs(np.array(losses) - promised) < margin).mean() < 0.99
    assert promised_log_loss(np.eye(3)) == pytest.approx((0, 0), abs=1e-5)


def test_the_table_of_splits_has_rounded_figures(predictions):
    both = {name: score(rows, NAMES) for name, rows in predictions.groupby("split")}
    assert summary_frame(both).loc["validation", "accuracy"] == "0.667"
