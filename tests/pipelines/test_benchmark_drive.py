"""Other people's programs, faked with their quirks: a frame of the canonical clip shows the frame of the sound it belongs to."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_checkouts import PROGRAMS, heard, make_checkout, ramp

from evaluation.canonical import Expected, canonicalise
from evaluation.external import adapters
from evaluation.external.card import PLACEHOLDERS, Card, Pictures, shipped_card
from evaluation.external.coverage import COVERAGES, padding
from evaluation.external.drive import check_installed, missing_files, private_copy, record_of
from evaluation.lists.clip_list import Chosen, Resolved
from evaluation.reasons import NotCanonical
from pipelines.benchmark import drive
from pipelines.benchmark.drive import INPUT_FILES, Driver, drive_clip, padded, run
from pipelines.layout import Layout
from space_data.errors import SpaceError
from space_data.files import sha256_of
from space_data.landmarks import N_MESH, template_mesh
from space_data.media.encode import write_video, write_wav
from space_data.media.video import decode_video
from space_data.params import load_params
from space_data.schema import AlignedClip

N = 40
PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")


@pytest.fixture
def clip(tmp_path) -> AlignedClip:
    video, audio = str(tmp_path / "v.mp4"), str(tmp_path / "a.wav")
    write_video(video, [np.full((128, 128, 3), 5 * i % 250, np.uint8) for i in range(N)])
    write_wav(audio, ramp(N))
    return AlignedClip(
        clip_id="set/ada.b/1", source_clip_id="set/ada.b/1", dataset="set", subject="ada", emotion="happy", intensity=0.5,
        language="en", split="test", video=video, audio=audio, n_frames=N, size_px=128, start_s=0.0, crop_x0_px=0.0,
        crop_y0_px=0.0, crop_side_px=128.0, applied_offset_frames=0.0, video_sha256=sha256_of(video),
        audio_sha256=sha256_of(audio),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def face_in_every_picture(monkeypatch):
    """In the fakes' bars no face is found that could be aligned."""
    face = 40 * np.resize(template_mesh(), (N_MESH, 3)) + 64
    monkeypatch.setattr(adapters, "track_faces", lambda frames: np.stack([face] * len(frames)))


def card_of(system: str, **changes) -> Card:
    """The shipped card; the fakes draw bars, in which there is no face to cut out."""
    card = shipped_card(system).with_interpreter(sys.executable)
    pictures = card.pictures.model_copy(update={"reframes": False})
    return card.model_copy(update={"pictures": pictures, "program": card.program.model_copy(update={"commands": [], **changes})})


def driver_of(card: Card, checkout: Path, clip: AlignedClip) -> Driver:
    return Driver(card.program, checkout, {clip.clip_id: np.zeros((N, 7), np.float32)}, {})


def driven(system: str, clip: AlignedClip, tmp_path: Path, program: str = "", **changes) -> tuple[Path, Card, dict]:
    card = card_of(system, **changes)
    checkout = make_checkout(tmp_path / "checkouts", system, card.program.required, program)
    pad = padding(COVERAGES[card.program.padding], N)
    facts = drive_clip(driver_of(card, checkout, clip), Chosen(clip, N), pad, tmp_path / "made", "set/ada.b/1")
    video = next((tmp_path / "made" / "set" / "ada.b").glob("1.mp4"))
    expected = Expected(N, 128, ramp(N), card.framing(pad.skipped, pad.behind))
    return canonicalise(video, expected, tmp_path / "out.mkv").path, card, facts


@pytest.mark.parametrize("system", PROGRAMS)
def test_every_frame_is_the_sounds_own(system, clip, tmp_path):
    video, card, facts = driven(system, clip, tmp_path)
    seen = [heard(frame.rgb) for frame in decode_video(video)]
    assert len(seen) == N
    late = 2 if system == "joyvasa" else 0  # by its own doing: what it makes is late against its own sound
    off = np.array(seen)[late:] + late - np.arange(late, N)
    assert np.abs(off).max() <= (1 if system == "makeittalk" else 0), "62.5 frames per second fall between those of 25"
    assert np.median(off) == 0 and facts["seconds"] > 0


@pytest.mark.parametrize("system", ["wav2lip", "pc_avs", "makeittalk"])
def test_time_equivariance(system, clip, tmp_path):
    """Sound that is five frames late gives the same video five frames later."""
    write_wav(clip.audio, np.concatenate([np.zeros(5 * 640, np.float32), ramp(N)[: -5 * 640]]))
    card = card_of(system)
    checkout = make_checkout(tmp_path / "checkouts", system, card.program.required)
    pad = padding(COVERAGES[card.program.padding], N)
    drive_clip(driver_of(card, checkout, clip), Chosen(clip, N), pad, tmp_path / "made", "1")
    expected = Expected(N, 128, np.zeros(N * 640, np.float32), card.framing(pad.skipped, pad.behind))
    late = [heard(f.rgb) for f in decode_video(canonicalise(tmp_path / "made" / "1.mp4", expected, tmp_path / "o.mkv").path)]
    assert np.abs(np.array(late[6:]) - np.arange(1, N - 5)).max() <= (1 if system == "makeittalk" else 0)


def test_the_checkout_stays_as_it_was(clip, tmp_path):
    card = card_of("makeittalk")
    checkout = make_checkout(tmp_path / "checkouts", "makeittalk", card.program.required)
    before = {path: path.stat().st_mtime_ns for path in sorted(checkout.rglob("*"))}
    for stem in ("1", "2"):
        pad = padding(COVERAGES["makeittalk"], N)
        drive_clip(driver_of(card, checkout, clip), Chosen(clip, N), pad, tmp_path / "made", stem)
    assert {path: path.stat().st_mtime_ns for path in sorted(checkout.rglob("*"))} == before
    assert (tmp_path / "made" / "2.mp4").is_file(), "what the first run left does not meet the second"


def test_large_files_are_linked_and_git_stays_behind(tmp_path):
    checkout = make_checkout(tmp_path, "wav2lip", [])
    with (checkout / "weights.pth").open("wb") as file:
        file.truncate(6_000_000)
    private_copy(checkout, tmp_path / "copy")
    assert (tmp_path / "copy" / "weights.pth").is_symlink() and not (tmp_path / "copy" / "inference.py").is_symlink()
    assert not (tmp_path / "copy" / ".git").exists()


FAILS = {
    "nothing made, exit 0": ("print('Face not detected!')", "system_failed", "Face not detected!", {}),
    "two videos": ("for n in 'ab': write(option('--result_dir') + f'/{n}.mp4', [bar(0.1)] * 3)", "ambiguous", "a.mp4, b.mp4", {}),
    "random weights": (
        "print('latest_net_V.pth not exists yet!'); write(option('--result_dir') + '/a.mp4', [bar(0.1)] * 3)",
        "system_failed", "latest_net_V.pth not exists yet!", {"refused": ["not exists yet"]},
    ),
    "hangs": ("import time; time.sleep(60)", "timed_out", "not done after 1 s", {"time_limit_s": 1.0}),
    "killed": ("os.kill(os.getpid(), 9)", "system_failed", "last words: none", {}),
}  # fmt: skip


@pytest.mark.parametrize("kind", FAILS)
def test_a_failed_run_has_its_reason(kind, clip, tmp_path):
    program, reason, words, changes = FAILS[kind]
    with pytest.raises(NotCanonical, match=words) as refusal:
        driven("sadtalker", clip, tmp_path, program, **changes)
    assert refusal.value.reason == reason
    assert not list((tmp_path / "made").rglob("*.json")), "it is tried again in the next run"


def test_helpers_end_with_their_program(clip, tmp_path):
    beat = tmp_path / "beat"
    program = f"""
import subprocess, time
subprocess.Popen([sys.executable, "-c", "import time\\nwhile True: open({str(beat)!r}, 'w').write('x'); time.sleep(0.05)"])
time.sleep(600)
"""
    for limit_s in (2.0, 20.0, 200.0):  # two interpreters start slowly on a busy machine
        with pytest.raises(NotCanonical, match="not done"):
            driven("sadtalker", clip, tmp_path, program, time_limit_s=limit_s)
        if beat.exists():
            break
    last = beat.stat().st_mtime_ns
    time.sleep(0.4)
    assert beat.stat().st_mtime_ns == last


DRIVER = """
import sys
from pathlib import Path
from evaluation.external.card import Program
from evaluation.external.drive import run_program

beat, copy = sys.argv[1], Path(sys.argv[2])
program = f"import time\\nwhile True: open({beat!r}, 'w').write('x'); time.sleep(0.05)"
run_program(Program(checkout="x", interpreter=sys.executable, arguments=["-c", program]), copy, {})
"""


def test_a_program_does_not_outlive_a_driver_that_is_killed(tmp_path):
    """No ``finally`` runs then, nor when the terminal is closed."""
    beat, copy = tmp_path / "beat", tmp_path / "work" / "copy"
    copy.mkdir(parents=True)
    root = Path(__file__).resolve().parents[2]
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(beat), str(copy)], cwd=root)
    until(beat.exists)
    driver.kill()
    driver.wait()

    def is_still() -> bool:
        before = beat.stat().st_mtime_ns
        time.sleep(0.4)
        return beat.stat().st_mtime_ns == before

    until(is_still)


def until(so: Callable[[], bool], limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_is_missing_is_named(tmp_path):
    card = card_of("wav2lip")
    with pytest.raises(SpaceError, match=r"wav2lip: not installed, .*Wav2Lip is missing"):
        check_installed("wav2lip", card.program, tmp_path / "Wav2Lip")
    checkout = make_checkout(tmp_path, "wav2lip", card.program.required)
    check_installed("wav2lip", card.program, checkout)
    (checkout / "checkpoints/wav2lip_gan.pth").unlink()
    assert missing_files(card.program, checkout) == [checkout / "checkpoints/wav2lip_gan.pth"]
    with pytest.raises(SpaceError, match=r"wav2lip_gan\.pth is missing \("):
        check_installed("wav2lip", card.program, checkout)
    other = card.program.model_copy(update={"interpreter": "python9.9", "required": []})
    with pytest.raises(SpaceError, match=r"no python9\.9 on the PATH"):
        check_installed("wav2lip", other, checkout)
    calls = card.program.model_copy(update={"required": [], "commands": ["ls", "ffmpeg9.9"]})
    with pytest.raises(SpaceError, match=r"not installed, it calls ffmpeg9\.9, and there is none on the PATH"):
        check_installed("wav2lip", calls, checkout)
    (checkout / "ffmpeg9.9").touch(0o755)
    found = calls.model_copy(update={"commands": ["ffmpeg9.9"], "environment": {"PATH": str(checkout)}})
    check_installed("wav2lip", found, checkout)


def test_the_record_says_what_was_run(tmp_path):
    card = card_of("wav2lip")
    checkout = make_checkout(tmp_path, "wav2lip", card.program.required)
    record = record_of(card.program, checkout)
    assert record["commit"] == "0123456789abcdef0123456789abcdef01234567"
    assert set(record["files"]) == set(card.program.required) and len(record["files"]["inference.py"]) == 64


def test_a_shim_is_there_before_the_program_and_on_record(clip, tmp_path):
    """`librosa_mel` in an interpreter of its own, with a made-up librosa of the card's search path; without the shim it fails."""
    (tmp_path / "path" / "librosa").mkdir(parents=True)
    (tmp_path / "path" / "librosa" / "__init__.py").write_text("")
    (tmp_path / "path" / "librosa" / "filters.py").write_text("def mel(*, sr, n_fft, n_mels=128): return (sr, n_fft, n_mels)\n")
    program = "import librosa.filters\nassert librosa.filters.mel(16000, 800, n_mels=80) == (16000, 800, 80)\n"
    changes = {"environment": {"PYTHONPATH": str(tmp_path / "path")}}
    _, card, _ = driven("sadtalker", clip, tmp_path, program + PROGRAMS["sadtalker"][2], shims=["librosa_mel"], **changes)
    assert record_of(card.program, tmp_path)["shims"] == ["librosa_mel"]
    shutil.rmtree(tmp_path / "made")
    with pytest.raises(NotCanonical, match="takes 0 positional arguments"):
        driven("sadtalker", clip, tmp_path, program, **changes)


def test_our_own_search_path_does_not_leak(clip, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    program = "assert 'PYTHONPATH' not in os.environ and os.environ['MODE'] == 'fast'\n" + PROGRAMS["sadtalker"][2]
    driven("sadtalker", clip, tmp_path, program, environment={"MODE": "fast"})


def test_padding_is_silence():
    pad = padding(COVERAGES["pc_avs"], N)
    sound = padded(ramp(N), pad)
    assert len(sound) == 640 * (pad.before + N + pad.behind)
    assert not sound[: 640 * pad.before].any() and (sound[640 * pad.before :][: 640 * N] == ramp(N)).all()


def test_a_run_becomes_rows_with_its_record(clip, tmp_path, monkeypatch):
    """All of the command but the table of poses: one clip is made, one fails; a second run makes only the failed one."""
    other = replace(clip, clip_id="set/ada.b/2")
    layout = Layout.in_folder(tmp_path / "run")
    listed = Resolved("set/v1", (Chosen(clip, N), Chosen(other, N)))
    monkeypatch.setattr(drive, "poses", lambda ids, _: {i: np.zeros((N, 7), np.float32) for i in ids})
    counter = tmp_path / "count"
    program = f"""
count = len(open({str(counter)!r}).read()) if os.path.exists({str(counter)!r}) else 0
open({str(counter)!r}, "a").write("x")
if count == 1:
    sys.exit(0)
""" + PROGRAMS["wav2lip"][2]
    card = card_of("wav2lip")
    make_checkout(tmp_path / "checkouts", "wav2lip", card.program.required, program)
    first = run("wav2lip", card, tmp_path / "checkouts", listed, PARAMS, layout)
    assert [(row.clip_id, row.status, row.reason) for row in first] == [
        ("set/ada.b/1", "kept", ""), ("set/ada.b/2", "failed", "system_failed"),
    ]  # fmt: skip
    record = json.loads((layout.external / "wav2lip" / "run.json").read_text())
    assert record["licence"] and record["test_list"] == listed.label
    assert record["clips"]["set/ada.b/2"]["reason"] == "system_failed"
    second = run("wav2lip", card, tmp_path / "checkouts", listed, PARAMS, layout)
    assert [row.status for row in second] == ["kept", "kept"] and len(counter.read_text()) == 3
    assert os.path.isfile(layout.data.local() / second[1].video) and second[0].native_width_px == 128


def test_a_card_without_a_program_cannot_be_run(tmp_path):
    with pytest.raises(SpaceError, match="names no program"):
        run("theirs", Card(title="x", pictures=Pictures()), tmp_path, Resolved("a/v1", ()), PARAMS, Layout.in_folder(tmp_path))


def test_a_card_may_name_just_what_a_run_has() -> None:
    assert set(PLACEHOLDERS) == {*INPUT_FILES, "folder", "out", "checkout"}
