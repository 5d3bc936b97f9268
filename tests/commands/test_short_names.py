"""Names of models: what tells them apart, and nothing that they share."""

import pytest

from commands._sources import short_names
from common.errors import ConfigError


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/a/artifact", "runs/b/artifact"], ["a", "b"]),
        (["runs/a/1/artifact", "runs/b/1/artifact"], ["a", "b"]),
        (["runs/a/1/artifact", "runs/a/2/artifact", "runs/b/1/artifact"], ["a/1", "a/2", "b/1"]),
        (["/x/y/live.csv", "/x/y/new.parquet"], ["live.csv", "new.parquet"]),
        (["live.csv", "runs/new/artifact"], ["live.csv", "runs/new/artifact"]),
        (["runs/a", "runs/a/artifact"], ["a", "a/artifact"]),
        (["a/x/a", "a/a"], ["x/a", "a"]),
        (["only/one"], ["one"]),
    ],
)
def test_short_names(paths: list[str], names: list[str]) -> None:
    assert short_names(paths) == names


def test_two_names_of_one_path_are_refused() -> None:
    with pytest.raises(ConfigError, match="a model is given twice"):
        short_names(["runs/a", "runs/b", "./runs//a"])
