"""The world behind the simulated ads log: who its users are, what its ads are, and what makes a click.

Letters in shapes: U users, A ads, K categories, D interest dimensions, n rows of any shape.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

HOUR, DAY = 3600, 86400
START = 1_767_571_200
"""First second of every simulated log: Monday 2026-01-05, 00:00 UTC."""

CATEGORIES = (
    "beauty", "books", "cars", "electronics", "fashion", "finance", "food", "games",
    "garden", "health", "jobs", "music", "pets", "sports", "tools", "travel",
)  # fmt: skip
COUNTRIES = ("US", "IN", "BR", "DE", "GB", "FR", "JP", "MX", "ES", "PL", "KR", "SE")
DEVICES = ("phone", "desktop", "tablet", "tv")
GENDERS = ("f", "m")
PLACEMENTS = ("feed", "search", "sidebar", "story")

_INTERESTS = 8
_PHONE = 0


def zipf(count: int) -> Floats:
    """Popularity by rank: Zipf-Mandelbrot, ``1 / (rank + shift)``, which has Zipf's tail and no single giant.

    Args:
        count: How many there are.

    Returns:
        Shares, falling, shape ``(count,)``, sum 1.
    """
    weights = 1 / (np.arange(1, count + 1) + min(50, count / 10))
    return np.asarray(weights / weights.sum(), np.float64)


@dataclass(frozen=True)
class Users:
    """The users; numbers past the log's view (interests, bias, budget) are what a model has to guess."""

    popularity: Floats  # (U,) cumulative, last 1
    age: npt.NDArray[np.int16]  # (U,) years
    age_known: npt.NDArray[np.bool_]  # (U,)
    gender: npt.NDArray[np.int8]  # (U,) into GENDERS
    gender_known: npt.NDArray[np.bool_]  # (U,)
    country: npt.NDArray[np.int8]  # (U,) into COUNTRIES
    account_days: npt.NDArray[np.int32]  # (U,) when the log starts
    device: npt.NDArray[np.int8]  # (U,) the favourite, into DEVICES
    bias: npt.NDArray[np.float32]  # (U,) logit
    budget: npt.NDArray[np.float32]  # (U,) log of the price that suits best
    interests: npt.NDArray[np.float32]  # (U, D)

    @classmethod
    def draw(cls, count: int, rng: np.random.Generator) -> "Users":
        """Draw users whose interests and budgets partly follow age, gender and country, and partly nothing."""
        age = np.clip(16 + rng.gamma(2.6, 9.0, count), 16, 90).astype(np.int16)
        gender = rng.integers(0, len(GENDERS), count).astype(np.int8)
        country_share = zipf(len(COUNTRIES))
        country = rng.choice(len(COUNTRIES), count, p=country_share).astype(np.int8)
        years = ((age - 39.0) / 14)[:, None]
        interests = (
            0.6 * rng.standard_normal((len(GENDERS), _INTERESTS))[gender]
            + 0.6 * rng.standard_normal((len(GENDERS), _INTERESTS))[gender] * years
            + 0.25 * rng.standard_normal(_INTERESTS) * (years**2 - 1)
            + 0.35 * rng.standard_normal((len(COUNTRIES), _INTERESTS))[country]
            + 0.35 * rng.standard_normal((count, _INTERESTS))
        )
        # Of one mean length, so that worlds differ in who likes what and not in how much liking counts.
        interests /= np.sqrt((interests**2).sum(axis=1).mean())
        budget = 2.4 + 0.02 * (age - 40.0) + 0.5 * rng.standard_normal(len(COUNTRIES))[country]
        return cls(
            # Ranks in random order, so that an id says nothing about how active its user is.
            popularity=np.cumsum(rng.permutation(zipf(count))),
            age=age,
            age_known=rng.random(count) > 0.1,
            gender=gender,
            gender_known=rng.random(count) > 0.1,
            country=country,
            account_days=np.minimum(np.exp(rng.normal(5.0, 1.3, count)), 5000).astype(np.int32),
            device=rng.choice(len(DEVICES), count, p=(0.6, 0.25, 0.1, 0.05)).astype(np.int8),
            bias=rng.normal(0, 0.25, count).astype(np.float32),
            budget=(budget + rng.normal(0, 0.3, count)).astype(np.float32),
            interests=interests.astype(np.float32),
        )


@dataclass(frozen=True)
class Ads:
    """The ads, in the order of their creation, so that those that exist at a time are a prefix."""

    popularity: Floats  # (A,) cumulative, last 1
    created: Ints  # (A,) unix seconds, nondecreasing; many before the log starts, some during it
    campaign: npt.NDArray[np.int32]  # (A,)
    advertiser: npt.NDArray[np.int32]  # (A,)
    category: npt.NDArray[np.int8]  # (A,) into CATEGORIES
    price: Floats  # (A,) money, two decimals, heavy tail
    price_known: npt.NDArray[np.bool_]  # (A,)
    quality: npt.NDArray[np.float32]  # (A,) logit

    @classmethod
    def draw(cls, count: int, days: int, at_start: int, rng: np.random.Generator) -> "Ads":
        """Draw ads.

        Args:
            count: How many there are when the log ends.
            days: Length of the log.
            at_start: How many exist when it starts, at least.
            rng: Source of randomness.
        """
        advertisers, campaigns = 1 + count // 25, 1 + count // 6
        advertiser_category = rng.integers(0, len(CATEGORIES), advertisers)
        campaign_advertiser = rng.integers(0, advertisers, campaigns)
        campaign = rng.integers(0, campaigns, count)
        advertiser = campaign_advertiser[campaign]
        stray = rng.random(count) < 0.3
        category = np.where(stray, rng.integers(0, len(CATEGORIES), count), advertiser_category[advertiser])
        old = max(at_start, round(0.6 * count))
        before = START - 1 - rng.exponential(30 * DAY, old).astype(np.int64)
        during = rng.integers(START, START + days * DAY, count - old)
        price = np.exp(rng.normal(0, 0.8, len(CATEGORIES))[category] + rng.normal(2.4, 0.9, count))
        return cls(
            popularity=np.cumsum(rng.permutation(zipf(count))),
            created=np.sort(np.concatenate([before, during])),
            campaign=campaign.astype(np.int32),
            advertiser=advertiser.astype(np.int32),
            category=category.astype(np.int8),
            price=np.maximum(np.round(price, 2), 0.01),
            price_known=rng.random(count) > 0.04,
            quality=rng.normal(0, 0.25, count).astype(np.float32),
        )

    def days_old(self, ad: Ints, time: Ints) -> Floats:
        """Days since each ad's creation, two decimals, shape ``(n,)``."""
        return np.asarray(np.round((time - self.created[ad]) / DAY, 2), np.float64)


@dataclass(frozen=True)
class Taste:
    """What a click depends on, apart from the user's history. All tables are logits."""

    categories: npt.NDArray[np.float32]  # (K, D)
    hours: Floats  # (24, K)
    weekend: Floats  # (2, K)
    devices: Floats  # (devices, K)
    placements: Floats  # (placements, K)
    slots: Floats  # (placements, devices)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Taste":
        """Draw the tables. Each category has its hour of the day, its devices, its placements."""
        kinds = len(CATEGORIES)
        peak = rng.uniform(0, 24, kinds)
        height = rng.normal(0, 0.55, kinds)
        tastes = rng.standard_normal((kinds, _INTERESTS))
        return cls(
            categories=(1.5 * tastes / np.sqrt((tastes**2).sum(axis=1, keepdims=True))).astype(np.float32),
            hours=height * np.cos(2 * np.pi * (np.arange(24)[:, None] - peak) / 24),
            weekend=np.array([[-0.4], [1.0]]) * rng.normal(0, 0.3, kinds),
            devices=rng.normal(0, 0.4, (len(DEVICES), kinds)),
            placements=rng.normal(0, 0.35, (len(PLACEMENTS), kinds)),
            slots=rng.normal(0, 0.2, (len(PLACEMENTS), len(DEVICES))),
        )


@dataclass(frozen=True)
class World:
    """Users, ads, and what draws the one to the other."""

    users: Users
    ads: Ads
    taste: Taste

    @classmethod
    def draw(cls, *, users: int, ads: int, days: int, at_start: int, seed: int) -> "World":
        """Draw a world; each part has a stream of its own, so that more users change no ad."""
        streams = [np.random.default_rng((seed, 0, part)) for part in range(3)]
        return cls(Users.draw(users, streams[0]), Ads.draw(ads, days, at_start, streams[1]), Taste.draw(streams[2]))

    def logit(self, *, user: Ints, ad: Ints, time: Ints, position: Ints, device: Ints, placement: Ints) -> Floats:
        """Log-odds of a click before the intercept and before the user's history, shape ``(n,)``.

        Args:
            user: Index, shape ``(n,)``, as all that follow.
            ad: Index.
            time: Unix seconds.
            position: From 1, the best place.
            device: Into ``DEVICES``.
            placement: Into ``PLACEMENTS``.
        """
        users, ads, taste = self.users, self.ads, self.taste
        category = ads.category[ad]
        # einsum and not a BLAS product: the sums come in one order, so every machine gets the same number.
        affinity = np.einsum("nd,nd->n", users.interests[user], taste.categories[category], dtype=np.float64)
        hour, weekend = time // HOUR % 24, (time - START) // DAY % 7 >= 5
        phone = device == _PHONE
        price_misfit = np.log(ads.price)[ad] - users.budget[user]
        return np.asarray(
            users.bias[user]
            + ads.quality[ad]
            + affinity
            + taste.hours[hour, category]
            + taste.weekend[weekend.astype(np.int64), category]
            + taste.devices[device, category]
            + taste.placements[placement, category]
            + taste.slots[placement, device]
            - np.minimum(0.2 * price_misfit**2, 1.6)
            - 0.1 * phone * np.log(ads.price)[ad]
            - (0.25 + 0.2 * phone) * np.log2(position)
            + 0.5 * np.exp(-ads.days_old(ad, time) / 3)
            - 0.08 * np.log1p(users.account_days)[user],
            np.float64,
        )
