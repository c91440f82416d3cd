"""A segment with nothing wrong, for the tests of sync and filter."""

from space_data.schema import Measure

GOOD = Measure(
    dataset="set", screened="", header_fps=25, track_jump=0.05, detector_score=0.9, landmark_jitter=0.001, photo_score=0.9,
    roll_p95_deg=5, yaw_range_deg=10, pitch_range_deg=8, roll_range_deg=6, frozen_s=0, border_share=0, silence_s=0.4,
    clip_id="c", source_clip_id="c", segment=0, subject="s", first_frame=0, end_frame=100, start_s=0, end_s=4, length_s=4,
    frame_rate_hz=25, irregular_share=0, header_frames=100, header_s=4, decoded_frames=100, decode_error="", has_audio=True,
    audio_s=4, video_s=4, width_px=256, height_px=256, lost_share=0, face_width_px=120, outside_share=0, several_faces_share=0,
    unseen_share=0, yaw_p95_deg=10, yaw_median_deg=5, pitch_p95_deg=5, reblur_ratio=0.15, reblur_coarse=0.1, luma_mean=120,
    luma_sd=40, frame_difference=1, duplicate_share=0, lip_motion=0.05, speech_share=0.9, speech_s=3.6, speech_level_db=-20,
    speech_over_noise_db=30, peak_level_db=-10, clipped_share=0,
)  # fmt: skip
