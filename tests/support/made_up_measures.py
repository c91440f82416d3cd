"""A clip and a segment with nothing wrong, for the tests of what comes after ``ingest``."""

import numpy as np

from space_data.schema import Clip, Measure

CLIP = Clip(
    clip_id="set/c", path="c.mp4", sha256="0" * 64, audio_path="", audio_track=None, part_start_s=0, part_end_s=None,
    part_crop_px=np.zeros(4, np.float32), dataset="set", subject="set/s", recording="", statement="", emotion="neutral",
    intensity=0, view="", language="", sex="", split="train", annotated_offset_frames=None, annotated_speaker_confidence=None,
    annotated_face_confidence=None, duration_s=4, promised_video_s=4, packets_end_s=4, fps=25, header_frames=100,
    shown_frames=100, hidden_frames=0, restarts=0, jumped_s=0, video_tracks=1, audio_tracks=1, width_px=256, height_px=256,
    rotation_deg=0, is_mirrored=False, colours="", is_interlaced=False, video_codec="h264", pixel_format="yuv420p",
    video_start_s=0, audio_codec="aac", audio_hz=16000, audio_channels=1, audio_start_s=0,
)  # fmt: skip
GOOD = Measure(
    clip_id="c", source_clip_id="c", segment=0, dataset="set", subject="s", screened="", first_frame=0, end_frame=100,
    start_s=0, end_s=4, length_s=4, frame_rate_hz=25, mean_rate_hz=25, irregular_share=0, header_fps=25, missing_share=0,
    damaged_share=0, restarts=0, jumped_s=0, picture_sizes=1, interlaced_share=0, colours_mapped=False, is_mirrored=False,
    tracks=1, sound_gaps_s=0, bad_sample_share=0, sound_rescaled=False, channels_cancel=False, has_audio=True, audio_s=4,
    video_s=4, width_px=256, height_px=256, lost_share=0, track_jump=0.05, face_width_px=120, outside_share=0,
    detector_score=0.9, landmark_jitter=0.002, photo_score=0.95, several_faces_share=0, unseen_share=0, yaw_p95_deg=10,
    yaw_median_deg=5, pitch_p95_deg=5, roll_p95_deg=5, yaw_range_deg=15, pitch_range_deg=8, roll_range_deg=6, reblur_ratio=0.15,
    reblur_coarse=0.1, luma_mean=120, luma_sd=40, frame_difference=1, duplicate_share=0, frozen_s=0, border_share=0,
    lip_motion=0.05, speech_share=0.9, speech_s=3.6, silence_s=0.3, speech_level_db=-20, speech_over_noise_db=30,
    peak_level_db=-10, clipped_share=0,
)  # fmt: skip
