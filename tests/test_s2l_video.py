"""``benchmarks.s2l_video``: a person is at rest in a resting photo, whichever of the clips are scored; running means."""

from typing import Any

import numpy as np
import pytest
from made_up_talk import talking_clips, template_face

from benchmarks import s2l_video
from benchmarks.s2l_real import averaged
from benchmarks.s2l_video import photos
from space_data.schema.labels import NEUTRAL


class Names:
    """In place of videos: a picture is where it was taken from."""

    def picture(self, clip_id: str, frame: int) -> tuple[str, int]:
        return clip_id, frame


def test_the_resting_photo_is_of_a_neutral_clip_though_none_is_scored(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    monkeypatch.setattr(s2l_video, "portrait_of_crop", lambda picture: picture)
    scored, neutral = talking_clips(template_face(), 1, rng, "happy"), talking_clips(template_face(), 1, rng)
    videos: Any = Names()
    (first, _, own), (rest, _, resting) = photos(scored, [*scored, *neutral], videos)
    portrait: Any = own.portrait
    assert (first, portrait) == ("first frame", ("happy0", 0)) and own.emotion is scored[0].emotion
    portrait = resting.portrait
    assert (rest, portrait[0]) == ("resting face", "neutral0") and resting.emotion is NEUTRAL


def test_averaged_tracks_keep_their_length_and_what_stands_still_or_moves_evenly() -> None:
    track = np.array([[0.0, 5.0], [3.0, 5.0], [6.0, 5.0], [0.0, 5.0]], np.float32)
    assert averaged(track).tolist() == [[1.5, 5.0], [3.0, 5.0], [3.0, 5.0], [3.0, 5.0]]
