"""What FuxiCTR does in a comparison: preprocess a folder's train.csv, valid.csv and test.csv, or train on them.

Run by FuxiCTR's own interpreter, with its checkout on PYTHONPATH: ``python _fuxictr.py OPTIONS``, a JSON object of
``source``, ``output``, ``numbers``, ``categories``, ``label`` and ``min_count``. With ``model`` (a folder of its model
zoo, the class and its settings) it also trains, and prints a JSON object.
"""

import importlib
import json
import sys
import time
from typing import Any


def main() -> None:
    options = json.loads(sys.argv[1])
    preprocess = importlib.import_module("fuxictr.preprocess")
    parameters = {
        "dataset_id": "criteo",
        "data_root": options["output"],
        "data_format": "csv",
        **{f"{split}_data": f"{options['source']}/{split}.csv" for split in ("train", "valid", "test")},
        "min_categr_count": options["min_count"],
        "feature_cols": [
            {
                "name": options["numbers"],
                "active": True,
                "dtype": "float",
                "type": "numeric",
                "normalizer": "StandardScaler",
            },
            {"name": options["categories"], "active": True, "dtype": "str", "type": "categorical"},
        ],
        "label_col": {"name": options["label"], "dtype": "float"},
    }
    splits = preprocess.build_dataset(preprocess.FeatureProcessor(**parameters), **parameters)
    if "model" in options:
        print(json.dumps(train(options, splits[0])))


def train(options: dict[str, Any], rows: str) -> dict[str, float]:
    """Train as its run_expid.py and train_epoch do, and time the steps after the first ones."""
    torch = importlib.import_module("torch")
    features = importlib.import_module("fuxictr.features")
    loaders = importlib.import_module("fuxictr.pytorch.dataloaders")
    sys.path.insert(0, options["model"]["folder"])
    model_class = getattr(importlib.import_module("src"), options["model"]["class"])
    feature_map = features.FeatureMap("criteo", f"{options['output']}/criteo")
    width = {"embedding_dim": options["model"]["settings"]["embedding_dim"]}
    feature_map.load(f"{options['output']}/criteo/feature_map.json", width)
    model = model_class(feature_map, gpu=-1, model_root=options["output"], **options["model"]["settings"])
    size = options["model"]["batch_size"]
    batches = loaders.RankDataLoader(
        feature_map, stage="train", train_data=rows, batch_size=size, shuffle=True, num_workers=3, data_format="parquet"
    ).make_iterator()
    model._max_gradient_norm = 10.0  # what fit() sets before train_epoch
    model.train()
    first, last = options["model"]["warm_up"], options["model"]["warm_up"] + options["model"]["steps"]
    losses, started = [], 0.0
    for step, batch in enumerate(batches[0] if isinstance(batches, tuple) else batches):
        if step == first:
            started = time.perf_counter()
        losses.append(model.train_step(batch).item())
        if step + 1 == last:
            break
    seconds = time.perf_counter() - started
    return {
        "samples_per_second": (len(losses) - first) * size / seconds,
        "loss": sum(losses[first:]) / len(losses[first:]),
        "parameters": sum(p.numel() for p in model.parameters()),
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    main()
