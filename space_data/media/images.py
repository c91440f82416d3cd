"""Still pictures, through Pillow: the only file that imports it."""

import io
import logging
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile, UnidentifiedImageError

from space_data.errors import SpaceError
from space_data.files import atomic_file
from space_data.media.container import LARGEST_PX, MediaError, RgbImage, reason
from space_data.native_noise import quiet_stderr

logger = logging.getLogger(__name__)
logging.getLogger("PIL").setLevel(logging.CRITICAL)  # it tells of damage before it raises

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM")
"""Tried on a file's content. Pillow knows more, some of it through other programs (PostScript)."""
GROUND = 127
"""Grey level under transparent parts."""
SCREEN_GAMMA = 1 / 2.2
SAME_GAMMA = 0.05
"""Of a PNG's gamma: a smaller deviation is left alone."""
SAME_LEVELS = 2
"""A colour profile that changes no colour by more is sRGB under another name."""
JPEG_QUALITY = 95
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, RuntimeError, struct.error, zlib.error)
"""What Pillow's readers raise on damaged files."""


def read_image(path: Path | str) -> RgbImage:
    """Read a picture as upright sRGB, uint8 (height, width, 3); its content decides on the format, not its suffix.

    The orientation that EXIF, XMP or the container states is applied, a colour profile or a PNG's gamma is converted (its cHRM
    chunk is not), 16 bits are scaled to 8, transparent parts are laid over mid grey; of several pictures the first is taken.
    What is doubtful but readable (a broken profile) is logged.

    Raises:
        MediaError: no such file, no file, empty, no picture, more than 100 megapixels, broken off, or of 32-bit values.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise MediaError(f"{path}: no such file")
        if not path.is_file():  # a pipe would be waited for
            raise MediaError(f"{path}: {'a folder' if path.is_dir() else 'a pipe or device'}, need a picture")
        if not path.stat().st_size:
            raise MediaError(f"{path}: empty file (0 bytes)")
        file = path.open("rb")
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({reason(error)})") from error
    with file, quiet_stderr(), warnings.catch_warnings(record=True) as told:  # libtiff speaks to standard error
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit is ours
        rgb = _decoded(path, file)
    for warning in told:
        logger.warning("%s: %s", path, " ".join(str(warning.message).split()))
    return rgb


def _decoded(path: Path, file: BinaryIO) -> RgbImage:
    """The upright pixels of an open file."""
    kind = "picture"
    try:
        with Image.open(file, formats=FORMATS) as image:
            kind = f"{image.format} picture of {image.width}x{image.height} px"
            if image.width * image.height > LARGEST_PX:
                raise MediaError(f"{path}: {kind}, need {LARGEST_PX // 10**6} megapixels or fewer (save a smaller copy)")
            raw_mode = _raw_mode(image)
            image.load()
            orientation = _orientation(image)
            colour, alpha = _colour_and_alpha(path, image, raw_mode)
            rgb = _in_srgb(colour, image.info)
    except Image.DecompressionBombError as error:
        raise MediaError(f"{path}: {reason(error)} (need {LARGEST_PX // 10**6} megapixels or fewer)") from error
    except UnidentifiedImageError as error:
        file.seek(4)
        slip = "; this may be a video or an HEIC photo: save it as JPEG" if file.read(4) == b"ftyp" else ""
        raise MediaError(f"{path}: not a readable picture (need JPEG, PNG, WebP, AVIF, TIFF, BMP or GIF{slip})") from error
    except _DECODE_ERRORS as error:
        size_bytes = path.stat().st_size
        raise MediaError(f"{path}: {kind} is damaged or ends too early, after {size_bytes:,} bytes ({reason(error)})") from error
    if alpha is not None:
        ground = Image.new("RGB", rgb.size, (GROUND,) * 3)
        ground.paste(rgb, mask=alpha)
        rgb = ground
    return _turned(np.asarray(rgb), orientation)


def _raw_mode(image: Image.Image) -> str:
    """How the pixels lie in the file, e.g. "RGB;16B": known before they are loaded only."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    args = tiles[0].args if tiles else None
    return str(args[0] if isinstance(args, tuple) else args)


def _orientation(image: Image.Image) -> int:
    """The orientation that the file states, 1 to 8 as EXIF numbers them; 1 where it is not legible."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DECODE_ERRORS as error:
        warnings.warn(f"EXIF data cannot be read ({reason(error)}), taken as upright", stacklevel=2)
        return 1


def _turned(pixels: NDArray[np.uint8], orientation: int) -> RgbImage:
    """Stored pixels (H, W, 3) as they are to be seen: EXIF 2.3, tag 0x0112 names the edge where row 0 and column 0 lie."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _colour_and_alpha(path: Path, image: Image.Image, raw_mode: str) -> tuple[Image.Image, Image.Image | None]:
    """A loaded picture as L, RGB, CMYK or LAB of 8 bits, and its opacity (L), if it has any."""
    transparent = image.info.get("transparency")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        tags = getattr(image, "tag_v2", {})  # a TIFF's
        levels = np.asarray(image)
        grey = np.round(levels / np.float32((2 ** tags.get(ExifTags.Base.BitsPerSample, (16,))[0] - 1) / 255)).astype(np.uint8)
        if tags.get(ExifTags.Base.PhotometricInterpretation) == 0:  # white is zero
            grey = 255 - grey
        alpha = None if transparent is None else Image.fromarray(np.where(levels == transparent, 0, 255).astype(np.uint8))
        return Image.fromarray(grey), alpha
    if image.mode in ("I", "F"):
        raise MediaError(f"{path}: {image.format} picture of 32-bit values, need 8 or 16 bits (which value is white?)")
    if image.format == "PNG" and isinstance(transparent, (int, tuple)):  # Pillow leaves it in the file's depth
        depth = {"L;2": lambda v: v * 85, "L;4": lambda v: v * 17, "RGB;16B": lambda v: v >> 8}.get(raw_mode, int)
        image.info["transparency"] = depth(transparent) if isinstance(transparent, int) else tuple(map(depth, transparent))
    if not image.has_transparency_data:
        return image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("L" if image.mode == "1" else "RGB"), None
    rgba = image.convert("RGBA")
    return rgba.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB"), rgba.getchannel("A")


def _in_srgb(image: Image.Image, info: dict[Any, Any]) -> Image.Image:
    """A picture of mode L, RGB, CMYK or LAB as sRGB: through its profile, where it has one that can be used."""
    srgb = ImageCms.createProfile("sRGB")
    if image.mode == "LAB":
        return ImageCms.buildTransform(ImageCms.createProfile("LAB"), srgb, "LAB", "RGB").apply(image)
    plain = image if image.mode == "RGB" else image.convert("RGB")
    if info.get("icc_profile"):
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(info["icc_profile"]))
            transform = ImageCms.buildTransform(profile, srgb, image.mode, "RGB")
        except (ImageCms.PyCMSError, *_DECODE_ERRORS) as error:
            warnings.warn(f"colour profile cannot be used ({reason(error)}), taken as sRGB", stacklevel=2)
            return plain
        return plain if image.mode != "CMYK" and _changes_nothing(transform, image.mode) else transform.apply(image)
    gamma = info.get("gamma", SCREEN_GAMMA)
    if "srgb" not in info and gamma > 0 and abs(gamma / SCREEN_GAMMA - 1) > SAME_GAMMA:
        curve = 255 * (np.arange(256) / 255) ** (SCREEN_GAMMA / gamma)
        return plain.point(list(np.round(curve).astype(int)) * 3)
    return plain


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a colour transform from L or RGB gives back the levels that it is given."""
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    colours = steps[None] if mode == "L" else np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    probe = Image.fromarray(colours)
    moved = np.asarray(transform.apply(probe), int) - np.asarray(probe.convert("RGB"), int)
    return bool(abs(moved).max() <= SAME_LEVELS)


def write_image(path: Path | str, rgb: RgbImage) -> None:
    """Write uint8 RGB (height, width, 3) as the format that the suffix names, atomically.

    Raises:
        SpaceError: no such format, or the file cannot be written.
    """
    path = Path(path)
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind not in FORMATS:
        raise SpaceError(f"{path}: picture format {path.suffix!r} is not known (use .png or .jpg)")
    with atomic_file(path) as part:
        Image.fromarray(rgb).save(part, kind, quality=JPEG_QUALITY)
