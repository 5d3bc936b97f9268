"""The program: a ranker as one file of torch operators, for runtimes without its code.

It takes encoded rows, as :meth:`models.export.PlainRanker.forward` says, and gives logits. What it was made of and what
it takes is in the file too, as json.

Shapes: B rows, N values, M numeric features, K sparse features.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from common.errors import ArtifactError
from features.datasets.batch import Batch
from features.encoding.encoded import EncodedRows
from features.encoding.fitted import FittedSchema
from features.schema import ListFeature, SparseFeature
from models.export import export
from training.artifact import Artifact

METADATA = "plexrank.json"
"""Name of the json among the program's extra files."""

_OPERATORS = "kernels.lookup.ops"  # the module whose import registers the lookup
_TOLERANCE = 1e-6  # of click probabilities
_LONGEST = 8  # of the lists that are drawn


def describe(artifact: Artifact) -> dict[str, Any]:
    """What an artifact's program is made of, takes and gives; json."""
    schema, embedding = artifact.fitted.schema, artifact.model.embedding
    keys = embedding.keys
    if embedding.one_hot:
        values = {"dtype": "int64", "shape": f"[{keys} * B]", "holds": "a token or id a key and row, key by key"}
        offsets = {"dtype": "None", "shape": "", "holds": "nothing: every key has one value a row"}
    else:
        values = {"dtype": "int64", "shape": "[N]", "holds": "tokens and ids, key by key, then row by row"}
        offsets = {"dtype": "int64", "shape": f"[{keys} * B + 1]", "holds": "where each row's values of a key begin"}
    dense = {"dtype": "float32", "shape": f"[B, {embedding.numerics}]", "holds": "encoded numerics; NaN is missing"}
    return {
        "name": artifact.name,
        "model": artifact.manifest["model"],
        "digest": artifact.digest,
        "schema_digest": artifact.fitted.digest,
        "torch": torch.__version__,
        "import_first": None if embedding.lookup is None else _OPERATORS,
        "least_rows": 2,
        "numerics": [feature.name for feature in schema.numeric],
        "keys": [feature.name for feature in schema.sparse],
        "inputs": {"dense": dense, "values": values, "offsets": offsets},
        "output": {"dtype": "float32", "shape": "[B]", "holds": "logits; their sigmoid is the click probability"},
    }


def save_program(artifact: Artifact, path: Path) -> None:
    """Write an artifact's program, and what :func:`describe` says of it; takes memory of twice its size.

    Raises:
        ArtifactError: It embeds by a method to compare with (:mod:`models.comparison`), which torch cannot trace.
        OSError: The file cannot be written.
    """
    if artifact.model.embedding.comparison is not None:
        raise ArtifactError(
            f"{artifact.name} was trained with embedding.comparison, a method to compare with that cannot be exported; "
            "train it without"
        )
    whole = io.BytesIO()  # torch ends the process where it writes a file itself and the disk is full
    extra = {METADATA: json.dumps(describe(artifact), indent=2)}
    torch.export.save(export(artifact.model), whole, extra_files=extra)
    path.write_bytes(whole.getbuffer())


def check_program(path: Path, artifact: Artifact, rows: EncodedRows) -> float:
    """Read a program back and compare its scores with an artifact's, in a batch of two rows and one of all.

    Args:
        path: The program.
        artifact: What it was made of.
        rows: At least one.

    Returns:
        The largest difference of two click probabilities.

    Raises:
        ArtifactError: They differ.
    """
    with path.open("rb") as file:
        program = torch.export.load(file).module()
    difference = 0.0
    for size in (2, max(2, len(rows))):
        some = rows.take(np.resize(np.arange(len(rows)), size))
        batch = Batch.of(some)
        offsets = None if artifact.model.embedding.one_hot else batch.sparse.offsets()
        with torch.inference_mode():
            logits = program(batch.dense, batch.sparse.values(), offsets)
        scores = torch.sigmoid(logits.double()).numpy()
        difference = float(np.maximum(difference, np.abs(scores - artifact.score(some)).max()))
    if not difference <= _TOLERANCE:
        raise ArtifactError(
            f"the program scores up to {difference:.2g} apart from {artifact.name}@{artifact.digest[:12]}, of which it "
            "was made, and is not kept; serve the artifact instead"
        )
    return difference


def draw_rows(fitted: FittedSchema, count: int, seed: int = 0) -> EncodedRows:
    """Draw encoded rows: any token, any id, numbers of which some are missing, lists of which some are empty.

    Args:
        fitted: The schema.
        count: How many.
        seed: Of the draw.
    """
    draw, schema = np.random.default_rng(seed), fitted.schema

    def values(feature: SparseFeature, size: int) -> NDArray[np.int64]:
        ids, tokens = fitted.ids(feature), np.iinfo(np.int64)
        return draw.integers(tokens.min, tokens.max, size) if ids is None else draw.integers(0, ids, size)

    lists = {}
    categorical = [np.zeros((0, count), np.int64)]
    for feature in schema.sparse:
        if isinstance(feature, ListFeature):
            offsets = np.append(0, draw.integers(0, _LONGEST + 1, count).cumsum())
            lists[feature.name] = values(feature, offsets[-1]), offsets
        else:
            categorical.append(values(feature, count)[None])
    dense = draw.normal(size=(count, len(schema.numeric))).astype(np.float32)
    missing = [0.2 * (feature.missing == "mask") for feature in schema.numeric]
    dense[draw.random(dense.shape) < missing] = np.nan
    return EncodedRows(schema, np.ascontiguousarray(np.concatenate(categorical).T), lists, dense)
