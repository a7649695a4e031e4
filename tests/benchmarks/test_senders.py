"""Tests of the table that benchmarks/senders.py prints."""

from dermaface import runs
from dermaface.photos import images
import pandas as pd
import senders


def test_the_table_tells_how_many_photos_have_their_sender_in_training(tmp_path):
    rows = []
    for seed, accuracy in enumerate((0.9, 0.94)):
        run = runs.open_run(f"given-{seed}", tmp_path)
        table = pd.DataFrame(dict.fromkeys(images.COLUMNS, "") | images.EMPTY, index=range(10))
        table["status"] = "kept"
        table["split"] = ["train"] * 6 + ["validation"] * 4
        table["group"] = [*"aabbcc", "a", "d", "b", "e"]
        runs.write_csv(run.path("images.csv"), table[images.COLUMNS])
        score = {"images": 4, "accuracy": accuracy, "accuracy_interval": [0.5, 0.99]}
        runs.write_json(run.path("metrics.json"), {"validation": score})
        rows += senders.figures(run, "given", seed)
    assert senders.table(pd.DataFrame(rows)).splitlines()[2] == (
        "| given | 4 validation photos | 6 photos | 4 | 2 photos | 0.900, 0.940 | 0.920 "
        "| 0.500 to 0.990, 0.500 to 0.990 |"
    )
