"""A mistake in a yaml file becomes one sentence that names the place and the mend."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError

from common.errors import ConfigError, SchemaError
from common.settings import Settings, dotted, read_mapping, validate


class _Adam(Settings):
    kind: Literal["adam"]
    learning_rate: float = Field(default=0.001, gt=0)


class _Sgd(Settings):
    kind: Literal["sgd"]
    momentum: float = 0.0


class _Layer(Settings):
    units: int
    rate: float = 0.0


class _Run(Settings):
    data: str
    layers: tuple[_Layer, ...] = ()
    optimizer: Annotated[_Adam | _Sgd, Field(discriminator="kind")] = _Adam(kind="adam")


def _message(document: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(_Run, document, source="run.yaml", error=ConfigError)
    return str(caught.value)


def test_whole_document_is_taken() -> None:
    run = validate(
        _Run,
        {"data": "d", "layers": [{"units": 3, "rate": 1}], "optimizer": {"kind": "sgd", "momentum": 0.9}},
        source="run.yaml",
        error=ConfigError,
    )
    assert run == _Run(data="d", layers=(_Layer(units=3, rate=1.0),), optimizer=_Sgd(kind="sgd", momentum=0.9))


def test_settings_are_frozen() -> None:
    run = _Run(data="d")
    with pytest.raises(ValidationError, match="frozen"):
        run.data = "e"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"data": "d", "layer": []}, "run.yaml: unknown key 'layer'; did you mean 'layers'?"),
        ({"data": "d", "zz": 1}, "run.yaml: unknown key 'zz'; known: data, layers, optimizer"),
        (
            {"data": "d", "layers": [{"units": 1}, {"units": 2, "ratte": 0.1}]},
            "run.yaml: unknown key 'ratte' in layers[1]; did you mean 'rate'?",
        ),
        (
            {"data": "d", "optimizer": {"kind": "adam", "learning_rat": 0.1}},
            "run.yaml: unknown key 'learning_rat' in optimizer; did you mean 'learning_rate'?",
        ),
        # A misspelt key that must be there is missing too; its name helps more.
        ({"dta": "d"}, "run.yaml: unknown key 'dta'; did you mean 'data'?"),
        (
            {"data": "d", "layers": [{"unit": 1}]},
            "run.yaml: unknown key 'unit' in layers[0]; did you mean 'units'?",
        ),
        ({}, "run.yaml: data is missing; add it"),
        ({"data": "d", "layers": [{"units": 1}, {}]}, "run.yaml: layers[1].units is missing; add it"),
        (
            {"data": "d", "optimizer": {"kind": "lamb"}},
            "run.yaml: optimizer: kind 'lamb' is unknown; known: 'adam', 'sgd'",
        ),
    ],
)
def test_key_mistakes(document: dict[str, Any], message: str) -> None:
    assert _message(document) == message


@pytest.mark.parametrize(
    ("document", "where", "got"),
    [
        ({"data": 3}, "data:", "got 3"),
        ({"data": None}, "data:", "got null"),
        ({"data": "d", "layers": [{"units": "many"}]}, "layers[0].units:", 'got "many"'),
        ({"data": "d", "layers": [{"units": 1.5}]}, "layers[0].units:", "got 1.5"),
        ({"data": "d", "layers": [{"units": True}]}, "layers[0].units:", "got true"),
        ({"data": "d", "optimizer": {"kind": "adam", "learning_rate": 0}}, "optimizer.learning_rate:", "got 0"),
        (
            {"data": "d", "optimizer": {"kind": "adam", "learning_rate": float("nan")}},
            "optimizer.learning_rate:",
            "got NaN",
        ),
        ({"data": "d", "optimizer": [1]}, "optimizer", "[1]"),
    ],
)
def test_wrong_values_name_the_place_and_what_was_found(document: dict[str, Any], where: str, got: str) -> None:
    message = _message(document)
    assert message.startswith(f"run.yaml: {where}")
    assert message.endswith(got)
    assert "\n" not in message


def test_first_of_several_mistakes_makes_one_sentence() -> None:
    message = _message({"data": 3, "layers": 4})
    assert message.startswith("run.yaml: data:")
    assert "layers" not in message


def test_key_that_json_cannot_hold_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("data: d\n2020-01-01: x\n")
    with pytest.raises(ConfigError, match="2020-01-01"):
        validate(_Run, read_mapping(path, ConfigError), source=str(path), error=ConfigError)


def test_path_into_a_document() -> None:
    assert dotted(("features", 2, "name")) == "features[2].name"
    assert dotted(()) == ""


def test_mapping_is_read_from_yaml_and_from_json(tmp_path: Path) -> None:
    yaml_file, json_file = tmp_path / "a.yaml", tmp_path / "a.json"
    yaml_file.write_text("data: é\nlayers:\n  - units: 3\n", encoding="utf-8")
    json_file.write_text('{"data": "é", "layers": [{"units": 3}]}', encoding="utf-8")
    assert read_mapping(yaml_file, ConfigError) == read_mapping(json_file, ConfigError)


@pytest.mark.parametrize(
    ("text", "number"), [("1e-3", 0.001), ("1E+3", 1000.0), ("2.5e-4", 0.00025), ("-1e2", -100.0), ("1.5", 1.5)]
)
def test_number_with_an_exponent_is_a_number(tmp_path: Path, text: str, number: float) -> None:
    (tmp_path / "run.yaml").write_text(f"learning_rate: {text}\n")
    assert read_mapping(tmp_path / "run.yaml", ConfigError) == {"learning_rate": number}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must hold a mapping of keys to values, not nothing"),
        ("- a\n- b\n", "must hold a mapping of keys to values, not a list"),
        ("just text", "must hold a mapping of keys to values, not a str"),
        ("a: 1\nb: 'open\n", ", line 3: "),
        ("a: 1\n b: 2\n", ", line 2: "),
        ("a: !!python/object:os.x {}\n", ", line 1: "),
        ("day: 2024-02-30\n", "day is out of range for month"),
        ("a: 1\nb: 2\na: 3\n", ", line 3: key 'a' is given twice"),
    ],
)
def test_yaml_mistakes_name_the_file_and_the_line(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(SchemaError) as caught:
        read_mapping(path, SchemaError)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert reason in message
    assert "\n" not in message


def test_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml does not exist"):
        read_mapping(tmp_path / "none.yaml", ConfigError)


def test_folder_and_bytes_instead_of_a_text_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_mapping(tmp_path, ConfigError)
    (tmp_path / "run.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(ConfigError, match=r"run\.yaml cannot be read"):
        read_mapping(tmp_path / "run.yaml", ConfigError)


def test_every_member_of_a_union_says_what_it_takes() -> None:
    class Fill(Settings):
        missing: Literal["mask"] | float

    with pytest.raises(
        ConfigError, match=r"^x: missing: input should be 'mask' or input should be a valid number, got"
    ):
        validate(Fill, {"missing": "zero"}, source="x", error=ConfigError)
