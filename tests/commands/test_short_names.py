"""Names of models: what tells them apart, and nothing that they share."""

import pytest

from commands._sources import short_names


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
