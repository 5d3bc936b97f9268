"""Run files: strict keys, overrides, contradictions."""

from pathlib import Path

import pytest

from common.errors import ConfigError
from training.run import load_run

RUN = """
data: prepared
output: runs/today
model: {name: finalmlp, heads: 2}
embedding: {dim: 4, rows: 100}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(RUN)
    return path


def test_a_run_file_becomes_settings(file: Path) -> None:
    run = load_run(file)
    assert run.architecture.name == "finalmlp"
    assert run.architecture.settings == {"heads": 2}
    assert (run.embedding.dim, run.embedding.rows, run.training.patience) == (4, 100, 2)


def test_overrides_replace_values_at_any_depth(file: Path) -> None:
    run = load_run(
        file,
        [
            "training.epochs=7",
            "model.mlp1={hidden: [8]}",
            "seed=5",
            "optimizer.clip_norm=null",
            "embedding.init_std=1e-2",
        ],
    )
    assert (run.training.epochs, run.seed, run.optimizer.clip_norm) == (7, 5, None)
    assert run.architecture.settings["mlp1"] == {"hidden": [8]}
    assert run.embedding.init_std == 0.01


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.epoch=7"], r"unknown key 'epoch' in training; did you mean 'epochs'\?"),
        (["trainin={}"], r"unknown key 'trainin'; did you mean 'training'\?"),
        (["training.epochs=many"], "training.epochs: input should be a valid integer"),
        (["training.epochs"], "is no key=value pair"),
        (["seed.x=1", "seed.x.y=2"], "x is a value, not a section"),
        (["seed=[1"], "the value is not yaml"),
        (["optimizer.embedding_l2_all_rows=0.1"], "set embedding: dense_adam, or use embedding_l2_looked_up"),
        (["optimizer.embedding=adagard"], "optimizer.embedding"),
        (["optimizer.learning_rate=.nan"], "optimizer.learning_rate"),
        (["training.batch_size=1"], "training.batch_size"),
        (["model={}"], "model.name is missing"),
        (["model.headz=3"], r"model: unknown key 'headz'; did you mean 'heads'\?"),
        (["model.heads=3"], "heads 3 does not divide 64, the last width of mlp1"),
        (["model.name=finalmpl"], "model 'finalmpl' is unknown; did you mean 'finalmlp'"),
    ],
)
def test_a_wrong_run_names_the_key(file: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_run(file, overrides)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml does not exist"):
        load_run(tmp_path / "nowhere.yaml")
    broken = tmp_path / "broken.yaml"
    broken.write_text("data: [1\nmodel: x")
    with pytest.raises(ConfigError, match=r"broken\.yaml, line 2"):
        load_run(broken)


def test_the_shipped_runs_load() -> None:
    shipped = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))
    assert len(shipped) >= 4
    for path in shipped:
        load_run(path)
