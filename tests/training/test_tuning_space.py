"""What may vary in a search: which spaces are refused, and what a space's values come to."""

from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigError
from common.settings import validate
from training.run import load_run
from training.tuning.domain import Domain
from training.tuning.space import Space

RUN: dict[str, Any] = {
    "data": "prepared",
    "output": "run",
    "model": {"name": "finalmlp", "mlp1": {"hidden": [16]}, "mlp2": {"hidden": [8]}},
    "embedding": {"dim": 4, "rows": 500},
}


def load(folder: Path, search: dict[str, Any], **changes: Any) -> Space:
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({**RUN, **changes, "search": search}))
    return Space.load(path)


def domain(**given: Any) -> Domain:
    return validate(Domain, given, source="it", error=ConfigError)


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({}, ("has no search section", "log_uniform")),
        ({"optimizer.learning_rat": {"uniform": [0.1, 1]}}, ("'learning_rat'", "did you mean 'learning_rate'?")),
        ({"optimiser.learning_rate": {"uniform": [0.1, 1]}}, ("varies settings of model, embedding",)),
        ({"model.headz": {"integer": [1, 2]}}, ("search.model.headz", "did you mean 'heads'?")),
        ({"model": {"choice": [{"name": "lr"}, {"name": "finalmpl"}]}}, ("search.model:", "did you mean 'finalmlp'?")),
        ({"model.mlp1.hidden": {"choice": [[16], "wide"]}}, ("search.model.mlp1.hidden", '"wide"')),
        ({"optimizer.learning_rate": {"uniform": [-1, 1]}}, ("optimizer.learning_rate", "greater than 0")),
        ({"training.batch_size": {"uniform": [16, 64]}}, ("training.batch_size", "valid integer")),
        ({"seed": {"integer": [0, 9]}}, ("search.seed", "remove the key")),
        ({"output": {"choice": ["a", "b"]}}, ("search.output", "remove the key")),
        ({"training.monitor": {"choice": ["auc", "logloss"]}}, ("compared by training.monitor",)),
        ({"training": {"choice": [{"epochs": 1}, {"epochs": 2}]}}, ("compared by training.monitor",)),
        (
            {"embedding": {"choice": [{"rows": 9}, {"rows": 99}]}, "embedding.dim": {"integer": [2, 4]}},
            ("search.embedding", "in which embedding.dim varies too"),
        ),
        ({"optimizer.learning_rate": {"unifrom": [0, 1]}}, ("'unifrom'", "did you mean 'uniform'?")),
        ({"optimizer.learning_rate": {}}, ("optimizer.learning_rate", "give one of uniform", "given: none")),
        ({"optimizer.learning_rate": {"uniform": [1, 2], "choice": [1, 2]}}, ("given: uniform, choice",)),
        ({"optimizer.learning_rate": {"uniform": [2, 1]}}, ("from the smaller end", "2 to 1")),
        ({"optimizer.learning_rate": {"uniform": [1]}}, ("optimizer.learning_rate",)),
        ({"optimizer.learning_rate": {"log_uniform": [0, 1]}}, ("logarithmic", "above 0")),
        ({"optimizer.learning_rate": {"uniform": [1, 2], "log": True}}, ("go with integer alone",)),
        ({"embedding.dim": {"integer": [1, 8], "step": 4}}, ("steps of 4 from 1 do not meet 8",)),
        ({"embedding.dim": {"integer": [1, 9], "step": 4, "log": True}}, ("step and log exclude each other",)),
        ({"embedding.dim": {"choice": [4]}}, ("embedding.dim",)),
        ({"embedding.dim": {"choice": [4, 8, 4]}}, ("a choice is given twice",)),
    ],
)
def test_a_wrong_space_is_refused_in_a_sentence(tmp_path: Path, search: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, search)
    sentence = str(refused.value)
    assert str(tmp_path / "run.yaml") in sentence
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_values_that_fit_only_together_are_a_space(tmp_path: Path) -> None:
    search = {
        "optimizer.embedding": {"choice": ["rowwise_adagrad", "dense_adam"]},
        "optimizer.embedding_l2_all_rows": {"choice": [0.0, 1e-5]},
    }
    space = load(tmp_path, search)
    assert space.settings_of({"optimizer.embedding": "dense_adam", "optimizer.embedding_l2_all_rows": 1e-5})
    with pytest.raises(ConfigError, match="reaches every row at every step"):
        space.settings_of({"optimizer.embedding_l2_all_rows": 1e-5})


def test_a_trial_is_the_run_file_with_its_values(tmp_path: Path) -> None:
    space = load(
        tmp_path,
        {"model.mlp1.hidden": {"choice": [[16], [32, 8]]}, "optimizer.schedule.warmup_steps": {"integer": [0, 9]}},
    )
    values = {"model.mlp1.hidden": [32, 8], "optimizer.schedule.warmup_steps": 7}
    expected = {**RUN, "model": {**RUN["model"], "mlp1": {"hidden": [32, 8]}}}
    assert space.run(values) == {**expected, "optimizer": {"schedule": {"warmup_steps": 7}}}
    assert space.run({}) == RUN
    assert space.settings_of(values).optimizer.schedule.warmup_steps == 7


def test_own_values_are_those_of_the_file_else_the_defaults(tmp_path: Path) -> None:
    search: dict[str, Any] = {
        "model.mlp1.hidden": {"choice": [[16], [32]]},
        "model.heads": {"integer": [1, 4]},
        "optimizer.clip_norm": {"choice": [None, 10.0]},
    }
    own = load(tmp_path, search).own_values()
    assert own == {"model.mlp1.hidden": [16], "model.heads": 1, "optimizer.clip_norm": 10.0}
    search["optimizer.learning_rate"] = {"uniform": [0.5, 1.0]}
    assert load(tmp_path, search).own_values() is None


def test_a_choice_is_known_by_its_number_however_it_is_written(tmp_path: Path) -> None:
    space = load(tmp_path, {"model.mlp1.dropout": {"choice": [0, 0.5]}})  # the default is 0.0
    assert space.own_values() == {"model.mlp1.dropout": 0}
    assert [space.domains["model.mlp1.dropout"].stored(value) for value in (0.0, 0.5)] == ["0", "0.5"]
    with pytest.raises(ConfigError, match="a choice is given twice"):
        domain(choice=[[1], [1.0]])
    assert not domain(choice=[1, 2]).holds(True)


def test_training_takes_no_notice_of_the_section(tmp_path: Path) -> None:
    space = load(tmp_path, {"embedding.dim": {"integer": [2, 4]}})
    run = load_run(tmp_path / "run.yaml")
    assert run.search
    assert run.itself == space.settings.itself
    assert "search" not in run.itself


@given(st.data())
def test_what_is_suggested_is_held_and_read_back(data: st.DataObject) -> None:
    low, high = sorted(data.draw(st.lists(st.integers(1, 99), min_size=2, max_size=2, unique=True)))
    some = data.draw(
        st.sampled_from(
            [
                domain(uniform=[low, high]),
                domain(log_uniform=[low / 100, high]),
                domain(integer=[low, high]),
                domain(integer=[low, high], log=True),
                domain(integer=[low, low + 3 * high], step=3),
                domain(choice=[low, "text", [low, high], {"hidden": [low], "dropout": None}, True]),
            ]
        )
    )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=low))
    trial = study.ask()
    value = some.suggest(trial, "key")
    assert some.holds(value)
    assert some.suggest(trial, "key") == value
    assert some.read(trial.params["key"]) == value
    assert some.stored(value) == trial.params["key"]
    assert all(map(some.holds, some.corners))
    assert not some.holds(10**6)
    assert not some.holds(None)
