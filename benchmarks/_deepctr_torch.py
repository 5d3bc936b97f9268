"""What DeepCTR-Torch does in a comparison: train on the first rows of a folder's train.csv.

Run by an interpreter that has deepctr-torch: ``python _deepctr_torch.py OPTIONS``, a JSON object; prints another. Its
fit() makes its own loader and loop; a first fit of ``warm_up`` steps is left out. Rows are encoded before, as its users
have to do.
"""

import importlib
import json
import sys
import time
from typing import Any


def main() -> None:
    options = json.loads(sys.argv[1])
    pandas, torch = importlib.import_module("pandas"), importlib.import_module("torch")
    inputs, models = importlib.import_module("deepctr_torch.inputs"), importlib.import_module("deepctr_torch.models")
    frame = pandas.read_csv(f"{options['source']}/train.csv", dtype=dict.fromkeys(options["categories"], str))
    for name in options["categories"]:
        frame[name] = frame[name].fillna("").astype("category").cat.codes
    frame[options["numbers"]] = frame[options["numbers"]].fillna(0)
    columns: list[Any] = [
        inputs.SparseFeat(name, int(frame[name].max()) + 1, embedding_dim=options["dim"])
        for name in options["categories"]
    ] + [inputs.DenseFeat(name, 1) for name in options["numbers"]]
    model = getattr(models, options["class"])(columns, columns, **options["settings"])
    model.compile("adam", "binary_crossentropy", metrics=[])
    size, at = options["batch_size"], 0
    seconds = 0.0
    for steps in (options["warm_up"], options["steps"]):
        rows = frame[at : at + steps * size]
        data = {column.name: rows[column.name].to_numpy() for column in columns}
        label = rows[[options["label"]]].to_numpy(dtype="float32")
        started = time.perf_counter()
        history = model.fit(data, label, batch_size=size, epochs=1, verbose=0)
        seconds, at = time.perf_counter() - started, at + steps * size
    print(
        json.dumps(
            {
                "samples_per_second": options["steps"] * size / seconds,
                "loss": float(history.history["loss"][-1]),
                "parameters": sum(p.numel() for p in model.parameters()),
                "threads": torch.get_num_threads(),
            }
        )
    )


if __name__ == "__main__":
    main()
