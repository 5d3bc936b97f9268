"""The layout: which rows each way of finding rows gets, budgets, exceptions, refusals."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from common.errors import ConfigError
from common.settings import validate
from features.encoding.fitted import FittedSchema
from features.encoding.vocabulary import Vocabulary
from features.schema import parse_schema
from kernels.addressing import Slot, slot_seed
from kernels.lookup.layout import TableLayout
from models.embedding import EmbeddingSettings
from models.layout import SparseField, lay_out
from models.scope import Scope
from tests.models.small import SCHEMA, fit

Range = tuple[int, int]


def settings(**some: Any) -> EmbeddingSettings:
    return validate(EmbeddingSettings, {"dim": 4, **some}, source="run.yaml", error=ConfigError)


def schema_of(sizes: dict[str, int | None]) -> FittedSchema:
    """Categorical features: with a vocabulary of so many ids, the two reserved ones included, or hashed tokens."""
    features = [
        {"name": name, "kind": "categorical", "encoding": "token" if size is None else "vocabulary"}
        for name, size in sizes.items()
    ]
    vocabularies = {name: Vocabulary([f"{i}" for i in range(size - 2)]) for name, size in sizes.items() if size}
    return FittedSchema(parse_schema({"label": "click", "features": features}, source="test"), {}, {}, vocabularies)


def laid_out(sizes: dict[str, int | None], **some: Any) -> tuple[dict[str, SparseField], TableLayout]:
    table_settings = settings(**some)
    fields, table = lay_out(table_settings, schema_of(sizes), [Scope(tuple(sizes))], table_settings.dim)
    return {field.feature: field for field in fields}, table


def ranges(sizes: dict[str, int | None], **some: Any) -> dict[str, Range]:
    fields, _ = laid_out(sizes, **some)
    return {name: (field.slots[0].base, field.slots[0].rows) for name, field in fields.items()}


def test_one_table_holds_any_mix() -> None:
    sizes = {"user": 10, "item": None, "city": 5, "ad": None, "gender": 4}
    exceptions = {"item": {"probes": 2}, "city": {"rows": "unified"}, "ad": {"rows": "hashed"}, "gender": {"probes": 3}}
    fields, table = laid_out(sizes, rows=90, features=exceptions)
    kinds = {name: field.kind for name, field in fields.items()}
    assert kinds == {"user": "full", "item": "unified", "city": "unified", "ad": "hashed", "gender": "full"}
    # Full rows first: ten of the users, three times four of the genders; then a third for `ad`; the rest is shared.
    assert fields["user"].slots == (Slot(key=0, seed=slot_seed("user", 0), base=0, rows=10, mixed=False),)
    assert [(s.base, s.rows, s.mixed) for s in fields["gender"].slots] == [
        (10, 4, False),
        (14, 4, False),
        (18, 4, False),
    ]
    assert fields["ad"].slots == (Slot(key=3, seed=slot_seed("ad", 0), base=22, rows=30, mixed=True),)
    assert [(s.base, s.rows, s.seed) for s in fields["item"].slots] == [
        (52, 60, slot_seed("item", 0)),
        (52, 60, slot_seed("item", 1)),
    ]
    assert fields["city"].slots == (Slot(key=2, seed=slot_seed("city", 0), base=52, rows=60, mixed=True),)
    assert table.rows == 22 + 90
    assert table.slots == tuple(slot for name in sizes for slot in fields[name].slots)


def test_hashed_vocabularies_get_rows_in_proportion_to_their_ids() -> None:
    found = ranges({"a": 100, "b": 300, "c": 600}, vocabularies="hashed", rows=50)
    assert found == {"a": (0, 5), "b": (5, 15), "c": (20, 30)}


def test_hashed_tokens_get_equal_shares_and_no_row_is_left_over() -> None:
    assert ranges({"a": None, "b": None, "c": None}, tokens="hashed", rows=11) == {
        "a": (0, 3),
        "b": (3, 4),
        "c": (7, 4),
    }


def test_tokens_weigh_as_much_as_a_vocabulary_does_on_average() -> None:
    sizes = {"a": 10, "b": None, "c": 30}
    found = ranges(sizes, tokens="hashed", vocabularies="hashed", rows=60)
    assert found == {"a": (0, 10), "b": (10, 20), "c": (30, 30)}


def test_a_tiny_vocabulary_still_gets_a_row() -> None:
    found = ranges({"a": 2, "b": 10_000, "c": 2}, vocabularies="hashed", rows=10)
    assert found == {"a": (0, 1), "b": (1, 8), "c": (9, 1)}


_FEATURES = st.lists(
    st.tuples(st.none() | st.integers(2, 300), st.sampled_from(["full", "hashed", "unified"]), st.integers(1, 3)),
    min_size=1,
    max_size=6,
)


@given(_FEATURES, st.integers(1, 3000))
def test_every_row_belongs_to_one_range_and_every_feature_has_one(
    drawn: list[tuple[int | None, str, int]], rows: int
) -> None:
    features = {f"f{i}": each for i, each in enumerate(drawn) if each[0] is not None or each[1] != "full"}
    spread = {name: ids for name, (ids, kind, _) in features.items() if kind != "full"}
    assume(spread and rows >= len(spread))
    exceptions = {name: {"rows": kind, "probes": probes} for name, (_, kind, probes) in features.items()}
    fields, table = laid_out({name: ids for name, (ids, _, _) in features.items()}, rows=rows, features=exceptions)
    assert [len(field.slots) for field in fields.values()] == [probes for _, _, probes in features.values()]
    distinct = sorted({(slot.base, slot.rows) for slot in table.slots})
    assert [base for base, _ in distinct] == [0, *(base + count for base, count in distinct)][:-1]
    assert sum(distinct[-1]) == table.rows
    assert table.rows - rows == sum((ids or 0) * probes for ids, kind, probes in features.values() if kind == "full")
    # What is shared out is shared out by weight, but for the rounding and the one row that each has at least.
    known = [ids for ids in spread.values() if ids is not None]
    mean = sum(known) / len(known) if known else 1
    weights = {name: mean if ids is None else ids for name, ids in spread.items()}
    for name in spread:
        if features[name][1] == "hashed":
            exact = rows * weights[name] / sum(weights.values())
            assert abs(fields[name].slots[0].rows - exact) <= len(spread)


def test_a_scope_has_seeds_and_ranges_of_its_own() -> None:
    fitted = schema_of({"a": None, "b": 6})
    scopes = [Scope(("a", "b")), Scope(("b", "a"), "gate")]
    fields, table = lay_out(settings(tokens="hashed", rows=10), fitted, scopes, 4)
    assert [(f.scope, f.feature, f.slots[0].base, f.slots[0].rows) for f in fields] == [
        ("", "a", 12, 5),
        ("", "b", 0, 6),
        ("gate", "b", 6, 6),
        ("gate", "a", 17, 5),
    ]
    assert len({slot.seed for slot in table.slots}) == 4


def test_a_list_follows_the_feature_it_is_of() -> None:
    table_settings = settings(rows=50, features={"item": {"probes": 2, "rows": "hashed"}})
    fields, _ = lay_out(table_settings, fit(SCHEMA), [Scope(("history", "item"))], 4)
    history, item = fields
    assert (history.owner, history.kind) == ("item", "hashed")
    places = [[(slot.seed, slot.base, slot.rows) for slot in field.slots] for field in fields]
    assert places[0] == places[1]
    assert len(item.slots) == 2
    assert all(slot.mean for slot in history.slots)


@pytest.mark.parametrize("dim", [1, 3, 10])
def test_rows_follow_from_the_memory(dim: int) -> None:
    sizes = {"user": 1000, "item": None}
    _, table = laid_out(sizes, dim=dim, memory_mb=0.123456)
    assert table.rows == 123_456 // (4 * dim)


@given(st.integers(2, 400), st.integers(1, 64), st.integers(1, 3))
def test_the_memory_that_is_said_to_be_enough_is(ids: int, dim: int, probes: int) -> None:
    sizes = {"user": ids, "item": None, "ad": None}
    some: dict[str, Any] = {"dim": dim, "probes": probes, "tokens": "hashed"}
    with pytest.raises(ConfigError) as refused:
        laid_out(sizes, memory_mb=1e-6, **some)
    enough = float(str(refused.value).split(", so ")[1].split(" would be just enough")[0])
    _, table = laid_out(sizes, memory_mb=enough, **some)
    assert table.rows == ids * probes + 2
    with pytest.raises(ConfigError, match="is too small"):
        laid_out(sizes, memory_mb=enough - 1e-6, **some)


@pytest.mark.parametrize(
    ("some", "message"),
    [
        ({"rows": 5, "memory_mb": 1.0}, "run.yaml: rows and memory_mb both say how large the table is; give one"),
        ({"init_std": 1.0, "init_range": 1.0}, "init_std and init_range both say how rows begin; give one"),
        ({"features": {"a": {"probe": 2}}}, "unknown key 'probe' in features.a"),
        ({"features": {"a": {"rows": "ful"}}}, "features.a.rows: input should be 'full', 'unified' or 'hashed'"),
        ({"features": {"a": {"probes": 0}}}, "features.a.probes: input should be greater than or equal to 1"),
        ({"tokens": "full"}, "tokens: input should be 'unified' or 'hashed'"),
        ({"memory_mb": 0}, "memory_mb: input should be greater than 0"),
    ],
)
def test_settings_that_contradict_are_refused(some: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings(**some)


@pytest.mark.parametrize(
    ("sizes", "some", "message"),
    [
        ({"a": None}, {}, "embedding.rows is missing; feature 'a' is unified"),
        ({"a": None}, {"tokens": "hashed"}, "embedding.rows is missing; feature 'a' is hashed"),
        ({"a": 3}, {"rows": 5}, "embedding.rows is set, but no feature is unified or hashed; remove it"),
        ({"a": 3}, {"memory_mb": 5.0}, "embedding.memory_mb is set, but no feature is unified"),
        (
            {"a": None, "b": None},
            {"tokens": "hashed", "rows": 1},
            "rows 1 leaves a hashed feature without a row; give 2",
        ),
        ({"a": None}, {"rows": 2**31}, "would have 2,147,483,648 rows; the limit is 2,147,483,647, as 32 bits"),
        ({"a": None, "b": 2}, {"rows": 2**31 - 1}, "2,147,483,649 rows; the limit is"),
        ({"a": None}, {"memory_mb": 1e9, "dim": 1}, "the limit is 2,147,483,647"),
        (
            {"a": None},
            {"rows": 5, "features": {"a": {"rows": "full"}}},
            "features.a: rows: full needs ids, and feature 'a' has hashed tokens; give it encoding: vocabulary",
        ),
        ({"alpha": None}, {"rows": 5, "features": {"alhpa": {}}}, "no feature 'alhpa'; did you mean 'alpha'"),
    ],
)
def test_what_cannot_be_laid_out_is_refused(sizes: dict[str, int | None], some: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        laid_out(sizes, **some)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("history", "feature 'history' reads the rows of 'item'; set embedding.features.item"),
        ("age", "feature 'age' is a number and reads no rows"),
    ],
)
def test_an_exception_for_what_has_no_rows_of_its_own_is_refused(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        lay_out(settings(rows=50, features={name: {"probes": 2}}), fit(SCHEMA), [Scope(("item",))], 4)
