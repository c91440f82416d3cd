"""Fake repositories with the real command lines and quirks: they draw what they hear, as late and as short as the real ones.

The sound of frame i has loudness (i + 10) / 256; a fake draws a bar whose place is the loudness of the frame that it draws. So a
canonical clip shows in every frame which frame of the sound it was made from.
"""

import wave
from pathlib import Path

import numpy as np

SAMPLES, FIRST = 640, 10
COMMON = '''
import os, sys, wave, glob
import cv2, numpy as np

def loudness(path):
    with wave.open(path) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float) / 32767
    return np.abs(samples[: len(samples) // 640 * 640]).reshape(-1, 640).mean(1)

def bar(level, side=128):
    rgb = np.full((side, side, 3), 60, np.uint8)
    at = round(level * 256 / 128 * side)
    rgb[:, max(0, at - 6) : at + 6] = 230
    return rgb

def write(path, frames, fps=25.0):
    height, width = frames[0].shape[:2]
    out = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), fps, (width, height))
    for frame in frames:
        out.write(frame)
    out.release()

def option(name):
    return sys.argv[sys.argv.index(name) + 1]
'''
PROGRAMS = {
    # Fails after it has written its video; takes the first dot of a path for that of the suffix; needs temp/ where it runs.
    "wav2lip": ("Wav2Lip", "inference.py", '''
assert option("--face").split(".")[1] in ("jpg", "png"), option("--face")
levels = loudness(option("--audio"))
mel, chunks = 1 + len(levels) * 640 // 200, 0
while int(chunks * 80 / 25.0) + 16 <= mel:
    chunks += 1
open("temp/result.avi", "w").close()
write(option("--outfile"), [bar(levels[min(i, len(levels) - 1)]) for i in range(chunks + 1)])
open("examples.txt", "a").write("it was here")
sys.exit(1)
'''),
    # Names its video after the time, and leaves a folder beside it.
    "sadtalker": ("SadTalker", "inference.py", '''
folder = option("--result_dir")
os.makedirs(folder + "/2026_11_30_10.00.00", exist_ok=True)
write(folder + "/2026_11_30_10.00.00.mp4", [bar(level) for level in loudness(option("--driven_audio"))])
'''),
    # Two frames more than it hears.
    "latentsync": ("LatentSync", "scripts/inference.py", '''
assert cv2.VideoCapture(option("--video_path")).get(cv2.CAP_PROP_FRAME_COUNT) == len(loudness(option("--audio_path")))
levels = list(loudness(option("--audio_path")))
write(option("--video_out_path"), [bar(level) for level in levels + levels[-1:] * 2])
'''),
    # Hears two frames of silence before, one behind, and draws them; the sound beside it begins where it begins.
    "joyvasa": ("JoyVASA", "inference.py", '''
levels = list(loudness(option("--audio")))
name = "_".join(os.path.splitext(os.path.basename(option(one)))[0] for one in ("--reference", "--audio"))
write(option("--output_dir") + f"/{name}_temp.mp4", [bar(0.1)] * 3)
write(option("--output_dir") + f"/{name}.mp4", [bar(level) for level in levels[:1] * 2 + levels + levels[-1:]])
'''),
    # Reads its task from a file, leaves one beside the folder of results, and ends with an error that it swallows.
    "musetalk": ("MuseTalk", "scripts/inference.py", '''
task = dict(line.strip().split(": ", 1) for line in open(option("--inference_config")) if line.startswith("  "))
open(option("--result_dir") + "/../portrait.pkl", "w").close()
os.makedirs(option("--result_dir") + "/v15")
levels = loudness(task["audio_path"].strip('"'))
assert cv2.imread(task["video_path"].strip('"')) is not None
write(option("--result_dir") + "/v15/" + task["result_name"], [bar(level) for level in levels])
print("Error occurred during processing: local variable referenced before assignment")
'''),
    # Three panels at 62.5 frames per second, short by 18 hops; every .wav that is there; dies of its own leftovers.
    "makeittalk": ("MakeItTalk", "main_end2end.py", '''
assert not os.path.exists("examples/tmp.wav"), "SameFileError: examples/tmp.wav"
open("examples/tmp.wav", "w").close()
photo = cv2.imread("examples/" + option("--jpg"))
assert photo.shape == (256, 256, 3)
for path in sorted(set(glob.glob("examples/*.wav")) - {"examples/tmp.wav"}):
    levels = loudness(path)
    hops = len(levels) * 640 // 256 - 18
    frames = [np.hstack([photo, bar(levels[min(int((i + 0.5) * 0.4), len(levels) - 1)], 256), photo * 0]) for i in range(hops)]
    write("examples/%s_pred_fls_%s.mp4" % (option("--jpg")[:-4], os.path.basename(path)[:-4]), frames, 62.5)
'''),
    # Begins at frame 2, ends early, follows the head of pictures in a folder; silent.
    "pc_avs": ("Talking-Face_PC-AVS", "inference.py", '''
row = open(option("--meta_path_vox")).read().split()
assert len(row) == 8 and os.path.isfile(row[0] + "/000000.jpg")
assert len(os.listdir(row[2])) == int(row[3])
levels = loudness(row[4])
out = "results/id_%s_pose_%s_audio_%s" % (os.path.basename(row[0]), os.path.basename(row[2]), os.path.basename(row[4])[:-4])
os.makedirs(out, exist_ok=True)
frames = [bar(levels[i]) for i in range(2, (4 * len(levels) + 7) // 4 - 2)]
write(out + "/G_Pose_Driven_.mp4", frames)
write(out + "/concat.mp4", [np.hstack([frame] * 3) for frame in frames])
'''),
}  # fmt: skip
"""By system: folder of the checkout, script, its text."""


def ramp(n_frames: int) -> np.ndarray:
    """Sound (640 n,) whose frame i has loudness (i + 10) / 256."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], n_frames * SAMPLES)
    return (np.repeat(np.arange(FIRST, n_frames + FIRST), SAMPLES) / 256 * signs).astype(np.float32)


def heard(rgb: np.ndarray) -> int:
    """Which frame of ``ramp`` a fake drew."""
    bright = np.flatnonzero(rgb[rgb.shape[0] // 2, :, 1] > 150)
    return round(float(bright.mean() + 0.5) * 128 / rgb.shape[1]) - FIRST


def make_checkout(root: Path, system: str, required: list[str], program: str = "") -> Path:
    """A fake checkout below ``root``, with all files that the card requires."""
    folder, script, text = PROGRAMS[system]
    checkout = root / folder
    for name in (*required, "temp/README.md", "examples/sample.wav", "examples/old.mp4", ".git/HEAD"):
        path = checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("0123456789abcdef0123456789abcdef01234567\n")
    with wave.open(str(checkout / "examples/sample.wav"), "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(b"\0\0" * 16000)
    (checkout / script).parent.mkdir(parents=True, exist_ok=True)
    (checkout / script).write_text(COMMON + (program or text))
    return checkout
