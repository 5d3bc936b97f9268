"""The shards of one split: Parquet files whose rows are read from anywhere, and checked.

A shard holds ``_row``, ``_label``, a column a feature, ``_group`` and ``_timestamp`` if declared, and the kept columns.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from common.errors import DataError
from features.encoding.typed import GROUP, KEEP, LABEL, ROW, TIMESTAMP
from features.schema import ListFeature, Schema

_MEND = "prepare the data again"


class Shards:
    """One split's shards; small, and picklable for another process.

    Args:
        files: For each shard its path and its rows.
        schema: The declaration.
        metadata: Parquet key-value metadata that they carry; tells them from shards of another fitted schema.
    """

    def __init__(self, files: Sequence[tuple[Path, int]], schema: Schema, metadata: Mapping[str, str]) -> None:
        self.schema = schema
        self.rows = tuple(rows for _, rows in files)
        self._paths = [path for path, _ in files]
        self._metadata = dict(metadata)
        self._dtypes = _dtypes(schema)
        self._checked: set[int] = set()

    def read(
        self, shard: int, first: int = 0, rows: int | None = None, columns: Sequence[str] | None = None
    ) -> pl.DataFrame:
        """Read rows of a shard.

        Args:
            shard: Which shard, from 0.
            first: Its first row to read, from 0.
            rows: How many, within the shard; all that follow by default.
            columns: Columns to read, all by default.

        Returns:
            The rows in order.

        Raises:
            DataError: The shard is missing, damaged, has another number of rows than were written, or was prepared
                with another schema.
        """
        path = self._paths[shard]
        wanted = self.rows[shard] - first if rows is None else rows
        scan = pl.scan_parquet(path, glob=False)
        try:
            if shard not in self._checked:
                self._check(shard, scan)
            frame = (scan if columns is None else scan.select(columns)).slice(first, wanted).collect()
        except (OSError, pl.exceptions.PolarsError) as problem:
            reason = str(problem).strip().splitlines()[0].rstrip(".;:")
            raise DataError(f"shard {path} cannot be read: {reason}; {_MEND}") from None
        if frame.height != wanted:
            raise DataError(f"shard {path} has changed while it was read; {_MEND}")
        return frame

    def _check(self, shard: int, scan: pl.LazyFrame) -> None:
        """Compare a shard with what was written; once, since it costs a look into the file."""
        path, schema = self._paths[shard], scan.collect_schema()
        for name, expected in self._dtypes.items():
            if name not in schema:
                raise DataError(f"shard {path} has no column {name!r}, so it is of another schema; {_MEND}")
            if expected is not None and schema[name] != expected:
                raise DataError(
                    f"shard {path}: column {name!r} is {schema[name]}, not {expected}, so it is of another schema; "
                    f"{_MEND}"
                )
        if not self._metadata.items() <= pl.read_parquet_metadata(path).items():
            raise DataError(f"shard {path} is of another schema, by its {' and '.join(self._metadata)}; {_MEND}")
        rows = scan.select(pl.len()).collect().item()
        if rows != self.rows[shard]:
            raise DataError(f"shard {path} has {rows} rows, not {self.rows[shard]}; {_MEND}")
        self._checked.add(shard)


def _dtypes(schema: Schema) -> dict[str, pl.DataType | None]:
    """The columns that a shard has, and their types; kept columns have any."""
    dtypes: dict[str, pl.DataType | None] = {ROW: pl.Int64(), LABEL: pl.UInt8()}
    for feature in schema.features:
        if isinstance(feature, ListFeature):
            dtypes[feature.name] = pl.List(pl.Int64())
        else:
            dtypes[feature.name] = pl.Float32() if feature.kind == "numeric" else pl.Int64()
    if schema.group is not None:
        dtypes[GROUP] = pl.Int64()
    if schema.timestamp is not None:
        dtypes[TIMESTAMP] = pl.Int64()
    return dtypes | {KEEP + name: None for name in schema.keep}
