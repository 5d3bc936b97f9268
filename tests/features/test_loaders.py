import gzip
from pathlib import Path

import polars as pl
import pytest

from common.errors import ConfigError, DataError
from features.loaders import criteo, frappe, movielens
from features.schema import load_schema

DATA = Path(__file__).parents[3] / "shared" / "data"

FRAPPE = ["user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city"]
CRITEO_LINE = "\t".join(["0", "1", "-2", "", *["3"] * 10, "68fd1e64", "", *["25c83c98"] * 24])


def real(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"../shared/data/{name} is absent: it may not be redistributed")
    return DATA / name


def write_movielens(folder: Path) -> None:
    folder.joinpath("users.dat").write_bytes(b"1::F::1::10::48067\n2::M::56::16::70072-1234\n")
    titles = "1::Toy Story (1995)::Animation|Comedy\n2::Mis\xe9rables, Les\x85 (1935)::Drama\n3::2001 (1968)::Sci-Fi\n"
    folder.joinpath("movies.dat").write_bytes(titles.encode("latin-1"))
    folder.joinpath("ratings.dat").write_bytes(b"1::1::5::978300760\n1::2::3::978300760\n2::2::2::1\n2::3::4::7\n")


def write_frappe(folder: Path, suffix: str) -> None:
    table = pl.DataFrame({"label": [1, 0], **{name: [7, 8] for name in FRAPPE}})
    for split in ("train", "valid", "test"):
        if suffix == "csv":
            table.write_csv(folder / f"{split}.csv")
        else:
            table.write_parquet(folder / f"{split}.parquet")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "download"
    folder.mkdir()
    return folder


def test_the_real_frappe(tmp_path: Path) -> None:
    made = frappe.load(real("frappe"), tmp_path / "out")
    assert {path.name: rows for path, rows in made.rows.items()} == {
        "train.parquet": 202_027,
        "valid.parquet": 57_722,
        "test.parquet": 28_860,
    }
    schema = load_schema(made.schema)
    assert [f.name for f in schema.features] == FRAPPE
    assert all(f.kind == "categorical" and f.encoding == "vocabulary" for f in schema.features)
    assert schema.group == "user"
    assert schema.entities == {"user": "user", "item": "item"}
    for path, rows in made.rows.items():
        table = pl.read_parquet(path)
        assert table.columns == ["label", *FRAPPE]
        assert table.height == rows
    assert pl.read_parquet(tmp_path / "out" / "test.parquet")["label"].mean() == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_frappe_from_either_kind_of_file(source: Path, tmp_path: Path, suffix: str) -> None:
    write_frappe(source, suffix)
    made = frappe.load(source, tmp_path / "out")
    assert list(made.rows.values()) == [2, 2, 2]
    assert pl.read_parquet(tmp_path / "out" / "valid.parquet").row(1) == (0, *[8] * 10)


def test_frappe_that_is_something_else(source: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"download has neither train.parquet nor train.csv; expected the Frappe data set"
    ):
        frappe.load(source, tmp_path / "out")
    write_frappe(source, "csv")
    pl.DataFrame({"label": [1], "user": [1]}).write_csv(source / "valid.csv")
    with pytest.raises(
        DataError, match=r"valid.csv has no column 'item'; expected .*integer columns label, user, item"
    ):
        frappe.load(source, tmp_path / "out")
    pl.DataFrame({"label": [1], **{name: ["x"] for name in FRAPPE}}).write_csv(source / "valid.csv")
    with pytest.raises(DataError, match=r"valid.csv: column 'user' is String and not integers"):
        frappe.load(source, tmp_path / "out")
    (source / "valid.csv").write_bytes(b"")
    with pytest.raises(DataError, match=r"valid.csv cannot be read \(.*\); expected the Frappe"):
        frappe.load(source, tmp_path / "out")
    (source / "valid.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(DataError, match=r"valid.parquet cannot be read \(.*\); expected the Frappe"):
        frappe.load(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["download"]


@pytest.mark.parametrize("task", ["autoint", "user-movie"])
def test_the_real_movielens(tmp_path: Path, task: movielens.Task) -> None:
    made = movielens.load(real("ml-1m"), tmp_path / "out", task=task)
    assert list(made.rows.values()) == [739_012]
    table = pl.read_parquet(tmp_path / "out" / "ratings.parquet")
    assert table.columns == ["user", "movie", "label", "gender", "age", "occupation", "zip", "release", "genres"]
    assert table["label"].sum() == 575_281
    assert sum(table.null_count().row(0)) == 0
    distinct = table.select(pl.col("user", "movie", "gender", "age", "occupation", "release").n_unique()).row(
        0, named=True
    )
    assert distinct == {"user": 6040, "movie": 3668, "gender": 2, "age": 7, "occupation": 21, "release": 8}
    assert table["genres"].explode().n_unique() == 18
    assert table["genres"].list.len().max() == 6


def test_movielens_tasks_differ_in_who_is_a_feature(source: Path, tmp_path: Path) -> None:
    write_movielens(source)
    autoint = load_schema(movielens.load(source, tmp_path / "a", task="autoint").schema)
    both = load_schema(movielens.load(source, tmp_path / "b", task="user-movie").schema)
    like = ["gender", "age", "occupation", "zip", "release", "genres"]
    assert [f.name for f in autoint.features] == like
    assert autoint.entities == {}
    assert autoint.keep == ("user", "movie")
    assert [f.name for f in both.features] == ["user", *like[:4], "movie", *like[4:]]
    assert both.entities == {"user": "user", "item": "movie"}
    for schema in (autoint, both):
        genres = schema.feature("genres")
        assert genres.kind == "multivalued"
        assert (genres.max_length, genres.pooling) == (6, "mean")
        assert schema.timestamp is None


def test_the_real_movielens_with_histories(tmp_path: Path) -> None:
    ratings = pl.read_parquet(real("ml-1m") / "ratings.parquet").sort("timestamp", maintain_order=True)
    late = ratings.filter(pl.col("timestamp") >= 975_768_882)
    assert late.height == 200_018
    made = movielens.load(DATA / "ml-1m", tmp_path / "out", task="sequence")
    assert list(made.rows.values()) == [146_011]
    table = pl.read_parquet(tmp_path / "out" / "ratings.parquet")
    rated = late.filter(pl.col("rating") != 3)
    assert table["timestamp"].is_sorted()
    assert table["timestamp"].equals(rated["timestamp"])
    assert table["label"].sum() == (rated["rating"] > 3).sum()
    assert sum(table.null_count().row(0)) == 0
    liked = ratings.filter(pl.col("rating") > 3)
    for user, time, history, length in table.select("user", "timestamp", "history", "history_length")[
        ::700
    ].iter_rows():
        earlier = liked.filter((pl.col("user") == user) & (pl.col("timestamp") < time))["movie"].to_list()
        assert history == earlier[-50:]
        assert length == len(earlier)


def test_movielens_histories(source: Path, tmp_path: Path) -> None:
    """Ratings before the first candidate, of 3, of one time, without a time, and those not liked."""
    write_movielens(source)
    start = 975_768_882
    ratings = [
        (1, 1, 4, start - 9), (1, 2, 2, None), (1, 3, 5, start + 5), (1, 2, 1, start + 5), (1, 1, 3, start + 6),
        (1, 2, 5, start), (1, 1, 2, start + 7), (2, 1, 5, start - 1),
    ]  # fmt: skip
    pl.DataFrame(ratings, schema=["user", "movie", "rating", "timestamp"], orient="row").write_parquet(
        source / "ratings.parquet"
    )
    made = movielens.load(source, tmp_path / "out", task="sequence")
    table = pl.read_parquet(tmp_path / "out" / "ratings.parquet")
    assert table.select("user", "movie", "label", "timestamp", "history", "history_length").rows() == [
        (1, 2, 1, start, [1], 1),
        (1, 3, 1, start + 5, [1, 2], 2),
        (1, 2, 0, start + 5, [1, 2], 2),
        (1, 1, 0, start + 7, [1, 2, 3], 3),
    ]
    schema = load_schema(made.schema)
    assert (schema.timestamp, schema.keep, schema.group) == ("timestamp", ("history_length",), "user")
    names = ["user", "gender", "age", "occupation", "zip", "movie", "release", "genres", "history"]
    assert [f.name for f in schema.features] == names
    history = schema.feature("history")
    assert history.kind == "sequence"
    assert (history.of, history.max_length, history.entity) == ("movie", 50, "user")
    assert set(schema.columns) == set(table.columns)


def test_movielens_histories_need_times(source: Path, tmp_path: Path) -> None:
    write_movielens(source)
    pl.DataFrame({"user": [1], "movie": [1], "rating": [5]}).write_parquet(source / "ratings.parquet")
    with pytest.raises(DataError, match=r"ratings.parquet has no column 'timestamp'; expected"):
        movielens.load(source, tmp_path / "out", task="sequence")
    assert list(movielens.load(source, tmp_path / "without", task="autoint").rows.values()) == [1]
    (source / "ratings.parquet").unlink()
    (source / "ratings.dat").write_text("1::1::5::noon\n")
    with pytest.raises(DataError, match=r"ratings.dat, line 1: timestamp is 'noon' and not a whole number"):
        movielens.load(source, tmp_path / "out", task="sequence")


def test_movielens_values(source: Path, tmp_path: Path) -> None:
    """Latin-1, a character that Python takes for the end of a line, a year inside a title, a rating of 3."""
    write_movielens(source)
    movielens.load(source, tmp_path / "out")
    assert pl.read_parquet(tmp_path / "out" / "ratings.parquet").rows() == [
        (1, 1, 1, "F", 1, 10, "48067", "1990s", ["Animation", "Comedy"]),
        (2, 2, 0, "M", 56, 16, "70072-1234", "1930s or before", ["Drama"]),
        (2, 3, 1, "M", 56, 16, "70072-1234", "1960s", ["Sci-Fi"]),
    ]


def test_movielens_ratings_from_parquet_equal_those_from_text(source: Path, tmp_path: Path) -> None:
    write_movielens(source)
    movielens.load(source, tmp_path / "text")
    ratings = {"user": [1, 1, 2, 2], "movie": [1, 2, 2, 3], "rating": [5, 3, 2, 4], "timestamp": [None, None, 1, 7]}
    pl.DataFrame(ratings).write_parquet(source / "ratings.parquet")
    (source / "ratings.dat").unlink()
    movielens.load(source, tmp_path / "parquet")
    text, parquet = (pl.read_parquet(tmp_path / kind / "ratings.parquet") for kind in ("text", "parquet"))
    assert parquet.equals(text)
    assert "timestamp" not in parquet.columns


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("users.dat", b"1::F::1::10\n", r"users.dat, line 1: '1::F::1::10' is not user::gender::age::occupation::zip"),
        ("users.dat", b"1::F::1::10::4\n2::M::x::10::4\n", r"users.dat, line 2: age is 'x' and not a whole number"),
        ("users.dat", b"2::F::1::10::48067\n", r"user 1 has ratings but is not in users.dat"),
        ("movies.dat", b"", r"movies.dat, line 1: '' is not movie::title::genres"),
        ("movies.dat", b"1::Toy Story::Comedy\n", r"movies.dat: the title 'Toy Story' does not end in a year"),
        ("movies.dat", b"1::Toy Story (1995)::Comedy\n", r"movie 2 has ratings but is not in movies.dat"),
        ("ratings.dat", b"1::1::9::0\n", r"ratings.dat: a rating is 9; ratings are whole numbers from 1 to 5"),
    ],
)
def test_movielens_that_is_damaged(source: Path, tmp_path: Path, file: str, content: bytes, message: str) -> None:
    write_movielens(source)
    (source / file).write_bytes(content)
    with pytest.raises(DataError, match=message):
        movielens.load(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_movielens_that_is_missing_and_a_task_that_is_unknown(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ratings.dat does not exist; expected the folder ml-1m of the MovieLens 1M"):
        movielens.load(source, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"^task 'autoin' is unknown; did you mean 'autoint'\?$"):
        movielens.load(source, tmp_path / "out", task="autoin")  # type: ignore[arg-type]


def test_the_real_criteo(tmp_path: Path) -> None:
    made = criteo.load(real("criteo"), tmp_path / "out", block_bytes=400_000)
    assert sum(made.rows.values()) == 10_000
    assert len(made.rows) > 3
    table = pl.concat([pl.read_parquet(path) for path in made.rows])
    assert table["label"].mean() == pytest.approx(0.218, abs=0.0005)
    schema = load_schema(made.schema)
    assert (schema.label, schema.group, schema.timestamp) == ("label", None, None)
    assert list(schema.columns) == table.columns
    assert [(f.name, f.transforms, f.missing) for f in schema.numeric[:1]] == [("I1", ("log1p",), "mask")]
    assert (len(schema.numeric), len(schema.sparse)) == (13, 26)
    with gzip.open(DATA / "criteo" / "train_first10k.txt.gz", "rt") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
    written = table.select(pl.all().cast(pl.String).fill_null("")).rows()
    assert [list(row) for row in written] == lines


@pytest.mark.parametrize("block_bytes", [1, 7, 250, 1000, 1 << 20])
@pytest.mark.parametrize("end", ["\n", ""])
def test_criteo_blocks_cut_between_lines(source: Path, tmp_path: Path, block_bytes: int, end: str) -> None:
    lines = [CRITEO_LINE.replace("-2", str(-i)) for i in range(2, 12)]
    (source / "train.txt").write_text("\n".join(lines) + end)
    made = criteo.load(source, tmp_path / "out", block_bytes=block_bytes)
    table = pl.concat([pl.read_parquet(path) for path in made.rows])
    assert table["I2"].to_list() == list(range(-2, -12, -1))
    assert table["I3"].null_count() == table["C2"].null_count() == 10


def test_criteo_finds_its_file(source: Path, tmp_path: Path) -> None:
    for name in ("readme.txt", "test.txt"):
        (source / name).write_text("not this one")
    with pytest.raises(DataError, match=r"download holds no .txt or .txt.gz file; expected train.txt of the Criteo"):
        criteo.load(source, tmp_path / "out")
    (source / "b.txt").write_text(CRITEO_LINE + "\n")
    with gzip.open(source / "a.txt.gz", "wt") as file:
        file.write(CRITEO_LINE.replace("\t3\t", "\t4\t") + "\r\n")
    made = criteo.load(source, tmp_path / "both")
    assert [pl.read_parquet(path)["I4"].item() for path in made.rows] == [4, 3]
    assert pl.read_parquet(next(iter(made.rows)))["C26"].item() == "25c83c98"
    assert len(criteo.load(source / "b.txt", tmp_path / "one").rows) == 1
    (source / "train.txt").write_text(CRITEO_LINE + "\n" + CRITEO_LINE + "\n")
    assert list(criteo.load(source, tmp_path / "train").rows.values()) == [2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (CRITEO_LINE.partition("\t")[2], r"line 3 has 39 of 40 columns; expected train.txt"),
        (CRITEO_LINE + "\tx", r"line 3 has 41 of 40 columns"),
        (CRITEO_LINE.replace("-2", "2.5"), r"line 3: I2 is '2.5', no whole number"),
        (CRITEO_LINE[1:], r"line 3: the label is '', not 0 or 1"),
        ("2" + CRITEO_LINE[1:], r"line 3: the label is '2', not 0 or 1"),
        (CRITEO_LINE.replace("-2", "9" * 30), r"train.txt cannot be read \(.*\); expected train.txt"),
    ],
)
@pytest.mark.parametrize("block_bytes", [100, 1 << 20])
def test_criteo_that_is_damaged(source: Path, tmp_path: Path, line: str, message: str, block_bytes: int) -> None:
    (source / "train.txt").write_text("\n".join([CRITEO_LINE, CRITEO_LINE, line, CRITEO_LINE]) + "\n")
    with pytest.raises(DataError, match=message):
        criteo.load(source, tmp_path / "out", block_bytes=block_bytes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["download"]


def test_criteo_that_cannot_be_read(source: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist; expected train.txt"):
        criteo.load(source / "nowhere", tmp_path / "out")
    (source / "train.txt").write_text("")
    with pytest.raises(DataError, match=r"train.txt is empty; expected"):
        criteo.load(source, tmp_path / "out")
    (source / "cut.txt.gz").write_bytes(gzip.compress(CRITEO_LINE.encode() * 9)[:-20])
    (source / "none.txt.gz").write_text("no gzip")
    for name in ("cut.txt.gz", "none.txt.gz"):
        with pytest.raises(DataError, match=rf"{name} cannot be read \(.*\); expected"):
            criteo.load(source / name, tmp_path / "out")


def test_schemas_state_the_terms_and_outputs_are_not_overwritten(source: Path, tmp_path: Path) -> None:
    write_movielens(source)
    made = movielens.load(source, tmp_path / "out")
    assert "may not be redistributed" in made.schema.read_text()
    with pytest.raises(ConfigError, match="already holds something"):
        movielens.load(source, tmp_path / "out")
    movielens.load(source, tmp_path / "out", task="autoint", overwrite=True)
    assert len(load_schema(made.schema).features) == 6
