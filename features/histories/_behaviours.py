"""The latest behaviours of every user, and the history that stands before any row of a log.

Letters in shapes: N rows of a batch, U users, B behaviours held, H histories asked for, V their elements.
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.uint32]

_NONE = -1
"""Place of no behaviour."""


class Behaviours:
    """Behaviours in one table, each linked to its user's one before, so that a history is followed from its end.

    Behaviours that no history can reach any more are dropped whenever the table is full. So memory is at most half as
    much again as what all users' histories hold, and does not grow with the number of rows: 20 bytes a behaviour and
    24 bytes a user.

    Args:
        max_length: The most elements of a history, from 1.
        slack: Behaviours that there is room for whatever is held, from 1.
    """

    def __init__(self, max_length: int, *, slack: int = 1 << 18) -> None:
        self._max_length = max_length
        self._slack = slack
        self._newest = 0
        self._size = 0
        # The table, [B] and room for more.
        self._item = np.empty(slack, np.uint32)
        self._previous = np.empty(slack, np.int64)  # place of the user's one before; anything beyond max_length
        self._ordinal = np.empty(slack, np.int64)  # which of the user's behaviours it is, from 1
        # The users, [U] and room for more.
        self._last = np.empty(0, np.int64)  # place of the latest behaviour
        self._last_time = np.empty(0, np.int64)  # its time
        self._before = np.empty(0, np.int64)  # place of the latest behaviour of a time before that

    def extend(self, user: Codes, time: Ints, item: Codes, behaviour: NDArray[np.bool_]) -> Ints:
        """Take in the next rows of the log.

        Args:
            user: Whose each row is, small numbers, ``[N]``.
            time: When, never falling, in this call or since an earlier one, ``[N]``.
            item: Which item, ``[N]``.
            behaviour: Whether the row is one, which rows of later times have in their histories, ``[N]``.

        Returns:
            Where each row's history ends: the place of its last behaviour, ``[N]``. Good until the next call.
        """
        if not len(user):
            return np.empty(0, np.int64)
        self._make_room(int(np.count_nonzero(behaviour)), users=int(user.max()) + 1)
        self._newest = int(time[-1])
        order = np.argsort(user, kind="stable")
        user, time, item, behaviour = user[order], time[order], item[order], behaviour[order]

        new_user = np.append(True, user[1:] != user[:-1])
        new_moment = new_user | np.append(True, time[1:] != time[:-1])
        row = np.arange(len(user))
        # Behaviours get their places in this order: the latest one before a row is as far as they are counted there.
        counted: Ints = np.cumsum(behaviour) - behaviour
        of_user: Ints = counted - counted[np.maximum.accumulate(np.where(new_user, row, 0))]
        of_moment: Ints = counted - counted[np.maximum.accumulate(np.where(new_moment, row, 0))]

        last = self._last[user]
        earlier = np.where(self._last_time[user] == time, self._before[user], last)
        end = np.where(of_user > of_moment, self._size + counted - of_moment - 1, earlier)
        previous = np.where(of_user > 0, self._size + counted - 1, last)
        ordinal = self.counts(last) + of_user + 1

        added = slice(self._size, self._size + int(np.count_nonzero(behaviour)))
        self._item[added] = item[behaviour]
        self._previous[added] = previous[behaviour]
        self._ordinal[added] = ordinal[behaviour]
        self._size = added.stop
        actor = user[behaviour]
        final = np.append(actor[1:] != actor[:-1], True)[: len(actor)]
        self._last[actor[final]] = added.start + np.flatnonzero(final)
        self._last_time[actor[final]] = time[behaviour][final]
        self._before[actor[final]] = end[behaviour][final]

        ends = np.empty_like(end)
        ends[order] = end
        return ends

    def counts(self, ends: Ints) -> Ints:
        """How many behaviours each history had before it was cut to ``max_length``, ``[H]``."""
        return np.where(ends == _NONE, 0, self._ordinal[ends])

    def items(self, ends: Ints) -> tuple[Codes, Ints]:
        """The histories with these ends, oldest element first: items ``[V]`` and offsets ``[H + 1]``."""
        places, offsets = self._places(ends)
        return self._item[places], offsets

    def _places(self, ends: Ints) -> tuple[Ints, Ints]:
        lengths = np.minimum(self.counts(ends), self._max_length)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        places = np.empty(offsets[-1], np.int64)
        # All are followed back at once, the longest first: those that go on after a step are the first so many.
        order = np.argsort(-lengths, kind="stable")
        place, last = ends[order], offsets[1:][order] - 1
        longer = np.cumsum(np.bincount(lengths)[::-1])[::-1][1:]  # how many are longer than 0, than 1, and so on
        for step, count in enumerate(longer.tolist()):
            place = place[:count]
            places[last[:count] - step] = place
            place = self._previous[place]
        return places, offsets

    def _make_room(self, more: int, *, users: int) -> None:
        if users > len(self._last):
            new = np.full(max(users, 2 * len(self._last)) - len(self._last), _NONE)
            self._last = np.concatenate([self._last, new])
            self._last_time = np.concatenate([self._last_time, new])
            self._before = np.concatenate([self._before, new])
        if self._size + more > len(self._item):
            self._drop_unreachable(more)

    def _drop_unreachable(self, more: int) -> None:
        held = self._last != _NONE
        # Rows of the newest time may still come, and their histories end before it.
        pending = (self._last_time == self._newest) & (self._before != _NONE)
        reached = np.zeros(self._size, np.bool_)
        reached[self._places(self._last[held])[0]] = True
        reached[self._places(self._before[pending])[0]] = True
        moved = np.cumsum(reached) - 1
        self._last[held] = moved[self._last[held]]
        self._before[pending] = moved[self._before[pending]]
        self._before[~pending] = _NONE
        previous = moved[self._previous[: self._size][reached]]
        room = np.zeros(len(previous) // 2 + more + self._slack, np.int64)
        self._item = np.concatenate([self._item[: self._size][reached], room.astype(np.uint32)])
        self._ordinal = np.concatenate([self._ordinal[: self._size][reached], room])
        self._previous = np.concatenate([previous, room])
        self._size = len(previous)
