"""Write examples/data: p.csv and q.csv, malignant and benign cases of scikit-learn's breast cancer data, and counts.

Two of the 30 features are kept, mean texture and mean smoothness: in 30 dimensions a few hundred rows
would support no estimate at all. counts_p.csv and counts_q.csv count the same cases in four classes of texture.
"""

import csv
import sys
from pathlib import Path

from sklearn.datasets import load_breast_cancer

COLUMNS = ["mean texture", "mean smoothness"]
CLASSES = {"below 15": 15.0, "15 to 20": 20.0, "20 to 25": 25.0, "25 and more": float("inf")}


def main(folder: Path) -> None:
    data = load_breast_cancer()
    features = [list(data.feature_names).index(name) for name in COLUMNS]
    for name, label in (("p.csv", "malignant"), ("q.csv", "benign")):
        chosen = data.target == list(data.target_names).index(label)
        with (folder / name).open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(data.data[chosen][:, features].tolist())
        write_counts(folder / f"counts_{name}", data.data[chosen][:, features[0]])
        print(f"{name}: {int(chosen.sum())} {label} cases")


def write_counts(path: Path, texture) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["mean texture", "cases"])
        low = 0.0
        for name, high in CLASSES.items():
            writer.writerow([name, int(((texture >= low) & (texture < high)).sum())])
            low = high


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data")
