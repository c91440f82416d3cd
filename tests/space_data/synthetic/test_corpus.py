"""What the default corpus holds, and that each clip is made the same way every time, with its truth beside it."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from space_data.errors import SpaceError
from space_data.landmarks import N_LANDMARKS, lip_gap
from space_data.media.probe import probe
from space_data.media.sound import decode_audio
from space_data.media.video import decode_video
from space_data.params import Corpus
from space_data.schema import EMOTIONS, UtteranceFrame
from space_data.synthetic.corpus import CLIP_KIND, GUEST_KIND, SPEECH_KIND, Plan, make, plans, write_lists
from space_data.synthetic.defects import DEFECTS, SHIFTED_SPEECH_S, SHIFTS_FRAMES
from space_data.synthetic.performance import CLIP_S, TruthFrame, people, perform
from space_data.tables import read_table
from space_data.timebase import AUDIO_HZ, VIDEO_FPS, frames_to_samples

SMALL = Corpus(
    identities=2, clips_per_identity=2, test_identities=1, size_px=64, speech_only_identities=2, speech_only_minutes=0.3, seed=3
)
DEFAULT = Corpus(
    identities=16, clips_per_identity=6, test_identities=6, size_px=256, speech_only_identities=48, speech_only_minutes=36, seed=7
)


def _hashes(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filmed")
    make(plans(SMALL)[1], SMALL, folder)
    return folder


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heard")
    make(_heard_plan(), SMALL, folder)
    return folder


def _heard_plan() -> Plan:
    return next(plan for plan in plans(SMALL) if plan.kind == SPEECH_KIND)


def test_default_size_covers_what_was_asked() -> None:
    everything = plans(DEFAULT)
    clips = [plan for plan in everything if plan.kind == CLIP_KIND]
    assert len({plan.stem for plan in everything}) == len(everything)
    assert len({plan.person for plan in clips}) >= 16
    assert {plan.emotion for plan in clips} == set(EMOTIONS)
    assert len(clips) * 3.8 / 60 >= 6  # minutes, at clips of 3.8 s; the measured mean is 4.5 s
    assert {plan.defect for plan in everything} - {""} == set(DEFECTS) and len(DEFECTS) >= 16
    guests = [plan for plan in everything if plan.kind == GUEST_KIND]
    assert len({plan.person for plan in guests}) == len(guests) == 6 and len({plan.emotion for plan in guests}) == 6
    for person in range(16):
        assert sum(plan.emotion == "neutral" for plan in clips if plan.person == person) == 1


def test_layout_is_that_of_a_real_corpus() -> None:
    stem = plans(SMALL)[1].stem
    part, subject, label, number = stem.split("/")
    emotion, level = label.rsplit("_", 1)
    assert (part, subject, number) == ("clips", "head000", "002")
    assert emotion in EMOTIONS and level in "123"


def test_filmed_clip_has_equal_video_sound_and_truth(filmed: Path) -> None:
    truth = read_table(filmed / "clip.parquet", TruthFrame)
    facts = json.loads((filmed / "clip.json").read_text())
    info = probe(filmed / "clip.mp4")
    frames = list(decode_video(filmed / "clip.mp4"))
    assert len(frames) == len(truth) == facts["n_frames"]
    assert (info.width, info.height, info.fps, info.audio_hz) == (64, 64, VIDEO_FPS, AUDIO_HZ)
    assert CLIP_S[0] <= len(truth) / VIDEO_FPS <= CLIP_S[1]
    assert abs(len(decode_audio(filmed / "clip.mp4")) - frames_to_samples(len(truth))) <= 2048  # AAC pads its last block


def test_truth_table_is_consistent(filmed: Path) -> None:
    rows = read_table(filmed / "clip.parquet", TruthFrame)
    facts = json.loads((filmed / "clip.json").read_text())
    assert [row.frame for row in rows] == list(range(len(rows)))
    points = np.stack([row.landmarks_px.reshape(N_LANDMARKS, 3) for row in rows])
    assert np.isfinite(points).all() and 0 < points[..., :2].mean() < 64
    for begin_s, end_s in facts["blinks_s"]:
        inside = [row.blink for row in rows if begin_s - 1e-6 <= row.frame / VIDEO_FPS < end_s - 1e-6]
        assert max(inside) == 1.0
    gap = np.array([row.lip_gap for row in rows])
    assert gap.std() > 0.02 and gap.max() < 0.5


def test_speech_only_utterance_has_sound_and_exact_landmarks(heard: Path) -> None:
    track = np.stack([row.normalised.reshape(N_LANDMARKS, 3) for row in read_table(heard / "clip.parquet", UtteranceFrame)])
    audio = decode_audio(heard / "clip.wav")
    assert len(audio) == frames_to_samples(len(track))
    outer = track[:, 45, :2] - track[:, 36, :2]
    assert np.linalg.norm(outer, axis=1) == pytest.approx(1.0, abs=0.2)  # unit = inter-ocular distance of the template
    assert lip_gap(track).std() > 0.02
    assert not (heard / "clip.mp4").exists()


def test_lips_move_with_the_phonemes(heard: Path) -> None:
    gap = lip_gap(np.stack([r.normalised.reshape(N_LANDMARKS, 3) for r in read_table(heard / "clip.parquet", UtteranceFrame)]))
    facts = json.loads((heard / "clip.json").read_text())
    centres = (np.arange(len(gap)) + 0.5) / VIDEO_FPS

    def mean_gap(symbols: str) -> float:
        inside = np.zeros(len(gap), bool)
        for symbol, begin_s, end_s in facts["phonemes"]:
            if symbol and symbol[0] in symbols:
                inside |= (centres >= begin_s) & (centres < end_s)
        assert inside.any()
        return float(gap[inside].mean())

    assert mean_gap("aAE") > mean_gap("pbm") + 0.05


def test_same_plan_same_bytes_also_after_other_clips(filmed: Path, heard: Path, tmp_path: Path) -> None:
    for plan, before in ((_heard_plan(), heard), (plans(SMALL)[1], filmed)):  # other order than the fixtures'
        folder = tmp_path / str(plan.kind)
        folder.mkdir()
        make(plan, SMALL, folder)
        assert _hashes(folder) == _hashes(before)


def test_seed_and_number_change_the_clip() -> None:
    person = people(SMALL.seed, 2, "head")[0]
    one, two = (perform(person, "neutral", 1.0, np.random.default_rng([SMALL.seed, 0, n])) for n in (0, 1))
    assert len(one.audio) != len(two.audio) or not np.array_equal(one.audio, two.audio)
    assert people(4, 2, "head")[0].identity != person.identity


def test_filmed_and_heard_people_are_different_people() -> None:
    assert {p.identity for p in people(3, 2, "head")}.isdisjoint({p.identity for p in people(3, 2, "voice")})


def test_emotion_colours_the_voice_not_the_neutral_one() -> None:
    person = people(SMALL.seed, 2, "head")[0]
    calm, sad = (perform(person, emotion, 1.0, np.random.default_rng(5)) for emotion in ("neutral", "sad"))
    assert calm.controls.get("frown", np.zeros(1)).max() == 0 < sad.controls["frown"].max()


@pytest.mark.parametrize("seed", [3, 7])
def test_clips_with_shifted_sound_speak_long_enough_to_find_the_shift(seed: int) -> None:
    cast = people(seed, 16, "head")
    for plan in plans(DEFAULT):
        if plan.defect in SHIFTS_FRAMES:
            rng = np.random.default_rng([seed, plan.kind, plan.number])
            said = perform(cast[plan.person], "neutral", 1.0, rng, least_speech_s=SHIFTED_SPEECH_S)
            spoken_s = said.phonemes[-1].end_s - said.phonemes[0].start_s
            assert spoken_s >= SHIFTED_SPEECH_S - 0.1 and said.n_frames / VIDEO_FPS <= CLIP_S[1]


def test_nothing_short_enough_to_say_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("space_data.synthetic.performance.utterance_text", lambda *a, **k: "word " * 60)
    monkeypatch.setattr("space_data.synthetic.performance.TRIES", 2)
    with pytest.raises(SpaceError, match="in 2 tries"):
        perform(people(SMALL.seed, 2, "head")[0], "neutral", 1.0, np.random.default_rng(0))


def test_lists_say_what_was_planted_and_what_to_keep(tmp_path: Path) -> None:
    def facts(clip: str, defect: str = "", **planted: int) -> dict[str, object]:
        common = {"subject": "head000", "emotion": "calm", "intensity": 0.3333, "language": "de", "n_frames": 80}
        return {"clip": clip, "defect": defect, "planted": planted, **common}

    spoilt = [facts("defects/audio_late_4", "audio_late_4", offset_frames=4), facts("defects/dark", "dark")]
    write_lists(tmp_path, [facts("speech_only/voice000/001"), *spoilt, facts("clips/head000/calm_1/001")])
    with (tmp_path / "manifest.csv").open() as file:
        rows = {row["clip"]: row for row in csv.DictReader(file)}
    assert list(rows) == sorted(rows) and len(rows) == 3
    assert [(r["planted_offset_frames"], r["keep"]) for r in rows.values()] == [("0", "yes"), ("4", "yes"), ("0", "no")]
    with (tmp_path / "speech_only.csv").open() as file:
        assert [row["clip"] for row in csv.DictReader(file)] == ["speech_only/voice000/001"]
