"""Cards, and the arithmetic of systems that draw less than they hear."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evaluation.external import card as cards
from evaluation.external.adapters import PC_AVS_POINTS, PC_AVS_PX, aligned_pc_avs
from evaluation.external.card import added_cards, read_card, registry, shipped_card, shipped_cards
from evaluation.external.coverage import COVERAGES, Coverage, padding
from evaluation.external.shims import SHIMS, lay_out
from evaluation.reasons import NotCanonical
from evaluation.systems import ENTRIES, Kind, find_entry
from space_data.errors import SpaceError
from space_data.facemesh import track_faces
from space_data.landmarks import EYES, MOUTH_INNER, mesh_to_landmarks


@pytest.mark.parametrize(
    ("system", "heard", "first", "drawn"),
    [
        ("wav2lip", 125, 0, 122), ("pc_avs", 125, 2, 122), ("pc_avs", 30, 2, 27), ("makeittalk", 125, 0, 118),
        ("makeittalk", 40, 0, 33), ("makeittalk", 57, 0, 50),
    ],
)
def test_what_the_real_programs_returned(system, heard, first, drawn):
    """Counted on the real repositories with random weights."""
    assert COVERAGES[system](heard) == Coverage(first, drawn)


def test_a_last_segment_of_a_few_hops_is_left_out():
    """212 frames are 531 hops, 513 windows of 18 of them: a segment of 512, and one of 1, which MakeItTalk does not draw."""
    assert [COVERAGES["makeittalk"](n).count for n in range(210, 218)] == [203, 204, 205, 205, 205, 205, 209, 210]


@pytest.mark.parametrize("system", COVERAGES)
@given(n=st.integers(1, 2000))
@example(n=615)  # where MakeItTalk leaves out a last segment and needs 11 frames more
def test_padded_sound_is_drawn_whole_and_no_frame_is_moved(system, n):
    pad = padding(COVERAGES[system], n)
    drawn = COVERAGES[system](pad.before + n + pad.behind)
    clip = range(drawn.first - pad.before, drawn.first - pad.before + drawn.count)  # of the clip, by output frame
    assert clip[pad.skipped] == 0, "the first frame that is kept is the clip's first"
    assert len(clip) - pad.skipped >= n, "all of the clip is there"
    assert pad.behind == 0 or COVERAGES[system](pad.before + n + pad.behind - 1).count < pad.skipped + n, "no more than needed"
    assert pad.before <= 2 and pad.behind <= 11


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


@pytest.mark.parametrize("pose", ["", "generated", "recorded", "portrait"])
def test_heads_are_compared_of_a_system_whose_card_says_that_it_got_the_recordings_motion(pose):
    assert cards.Card(title="x", pose=pose).entry("theirs").pose_given == (pose == "recorded")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the whole"),
        ("title: ''", "title: String should have at least 1"),
        ("title: x\nlisence: MIT", "lisence: Extra inputs"),
        ("title: x\npictures: {panel: [0, 0, 2, 1]}", r"pictures\.panel\.2: Input should be less"),
        ("title: x\npictures: {panel: [0.7, 0, 0.3, 1]}", r"pictures\.panel: Value error, .* is empty, need left < right"),
        ("title: x\nprogram: {checkout: a, arguments: [b], padding: some}", r"program\.padding: Input should be 'whole'"),
        ("title: x\nprogram: {checkout: a, arguments: ['{portriat}']}", r"program: Value error, {portriat} in .* need one of p"),
        ("title: x\nprogram: {checkout: a, arguments: [b], output: 'x{'}", r"program: Value error, .*"),
        ("title: [", "not YAML"),
    ],
)
def test_a_wrong_card_is_named_with_the_key(tmp_path, text, message):
    (tmp_path / "card.yaml").write_text(text)
    with pytest.raises(SpaceError, match=rf"card\.yaml: {message}"):
        read_card(tmp_path / "card.yaml")
    with pytest.raises(SpaceError, match="no such file, need a card"):
        read_card(tmp_path / "none.yaml")


def test_another_interpreter(tmp_path):
    card = shipped_card("wav2lip")
    assert card.with_interpreter(None) == card
    assert card.with_interpreter("/opt/py38/bin/python").program.interpreter == "/opt/py38/bin/python"
    assert cards.Card(title="x").with_interpreter("python3").program is None


def test_a_shim_is_named_by_card_or_user():
    assert all(not card.program.shims for card in shipped_cards().values()), "off unless asked for"
    card = shipped_card("wav2lip").with_shims(["librosa_mel"]).with_shims(["torch_cpu", "librosa_mel"])
    assert card.program.shims == ["librosa_mel", "torch_cpu"]
    assert all(SHIMS.values()), "each says what it makes up for"
    with pytest.raises(SpaceError, match="shim 'librosa': no shim of that name, need one of face_alignment_names, librosa_mel"):
        card.with_shims(["librosa"])


SHIMMED = {
    "numpy_aliases": "import numpy; assert numpy.zeros(2, numpy.float).dtype == 'f8' and numpy.bool is not None",
    "face_alignment_names": "import face_alignment as f; assert f.LandmarksType._3D is f.LandmarksType.THREE_D",
    "torch_load": """
import argparse, io, torch
file = io.BytesIO()
torch.save({"opt": argparse.Namespace(lr=1)}, file)
file.seek(0)
assert torch.load(file)["opt"].lr == 1
""",
    "torch_cpu": """
import torch
torch.cuda.is_available = lambda: False
network = torch.nn.Linear(2, 2)
assert network.cuda() is network and network.to("cuda:0", torch.float64).weight.device.type == "cpu"
assert torch.zeros(2).cuda(0).to(device="cuda").to(torch.ones(2)).device.type == "cpu" and network.weight.dtype == torch.float64
""",
}


@pytest.mark.parametrize("name", SHIMMED)
def test_a_shim_makes_up_for_what_is_gone(name, tmp_path):
    """In a Python of its own; all shims together, as one may undo another."""
    others = [other for other in SHIMS if other not in SHIMMED]
    folder = lay_out([*SHIMMED, *others], tmp_path / "shims")
    done = subprocess.run([sys.executable, "-c", SHIMMED[name]], env={"PYTHONPATH": str(folder)}, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_faces_are_where_pc_avs_was_trained_to_see_them(astronaut):
    """Eyes and mouth at scripts/align_68.py's places, whatever the size, turn and place; the mouth in every frame."""
    turn = cv2.getRotationMatrix2D((220, 120), 20, 0.8)
    turned = [cv2.warpAffine(astronaut, turn + (0, 0, 2 * i), (640, 600)) for i in range(6)]
    cut = aligned_pc_avs([*turned[:3], np.zeros_like(turned[0]), *turned[4:]])
    assert len(cut) == 6 and {rgb.shape for rgb in cut} == {(PC_AVS_PX, PC_AVS_PX, 3)}
    points = mesh_to_landmarks(track_faces([rgb for i, rgb in enumerate(cut) if i != 3]))[:, :, :2]
    seen = np.stack([points[:, group].mean(axis=1) for group in (EYES[:6], EYES[6:], MOUTH_INNER)], axis=1)
    assert np.abs(seen[:, 2] - PC_AVS_POINTS[2]).max() < 2, "the mouth in every frame"
    assert np.abs(seen[:, :2].mean(axis=1) - PC_AVS_POINTS[:2].mean(axis=0)).max() < 8, "eyes of a face as wide as it is long"
    assert np.abs(seen[:, 0, 1] - seen[:, 1, 1]).max() < 2, "level"
    with pytest.raises(NotCanonical, match="no_face: no face in 2 pictures"):
        aligned_pc_avs([np.zeros((200, 300, 3), np.uint8)] * 2)
