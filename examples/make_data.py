"""Write examples/data/p.csv and q.csv: malignant and benign cases of scikit-learn's breast cancer data.

Two of the 30 features are kept, mean texture and mean smoothness: in 30 dimensions a few hundred rows
would support no estimate at all.
"""

import csv
import sys
from pathlib import Path

from sklearn.datasets import load_breast_cancer

COLUMNS = ["mean texture", "mean smoothness"]


def main(folder: Path) -> None:
    data = load_breast_cancer()
    features = [list(data.feature_names).index(name) for name in COLUMNS]
    for name, label in (("p.csv", "malignant"), ("q.csv", "benign")):
        chosen = data.target == list(data.target_names).index(label)
        with (folder / name).open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(data.data[chosen][:, features].tolist())
        print(f"{name}: {int(chosen.sum())} {label} cases")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "data")
