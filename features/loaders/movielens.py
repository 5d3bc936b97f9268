"""MovieLens-1M: a million ratings of films, made into three click-like tasks."""

from pathlib import Path
from typing import Any, Literal, get_args

import polars as pl

from common.errors import ConfigError, DataError, did_you_mean
from common.files import atomic_folder
from features._schema_file import write_schema
from features.histories.histories import Histories, History
from features.loaders._shared import LoadSummary, read_table, require_columns, unreadable
from features.sources.piece import Read

Task = Literal["autoint", "user-movie", "sequence"]

_STAMPED = 975768882
"""From this time on every copy of the data set has the times of all ratings."""
_HISTORY = History(user="user", item="movie", time="timestamp", where=("label=1",))

_EXPECTED = (
    "the folder ml-1m of the MovieLens 1M download by GroupLens: users.dat, movies.dat, and ratings.dat "
    "(or ratings.parquet with integer columns user, movie, rating, and timestamp for the sequence task)"
)
_NOTES = """\
MovieLens-1M (GroupLens, University of Minnesota; Harper and Konstan 2015), the {task} task.
For research only: it may not be redistributed or used commercially without permission; publications must cite it.
Ratings of 3 are dropped; the label is whether the rating is above 3. release is the film's decade.
{hint}"""
_TIMELESS = """\
Times are left out: where copies of this data set lack them, which ones are lacking tells the label. Split at random,
0.8,0.1,0.1."""
_HINTS = {
    "autoint": f"{_TIMELESS} Neither the user nor the film is a feature of this task; both stay beside the rows.",
    "user-movie": f"{_TIMELESS} Published without zip (FCN), and without release and genres (DCN-V2).",
    "sequence": f"""\
Rows are the ratings from time {_STAMPED} on: before it, copies of this data set lack the times of ratings of 1 to 3.
history holds the last {_HISTORY.max_length} films that the user rated 4 or 5 strictly before, in all the data;
history_length counts all of them. Split by time, 0.8,0.1,0.1; the time is no feature.
Report the test rows with a short history apart.""",
}


def load(source: Path, output: Path, *, task: Task = "user-movie", overwrite: bool = False) -> LoadSummary:
    """Turn a download of MovieLens-1M into ``ratings.parquet`` and ``schema.yaml``.

    Args:
        source: Folder that holds ``users.dat``, ``movies.dat`` and ``ratings.dat`` or ``ratings.parquet``.
        output: Folder to create.
        task: ``autoint`` predicts from what the user and the film are like; ``user-movie`` also from who they are;
            ``sequence`` also from the films that the user liked before.
        overwrite: Replace an existing folder.

    Returns:
        What was written.

    Raises:
        ConfigError: The task is unknown, or the output exists or cannot be written.
        DataError: A file is missing, damaged, or not what MovieLens-1M has.
    """
    if task not in get_args(Task):
        raise ConfigError(f"task {task!r} is unknown; {did_you_mean(task, get_args(Task))}")
    with atomic_folder(output, overwrite=overwrite) as folder:
        ratings = _with_histories(source) if task == "sequence" else _ratings(source)
        table = ratings.join(_users(source), on="user", how="left", maintain_order="left")
        table = table.join(_movies(source), on="movie", how="left", maintain_order="left")
        for key, column in (("user", "gender"), ("movie", "genres")):
            if table[column].null_count():
                lost = table.filter(pl.col(column).is_null())[key][0]
                raise DataError(f"{source}: {key} {lost} has ratings but is not in {key}s.dat; fetch the data again")
        table.write_parquet(folder / "ratings.parquet")
        notes = _NOTES.format(task=task, hint=_HINTS[task])
        write_schema(folder / "schema.yaml", _schema(task), notes=notes)
    return LoadSummary(schema=output / "schema.yaml", rows={output / "ratings.parquet": table.height})


def _ratings(source: Path, *more: str) -> pl.DataFrame:
    """Columns user, movie, label, and more of the file's, without ratings of 3."""
    path, columns = source / "ratings.parquet", ("user", "movie", "rating", *more)
    if path.is_file():
        ratings = require_columns(read_table(path, expected=_EXPECTED), columns, path, expected=_EXPECTED)
    else:
        path = source / "ratings.dat"
        ratings = _integers(_read_dat(path, ("user", "movie", "rating", _HISTORY.time)), columns, path)
    wrong = ratings.filter(~pl.col("rating").is_between(1, 5).fill_null(False))
    if wrong.height:
        raise DataError(f"{path}: a rating is {wrong['rating'][0]}; ratings are whole numbers from 1 to 5")
    return ratings.filter(pl.col("rating") != 3).select(
        pl.col("user").cast(pl.Int32),
        pl.col("movie").cast(pl.Int32),
        (pl.col("rating") > 3).cast(pl.Int8).alias("label"),
        *more,
    )


def _with_histories(source: Path) -> pl.DataFrame:
    """Columns user, movie, label, timestamp, history, history_length, in the order of time, from ``_STAMPED`` on."""
    log = _ratings(source, _HISTORY.time).drop_nulls(_HISTORY.time).sort(_HISTORY.time, maintain_order=True)
    positions = pl.int_range(log.height, eager=True)
    table, _ = Histories(_HISTORY, since=str(_STAMPED)).extend(Read(log, positions, []), source)
    return table


def _users(source: Path) -> pl.DataFrame:
    """Columns user, gender, age (a code), occupation (a code), zip."""
    path = source / "users.dat"
    table = _read_dat(path, ("user", "gender", "age", "occupation", "zip"))
    return _integers(table, ("user", "age", "occupation"), path).select("user", "gender", "age", "occupation", "zip")


def _movies(source: Path) -> pl.DataFrame:
    """Columns movie, release (``1990s``), genres."""
    path = source / "movies.dat"
    table = _integers(_read_dat(path, ("movie", "title", "genres")), ("movie",), path)
    year = pl.col("title").str.extract(r"\((\d{4})\)\s*$").cast(pl.Int32)
    undated = table.filter(year.is_null())
    if undated.height:
        raise DataError(f"{path}: the title {undated['title'][0]!r} does not end in a year, as in 'Toy Story (1995)'")
    decade = (year // 10 * 10).cast(pl.String) + "s"
    return table.select(
        "movie",
        # Few films are older than that; with this there are eight buckets.
        pl.when(year < 1940).then(pl.lit("1930s or before")).otherwise(decade).alias("release"),
        pl.col("genres").str.split("|"),
    )


def _read_dat(path: Path, columns: tuple[str, ...]) -> pl.DataFrame:
    """Read ``a::b::c`` lines in Latin-1 as text columns."""
    try:
        # Not splitlines(): in Latin-1 it would also break lines at characters that titles may hold.
        lines = path.read_bytes().decode("latin-1").replace("\r\n", "\n").removesuffix("\n").split("\n")
    except OSError as problem:
        raise unreadable(path, problem, expected=_EXPECTED) from None
    series = pl.Series("line", lines)
    wrong = series.str.count_matches("::", literal=True) != len(columns) - 1
    if wrong.any():
        number = int(wrong.arg_max() or 0)
        layout = "::".join(columns)
        raise DataError(f"{path}, line {number + 1}: {lines[number][:80]!r} is not {layout}; expected {_EXPECTED}")
    return series.str.split_exact("::", len(columns) - 1).struct.rename_fields(list(columns)).struct.unnest()


def _integers(table: pl.DataFrame, columns: tuple[str, ...], path: Path) -> pl.DataFrame:
    for column in columns:
        numbers = table[column].cast(pl.Int32, strict=False)
        if numbers.null_count():
            number = int(numbers.is_null().arg_max() or 0)
            raise DataError(
                f"{path}, line {number + 1}: {column} is {table[column][number]!r} and not a whole number; "
                f"expected {_EXPECTED}"
            )
        table = table.with_columns(numbers)
    return table


def _schema(task: Task) -> dict[str, Any]:
    def categorical(name: str, entity: str) -> dict[str, Any]:
        return {"name": name, "kind": "categorical", "entity": entity, "encoding": "vocabulary"}

    people = [categorical(name, "user") for name in ("gender", "age", "occupation", "zip")]
    genres = {"name": "genres", "kind": "multivalued", "entity": "item", "encoding": "vocabulary"}
    films = [categorical("release", "item"), {**genres, "max_length": 6, "pooling": "mean"}]
    if task == "autoint":
        return {"label": "label", "group": "user", "keep": ["user", "movie"], "features": [*people, *films]}
    features = [categorical("user", "user"), *people, categorical("movie", "item"), *films]
    schema = {"label": "label", "group": "user", "entities": {"user": "user", "item": "movie"}}
    if task == "user-movie":
        return {**schema, "features": features}
    history = {"name": _HISTORY.name, "kind": "sequence", "entity": "user", "of": "movie"}
    return {
        **schema,
        "timestamp": _HISTORY.time,
        "keep": [_HISTORY.length],
        "features": [*features, {**history, "max_length": _HISTORY.max_length}],
    }
