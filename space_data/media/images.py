"""Still pictures."""

from pathlib import Path

import cv2
import numpy as np

from space_data.errors import SpaceError
from space_data.files import atomic_file
from space_data.media.container import MediaError, RgbImage, reason
from space_data.native_noise import quiet_stderr


def read_image(path: Path | str) -> RgbImage:
    """Read a picture as upright RGB (EXIF orientation applied); transparent parts are laid over mid grey.

    Raises:
        MediaError: missing, empty, or not a picture.
    """
    path = Path(path)
    if not path.exists():
        raise MediaError(f"{path}: no such file")
    try:
        data = np.fromfile(path, np.uint8) if path.is_file() else np.zeros(0, np.uint8)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({reason(error)})") from error
    if not len(data):
        raise MediaError(f"{path}: {'empty file (0 bytes)' if path.is_file() else 'a folder, need a picture'}")
    try:
        with quiet_stderr():
            upright = cv2.imdecode(data, cv2.IMREAD_COLOR)
            stored = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise MediaError(f"{path}: not a readable picture ({error.err})") from error
    if upright is None:
        raise MediaError(f"{path}: not a readable picture (need PNG, JPEG, WebP, BMP or TIFF)")
    if stored.ndim == 3 and stored.shape[2] == 4 and stored.dtype == np.uint8:  # PNG and WebP carry no EXIF rotation in practice
        alpha = stored[..., 3:].astype(np.float32) / 255
        upright = np.round(stored[..., :3] * alpha + 127 * (1 - alpha)).astype(np.uint8)
    return np.asarray(cv2.cvtColor(upright, cv2.COLOR_BGR2RGB), np.uint8)


def write_image(path: Path | str, rgb: RgbImage) -> None:
    """Write uint8 RGB (height, width, 3) as the format that the suffix names, atomically."""
    path = Path(path)
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise SpaceError(f"{path}: picture format {path.suffix!r} is not known (use .png or .jpg)")
    with atomic_file(path) as part:
        part.write_bytes(data.tobytes())
