"""What stands in the page of `space demo` while nobody has touched it, but for a portrait and speech."""

from pipelines.demo.form import PLAIN

UNTOUCHED = {
    **PLAIN, "image": "/up/face.png", "audio": "/up/speech.wav", "emotion": [[0, "", ""]], "timeline": "", "driving": None,
    "from_tracks": None, "pose_yaw": 0, "pose_pitch": 0, "pose_roll": 0, "gaze_yaw": 10, "gaze_pitch": -5, "seed": 0,
    "generator": "warp", "size": 512, "paste_back": False, "watermark": False,
}  # fmt: skip
