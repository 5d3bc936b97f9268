"""The columns of the simulated ads log, and their schema."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from features._lists import lists
from features.simulation._traffic import HISTORY, Chunk
from features.simulation._world import CATEGORIES, COUNTRIES, DAY, DEVICES, GENDERS, HOUR, PLACEMENTS, START, World

NOTES = """\
A simulated ads log. One row is an ad shown to a user; the rows of one request share request_id, and position 1 is
the best place. recent_ads holds the ads that the user clicked in earlier seconds, most recent last. New ads appear as
time goes on. click was drawn with true_probability, so the AUC of true_probability is the best that any model can
reach. It is kept beside the rows to compare with, and is no feature."""


def log_schema() -> dict[str, Any]:
    """The schema of a simulated log, as a plain mapping."""

    def categorical(name: str, entity: str) -> dict[str, Any]:
        return {"name": name, "kind": "categorical", "entity": entity}

    def numeric(name: str, entity: str, *transforms: str) -> dict[str, Any]:
        return {"name": name, "kind": "numeric", "entity": entity, "transforms": list(transforms), "missing": "mask"}

    return {
        "label": "click",
        "group": "user_id",
        "timestamp": "time",
        "keep": ["request_id", "true_probability"],
        "entities": {"user": "user_id", "item": "ad_id"},
        "features": [
            categorical("user_id", "user"),
            numeric("age", "user", "standardize"),
            categorical("gender", "user"),
            categorical("country", "user"),
            numeric("account_days", "user", "log1p", "standardize"),
            {"name": "recent_ads", "kind": "sequence", "entity": "user", "of": "ad_id", "max_length": HISTORY},
            categorical("ad_id", "item"),
            categorical("advertiser_id", "item"),
            categorical("campaign_id", "item"),
            categorical("category", "item"),
            numeric("price", "item", "log1p", "standardize"),
            numeric("ad_age_days", "item", "log1p", "standardize"),
            *(categorical(name, "context") for name in ("hour", "weekday", "device", "placement", "position")),
        ],
    }


class LogColumns:
    """Turns chunks into rows with the names and the gaps that a log has.

    Args:
        world: Users and ads.
    """

    def __init__(self, world: World) -> None:
        users, ads = world.users, world.ads
        self._ads = ads
        self._user_names = _names("u", len(users.age))
        self._ad_names = _names("a", len(ads.created))
        self._user = pl.DataFrame(
            {
                "age": pl.Series(users.age).set(pl.Series(~users.age_known), None),
                "gender": _labels(GENDERS, users.gender).set(pl.Series(~users.gender_known), None),
                "country": _labels(COUNTRIES, users.country),
                "account_days": users.account_days,
            }
        )
        self._ad = pl.DataFrame(
            {
                "advertiser_id": _names("v", int(ads.advertiser.max()) + 1).gather(ads.advertiser),
                "campaign_id": _names("c", int(ads.campaign.max()) + 1).gather(ads.campaign),
                "category": _labels(CATEGORIES, ads.category),
                "price": pl.Series(ads.price).set(pl.Series(~ads.price_known), None),
            }
        )

    def frame(self, chunk: Chunk) -> pl.DataFrame:
        """The rows of a chunk."""
        time, user = chunk.time[chunk.request], chunk.user[chunk.request]
        return pl.DataFrame(
            [
                pl.Series("request_id", chunk.first_request + chunk.request),
                pl.Series("time", time),
                self._user_names.gather(user).alias("user_id"),
                *self._user[user].get_columns(),
                lists(self._ad_names.gather(chunk.histories), np.append(0, np.cumsum(chunk.history_lengths)))
                .gather(chunk.request)
                .alias("recent_ads"),
                self._ad_names.gather(chunk.ad).alias("ad_id"),
                *self._ad[chunk.ad].get_columns(),
                pl.Series("ad_age_days", self._ads.days_old(chunk.ad, time)),
                pl.Series("hour", (time // HOUR % 24).astype(np.int8)),
                pl.Series("weekday", ((time - START) // DAY % 7).astype(np.int8)),
                _labels(DEVICES, chunk.device[chunk.request]).alias("device"),
                _labels(PLACEMENTS, chunk.placement[chunk.request]).alias("placement"),
                pl.Series("position", chunk.position.astype(np.int8)),
                pl.Series("click", chunk.click.astype(np.int8)),
                pl.Series("true_probability", chunk.probability),
            ]
        )


def _names(prefix: str, count: int) -> pl.Series:
    """``u0``, ``u1`` and so on."""
    return prefix + pl.Series(np.arange(count)).cast(pl.String)


def _labels(names: tuple[str, ...], index: npt.NDArray[Any]) -> pl.Series:
    return pl.Series(names).gather(index)
