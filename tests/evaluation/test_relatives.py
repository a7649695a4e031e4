"""Tests of the price of a split that has the same groups on both sides."""

from dermaface import runs
from dermaface.evaluation.relatives import have_relatives, measure_price, price_of_relatives
from dermaface.photos import images
import numpy as np
import pandas as pd
import pytest

CLASSES = 4


def test_a_runs_price_is_measured_only_where_photos_have_relatives(tmp_path):
    run = runs.open_run("r", tmp_path)
    train, held_out = photos(range(40), 12, 2.0, 1), photos(range(30, 60), 8, 2.0, 2)
    rows = pd.concat([train[1].assign(split="train"), held_out[1].assign(split="test")])
    rows["path"] = [f"{number:04d}.jpg" for number in range(len(rows))]
    table = pd.DataFrame(dict.fromkeys(images.COLUMNS, "") | images.EMPTY, index=range(len(rows)))
    table[list(rows)] = rows.to_numpy()
    table["status"] = "kept"
    features = {"train": train[0], "test": held_out[0]}
    runs.write_csv(run.path("images.csv"), table[images.COLUMNS])
    price = measure_price(run, "test", lambda run, split: features[split])
    assert price["relatives"] == price["photos"] == 80 and price["groups"] == 10
    assert price["with"] > price["without"] + 0.1
    # Proposed scenes and copies make relatives, too.
    table["group"] = ""
    table.loc[[0, len(table) - 1], "scene"] = "0000.jpg"
    runs.write_csv(run.path("images.csv"), table[images.COLUMNS])
    price = measure_price(run, "test", lambda run, split: features[split])
    assert price["relatives"] == price["photos"] == 1
    table["scene"] = ""
    runs.write_csv(run.path("images.csv"), table[images.COLUMNS])
    assert measure_price(run, "test", None) == {"relatives": 0}


def photos(groups, per_group, own, seed):
    """Return features and rows: what a class looks like, and what each sender's photos share."""
    generator = np.random.default_rng(seed)
    senders = np.repeat(groups, per_group)
    classes = np.arange(len(senders)) % CLASSES
    # A sender's room looks another way for each class, so only who knows it profits from it.
    rooms = np.random.default_rng(0).normal(size=(200, CLASSES, 16))
    looks = np.eye(CLASSES, 16)[classes] * 1.5 + own * rooms[senders, classes]
    features = looks + generator.normal(size=looks.shape)
    rows = pd.DataFrame({"label": [f"class {k}" for k in classes]})
    return features, rows.assign(group=[f"sender {sender}" for sender in senders])


def test_knowing_the_senders_is_worth_what_their_rooms_give_away():
    train, held_out = photos(range(40), 12, 2.0, 1), photos(range(30, 60), 8, 2.0, 2)
    price = price_of_relatives(train, held_out)
    assert (price["photos"], price["groups"]) == (80, 10)
    assert price["with"] > price["without"] + 0.1
    low, high = price["drop_interval"]
    assert 0 < low < price["with"] - price["without"] < high
    assert price == price_of_relatives(train, held_out)


def test_where_rooms_give_nothing_away_the_price_is_within_chance():
    price = price_of_relatives(photos(range(40), 12, 0.0, 1), photos(range(40), 8, 0.0, 2))
    assert price["photos"] == 320 and abs(price["with"] - price["without"]) < 0.03
    low, high = price["drop_interval"]
    assert low < 0 < high


def test_a_split_without_relatives_has_no_price():
    train, held_out = photos(range(20), 8, 1.0, 1), photos(range(20, 30), 8, 1.0, 2)
    assert not have_relatives(held_out[1]["group"], train[1]["group"]).any()
    assert price_of_relatives(train, held_out) == {"photos": 0, "groups": 0}


def test_where_nothing_is_left_to_learn_without_relatives_there_is_no_price():
    train, held_out = photos([0], 20, 1.0, 1), photos([0, 1], 8, 1.0, 2)
    assert have_relatives(held_out[1]["group"], train[1]["group"]).sum() == 8
    assert price_of_relatives(train, held_out) == {"photos": 0, "groups": 0}


@pytest.mark.parametrize("seed", range(3))
def test_both_heads_learn_from_as_many_photos_of_each_class(seed, monkeypatch):
    import sklearn.linear_model

    learnt = []

    class Spy(sklearn.linear_model.LogisticRegression):
        def fit(self, features, labels):
            learnt.append(pd.Series(labels).value_counts().sort_index().to_dict())
            return super().fit(features, labels)

    monkeypatch.setattr(sklearn.linear_model, "LogisticRegression", Spy)
    price_of_relatives(photos(range(40), 12, 1.0, 1), photos(range(30), 4, 1.0, 2), seed)
    assert len(learnt) == 30 and learnt[::2] == learnt[1::2]
