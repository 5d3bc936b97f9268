"""The traffic of the simulated ads log: requests, the ads that each shows, and the clicks.

Letters in shapes: R requests of a chunk, C candidates (at most 10), H history (at most 20).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from features.simulation._world import DAY, DEVICES, HOUR, PLACEMENTS, START, Floats, Ints, World

CANDIDATES = 10
"""Most ads that a request shows."""
HISTORY = 20
"""Most clicks that a history holds."""
CHUNK = 16_384
"""Requests drawn at a time. Part of what a seed means: another number gives another log."""
STEPS = 1_000_000
"""Probabilities are whole multiples of 1 / STEPS, strictly between 0 and 1."""

_BY_HOUR = (5, 3, 2, 2, 2, 3, 5, 8, 10, 10, 10, 11, 12, 11, 10, 10, 11, 12, 14, 16, 17, 16, 12, 8)
"""Requests by hour of the day, as proportions."""


_FADING = np.rint(256 * 0.8 ** np.arange(HISTORY)).astype(np.int32)
"""Weight of the latest click, the one before, and so on; whole numbers, whose sums are exact in any order."""


@dataclass(frozen=True)
class Chunk:
    """Some requests and the rows they became.

    ``user``, ``time``, ``device``, ``placement`` and ``histories`` belong to requests; ``request`` (into those),
    ``position``, ``ad``, ``probability`` and ``click`` belong to rows.
    """

    first_request: int
    user: Ints  # (R,)
    time: Ints  # (R,)
    device: Ints  # (R,)
    placement: Ints  # (R,)
    histories: npt.NDArray[np.int32]  # clicked ads of all requests, one after the other, most recent last
    history_lengths: Ints  # (R,)
    request: Ints  # (rows,)
    position: Ints  # (rows,) from 1
    ad: Ints  # (rows,)
    probability: Floats  # (rows,)
    click: npt.NDArray[np.bool_]  # (rows,)


def traffic(world: World, *, rows: int, days: int, click_rate: float, seed: int) -> Iterator[Chunk]:
    """Simulate a log.

    Args:
        world: Users and ads.
        rows: How many rows to make; the last request is cut short to make it exact.
        days: Length of the log; its rows are spread over all of it.
        click_rate: Expected share of clicks.
        seed: Any number from 0.

    Yields:
        Chunks in time order.
    """
    intercept = _intercept(world, days=days, click_rate=click_rate, seed=seed)
    histories = _Histories(world)
    done = requests = last = 0
    while done < rows:
        rng = np.random.default_rng((seed, 2, requests // CHUNK))
        sizes = _sizes(world, rng)
        starts = done + np.cumsum(sizes) - sizes
        sizes = np.minimum(sizes, rows - starts)[starts < rows]
        fraction = (starts[: len(sizes)] + rng.random(CHUNK)[: len(sizes)]) / rows
        # No second spans two chunks, because clicks count from the next second on.
        time = np.maximum(_time(fraction, days), last + 1)
        last = int(time[-1])
        drawn = _Requests.draw(world, rng, sizes, time)
        yield histories.clicks(drawn, drawn.logit(world) + intercept, requests, rng)
        done += int(sizes.sum())
        requests += len(sizes)


@dataclass(frozen=True)
class _Requests:
    """Requests before anyone has clicked."""

    user: Ints  # (R,)
    time: Ints  # (R,)
    device: Ints  # (R,)
    placement: Ints  # (R,)
    ads: Ints  # (R, C), those beyond a request's size are there but not shown
    shown: npt.NDArray[np.bool_]  # (R, C)

    @classmethod
    def draw(cls, world: World, rng: np.random.Generator, sizes: Ints, time: Ints) -> "_Requests":
        """Draw who asks, from where, and what is shown; always a whole chunk, so that a cut changes nothing."""
        count = len(sizes)
        user = _pick(world.users.popularity, rng.random(CHUNK))[:count]
        stray = rng.random(CHUNK)[:count] < 0.3
        device = np.where(stray, rng.integers(0, len(DEVICES), CHUNK)[:count], world.users.device[user])
        placement = rng.integers(0, len(PLACEMENTS), CHUNK)[:count]
        alive = np.searchsorted(world.ads.created, time, side="right")[:, None]
        share = world.ads.popularity[alive - 1]
        ads = np.minimum(_pick(world.ads.popularity, rng.random((CHUNK, CANDIDATES))[:count] * share), alive - 1)
        _make_distinct(ads, np.broadcast_to(alive, ads.shape), sizes)
        return cls(user, time, device, placement, ads, np.arange(CANDIDATES) < sizes[:, None])

    def logit(self, world: World) -> Floats:
        """Log-odds of every shown ad, shape ``(R, C)``, zero where none is shown."""
        request, column = np.nonzero(self.shown)
        logit = np.zeros(self.ads.shape)
        logit[request, column] = world.logit(
            user=self.user[request],
            ad=self.ads[request, column],
            time=self.time[request],
            position=column + 1,
            device=self.device[request],
            placement=self.placement[request],
        )
        return logit


class _Histories:
    """Each user's latest clicks, and the one place where clicks are drawn."""

    def __init__(self, world: World) -> None:
        # One category more than there are, which no candidate has, for the empty places of a short history.
        self._category = np.append(world.ads.category, np.int8(-1))
        self._nothing = len(world.ads.category)
        shares = np.diff(world.ads.popularity, prepend=0.0)
        self._share: Floats = np.bincount(world.ads.category, weights=shares).astype(np.float64)  # shown, by category
        self._ring = np.full((len(world.users.age), HISTORY), self._nothing, np.int32)
        self._count = np.zeros(len(world.users.age), np.int64)

    def clicks(self, drawn: _Requests, logit: Floats, first_request: int, rng: np.random.Generator) -> Chunk:
        """Let users click, in the order of their requests, and remember it.

        A request sees what its user clicked in all earlier seconds. So the requests are taken in waves: those of every
        user's first second in the chunk, then those of every user's second second, and so on.
        """
        count = len(drawn.user)
        chance = rng.random((CHUNK, CANDIDATES))[:count]
        wave = _wave(drawn.user, drawn.time)
        order = np.argsort(wave, kind="stable")
        bounds = np.concatenate([[0], np.cumsum(np.bincount(wave))])
        user, ads, shown = drawn.user[order], drawn.ads[order], drawn.shown[order]
        logit, chance = logit[order], chance[order]
        category = self._category[ads]
        share = self._share[category]
        seen, counts = np.empty((count, HISTORY), np.int32), self._count[user]
        probability, click = np.empty(ads.shape), np.empty(ads.shape, np.bool_)
        for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            now = slice(begin, end)
            seen[now] = ring = self._ring[user[now]]
            counts[now] = self._count[user[now]]
            total = logit[now] + self._effect(ring, counts[now], ads[now], category[now], share[now])
            probability[now] = np.clip(np.rint(STEPS / (1 + np.exp(-total))), 1, STEPS - 1) / STEPS
            click[now] = (chance[now] < probability[now]) & shown[now]
            self._remember(user[now], ads[now], click[now])
        back = np.argsort(order)
        lengths, flat = _in_order(seen[back], counts[back])
        request, column = np.nonzero(drawn.shown)
        return Chunk(
            first_request=first_request,
            user=drawn.user,
            time=drawn.time,
            device=drawn.device,
            placement=drawn.placement,
            histories=flat,
            history_lengths=lengths,
            request=request,
            position=column + 1,
            ad=drawn.ads[request, column],
            probability=probability[back][request, column],
            click=click[back][request, column],
        )

    def _effect(
        self,
        ring: npt.NDArray[np.int32],
        count: Ints,
        ads: Ints,
        category: npt.NDArray[np.int8],
        share: Floats,
    ) -> Floats:
        """Logits: a category clicked lately attracts, the very ad clicked lately is done with."""
        slot = np.arange(HISTORY)
        filled = slot < count[:, None]
        weight = filled * _FADING[(count[:, None] - 1 - slot) % HISTORY]
        same = self._category[ring][:, None, :] == category[:, :, None]
        matched = (same * weight[:, None, :]).sum(axis=2) / _FADING[0]
        total = weight.sum(axis=1)[:, None] / _FADING[0]
        # Less what chance would give: the mean over candidates stays near 0 however long histories get.
        attraction = 2.0 * (matched - share * total) / (total + 1)
        done = (ring[:, None, :] == ads[:, :, None]).any(axis=2)
        return np.asarray(attraction - 2.0 * done, np.float64)

    def _remember(self, user: Ints, ads: Ints, click: npt.NDArray[np.bool_]) -> None:
        row, column = np.nonzero(click)
        clicker = user[row]
        # More clicks in one second than the ring holds write a place twice; the later one stays, as it should.
        self._ring[clicker, (self._count[clicker] + _occurrence(clicker)) % HISTORY] = ads[row, column]
        np.add.at(self._count, clicker, 1)


def _intercept(world: World, *, days: int, click_rate: float, seed: int) -> float:
    """The intercept that gives a click rate, by bisection on a chunk spread over the whole log."""
    rng = np.random.default_rng((seed, 1))
    drawn = _Requests.draw(world, rng, _sizes(world, rng), _time((np.arange(CHUNK) + 0.5) / CHUNK, days))
    logit = drawn.logit(world)[drawn.shown]
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = float((1 / (1 + np.exp(-(logit + middle)))).mean())
        low, high = (middle, high) if mean < click_rate else (low, middle)
    return round((low + high) / 2, 6)


def _sizes(world: World, rng: np.random.Generator) -> Ints:
    """How many ads each request of a chunk shows."""
    return np.asarray(rng.integers(1, min(CANDIDATES, len(world.ads.created)) + 1, CHUNK), np.int64)


def _time(fraction: Floats, days: int) -> Ints:
    """Unix seconds at a fraction of the log's requests; more come in the evening than at night."""
    cumulative = np.concatenate([[0.0], np.cumsum(np.tile(_BY_HOUR, days))])
    seconds = np.interp(fraction * cumulative[-1], cumulative, np.arange(len(cumulative)) * HOUR)
    return np.asarray(START + np.minimum(seconds.astype(np.int64), days * DAY - 1), np.int64)


def _pick(cumulative: Floats, chance: Floats) -> Ints:
    """Indices drawn by cumulative shares, of the shape of ``chance``."""
    found = np.searchsorted(cumulative, chance, side="right")
    return np.asarray(np.minimum(found, len(cumulative) - 1), np.int64)


def _make_distinct(ads: Ints, alive: Ints, sizes: Ints) -> None:
    """Within each request, move an ad drawn again to the next ad that exists, in place.

    A column moves only while it equals one to its left, so columns settle from left to right and this ends
    wherever a request has no more candidates than ads exist.
    """
    rows = np.arange(len(ads))
    for column in range(1, ads.shape[1]):
        rows = rows[sizes[rows] > column]
        clash = rows
        while len(clash):
            clash = clash[(ads[clash, :column] == ads[clash, column, None]).any(axis=1)]
            ads[clash, column] = (ads[clash, column] + 1) % alive[clash, column]


def _wave(user: Ints, time: Ints) -> Ints:
    """How many seconds with a request of the same user come before each request's second, shape ``(R,)``.

    Args:
        user: Who asks, shape ``(R,)``.
        time: When, nondecreasing, shape ``(R,)``.
    """
    order = np.argsort(user, kind="stable")
    user, time = user[order], time[order]
    other_user = np.append(True, user[1:] != user[:-1])
    second = np.cumsum(other_user | np.append(True, time[1:] != time[:-1]))
    wave = np.empty(len(user), np.int64)
    wave[order] = second - second[other_user][np.cumsum(other_user) - 1]
    return wave


def _occurrence(values: Ints) -> Ints:
    """How many equal values stand before each one, shape ``(n,)``."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-1))
    rank = np.empty(len(values), np.int64)
    rank[order] = np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))
    return rank


def _in_order(ring: npt.NDArray[np.int32], count: Ints) -> tuple[Ints, npt.NDArray[np.int32]]:
    """Lengths of histories and their ads, oldest first, one history after the other."""
    lengths = np.minimum(count, HISTORY)
    place = np.arange(HISTORY)
    oldest = np.where(count > HISTORY, count % HISTORY, 0)[:, None]
    rolled = np.take_along_axis(ring, (oldest + place) % HISTORY, axis=1)
    return lengths, rolled[place < lengths[:, None]]
