"""Colours, turns, shapes, fields: what is seen of a picture whose content is known by definition, and by FFmpeg's program."""

import gc
import shutil
import socket
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_shelf import (
    FPS,
    Image,
    Pictures,
    Sound,
    clip,
    filtered,
    jpeg,
    number_of,
    numbered,
    set_matrix,
    sweep,
    write,
    yuv_frame,
)
from numpy.typing import NDArray

from space_data.media.container import MediaError
from space_data.media.probe import probe
from space_data.media.video import decode_video

PATCHES = np.array(
    [
        [[0.9, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.9], [0.8, 0.6, 0.5]],
        [[0, 0, 0], [0.5, 0.5, 0.5], [1, 1, 1], [0.2, 0.7, 0.7]],
    ]
)
"""Two rows of red, green, blue, skin; black, grey, white, cyan: RGB in [0, 1]."""
PATCH_PX = 24
LOSSLESS = {"preset": "ultrafast", "qp": "0"}
MATRIX = {"bt709": 1, "bt601": 6, "bt2020": 9}
BT2020, PQ, HLG, BT2020_10 = 9, 16, 18, 14
"""ITU-T H.273: primaries and matrix; transfer characteristics."""
LIMITED, FULL = 1, 2


def spread(patches: NDArray[np.float64]) -> NDArray[np.float64]:
    """A picture of patches."""
    return patches.repeat(PATCH_PX, axis=0).repeat(PATCH_PX, axis=1)


def seen(rgb: Image) -> NDArray[np.float64]:
    """The mean of the middle of each patch, 0 to 255."""
    rows = rgb.reshape(rgb.shape[0] // PATCH_PX, PATCH_PX, -1, PATCH_PX, 3)
    return rows[:, 6:-6, :, 6:-6].mean(axis=(1, 3))


def first(path: Path) -> Image:
    return next(decode_video(path)).rgb


Shown = Callable[..., Image]


@pytest.fixture(scope="session")
def by_ffmpeg() -> Shown:
    """The first picture that FFmpeg's program shows."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("FFmpeg's program is not installed")

    def show(path: Path, height: int, width: int, *options: str) -> Image:
        command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(path), "-frames:v", "1", *options]
        done = subprocess.run([*command, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"], capture_output=True, timeout=60, check=True)
        return np.frombuffer(done.stdout, np.uint8).reshape(height, width, 3)

    return show


@pytest.mark.parametrize("is_full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", MATRIX)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_colours_by_matrix_and_range(tmp_path: Path, by_ffmpeg: Shown, pix_fmt: str, matrix: str, is_full: bool) -> None:
    frame = yuv_frame(spread(PATCHES), pix_fmt, matrix, is_full)
    tags = {"colorspace": MATRIX[matrix], "color_range": FULL if is_full else LIMITED}
    path = write(tmp_path / "a.mp4", [Pictures([frame], pix_fmt=pix_fmt, options=LOSSLESS, context=tags)])
    assert np.abs(seen(first(path)) - 255 * PATCHES).max() <= 3
    assert np.abs(seen(by_ffmpeg(path, 48, 96)) - 255 * PATCHES).max() <= 3


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("png", "rgb24", "mov"), ("png", "rgba", "avi"), ("ffv1", "bgr0", "mkv"), ("huffyuv", "rgb24", "avi"),
        ("mjpeg", "yuvj420p", "avi"), ("mjpeg", "yuvj422p", "mov"), ("qtrle", "rgb24", "mov"), ("ffv1", "yuva420p", "mkv"),
        ("prores_ks", "yuva444p10le", "mov"), ("libvpx-vp9", "yuva420p", "webm"), ("ffv1", "rgb48le", "mkv"),
    ],
)  # fmt: skip
def test_colours_of_other_formats(tmp_path: Path, by_ffmpeg: Shown, codec: str, pix_fmt: str, suffix: str) -> None:
    rgb = np.round(255 * spread(PATCHES)).astype(np.uint8)
    path = write(
        tmp_path / f"a.{suffix}", [Pictures([rgb] * 2, codec, pix_fmt, options={"q:v": "2", "b:v": "4M", "strict": "-1"})]
    )
    assert np.abs(seen(first(path)) - 255 * PATCHES).max() <= 6
    assert np.abs(seen(by_ffmpeg(path, 48, 96)) - 255 * PATCHES).max() <= 6


@pytest.mark.parametrize(("codec", "pix_fmt"), [("ffv1", "gray"), ("png", "gray"), ("ffv1", "gray10le"), ("png", "gray16be")])
def test_grey_stays_grey(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    greys = np.repeat(np.linspace(0.1, 0.9, 8).reshape(2, 4, 1), 3, axis=2)
    rgb = np.round(255 * spread(greys)).astype(np.uint8)
    path = write(tmp_path / f"a.{'mov' if codec == 'png' else 'mkv'}", [Pictures([rgb], codec, pix_fmt)])
    assert np.abs(seen(first(path)) - 255 * greys).max() <= 4


def pq(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signal of a luminance (SMPTE ST 2084)."""
    y = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


def hlg(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signal of a luminance on a display of 1000 nits (ITU-R BT.2100): of grey, where the system gamma is a power."""
    scene = (nits / 1000) ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


NITS = np.array([[0.1, 4.0, 12.0, 36.5], [100.0, 203.0, 400.0, 600.0]])
"""Black, shadows, 18 % grey; bright grey, paper white, lights."""


MASTERED = ":master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
"""On a display of 1000 nits, as phones and studios say; many recordings say nothing."""


@pytest.mark.parametrize(("signal", "transfer"), [(pq, PQ), (hlg, HLG)], ids=["pq", "hlg"])
@pytest.mark.parametrize("mastering", ["", MASTERED], ids=["", "mastered"])
def test_hdr_looks_like_sdr(tmp_path: Path, mastering: str, signal: Callable[..., NDArray[np.float64]], transfer: int) -> None:
    greys = np.repeat(signal(NITS)[..., None], 3, axis=2)
    frame = yuv_frame(spread(greys), "yuv420p10le", "bt2020", False)
    tags = {"colorspace": BT2020, "color_primaries": BT2020, "color_trc": transfer, "color_range": LIMITED}
    # Where x265 may reorder, it leaves a lone picture's decoding time unset: whatever lay in memory, which MP4 refuses or not.
    x265 = f"lossless=1:bframes=0:log-level=none:info=0:pools=none:frame-threads=1{mastering}"
    options = {"preset": "ultrafast", "x265-params": x265}
    path = write(tmp_path / "a.mp4", [Pictures([frame], "libx265", "yuv420p10le", options=options, context=tags)])
    looks = seen(first(path)).mean(axis=2).ravel()
    black, _, _, grey, _, white, _, light = looks
    assert (np.diff(looks[:6]) > 5).all() and light >= white  # lights over paper white may burn out
    assert black < 15 and 60 <= grey <= 150 and 160 <= white <= 254
    assert (np.ptp(seen(first(path)), axis=2) <= 4).all()  # grey has no tint


BT709_TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""ITU-R BT.2087, linear light."""


def test_a_wide_gamut_is_not_pale(tmp_path: Path) -> None:
    """Both displays have a gamma of 2.4 (ITU-R BT.1886)."""
    wide = (PATCHES**2.4 @ BT709_TO_2020.T) ** (1 / 2.4)
    frame = yuv_frame(spread(wide), "yuv420p10le", "bt2020", False)
    tags = {"colorspace": BT2020, "color_primaries": BT2020, "color_trc": BT2020_10, "color_range": LIMITED}
    path = write(tmp_path / "a.mp4", [Pictures([frame], pix_fmt="yuv420p10le", options=LOSSLESS, context=tags)])
    assert np.abs(seen(first(path)) - 255 * PATCHES).max() <= 25  # FFmpeg's perceptual mapping; without any: 103


@pytest.mark.parametrize(
    "matrix", [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [(0, b, c, 0) for b in (1, -1) for c in (1, -1)]
)
def test_turned_and_mirrored(tmp_path: Path, by_ffmpeg: Shown, matrix: tuple[int, int, int, int]) -> None:
    """Pixel (x, y) goes to (a x + c y, b x + d y), moved back into the picture (ISO/IEC 14496-12, 8.3.2)."""
    a, b, c, d = matrix
    path = set_matrix(write(tmp_path / "a.mp4", [Pictures([np.round(255 * spread(PATCHES)).astype(np.uint8)])]), matrix)
    rows, columns = (2, 4) if a else (4, 2)
    upright = np.zeros((rows, columns, 3))
    for y in range(2):
        for x in range(4):
            to_x, to_y = a * x + c * y, b * x + d * y
            upright[to_y % rows, to_x % columns] = PATCHES[y, x]  # -k becomes size - k, and is one too many for k > 0 ...
    upright = np.roll(upright, (-1 if b + d < 0 else 0, -1 if a + c < 0 else 0), axis=(0, 1))  # ... as for k = 0
    for rgb in (first(path), by_ffmpeg(path, rows * PATCH_PX, columns * PATCH_PX)):
        assert np.abs(seen(rgb) - 255 * upright).max() < 12
    info = probe(path)
    assert (info.width, info.height) == (columns * PATCH_PX, rows * PATCH_PX)


def test_frames_do_not_wait_for_the_garbage_collector(tmp_path: Path) -> None:
    """A hundred pictures of 1080p that did would be 300 MB."""
    path = write(tmp_path / "a.mp4", clip(50))
    gc.collect()
    gc.disable()
    try:
        assert sum(1 for _ in decode_video(path)) == 50
        assert gc.collect() < 50
    finally:
        gc.enable()


@pytest.mark.parametrize(("aspect", "width"), [("2/1", 192), ("1/2", 48), ("4/3", 128), ("1/1", 96)])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_square_pixels(tmp_path: Path, suffix: str, aspect: str, width: int) -> None:
    path = write(tmp_path / f"a.{suffix}", [Pictures([numbered(165)] * 25, context={"sample_aspect_ratio": Fraction(aspect)})])
    assert first(path).shape == (64, width, 3) and number_of(first(path)) == 165
    assert (probe(path).width, probe(path).height) == (width, 64)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"), [("libx264", "yuv444p", "mp4"), ("libvpx-vp9", "yuv420p", "webm"), ("ffv1", "yuv420p", "mkv")]
)
@pytest.mark.parametrize("clockwise", [False, True])
def test_odd_sides(tmp_path: Path, codec: str, pix_fmt: str, suffix: str, clockwise: bool) -> None:
    path = write(tmp_path / f"a.{suffix}", [Pictures([numbered(165, 97, 63)] * 2, codec, pix_fmt)])
    if clockwise and suffix == "mp4":
        set_matrix(path, (0, 1, -1, 0))
        assert first(path).shape == (97, 63, 3) and number_of(first(path).transpose(1, 0, 2)) == 165
    else:
        assert first(path).shape == (63, 97, 3) and number_of(first(path)) == 165


def test_a_size_that_changes_within_a_transport_stream(tmp_path: Path) -> None:
    content = b""
    for start, (width, height) in ((0, (96, 64)), (10, (64, 96))):
        frames = [numbered(n, width, height) for n in range(start, start + 10)]
        content += write(tmp_path / "part.ts", [Pictures(frames)]).read_bytes()
    (tmp_path / "a.ts").write_bytes(content)
    got = list(decode_video(tmp_path / "a.ts"))
    assert [number_of(frame.rgb) for frame in got] == list(range(20))
    assert [frame.rgb.shape[:2] for frame in got] == [(64, 96)] * 10 + [(96, 64)] * 10
    np.testing.assert_allclose([frame.pts_s for frame in got], np.arange(20) / FPS, atol=0.03)
    assert [n for n, frame in enumerate(got) if frame.begins_part] == [10]


def bar(at_px: float, width: int = 96, height: int = 64) -> Image:
    """A bright upright bar on dark ground."""
    row = np.clip(12 - np.abs(np.arange(width) - at_px), 0, 1) * 180 + 40
    return np.broadcast_to(row[None, :, None], (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("is_moving", [True, False], ids=["moving", "still"])
@pytest.mark.parametrize("order", ["tff", "bff"])
@pytest.mark.parametrize(("codec", "suffix"), [("libx264", "mp4"), ("libx264", "ts"), ("mpeg2video", "mpg")])
def test_fields(tmp_path: Path, codec: str, suffix: str, order: str, is_moving: bool) -> None:
    """Two fields a frame, 1/50 s apart; what is shown is the first field's picture, and a still picture as it is."""
    woven = []
    for n in range(20):
        frame = bar(20 + 4 * n * is_moving / 2).copy()
        second = 1 if order == "tff" else 0
        frame[second::2] = bar(20 + 4 * (n + 0.5) * is_moving / 2)[second::2]
        woven.append(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p"))
    options = {"x264-params": f"{order}=1"} if codec == "libx264" else {"q:v": "2"}
    pictures = Pictures(list(filtered(woven, ("setfield", order))), codec, options=options | {"flags": "+ildct+ilme"})
    path = write(tmp_path / f"a.{suffix}", [pictures])
    assert probe(path).is_interlaced
    frames = [frame.rgb.astype(float).mean(axis=2) for frame in decode_video(path)]
    assert len(frames) == 20
    for n, grey in enumerate(frames[1:-1], 1):
        comb = np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean()
        assert comb < 1.5
        centre_px = (np.arange(96) * (grey[8:-8].mean(axis=0) - 40)).sum() / (grey[8:-8].mean(axis=0) - 40).sum()
        assert abs(centre_px - (20 + 2 * n * is_moving)) < 0.8


HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{}\n#EXT-X-ENDLIST\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>URL</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>"
)
SCRIPTS = {
    "ffconcat": "ffconcat version 1.0\nfile 'NAME'\n",
    "concat": "file 'NAME'\n",
    "hls": HLS.format("URL"),
    "local hls": HLS.format("NAME"),
    "dash": DASH,
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "text": "this is no video\n" * 50,
    "subtitles": "1\n00:00:00,000 --> 00:00:02,000\nHello\n",
    "webvtt": "WEBVTT\n\n00:00.000 --> 00:02.000\nHello\n",
    "json": '{"file": "NAME"}',
    "html": "<!DOCTYPE html><video src='URL'></video>",
    "xspf": '<playlist version="1"><trackList><track><location>URL</location></track></trackList></playlist>',
    "pls": "[playlist]\nFile1=URL\nNumberOfEntries=1\n",
}


@pytest.mark.parametrize("kind", SCRIPTS)
def test_scripts_open_nothing_else(tmp_path: Path, kind: str) -> None:
    write(tmp_path / "good.ts", clip(10))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/good.ts"
        (tmp_path / "script.mp4").write_text(SCRIPTS[kind].replace("NAME", "good.ts").replace("URL", url))
        with pytest.raises(MediaError, match=r"script\.mp4"):
            probe(tmp_path / "script.mp4")
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "tiff", "webp", "svg"])
def test_single_pictures_are_no_video(tmp_path: Path, kind: str) -> None:
    if kind == "svg":
        content = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    elif kind == "jpeg":
        content = jpeg(numbered(5))
    else:
        from cv2 import imencode

        content = imencode(f".{kind}", numbered(5))[1].tobytes()
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(MediaError, match=r"a\.mp4"):
        probe(tmp_path / "a.mp4")


def test_a_picture_in_a_sound_file_is_no_video(tmp_path: Path) -> None:
    write(tmp_path / "a.m4a", [Sound(sweep(1.0))], muxer="mp4")
    assert not probe(tmp_path / "a.m4a").has_video
    with pytest.raises(MediaError, match="no video stream"):
        next(decode_video(tmp_path / "a.m4a"))
