"""Which pictures are made from damaged data, their own or that of pictures on which they may rest.

Decoders tell of a picture that it is corrupt, or give none; of the pictures made from it later they tell nothing. Marked is
hence everything up to a point from which on nothing rests on what came before:

- a picture coded by itself (I), whether or not its stream calls it a key picture: open groups, broadcasts without entry points;
- with intra refresh, where columns are renewed one after the other and there is no such picture: the second recovery point (a
  packet that the stream marks as key), since the first only begins a sweep.

There is no bound in seconds: in a stream without any such point, the worst block of a face was still 17 of 255 grey levels off
19 s after eight flipped bits in one packet.
"""

from collections import deque

DEEPEST_ORDER = 16
"""Pictures of which a decoder changes the order, at most (H.264, H.265)."""


class DamageTrail:
    """Follows one decoder: ``lose`` for packets that do not decode, ``judge`` for its pictures as they are shown.

    Packets are numbered in the order in which they are decoded: what is shown before a picture may yet rest on it.
    """

    def __init__(self) -> None:
        self._lost: list[int] = []
        """packets that did not decode, of which no picture has told yet"""
        self._is_damaged = self._is_refreshing = False
        self._shown: deque[int] = deque(maxlen=DEEPEST_ORDER)

    def lose(self, number: int) -> None:
        """Packet ``number`` did not decode."""
        self._lost.append(number)

    def judge(self, is_corrupt: bool, is_intra: bool, number: int, is_key: bool) -> tuple[bool, int]:
        """Whether the next picture is damaged, and how many of those just before it are, too.

        They were stored after it and rest on it; or one stayed on screen in the place of another that did not decode.

        Args:
            is_corrupt: the decoder says so.
            is_intra: coded by itself.
            number, is_key: of its packet.
        """
        passed = [lost for lost in self._lost if lost < number]
        self._lost = [lost for lost in self._lost if lost >= number]
        before = int(bool(passed))
        if passed or is_corrupt:
            self._is_damaged, self._is_refreshing = True, False
        if is_corrupt:
            before = max(before, self._resting_on(number))
        elif is_intra:
            self._is_damaged = False
        elif is_key:
            self._is_damaged &= not self._is_refreshing
            self._is_refreshing = True
        self._shown.append(number)
        return self._is_damaged, before

    def _resting_on(self, number: int) -> int:
        """How many of the last pictures were decoded after ``number``."""
        count = 0
        for shown in reversed(self._shown):
            if shown < number:
                break
            count += 1
        return count
