from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from common.errors import ConfigError
from features.schema import load_schema
from features.simulation.simulation import SimulationSummary, simulate

START, DAY = 1_767_571_200, 86400
ROWS = 120_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimulationSummary:
    output = tmp_path_factory.mktemp("simulation") / "log"
    return simulate(output, rows=ROWS, users=3000, ads=1500, click_rate=0.08, rows_per_file=50_000)


@pytest.fixture(scope="module")
def log(made: SimulationSummary) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in made.files])


def read(made: SimulationSummary) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in made.files])


def test_the_summary_tells_what_the_files_hold(made: SimulationSummary, log: pl.DataFrame) -> None:
    assert [path.name for path in made.files] == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert [pl.read_parquet(path).height for path in made.files] == [50_000, 50_000, 20_000]
    assert made.rows == log.height == ROWS
    assert made.requests == log["request_id"].n_unique()
    assert made.clicks == log["click"].sum()
    assert made.mean_probability == pytest.approx(log["true_probability"].mean(), rel=1e-12)
    assert made.attainable_auc == pytest.approx(roc_auc_score(log["click"], log["true_probability"]), abs=1e-12)


def test_the_schema_reads_the_log_and_no_answer(made: SimulationSummary, log: pl.DataFrame) -> None:
    schema = load_schema(made.schema)
    assert set(schema.columns) == set(log.columns)
    assert (schema.label, schema.group, schema.timestamp) == ("click", "user_id", "time")
    assert schema.keep == ("request_id", "true_probability")
    assert schema.entities == {"user": "user_id", "item": "ad_id"}
    assert not {f.source for f in schema.given} & {"true_probability", "time", "click", "request_id"}
    assert made.schema.read_text().startswith("# A simulated ads log.")


def test_equal_arguments_give_equal_bytes_and_another_seed_another_log(tmp_path: Path) -> None:
    first = simulate(tmp_path / "a", rows=5000, users=200, ads=100, seed=7)
    again = simulate(tmp_path / "b", rows=5000, users=200, ads=100, seed=7)
    other = simulate(tmp_path / "c", rows=5000, users=200, ads=100, seed=8)
    assert [path.read_bytes() for path in first.files] == [path.read_bytes() for path in again.files]
    assert first.schema.read_bytes() == again.schema.read_bytes()
    assert not read(first).equals(read(other))


def test_the_rows_do_not_depend_on_where_files_are_cut(made: SimulationSummary, tmp_path: Path) -> None:
    whole = simulate(tmp_path / "whole", rows=ROWS, users=3000, ads=1500, click_rate=0.08)
    assert len(whole.files) == 1
    assert read(whole).equals(read(made))


def test_rows_that_fill_the_last_file_leave_no_empty_one(tmp_path: Path) -> None:
    made = simulate(tmp_path / "log", rows=3000, users=50, ads=50, rows_per_file=1000)
    assert [pl.read_parquet(path).height for path in made.files] == [1000, 1000, 1000]


def test_time_never_goes_back_and_stays_within_the_days(log: pl.DataFrame) -> None:
    assert log["time"].is_sorted()
    assert log["time"][0] >= START
    assert START + 13 * DAY < log["time"][-1] < START + 14 * DAY
    assert log["request_id"].is_sorted()
    assert (log["hour"] == log["time"] // 3600 % 24).all()
    assert (log["weekday"] == (log["time"] - START) // DAY).filter(log["time"] < START + 7 * DAY).all()


def test_the_rows_of_a_request_share_all_but_the_ad(log: pl.DataFrame) -> None:
    shared = ["time", "user_id", "age", "gender", "country", "account_days", "hour", "device", "placement"]
    requests = log.group_by("request_id", maintain_order=True).agg(
        *(pl.col(name).n_unique().alias(name) for name in shared),
        pl.col("recent_ads").n_unique().alias("recent_ads"),
        (pl.col("position") == pl.int_range(1, pl.len() + 1)).all().alias("counted"),
        pl.len().alias("rows"),
        pl.col("ad_id").n_unique().alias("ads"),
    )
    assert (requests.select(*shared, "recent_ads") == 1).to_numpy().all()
    assert requests["counted"].all()
    assert (requests["ads"] == requests["rows"]).all()
    assert requests["rows"].min() == 1
    assert requests["rows"].max() == 10


def test_recent_ads_are_the_clicks_of_earlier_seconds(log: pl.DataFrame) -> None:
    clicks: dict[str, list[tuple[int, str]]] = {}
    longest = 0
    for time, user, ad, recent, click in log.select("time", "user_id", "ad_id", "recent_ads", "click").iter_rows():
        known = clicks.setdefault(user, [])
        expected = [clicked for when, clicked in known[-60:] if when < time][-20:]
        assert recent == expected
        longest = max(longest, len(known))
        if click:
            known.append((time, ad))
    assert longest > 40  # histories did overflow


def test_a_second_request_in_one_second_sees_no_click_of_the_first(tmp_path: Path) -> None:
    made = simulate(tmp_path / "log", rows=100_000, users=2, ads=40, days=1, click_rate=0.3)
    log = read(made).select("time", "user_id", "request_id", "recent_ads")
    seconds = log.group_by("time", "user_id").agg(pl.col("request_id").n_unique(), pl.col("recent_ads").n_unique())
    assert (seconds["request_id"] > 1).sum() > 100
    assert (seconds["recent_ads"] == 1).all()


def test_no_ad_is_shown_before_it_exists_and_new_ones_keep_coming(log: pl.DataFrame) -> None:
    assert log["ad_age_days"].min() >= 0  # type: ignore[operator]
    created = (log["time"] - log["ad_age_days"] * DAY).alias("created")
    spread = log.select("ad_id", created).group_by("ad_id").agg(pl.col("created").max() - pl.col("created").min())
    assert spread["created"].max() <= 0.011 * DAY  # type: ignore[operator]  # ages have two decimals
    first_seen = log.group_by("ad_id").agg(pl.col("time").min())["time"]
    by_day = ((first_seen - START) // DAY).value_counts().filter(pl.col("time") > 0)
    assert by_day.height == 13
    assert by_day["count"].min() > 10  # type: ignore[operator]


@pytest.mark.parametrize(("column", "count"), [("user_id", 3000), ("ad_id", 1500)])
def test_popularity_falls_as_zipf_has_it(log: pl.DataFrame, column: str, count: int) -> None:
    seen = log[column].value_counts(sort=True)["count"].to_numpy()
    ranks = np.arange(1, len(seen) + 1)
    middle = slice(count // 10, count // 2)
    slope = np.polyfit(np.log(ranks[middle]), np.log(seen[middle]), 1)[0]
    assert -1.25 < slope < -0.75
    assert seen[: count // 100].sum() > 5 * ROWS / 100
    assert seen[0] < ROWS / 50


def test_clicks_were_drawn_with_the_true_probability(log: pl.DataFrame) -> None:
    for part in log.sort("true_probability").iter_slices(ROWS // 10):
        p = part["true_probability"].to_numpy()
        z = (part["click"].sum() - p.sum()) / np.sqrt((p * (1 - p)).sum())
        assert abs(z) < 4
    assert log["true_probability"].is_between(0, 1, closed="none").all()


@pytest.mark.parametrize("click_rate", [0.01, 0.05, 0.3])
def test_the_click_rate_is_near_what_was_asked(tmp_path: Path, click_rate: float) -> None:
    made = simulate(tmp_path / "log", rows=60_000, click_rate=click_rate)
    assert made.mean_probability == pytest.approx(click_rate, rel=0.1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_attainable_auc_is_that_of_a_real_log(tmp_path: Path, seed: int) -> None:
    made = simulate(tmp_path / "log", rows=100_000, seed=seed)
    assert 0.75 < made.attainable_auc < 0.81


def test_what_attracts_depends_on_user_and_category_together(log: pl.DataFrame) -> None:
    """Knowing the pair (gender, category) must tell more than knowing each: else a linear model would do."""
    logit = (pl.col("true_probability") / (1 - pl.col("true_probability"))).log()
    known = log.drop_nulls("gender").with_columns(logit.alias("logit"))
    additive = known.select("gender", "category").to_dummies(drop_first=True).cast(pl.Float64)
    pairs = known.select(pl.concat_str("gender", "category", separator="/").alias("pair")).to_dummies().cast(pl.Float64)
    explained = []
    for table in (additive, pairs):
        x = np.column_stack([np.ones(known.height), table.to_numpy()])
        weights, *_ = np.linalg.lstsq(x, known["logit"].to_numpy(), rcond=None)
        explained.append(1 - (known["logit"].to_numpy() - x @ weights).var() / known["logit"].to_numpy().var())
    assert explained[1] > explained[0] + 0.01


def test_the_category_clicked_last_attracts_and_the_ad_clicked_last_does_not(tmp_path: Path) -> None:
    """Few users, so that each (user, category) has rows enough to compare with one another."""
    log = read(simulate(tmp_path / "log", rows=40_000, users=3, ads=3000, click_rate=0.1))
    category = dict(log.select("ad_id", "category").unique().iter_rows())
    last = pl.col("recent_ads").list.last()
    rows = log.filter(pl.col("recent_ads").list.len() > 0).with_columns(
        (pl.col("true_probability") / (1 - pl.col("true_probability"))).log().alias("logit"),
        (last.replace(category) == pl.col("category")).alias("same category"),
        pl.col("recent_ads").list.contains(pl.col("ad_id")).alias("clicked before"),
    )
    cell = pl.col("logit").mean().over("user_id", "category", "position")
    rest = rows.with_columns((pl.col("logit") - cell).alias("rest"))
    fresh = rest.filter(~pl.col("clicked before"))
    means = dict(fresh.group_by("same category").agg(pl.col("rest").mean()).iter_rows())
    assert means[True] > means[False] + 0.15
    assert rest.filter("clicked before")["rest"].mean() < -1  # type: ignore[operator]


def test_lower_positions_and_missing_values(log: pl.DataFrame) -> None:
    by_position = log.group_by("position").agg(pl.col("true_probability").mean()).sort("position")
    assert by_position["true_probability"][0] > 1.5 * by_position["true_probability"][5]
    assert 0.05 < log["age"].is_null().mean() < 0.2  # type: ignore[operator]
    assert 0.01 < log["price"].is_null().mean() < 0.1  # type: ignore[operator]
    assert log["price"].quantile(0.99) > 8 * log["price"].median()  # type: ignore[operator]


def test_a_linear_model_falls_short_of_the_truth(log: pl.DataFrame) -> None:
    names = ["gender", "country", "category", "hour", "device", "placement", "position"]
    x = log.select(pl.col(name).cast(pl.String).fill_null("?") for name in names).to_dummies().to_numpy()
    y, half = log["click"].to_numpy(), ROWS // 2
    score = LogisticRegression(max_iter=200).fit(x[:half], y[:half]).predict_proba(x[half:])[:, 1]
    attainable = roc_auc_score(y[half:], log["true_probability"][half:])
    assert 0.55 < roc_auc_score(y[half:], score) < attainable - 0.08


@pytest.mark.parametrize(("format", "separator"), [("csv", ","), ("tsv", "\t")])
def test_text_files_hold_the_same_rows(tmp_path: Path, format: Literal["csv", "tsv"], separator: str) -> None:
    table = read(simulate(tmp_path / "parquet", rows=3000, users=20, ads=50, click_rate=0.2))
    text = simulate(tmp_path / format, rows=3000, users=20, ads=50, click_rate=0.2, format=format)
    assert [path.name for path in text.files] == [f"part-00000.{format}"]
    back = pl.read_csv(text.files[0], separator=separator, schema_overrides={"recent_ads": pl.String})
    expected = table.with_columns(pl.col("recent_ads").list.join(" "))
    assert back.cast(expected.schema).equals(expected)


@pytest.mark.parametrize(("rows", "users", "ads", "days"), [(1, 1, 1, 1), (500, 1, 3, 1), (2000, 5, 12, 40)])
def test_the_smallest_worlds_work(tmp_path: Path, rows: int, users: int, ads: int, days: int) -> None:
    log = read(simulate(tmp_path / "log", rows=rows, users=users, ads=ads, days=days))
    assert log.height == rows
    assert log["position"].max() <= ads  # type: ignore[operator]
    assert log.group_by("request_id").agg((pl.col("ad_id").n_unique() == pl.len()).alias("distinct"))["distinct"].all()


def test_progress_adds_up_to_the_rows(tmp_path: Path) -> None:
    steps: list[int] = []
    simulate(tmp_path / "log", rows=150_000, users=500, ads=200, progress=steps.append)
    assert len(steps) == 2
    assert sum(steps) == 150_000


@pytest.mark.parametrize("name", ["rows", "users", "ads", "days", "rows_per_file"])
def test_a_count_below_one_is_refused(tmp_path: Path, name: str) -> None:
    arguments = {"rows": 10, name: 0}
    with pytest.raises(ConfigError, match=rf"^{name} is 0; give a whole number from 1$"):
        simulate(tmp_path / "log", **arguments)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_other_bad_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^seed is -1; give a whole number from 0$"):
        simulate(tmp_path / "log", rows=10, seed=-1)
    for rate in (0.0, 1.0, -0.5, float("nan")):
        with pytest.raises(ConfigError, match=r"^click_rate is .*; give a number between 0 and 1"):
            simulate(tmp_path / "log", rows=10, click_rate=rate)
    with pytest.raises(ConfigError, match=r"^format 'parqet' is unknown; did you mean 'parquet'\?$"):
        simulate(tmp_path / "log", rows=10, format="parqet")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_an_existing_log_is_kept_unless_overwritten(tmp_path: Path) -> None:
    first = simulate(tmp_path / "log", rows=100, users=10, ads=10)
    before = first.files[0].read_bytes()
    with pytest.raises(ConfigError, match="already holds something"):
        simulate(tmp_path / "log", rows=200, users=10, ads=10)
    assert first.files[0].read_bytes() == before
    assert read(simulate(tmp_path / "log", rows=200, users=10, ads=10, overwrite=True)).height == 200


def test_a_run_that_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "log", rows=1000, progress=interrupt)
    assert list(tmp_path.iterdir()) == []
