"""Real repositories made to run without their authors' weights: random ones of their own network classes, cards for a processor.

``python tests/support/random_checkouts.py DIR PYTHON``: below DIR lie clones of some of the three repositories, at the commits
that the cards name; PYTHON has what they import. Written are the files of weights that each expects, ``DIR/<system>.yaml`` (the
shipped card with what differs on such a machine), and ``DIR/stand_ins``, packages in place of a landmark detector whose weights
are not here and of one that is imported only and no longer published. The repositories' own files are not touched.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from evaluation.external.card import shipped_card
from evaluation.external.drive import check_installed
from evaluation.external.shims import lay_out

PREAMBLE = '''
import os, sys
import numpy as np, torch

sys.path.insert(0, ".")
torch.manual_seed(0)
rng = np.random.default_rng(0)
loudness, pitch_hz = (np.repeat(rng.uniform(*span, 100), 640) for span in ((0, 0.2), (100, 300)))
phase = 2 * np.pi * np.cumsum(pitch_hz) / 16000
sound = loudness * sum(np.sin(k * phase) for k in range(1, 9))

def save(content, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    torch.save(content, path)

def settle(network, *inputs):
    """Batch normalisation by what goes through: else what comes out hardly depends on what goes in."""
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    network.train()
    with torch.no_grad():
        network(*inputs)
    return network.eval().state_dict()
'''
WEIGHTS = {
    "wav2lip": '''
import audio
from models import Wav2Lip

network = Wav2Lip()
for module in network.face_encoder_blocks.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
        module.weight.data *= 0.1  # or the face drowns the sound
mel = torch.tensor(audio.melspectrogram(sound), dtype=torch.float32)
windows = torch.stack([mel[None, :, i : i + 16] for i in range(0, 300, 8)])
faces = torch.nn.functional.interpolate(torch.rand(len(windows), 6, 12, 12), (96, 96), mode="bilinear")
save({"state_dict": settle(network, windows, faces)}, "checkpoints/wav2lip_gan.pth")
save({}, "face_detection/detection/sfd/s3fd.pth")
''',
    "makeittalk": '''
import pickle
from src.autovc.retrain_version.model_vc_37_1 import Generator
from src.models.model_audio2landmark import Audio2landmark_content, Audio2landmark_pos
from src.models.model_image_translation import ResUnetGenerator

content = Audio2landmark_content(num_window_frames=18, in_size=80, use_prior_net=True, bidirectional=False, drop_out=0.5)
speaker = Audio2landmark_pos(drop_out=0.5, spk_emb_enc_size=128, c_enc_hidden_size=256, transformer_d_model=32, N=2, heads=2,
                             z_size=128, audio_dim=256)
pictures = ResUnetGenerator(input_nc=6, output_nc=3, num_downs=6, use_dropout=False)
last = pictures.model.model[-1]
last.weight.data[:, last.in_channels // 2:] = 0  # the outermost level alone: a picture near the lines, not noise as wide as it
content.fc[-1].weight.data *= 0.3
save({"model": Generator(16, 256, 512, 16).state_dict()}, "examples/ckpt/ckpt_autovc.pth")
save({"model_g_face_id": settle(content, torch.randn(64, 18, 80), torch.randn(1, 204))}, "examples/ckpt/ckpt_content_branch.pth")
save({"G": speaker.state_dict()}, "examples/ckpt/ckpt_speaker_branch.pth")
save({"G": settle(pictures, torch.rand(4, 6, 256, 256))}, "examples/ckpt/ckpt_116_i2i_comb.pth")
os.makedirs("examples/dump", exist_ok=True)
with open("examples/dump/emb.pickle", "wb") as file:
    pickle.dump({"somebody": torch.randn(256).numpy()}, file)
''',
    "pc_avs": '''
from torchvision.models import VGG19_Weights, vgg19

# Its loss asks for torchvision's VGG19 when it is imported, and does nothing with it here: one number for all, a small file.
with torch.device("meta"):
    empty = vgg19().state_dict()
save({name: torch.zeros(1).expand(value.shape) for name, value in empty.items()},
     os.environ["TORCH_HOME"] + "/hub/checkpoints/" + os.path.basename(VGG19_Weights.DEFAULT.url))

from config.AudioConfig import AudioConfig
from models import networks
from options.test_options import TestOptions

options = TestOptions().parse()
made = {}
for label in ("G", "A", "A_sync", "E", "V"):
    name, kind = getattr(options, "net" + label), "generator" if label == "G" else "encoder"
    made[label] = networks.find_network_using_name(name, kind)(options).eval()
spectra = torch.tensor(AudioConfig().audio_to_spectrogram(sound))
windows = torch.stack([spectra[None, i : i + 20].mT for i in range(0, 300, 8)])
settle(made["A_sync"], windows)
with torch.no_grad():  # the generator wants features of about 1; untrained ones are near 0, a grey picture that never changes
    embed = made["E"].mouth_embed
    embed[1].weight /= embed(made["A_sync"].forward_feature(windows)).std(dim=0).mean() / 3
    made["V"].conv1x1.weight /= made["V"](torch.randn(1, 3, 224, 224))[0][1].std()
for label, network in made.items():
    save(network.state_dict(), "checkpoints/demo/latest_net_%s.pth" % label)
''',
}  # fmt: skip
"""By system: what makes its weights, run in its checkout."""
STAND_INS = {
    "pynormalize/pynormalize.py": "",
    "face_alignment/__init__.py": '''
import numpy as np

class LandmarksType:
    _2D, _3D = 1, 3

class FaceAlignment:
    """The mean face of the program's own files, in the middle of the picture."""
    def __init__(self, *_, **__):
        self.face = np.loadtxt("src/dataset/utils/STD_FACE_LANDMARKS.txt")

    def get_landmarks(self, picture):
        height, width = picture.shape[:2]
        return [self.face * height / 3.2 + (width / 2, height / 2.2, 0)]
''',
}
SHIMS = {
    "wav2lip": ["librosa_mel"],
    "makeittalk": ["numpy_aliases", "librosa_mel", "torch_load", "torch_cpu"],
    "pc_avs": ["numpy_aliases", "librosa_mel", "torch_cpu"],
}
ARGUMENTS = {
    "wav2lip": ["--box", "120", "380", "150", "360"], "makeittalk": [], "pc_avs": ["--gpu_ids", "-1", "--batchSize", "2"],
}  # fmt: skip
"""Wav2Lip: the face where S3FD would find it; PC-AVS: no GPU, and not 16 frames at once, which take 9 GB."""


def prepare(system: str, root: Path, interpreter: str) -> None:
    """Write weights of one system into its checkout below ``root``, and its card beside that."""
    card = shipped_card(system).with_interpreter(interpreter).with_shims(SHIMS[system])
    program = card.program
    assert program is not None
    for name, text in STAND_INS.items():
        (root / "stand_ins" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "stand_ins" / name).write_text(text)
    stand_ins = {"PYTHONPATH": str(root / "stand_ins"), "TORCH_HOME": str(root / "stand_ins" / "torch")}
    arguments = [*program.arguments, *ARGUMENTS[system]]
    card = card.model_copy(update={"program": program.model_copy(update={"arguments": arguments, "environment": stand_ins})})
    (root / f"{system}.yaml").write_text(yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False))
    with tempfile.TemporaryDirectory() as work:
        paths = (str(lay_out(program.shims, Path(work) / "shims")), stand_ins["PYTHONPATH"])
        subprocess.run(
            [program.interpreter, "-c", PREAMBLE + WEIGHTS[system], *arguments[2:]],
            cwd=root / program.checkout, check=True, env=os.environ | stand_ins | {"PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
    check_installed(system, program, root / program.checkout)


if __name__ == "__main__":
    root, python = Path(sys.argv[1]).absolute(), sys.argv[2]
    for name in WEIGHTS:
        if (root / shipped_card(name).program.checkout).is_dir():
            prepare(name, root, python)
