"""Cards, and the arithmetic of systems that draw less than they hear."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.external import card as cards
from evaluation.external.card import added_cards, read_card, registry, shipped_card, shipped_cards
from evaluation.external.coverage import COVERAGES, Coverage, padding
from evaluation.systems import ENTRIES, Kind, find_entry
from space_data.errors import SpaceError


@pytest.mark.parametrize(
    ("system", "heard", "first", "drawn"),
    [
        ("wav2lip", 125, 0, 122), ("pc_avs", 125, 2, 122), ("pc_avs", 30, 2, 27), ("makeittalk", 125, 0, 118),
        ("makeittalk", 40, 0, 33),
    ],
)
def test_what_the_real_programs_returned(system, heard, first, drawn):
    """Counted on the real repositories with random weights."""
    assert COVERAGES[system](heard) == Coverage(first, drawn)


@pytest.mark.parametrize("system", COVERAGES)
@given(n=st.integers(1, 2000))
def test_padded_sound_is_drawn_whole_and_no_frame_is_moved(system, n):
    pad = padding(COVERAGES[system], n)
    drawn = COVERAGES[system](pad.before + n + pad.behind)
    clip = range(drawn.first - pad.before, drawn.first - pad.before + drawn.count)  # of the clip, by output frame
    assert clip[pad.skipped] == 0, "the first frame that is kept is the clip's first"
    assert len(clip) - pad.skipped >= n, "all of the clip is there"
    assert pad.behind == 0 or COVERAGES[system](pad.before + n + pad.behind - 1).count < pad.skipped + n, "no more than needed"
    assert pad.before <= 2 and pad.behind <= 10


def test_a_system_that_draws_nothing_is_named():
    with pytest.raises(SpaceError, match="mute: no padding of 50 frames makes it draw 10"):
        padding(named("mute", lambda n: Coverage(0, 0)), 10)


def named(name, function):
    function.__name__ = name
    return function


def test_shipped_cards_are_sound():
    found = shipped_cards()
    assert set(found) == {
        "wav2lip", "sadtalker", "ditto", "joyvasa", "musetalk", "latentsync", "liveportrait_ours", "makeittalk", "pc_avs",
    }  # fmt: skip
    for name, card in found.items():
        assert card.licence and card.code and card.paper and card.pose and card.program.required, name
        assert card.kind == (Kind.code if name in ("makeittalk", "pc_avs") else Kind.command), name
        assert set(card.program.files) <= {"space_task.yaml"}
    with pytest.raises(SpaceError, match="no card of that name, need one of ditto, joyvasa"):
        shipped_card("wav2lop")


def test_an_added_card_joins_the_registry(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "card.yaml").write_text("title: Theirs\nlicence: MIT\n")
    names = [entry.name for entry in registry(tmp_path)]
    assert names[: len(ENTRIES)] == [entry.name for entry in ENTRIES] and "theirs" in names and len(names) == len(set(names))
    entry = find_entry("theirs", registry(tmp_path))
    assert entry.kind == Kind.videos and not entry.is_control and "licence: MIT; head motion: not stated" in entry.description
    assert set(added_cards(tmp_path)) == {"theirs"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file"),
        ("title: ''", "title: String should have at least 1"),
        ("title: x\nlisence: MIT", "lisence: Extra inputs"),
        ("title: x\npictures: {panel: [0, 0, 2, 1]}", r"pictures\.panel\.2: Input should be less"),
        ("title: x\nprogram: {checkout: a, arguments: [b], padding: some}", r"program\.padding: Input should be 'whole'"),
        ("title: [", "not YAML"),
    ],
)
def test_a_wrong_card_is_named_with_the_key(tmp_path, text, message):
    (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(SpaceError, match=rf"card\.yaml: {message}"):
        read_card(tmp_path / "card.yaml")
    with pytest.raises(SpaceError, match="no such card"):
        read_card(tmp_path / "none.yaml")


def test_another_interpreter(tmp_path):
    card = shipped_card("wav2lip")
    assert card.with_interpreter(None) == card
    assert card.with_interpreter("/opt/py38/bin/python").program.interpreter == "/opt/py38/bin/python"
    assert cards.Card(title="x").with_interpreter("python3").program is None
