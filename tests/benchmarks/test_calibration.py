"""Tests of benchmarks/calibration.py, apart from training and converting."""

import calibration as benchmark
import numpy as np
import pandas as pd

NAMES = ["hat", "shoes"]


def make_photos(count=240):
    frame = pd.DataFrame({"path": [f"{n}.jpg" for n in range(count)]})
    frame["label"] = [NAMES[n % 2] for n in range(count)]
    frame["group"] = [f"sender {n // 4}" for n in range(count)]
    frame[["copies", "scene"]] = ""
    return frame


def test_no_sender_lies_in_two_splits_and_every_photo_is_answered_once():
    photos = make_photos()
    folds = benchmark.deal(photos)
    assert len(folds) == 5
    for split in folds:
        assert photos.assign(split=split).groupby("group")["split"].nunique().eq(1).all()
        assert set(split) == {"train", "validation", "test"}
    answered = sum((split == "test").astype(int) for split in folds)
    assert (answered == 1).all()


def answers(photos, confident):
    """Return answers to the held-out photos, of which every tenth is wrong."""
    held_out = photos[photos["split"] != "train"]
    truth = held_out["label"].map(NAMES.index).to_numpy()
    said = np.where(np.arange(len(truth)) % 10 == 0, 1 - truth, truth)

    def given(share):
        rows = np.full((len(said), 2), 1 - share)
        rows[range(len(said)), said] = share
        return rows

    told = {f"{kind} before": given(confident) for kind in ("keras", "int8")}
    told |= {f"{kind} now": given(0.9) for kind in ("keras", "int8")}
    return told | {"temperature": np.array(0.7), "operators": np.array([60, 60])}


def test_the_report_turns_with_the_answers():
    photos = make_photos()
    for confident in (0.99, 0.7):
        folds = [photos.assign(split=split) for split in benchmark.deal(photos)]
        judged = [benchmark.judge(rows, NAMES, answers(rows, confident)) for rows in folds]
        said = "\n".join(benchmark.report(judged))
        assert "240 photos of 5 folds; temperatures 0.70, 0.70" in said
        right = np.mean([f for x in judged for f in x["keras now"].argmax(axis=1) == x["truth"]])
        assert f"| keras | {right:.4f} | 0.9000 | {abs(confident - right):.4f} |" in said
        assert "turned 0 answers of Keras. int8 agrees on 240 photos before and 240 now" in said
        assert "operators more in its file: [0, 0, 0, 0, 0]" in said
    turned = judged[0] | {"int8 now": judged[0]["int8 now"][:, ::-1], "operators": [60, 61]}
    said = "\n".join(benchmark.report([turned, *judged[1:]]))
    assert "240 now" not in said and "[1, 0, 0, 0, 0]" in said
