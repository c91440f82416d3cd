"""Pictures of every kind that people have: made here, with answers known by hand."""

import io
import logging
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from space_data.errors import SpaceError
from space_data.media.container import MediaError
from space_data.media.images import GROUND, LARGEST_PX, read_image, write_image

RED, GREEN, BLUE, WHITE, BLACK, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255,) * 3, (0,) * 3, (GROUND,) * 3
UPRIGHT = np.kron(np.array([[RED, GREEN, BLUE], [WHITE, BLACK, (90, 60, 30)]], np.uint8), np.ones((16, 16, 1), np.uint8))
"""No two corners alike and wider than high: (32, 48, 3)."""
FIRST_ROW_AND_COLUMN = {
    1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
    5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
}  # fmt: skip
"""Where the stored row 0 and column 0 are seen: EXIF 2.3, tag 0x0112."""


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels as a camera stores them that states `orientation`."""
    row, column = FIRST_ROW_AND_COLUMN[orientation]
    pixels = upright if row in ("top", "bottom") else upright.swapaxes(0, 1)
    return np.ascontiguousarray(pixels[:: -1 if row in ("bottom", "right") else 1, :: -1 if column in ("bottom", "right") else 1])


def exif(orientation: int) -> bytes:
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def png(pixels: np.ndarray, colour_type: int, bits: int, **chunks: bytes) -> bytes:
    """A PNG of unsigned samples (H, W) or (H, W, C) of 1 to 16 bits, with more chunks before its data."""
    high, wide = pixels.shape[:2]
    if bits == 16:
        rows = pixels.astype(">u2").reshape(high, -1).view(np.uint8)
    else:
        spread = (pixels.reshape(high, -1, 1) >> np.arange(bits - 1, -1, -1)) & 1
        rows = np.packbits(spread.astype(np.uint8).reshape(high, -1), axis=1)
    header = struct.pack(">IIBBBBB", wide, high, bits, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    whole = b"\x89PNG\r\n\x1a\n"
    for name, body in {"IHDR": header, **chunks, "IDAT": data, "IEND": b""}.items():
        whole += struct.pack(">I", len(body)) + name.encode() + body + struct.pack(">I", zlib.crc32(name.encode() + body))
    return whole


def read(data: bytes | Image.Image, folder: Path, **how: object) -> np.ndarray:
    path = folder / "picture.dat"
    if isinstance(data, Image.Image):
        data.save(path, **how)
    else:
        path.write_bytes(data)
    return read_image(path)


def off(found: np.ndarray, wanted: np.ndarray) -> int:
    assert found.dtype == np.uint8 and found.shape == wanted.shape
    return int(abs(found.astype(int) - wanted).max())


@pytest.mark.parametrize("orientation", FIRST_ROW_AND_COLUMN)
@pytest.mark.parametrize(
    ("kind", "mode", "tolerance", "how"),
    [
        ("JPEG", "RGB", 4, {"quality": 100, "subsampling": 0}),
        ("JPEG", "CMYK", 4, {"quality": 100, "subsampling": 0}),
        ("JPEG", "L", 2, {"quality": 100}),
        ("MPO", "RGB", 4, {"quality": 100, "subsampling": 0, "save_all": True, "append_images": [Image.new("RGB", (48, 32))]}),
        ("PNG", "RGB", 0, {}),
        ("PNG", "RGBA", 0, {}),
        ("PNG", "LA", 0, {}),
        ("PNG", "P", 0, {}),
        ("PNG", "1", 0, {}),
        ("PNG", "I;16", 0, {}),
        ("WEBP", "RGBA", 0, {"lossless": True}),
        ("WEBP", "RGB", 0, {"lossless": True}),
        ("AVIF", "RGBA", 8, {"quality": 100, "subsampling": "4:4:4"}),
        ("TIFF", "RGB", 0, {}),
        ("TIFF", "RGBA", 0, {"compression": "tiff_lzw"}),
        ("TIFF", "I;16", 0, {}),
        ("TIFF", "LAB", 24, {}),
        ("TIFF", "1", 0, {"compression": "group4"}),
    ],
)
def test_every_orientation_of_every_kind_is_upright(
    kind: str, mode: str, tolerance: int, how: dict[str, object], orientation: int, tmp_path: Path
) -> None:
    rgb, picture = UPRIGHT, Image.fromarray(stored(UPRIGHT, orientation))
    if mode == "LAB":
        lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        picture = lab.apply(picture)
    elif mode == "I;16":
        picture = Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16) * 257)
    elif mode == "P":
        picture = picture.quantize(8)
    else:
        picture = picture.convert(mode)
    if mode not in ("RGB", "RGBA", "CMYK", "LAB", "P"):
        rgb = np.asarray(Image.fromarray(UPRIGHT).convert("1" if mode == "1" else "L").convert("RGB"))
    if mode == "1":  # dithered: the pattern depends on the direction
        picture = Image.fromarray(stored(rgb, orientation)).convert("1")
    tag = {"tiffinfo": {0x0112: orientation}} if kind == "TIFF" else {"exif": exif(orientation)}
    assert off(read(picture, tmp_path, format=kind, **tag, **how), rgb) <= tolerance


def test_orientation_in_xmp_alone_counts(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert off(read(Image.fromarray(stored(UPRIGHT, 6)), tmp_path, format="WEBP", lossless=True, xmp=xmp), UPRIGHT) == 0


@pytest.mark.parametrize("data", [b"Exif\0\0rubbish", b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12", exif(6)[:-6], exif(9)])
def test_broken_exif_does_not_cost_the_picture(data: bytes, tmp_path: Path) -> None:
    assert off(read(Image.fromarray(UPRIGHT), tmp_path, format="JPEG", exif=data, quality=100, subsampling=0), UPRIGHT) <= 4


FOUR = np.array([[RED, GREEN], [BLUE, WHITE]], np.uint16)
HALF = np.array([[[191, 63, 63], [63, 191, 63]], [[63, 63, 191], [191, 191, 191]]])  # over 127, opacity 0.5


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("opacity", "wanted"), [(0.0, np.full((2, 2, 3), GROUND)), (0.5, HALF), (1.0, FOUR)])
def test_alpha_of_either_depth_lies_over_grey(bits: int, opacity: float, wanted: np.ndarray, tmp_path: Path) -> None:
    most, unit = 2**bits - 1, 257 if bits == 16 else 1
    rgba = np.dstack([FOUR * unit, np.full((2, 2), round(opacity * most))])
    assert off(read(png(rgba, 6, bits), tmp_path), wanted) <= 1
    grey = np.dstack([FOUR[..., 0] * unit, rgba[..., 3]])
    assert off(read(png(grey, 4, bits), tmp_path), np.repeat(wanted[..., :1], 3, 2)) <= 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_turned_cut_out_is_upright_over_grey(kind: str, orientation: int, tmp_path: Path) -> None:
    hidden = np.kron(np.array([[0, 1, 0], [1, 1, 1]]), np.ones((16, 16), int)) == 0
    rgba = np.dstack([np.where(hidden[..., None], GREEN, UPRIGHT), np.where(hidden, 0, 255)]).astype(np.uint8)
    tag = {"tiffinfo": {0x0112: orientation}} if kind == "TIFF" else {"exif": exif(orientation)}
    lossless = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    found = read(Image.fromarray(stored(rgba, orientation)), tmp_path, format=kind, **tag, **lossless)
    assert off(found, np.where(hidden[..., None], GREY, UPRIGHT)) == 0


def test_a_16_bit_cut_out_over_green_is_as_its_8_bit_copy(tmp_path: Path, rng: np.random.Generator) -> None:
    hidden = rng.random((32, 48)) < 0.5
    rgba = np.dstack([np.where(hidden[..., None], GREEN, UPRIGHT), np.where(hidden, 0, 255)]).astype(np.uint16)
    found = read(png(rgba * 257, 6, 16), tmp_path)
    assert off(found, read(png(rgba, 6, 8), tmp_path)) == 0 and (found[hidden] == GROUND).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_level(bits: int, tmp_path: Path) -> None:
    most = 2**bits - 1
    chunk = struct.pack(">H", most)
    found = read(png(np.array([[0, most], [most, 0]]), 0, bits, tRNS=chunk), tmp_path)
    assert off(found, np.array([[BLACK, GREY], [GREY, BLACK]])) == 0
    if bits > 1:
        chunk = struct.pack(">H", most // 3)
        found = read(png(np.array([[0, most // 3], [most, most]]), 0, bits, tRNS=chunk), tmp_path)
        assert off(found, np.array([[BLACK, GREY], [WHITE, WHITE]])) == 0


@pytest.mark.parametrize("bits", [8, 16])
def test_a_transparent_colour(bits: int, tmp_path: Path) -> None:
    unit = 257 if bits == 16 else 1
    found = read(png(FOUR * unit, 2, bits, tRNS=struct.pack(">3H", 0, 255 * unit, 0)), tmp_path)
    assert off(found, np.array([[RED, GREY], [BLUE, WHITE]])) == 0


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_with_transparency(bits: int, tmp_path: Path) -> None:
    palette = bytes(RED + GREEN)
    for opacities, wanted in ((b"\xff\x00", GREY), (b"\xff\x80", (63, 191, 63)), (b"\xff", GREEN)):
        found = read(png(np.array([[0, 1]]), 3, bits, PLTE=palette, tRNS=opacities), tmp_path)
        assert off(found, np.array([[RED, wanted]])) <= 1


def test_a_gif_with_transparency_and_more_frames_is_its_first(tmp_path: Path) -> None:
    first = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    first.putpalette(RED + GREEN)
    found = read(first, tmp_path, format="GIF", transparency=1, save_all=True, append_images=[Image.new("P", (2, 2))])
    assert off(found, np.array([[RED, GREY], [GREY, RED]])) == 0


def test_opacity_that_is_multiplied_in(tmp_path: Path) -> None:
    """TIFF with associated alpha (ExtraSamples 1): colour 128 at opacity 128 is full colour, half seen."""
    premultiplied = Image.fromarray(np.array([[(128, 0, 0, 128), (0, 0, 0, 0)]], np.uint8), "RGBA")
    premultiplied.save(tmp_path / "a.tif")
    data = (tmp_path / "a.tif").read_bytes().replace(struct.pack("<HHIH", 338, 3, 1, 2), struct.pack("<HHIH", 338, 3, 1, 1))
    assert off(read(data, tmp_path), np.array([[(191, 63, 63), GREY]])) <= 1


@pytest.mark.parametrize("level", [0, 128, 129, 32767, 32896, 65407, 65535])
def test_sixteen_bits_are_scaled_not_cut(level: int, tmp_path: Path) -> None:
    wanted = np.full((2, 2, 3), round(level / 257))
    assert off(read(png(np.full((2, 2), level), 0, 16), tmp_path), wanted) == 0
    assert off(read(png(np.full((2, 2, 3), level), 2, 16), tmp_path), wanted) <= 1
    assert off(read(b"P5 2 2 65535\n" + struct.pack(">4H", *[level] * 4), tmp_path), wanted) <= 1
    for order in ("<", ">"):
        tiff = Image.fromarray(np.full((2, 2), level, order + "u2"))
        assert off(read(tiff, tmp_path, format="TIFF"), wanted) == 0
    white_is_zero = Image.fromarray(np.full((2, 2), 65535 - level, np.uint16))
    assert off(read(white_is_zero, tmp_path, format="TIFF", tiffinfo={262: 0}), wanted) == 0


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bit_values_are_refused(dtype: type, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="TIFF picture of 32-bit values, need 8 or 16 bits"):
        read(Image.fromarray(np.ones((4, 4), dtype)), tmp_path, format="TIFF")


SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
DISPLAY_P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
"""Red, green and blue in XYZ, adapted to D50."""


def profile(gamma: float, space: bytes = b"RGB ", primaries: tuple[tuple[float, ...], ...] = SRGB) -> bytes:
    """A colour profile (ICC 2.1) with the primaries given, or of grey, and the gamma given."""

    def xyz(*values: float) -> bytes:
        return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))

    white = xyz(0.9642, 1.0, 0.8249)  # D50
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {b"wtpt": white, b"desc": b"desc" + bytes(7) + b"\2x" + bytes(79), b"cprt": b"text" + bytes(4) + b"x\0\0\0"}
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        for name, values in zip((b"r", b"g", b"b"), primaries, strict=True):
            tags |= {name + b"XYZ": xyz(*values), name + b"TRC": curve}
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = bytes(8) + struct.pack(">I", 0x02100000) + b"mntr" + space + b"XYZ " + bytes(12) + b"acsp" + bytes(28) + white[8:]
    whole = header.ljust(128, b"\0") + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


def as_srgb(level: float, gamma: float) -> float:
    """Level (0 to 255) on a screen of `gamma` as the sRGB level of the same light (IEC 61966-2-1)."""
    light = (level / 255) ** gamma
    return 255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA"])
def test_colour_profiles_are_converted(mode: str, tmp_path: Path) -> None:
    grey = Image.new("RGB", (4, 4), (100, 100, 100)).convert(mode)
    found = read(grey, tmp_path, format="PNG", icc_profile=profile(1.0, b"GRAY" if mode in ("L", "LA") else b"RGB "))
    assert off(found, np.full((4, 4, 3), round(as_srgb(100, 1.0)))) <= 2  # 168: linear light looks much too dark unconverted


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("colour", [(170, 120, 100), (120, 150, 110), (90, 60, 60)])
def test_a_phones_wide_colours_are_not_pale(kind: str, colour: tuple[int, int, int], tmp_path: Path) -> None:
    """Display P3, as phones write it: the same light in sRGB's primaries, by hand."""
    exact = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    icc = profile(2.2, primaries=DISPLAY_P3)
    found = read(Image.new("RGB", (8, 8), colour), tmp_path, format=kind, icc_profile=icc, **exact)
    light = np.linalg.solve(np.array(SRGB).T, np.array(DISPLAY_P3).T @ (np.array(colour) / 255) ** 2.2)
    assert off(found, np.full((8, 8, 3), [round(as_srgb(255 * value, 1.0)) for value in light])) <= 2


def test_a_profile_of_srgb_changes_nothing(tmp_path: Path, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert off(read(Image.fromarray(pixels), tmp_path, format="PNG", icc_profile=srgb), pixels) == 0


@pytest.mark.parametrize("icc", [b"rubbish", profile(1.0)[:200], profile(1.0, b"GRAY")])
def test_a_profile_that_does_not_fit_is_a_warning(icc: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = read(Image.fromarray(UPRIGHT), tmp_path, format="PNG", icc_profile=icc)
    assert off(found, UPRIGHT) == 0 and "colour profile cannot be used" in caplog.text


@pytest.mark.parametrize(("gamma", "wanted"), [(1 / 2.2, 100), (1.0, 167), (0.0, 100)])
def test_the_gamma_of_a_png_counts(gamma: float, wanted: int, tmp_path: Path) -> None:
    chunk = struct.pack(">I", round(gamma * 100_000))
    pixels = np.full((2, 2, 3), 100)
    assert off(read(png(pixels, 2, 8, gAMA=chunk), tmp_path), np.full((2, 2, 3), wanted)) <= 1
    assert off(read(png(pixels, 2, 8, gAMA=chunk, sRGB=b"\0"), tmp_path), pixels) == 0  # PNG 3, 11.3.2.5: sRGB overrides


def test_the_suffix_does_not_decide(tmp_path: Path) -> None:
    Image.fromarray(UPRIGHT).save(tmp_path / "a.jpg", "PNG")
    assert off(read_image(tmp_path / "a.jpg"), UPRIGHT) == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM"])
def test_half_a_picture_is_an_error(kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(buffer, kind)
    whole = buffer.getvalue()
    assert read(whole, tmp_path).shape == (64, 64, 3)
    for share in (0.02, 0.5, 0.97):
        with pytest.raises(MediaError, match=r"ends too early, after \d[\d,]* bytes|not a readable picture") as caught:
            read(whole[: int(share * len(whole))], tmp_path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM"])
def test_flipped_bits_give_a_picture_or_one_line(kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    buffer = io.BytesIO()
    tags = {"exif": exif(6), "icc_profile": profile(1.8)} if kind in ("JPEG", "PNG", "WEBP") else {}
    Image.fromarray(UPRIGHT).save(buffer, kind, **tags)
    for _ in range(60):
        data = np.frombuffer(buffer.getvalue(), np.uint8).copy()
        data[rng.integers(0, min(len(data), 600), 3)] ^= np.uint8(1) << rng.integers(8, size=3, dtype=np.uint8)
        try:
            assert read(data.tobytes(), tmp_path).ndim == 3
        except MediaError as error:
            assert str(error).startswith(str(tmp_path)) and "\n" not in str(error)


def bomb(wide: int, high: int) -> bytes:
    """A PNG that declares more pixels than it holds."""
    return png(np.zeros((1, 1), np.uint8), 0, 8, IHDR=struct.pack(">IIBBBBB", wide, high, 8, 0, 0, 0, 0))


@pytest.mark.parametrize(("wide", "high"), [(10_001, 10_000), (14_000, 14_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels_are_refused_before_they_are_decoded(wide: int, high: int, tmp_path: Path) -> None:
    assert wide * high > LARGEST_PX
    with pytest.raises(MediaError, match=r"picture.dat: .*need 100 megapixels or fewer"):
        read(bomb(wide, high), tmp_path)


def test_what_is_no_picture_is_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")  # must not be waited for
    (tmp_path / "empty.png").touch()
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "page.png").write_text("<!DOCTYPE html><html>not found</html>")
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "figure.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")  # Pillow would call Ghostscript
    (tmp_path / "video.png").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    for name, words in {
        "pipe.png": "a pipe or device, need a picture",
        "empty.png": "empty file",
        "loop.png": "no such file",
        "missing.png": "no such file",
        "x" * 300: "cannot be read",
        ".": "a folder, need a picture",
        "page.png": "not a readable picture",
        "text.jpg": "not a readable picture",
        "figure.jpg": "not a readable picture",
        "video.png": "may be a video or an HEIC photo",
    }.items():
        with pytest.raises(MediaError, match=words) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch(mode=0o000)
    with pytest.raises(MediaError, match="Permission denied"):
        read(b"", tmp_path)


def test_written_pictures_read_back(tmp_path: Path, rng: np.random.Generator) -> None:
    rgb = rng.integers(0, 256, (8, 8, 3), np.uint8)
    write_image(tmp_path / "a.png", rgb)
    assert off(read_image(tmp_path / "a.png"), rgb) == 0
    write_image(tmp_path / "a.JPG", UPRIGHT)
    assert abs(read_image(tmp_path / "a.JPG").astype(int) - UPRIGHT).mean() < 10
    with pytest.raises(SpaceError, match="'.foo' is not known"):
        write_image(tmp_path / "a.foo", rgb)
