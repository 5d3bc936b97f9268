"""The published recipes on Frappe. Five seeds stand in benchmarks/reports; here one must land among them."""

from pathlib import Path

import pytest

from features.loaders import frappe
from features.preparation.plan import Inputs
from features.preparation.prepare import prepare
from features.schema import load_schema
from training.artifact import Artifact
from training.loop import train
from training.run import load_run

ROOT = Path(__file__).parents[2]
FRAPPE = ROOT.parent / "shared" / "data" / "frappe"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not FRAPPE.is_dir(), reason="Frappe is not beside the project, in ../shared/data/frappe"),
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frappe")
    frappe.load(FRAPPE, folder / "raw")
    files = {split: [str(folder / "raw" / f"{split}.parquet")] for split in ("train", "valid", "test")}
    inputs = Inputs(files["train"], valid=files["valid"], test=files["test"])
    prepare(load_schema(folder / "raw" / "schema.yaml"), inputs, folder / "prepared")
    return folder / "prepared"


# One seed's AUC differs between processors, which round differently: published single runs lie in .984 to .986, and the
# five seeds of the report in .9845 to .9848.
@pytest.mark.parametrize(
    ("model", "parameters", "lowest", "highest"),
    [("finalmlp", 253_392, 0.9840, 0.9865), ("lr", 5_400, 0.9332, 0.9372)],
)
def test_the_published_recipe(
    prepared: Path, tmp_path: Path, model: str, parameters: int, lowest: float, highest: float
) -> None:
    run = load_run(ROOT / "configs" / f"frappe_{model}.yaml", [f"data={prepared}", f"output={tmp_path}/run"])
    outcome = train(run)
    assert Artifact.load(outcome.artifact).manifest["parameters"] == parameters
    auc = outcome.reports["test"].metric("auc").value
    assert auc is not None
    assert lowest <= auc <= highest
