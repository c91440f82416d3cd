"""SyncNet: the reference's numbers for seeded weights, and what can be known by hand without them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import medfilt
from seeded import rng, seed_network

from space_data.errors import SpaceError
from space_models import syncnet
from space_models.syncnet import SyncNet, SyncNetResult

PARITY = Path(__file__).resolve().parents[3] / "shared" / "parity"


@pytest.fixture(scope="module")
def net() -> SyncNet:
    return seed_network(SyncNet(), "syncnet")


def drawn_input() -> tuple[np.ndarray, np.ndarray]:
    """36 BGR frames and as much sound, as the parity fixture draws them."""
    bgr = rng("input.frames_bgr").integers(0, 256, (36, 224, 224, 3), dtype=np.uint8)
    return bgr, (rng("input.audio").standard_normal(36 * 640) * 3000).astype(np.int16)


@pytest.fixture(scope="module")
def embedded(net: SyncNet) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Lips and sound of the drawn input, and the sound itself."""
    bgr, audio = drawn_input()
    windows = syncnet.windows_of(len(bgr))
    lips = syncnet.lip_embeddings(net, iter(bgr[: windows + 4, ..., ::-1]), batch=7)
    return lips, syncnet.sound_embeddings(net, audio, windows, batch=10), audio


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(np.asarray(found) - wanted).max() / np.abs(wanted).max())


def test_equals_the_reference_implementation(net, embedded) -> None:
    if not (PARITY / "syncnet.npz").is_file():
        pytest.skip("reference outputs are absent (../shared/parity/syncnet.npz)")
    facts, wanted = json.loads((PARITY / "syncnet.json").read_text()), np.load(PARITY / "syncnet.npz")
    assert {key: list(value.shape) for key, value in net.state_dict().items()} == dict(facts["state_dict"])
    assert sum(p.numel() for p in net.parameters()) == facts["parameters"]
    lips, sound, audio = embedded
    samples = audio.astype(np.int64)
    assert [samples.sum(), np.abs(samples).sum()] == wanted["audio_checksum"].tolist(), "the draw differs"
    assert [drawn_input()[0].sum(dtype=np.int64)] == wanted["frames_checksum"].tolist(), "the draw differs"
    found = syncnet.distances(lips, sound)
    curve = found.mean(axis=0)
    result = syncnet.score(lips, sound)
    framewise = medfilt(np.median(curve) - found[:, curve.argmin()], 9)
    errors = {
        "mfcc": relative(syncnet.mfcc(audio), wanted["mfcc"]),
        "lips": relative(lips[:4], wanted["lip_embedding"]),
        "sound": relative(sound[:4], wanted["audio_embedding"]),
        "curve": relative(curve, wanted["mean_distance_per_shift"]),
        "framewise": np.abs(framewise - wanted["framewise_confidence"]).max() / curve.min(),
        "distance": abs(result.distance / facts["min_distance"] - 1),
        "confidence": abs(result.confidence - facts["confidence"]) / facts["min_distance"],
    }
    assert max(errors.values()) < 1e-4, errors
    assert (result.windows, result.offset_frames) == (facts["windows"], -facts["av_offset"])


def shifted(windows: int, audio_late: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings that agree once the sound is taken ``audio_late`` windows later."""
    content = torch.from_numpy(rng("content").standard_normal((windows + 40, syncnet.EMBEDDING)).astype(np.float32))
    return content[20 : 20 + windows], content[20 - audio_late : 20 - audio_late + windows]


@pytest.mark.parametrize("audio_late", [-15, -3, 0, 1, 8, 15])
def test_offset_is_positive_where_the_sound_is_late(audio_late: int) -> None:
    result = syncnet.score(*shifted(100, audio_late))
    assert result.offset_frames == audio_late and result.windows == 100
    assert result.confidence > 10


def test_distance_is_euclidean_and_averaged_with_padding() -> None:
    ones = torch.ones(31, syncnet.EMBEDDING)
    result = syncnet.score(ones, ones)
    # equal everywhere, but at lag k there are |k| windows whose partner is zero, 32 away
    lags = np.abs(np.arange(-15, 16))
    wanted = 32 * lags / 31
    np.testing.assert_allclose(syncnet.distances(ones, ones).mean(axis=0), wanted, atol=1e-3)
    assert result == SyncNetResult(31, 0, pytest.approx(np.median(wanted), abs=1e-3), pytest.approx(0, abs=1e-3))


def test_embeddings_do_not_depend_on_the_batch(net, embedded) -> None:
    lips, sound, audio = embedded
    bgr, _ = drawn_input()
    assert lips.shape == sound.shape == (31, 1024)
    whole = syncnet.lip_embeddings(net, iter(bgr[:14, ..., ::-1]), batch=50)
    torch.testing.assert_close(whole, lips[:10], rtol=0, atol=float(lips.abs().max()) * 1e-5)
    one = syncnet.sound_embeddings(net, audio, 3, batch=1)
    torch.testing.assert_close(one, sound[:3], rtol=0, atol=float(sound.abs().max()) * 1e-5)


def test_a_window_is_five_frames(net) -> None:
    bgr, _ = drawn_input()
    frames = torch.from_numpy(bgr[:9].copy()).permute(0, 3, 1, 2).float()
    run = net.lips(frames)
    assert run.shape == (5, 1024)
    torch.testing.assert_close(net.lips(frames[2:7])[0], run[2], rtol=0, atol=float(run.abs().max()) * 1e-5)
    for wrong in (frames[:4], frames[..., :200]):
        with pytest.raises(SpaceError, match="needs"):
            net.lips(wrong)
    assert len(syncnet.lip_embeddings(net, iter(bgr[:4]), batch=8)) == 0
    assert [syncnet.windows_of(n) for n in (0, 5, 6, 36)] == [0, 0, 1, 31]


def test_louder_sound_moves_only_the_energy() -> None:
    audio = (rng("loud").standard_normal(4000) * 500).astype(np.int16)
    quiet, loud = syncnet.mfcc(audio), syncnet.mfcc((audio * 8).astype(np.int16))
    assert quiet.shape == (1 + -(-(4000 - 400) // 160), 13)
    np.testing.assert_allclose(loud[:, 0] - quiet[:, 0], 2 * np.log(8), atol=1e-4)
    np.testing.assert_allclose(loud[:, 1:], quiet[:, 1:], atol=1e-3)


def test_cepstra_of_silence_and_of_short_sound_are_finite() -> None:
    silence = syncnet.mfcc(np.zeros(100, np.int16))
    assert silence.shape == (1, 13) and silence[0, 0] == pytest.approx(np.log(np.finfo(float).eps), abs=1e-3)
    assert np.isfinite(silence).all()
    for wrong in (np.zeros(400, np.float32), np.zeros((400, 2), np.int16), np.zeros(0, np.int16)):
        with pytest.raises(SpaceError, match="needs int16"):
            syncnet.mfcc(wrong)
    assert syncnet.as_int16(np.array([-2, -1, 0, 0.5, 1], np.float32)).tolist() == [-32768, -32768, 0, 16384, 32767]


def test_sound_shorter_than_the_picture_is_an_error(net) -> None:
    with pytest.raises(SpaceError, match="need 40"):
        syncnet.sound_embeddings(net, np.zeros(16000, np.int16), 40, batch=20)


def test_weights_come_from_a_file_of_tensors_only(net, tmp_path) -> None:
    path = tmp_path / "w.model"
    without_counters = {k: v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(without_counters, path)  # as in the published file, which is older than those counters
    loaded = syncnet.load_syncnet(path)
    assert not loaded.training
    torch.testing.assert_close(loaded.state_dict()["netfclip.3.bias"], net.state_dict()["netfclip.3.bias"])
    torch.save({**without_counters, "epoch": 3}, path)
    with pytest.raises(SpaceError, match="more than tensors"):
        syncnet.load_syncnet(path)
    torch.save({"netfclip.3.bias": torch.zeros(3)}, path)
    with pytest.raises(SpaceError, match="not SyncNet's weights"):
        syncnet.load_syncnet(path)
    torch.save(net, path)  # a pickle of code
    with pytest.raises(SpaceError, match="not a file of tensors"):
        syncnet.load_syncnet(path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(SpaceError, match="not a file of tensors"):
        syncnet.load_syncnet(path)


def test_crop_takes_more_below_than_above() -> None:
    rgb = np.zeros((400, 600, 3), np.uint8)
    rgb[100:300, 200:400] = 255  # a box of half side 100 around (300, 200)
    crop = syncnet.face_crop(rgb, np.array([300.0, 200.0, 100.0]))
    assert crop.shape == (224, 224, 3)
    rows, columns = np.flatnonzero(crop[:, 112, 0] > 127), np.flatnonzero(crop[10, :, 0] > 127)
    # 280 px square from (160, 100) -> 224: the box covers rows 0-160 and columns 32-192
    assert (rows[0], rows[-1]) == (0, 159) and (columns[0], columns[-1]) == (32, 191)


def test_crop_is_grey_outside_the_picture() -> None:
    crop = syncnet.face_crop(np.full((100, 100, 3), 255, np.uint8), np.array([0.0, 50.0, 50.0]))
    assert (crop[:, :100] == syncnet.PADDING_GREY).all() and (crop[:150, 125:] == 255).all()
    assert (crop[-50:] == syncnet.PADDING_GREY).all()
    assert (syncnet.face_crop(np.zeros((9, 9, 3), np.uint8), np.array([500.0, 500.0, 20.0])) == syncnet.PADDING_GREY).all()


def test_track_bridges_gaps_and_ignores_jumps() -> None:
    boxes = np.tile(np.array([100.0, 50.0, 180.0, 150.0]), (40, 1))
    boxes[:, [0, 2]] += np.arange(40)[:, None]
    boxes[10:14] = np.nan
    boxes[25] += 500
    track = syncnet.crop_track(boxes)
    assert track is not None
    np.testing.assert_allclose(track[12], [152, 100 - 6, 55], atol=1e-6)
    assert abs(track[25, 0] - 165) <= 1 and track[25, 2] == pytest.approx(55)
    assert syncnet.crop_track(np.full((20, 4), np.nan)) is None
