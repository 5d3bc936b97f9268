"""FuxiCTR's preprocessing of train.csv, valid.csv and test.csv, as its run_expid.py does it.

Run by FuxiCTR's own interpreter, with its checkout on PYTHONPATH: ``python _fuxictr.py OPTIONS``, a JSON object of
``source``, ``output``, ``numbers``, ``categories``, ``label`` and ``min_count``.
"""

import importlib
import json
import sys


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
    preprocess.build_dataset(preprocess.FeatureProcessor(**parameters), **parameters)


if __name__ == "__main__":
    main()
