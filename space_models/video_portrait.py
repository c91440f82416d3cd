"""A video as portrait: of its first ten seconds the frame that will do best as a photo.

All that is drawn later comes from that frame: shut eyes stay blind, an open mouth never quite closes, a turned head lacks its far
side.
"""

import logging
from itertools import islice
from pathlib import Path

import numpy as np

from space_data.errors import SpaceError
from space_data.facemesh import FaceMeshTracker
from space_data.features import track_of_meshes
from space_data.landmarks import N_MESH, lip_gap
from space_data.measures import face_box, face_grey, reblur_ratio
from space_data.media.container import MediaError, RgbImage
from space_data.media.images import read_image
from space_data.media.probe import probe
from space_data.media.video import decode_video

logger = logging.getLogger(__name__)

LOOK_S, LOOK_HZ = 10.0, 4.0
BAD_ANGLE_DEG, BAD_GAP_IOD, BAD_LID_SHARE, BAD_BLUR = 15.0, 0.10, 0.15, 0.25
"""What counts as one fault: so far off straight ahead, shut lips, eyes as usual, the sharpest face (``reblur_ratio``)."""
USUAL_PERCENTILE = 75


def read_portrait_picture(path: Path) -> RgbImage:
    """The picture in a file, or a good frame of a video; which is logged.

    Raises:
        MediaError: neither a readable picture (``read_image``) nor a video.
        SpaceError: no face in the video.
    """
    try:
        return read_image(path)
    except MediaError:
        if not _is_video(path):
            raise
    number, at_s = _best_frame(path)
    logger.info("%s: a video, its frame at %.2f s is the portrait", path, at_s)
    return next(islice(decode_video(path, end_s=LOOK_S, at_most_hz=LOOK_HZ), number, None)).rgb


def _is_video(path: Path) -> bool:
    try:
        return path.is_file() and probe(path).shown_frames > 1
    except MediaError:
        return False


def _best_frame(path: Path) -> tuple[int, float]:
    """Number among the frames looked at, and time, of the frame with the least that is wrong with it."""
    meshes, times_s, blurs = [], [], []
    with FaceMeshTracker() as tracker:
        for frame in decode_video(path, end_s=LOOK_S, at_most_hz=LOOK_HZ):
            mesh = None if frame.is_damaged else tracker(frame.rgb)
            grey = None if mesh is None else face_grey(frame.rgb, face_box(mesh))
            meshes.append(np.full((N_MESH, 3), np.nan, np.float32) if mesh is None or grey is None else mesh)
            blurs.append(np.nan if grey is None else reblur_ratio(grey))
            times_s.append(frame.pts_s)
    if not np.isfinite(blurs).any():
        raise SpaceError(f"{path}: no face found in the first {LOOK_S:g} s of the video (need one face seen from the front)")
    face = track_of_meshes(np.stack(meshes))
    opening = face.eye_opening.mean(axis=1)
    usual = np.percentile(opening[~face.interpolated], USUAL_PERCENTILE)
    wrong = np.hypot(face.pose.yaw_deg, face.pose.pitch_deg) / BAD_ANGLE_DEG
    wrong = wrong + np.maximum(lip_gap(face.normalised), 0) / BAD_GAP_IOD
    wrong += np.maximum(1 - opening / usual, 0) / BAD_LID_SHARE + (np.array(blurs) - np.nanmin(blurs)) / BAD_BLUR
    best = int(np.nanargmin(wrong))
    return best, times_s[best]
