"""The backend face_alignment: the real library with seeded networks from files, and the rules around it.

The seeded detector is made to answer on a picture and to stay silent on a plain one, so that boxes, gaps, batches and points can
be checked; what the points mean with the published weights cannot be shown here.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from declared_weights import declared_as, declared_file
from seeded import rng, seed_network
from torch import nn

from evaluation.second_detector import FACE_ALIGNMENT, SecondLook
from space_data import face_alignment_backend as backend
from space_data import weights
from space_data.errors import SpaceError
from space_data.face_alignment_backend import FaceAlignmentBackend, choose_face
from space_data.landmarks import EYES, IRISES, PoseTrack, estimate_pose, estimate_pose_68, mesh_to_landmarks, posed, template_mesh
from space_data.media.container import MediaError

SIDE_PX = 192


def test_the_largest_face_first_then_the_same_one() -> None:
    small, large = [0.0, 0, 20, 20, 0.9], [100.0, 0, 150, 50, 0.8]
    assert choose_face(np.array([small, large]), None).tolist() == large[:4]
    moved = np.array([[3.0, 1, 23, 21, 0.9], large])
    assert choose_face(moved, np.array(small[:4])).tolist() == [3, 1, 23, 21]
    # 20 x 20 px moved by 12 in both directions: 64 / 736 overlap, another face
    assert choose_face(np.array([[12.0, 12, 32, 32, 0.9], large]), np.array(small[:4])).tolist() == large[:4]
    assert choose_face(np.zeros((0, 5)), np.array(small[:4])) is None


def test_missing_weights_are_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SpaceError) as error:
        FaceAlignmentBackend(tmp_path)
    names = "face-alignment-s3fd face-alignment-3dfan4 face-alignment-depth"
    assert f"space weights fetch {names} --folder {tmp_path}" in str(error.value)
    assert "s3fd-619a316812.pth, 3DFAN4-7835d9f11d.pth.tar, depth-2a464da4ea.pth.tar" in str(error.value)
    (tmp_path / "s3fd-619a316812.pth").write_bytes(b"<html>not found</html>")
    with pytest.raises(SpaceError, match="22 bytes, weights face-alignment-s3fd have 89843225"):
        FaceAlignmentBackend(tmp_path)


def test_pose_of_68_points_by_hand() -> None:
    """The template turned and moved by known amounts comes back, from the mesh and from the 68 points of it alike."""
    r = rng("poses")
    n = 50
    truth = PoseTrack(
        *(r.uniform(-40, 40, n).astype(np.float32), r.uniform(-25, 25, n).astype(np.float32)),
        *(r.uniform(-20, 20, n).astype(np.float32), r.uniform(40, 200, n).astype(np.float32)),
        translation=r.uniform(0, 500, (n, 3)).astype(np.float32),
    )
    mesh = posed(np.broadcast_to(np.pad(template_mesh(), ((0, 10), (0, 0))), (n, 478, 3)), truth)
    np.testing.assert_allclose(estimate_pose(mesh).as_array(), truth.as_array(), atol=2e-3)
    points = mesh_to_landmarks(mesh)[:, :68]
    np.testing.assert_allclose(estimate_pose_68(points).as_array(), truth.as_array(), atol=2e-3)
    # Whole pixels, as the library gives them, move the angles of a face of 100 px and more by a degree or so.
    rounded = estimate_pose_68(np.concatenate([np.rint(points[..., :2]), points[..., 2:]], -1)).as_array()[truth.scale > 100]
    assert np.abs(rounded - truth.as_array()[truth.scale > 100])[:, :3].max() < 1.0
    lost = points.copy()
    lost[3] = np.nan
    assert np.isnan(estimate_pose_68(lost).as_array()[3]).all() and np.isfinite(estimate_pose_68(lost).scale[4])


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    from skimage.data import astronaut

    return np.ascontiguousarray(astronaut()[0:SIDE_PX, 128 : 128 + SIDE_PX])


def tuned_detector(picture: np.ndarray) -> nn.Module:
    """S3FD with seeded convolutions that finds one face in the middle of ``picture``, and none on black.

    Its coarsest head is solved for that from the features of both pictures; all others always say "background".
    """
    from face_alignment.detection.sfd.net_s3fd import s3fd

    net = seed_network(s3fd(), "s3fd")
    maps: list[torch.Tensor] = []
    watching = net.conv7_2_mbox_conf.register_forward_pre_hook(lambda _, given: maps.append(given[0][0]))
    for rgb in (picture, np.zeros_like(picture)):
        bgr = torch.from_numpy(rgb[..., ::-1].copy()).permute(2, 0, 1)[None].float()
        net(bgr - torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1))
    watching.remove()
    height, width = maps[0].shape[1:]
    features = torch.cat([m.flatten(1).T for m in maps])
    wanted = torch.full((len(features), 1), -10.0)
    wanted[height // 2 * width + width // 2] = 10.0
    solved = torch.linalg.lstsq(features.double(), wanted.double(), driver="gelsd").solution[:, 0].float()
    for name, head in net.named_modules():
        if name.endswith("_mbox_conf"):
            head.weight.data.zero_()
            head.bias.data.copy_(torch.tensor([9.0] * (len(head.bias) - 1) + [-9.0]))
    net.conv7_2_mbox_conf.bias.data.zero_()
    net.conv7_2_mbox_conf.weight.data[1, :, 1, 1] = solved
    net.conv7_2_mbox_loc.weight.data.zero_()
    # the prior of 512 px becomes a box of 100 px: 512 exp(0.2 d) = 100
    net.conv7_2_mbox_loc.bias.data.copy_(torch.tensor([0.0, 0.0, *[float(np.log(100 / 512) / 0.2)] * 2]))
    return net


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, picture: np.ndarray) -> Iterator[Path]:
    """Seeded weights in the form of the published files: the depth network's with prefixes and numbers beside the tensors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba.config, "DISABLE_JIT", True)  # compiling the library's loops takes longer than running them
        pytest.importorskip("face_alignment", reason="the package face-alignment is not installed")
    from face_alignment.models import FAN, ResNetDepth

    folder = tmp_path_factory.mktemp("weights")
    torch.save(tuned_detector(picture).state_dict(), folder / "s3fd.pth")
    torch.save(seed_network(FAN(4), "fan").state_dict(), folder / "fan.pth.tar")
    depth = {f"module.{key}": value for key, value in seed_network(ResNetDepth(), "depth").state_dict().items()}
    torch.save({"epoch": 3, "best": np.float64(0.5), "state_dict": depth}, folder / "depth.pth.tar")
    yield folder
    shutil.rmtree(folder)  # 420 MB


@pytest.fixture
def declared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, weights.Declaration]:
    """The seeded files, declared in place of the published ones; any download is an error."""
    files = dict(zip(backend.NETWORKS, ("s3fd.pth", "fan.pth.tar", "depth.pth.tar"), strict=True))
    known = {name: declared_as(declared_file(folder / file)) for name, file in files.items()}
    monkeypatch.setattr(weights, "declared", lambda: known)
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *_, **__: pytest.fail("the library downloads"))
    return known


def looked_at(folder: Path, batches: list[list[np.ndarray]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes, landmarks and poses of frames given in ``batches``."""
    faces = FaceAlignmentBackend(folder)
    boxes = np.concatenate([faces.look(batch) for batch in batches])
    landmarks, poses = faces.finish()
    faces.close()
    return boxes, landmarks, poses


def test_the_benchmarks_second_look_through_the_real_library(folder: Path, declared: dict, picture: np.ndarray) -> None:
    """Points of the real networks on seeded weights, frame by frame; S3FD's own boxes, with the forehead."""
    frames = [picture, np.zeros_like(picture), picture]
    boxes, landmarks, poses = looked_at(folder, [frames])
    look = SecondLook.at(folder, FACE_ALIGNMENT)
    for frame in frames:
        look.take(frame)
    face, whole = look.finish()
    assert face.found().tolist() == [True, False, True] and not face.normalised[0, IRISES].any()
    np.testing.assert_array_equal(face.pose.as_array(), poses)
    np.testing.assert_allclose(posed(face.normalised[:, :68], face.pose), landmarks[:, :68], atol=1e-2)
    np.testing.assert_allclose(whole[[0, 2]][:, [0, 2, 3]], boxes[[0, 2]][:, [0, 2, 3]], atol=1e-3)
    assert (whole[[0, 2], 1] < boxes[[0, 2], 1]).all() and np.isnan(whole[1]).all()


def test_seeded_networks_through_the_real_library(folder: Path, declared: dict, picture: np.ndarray) -> None:
    plain, brighter = np.zeros_like(picture), np.clip(picture.astype(int) + 3, 0, 255).astype(np.uint8)
    frames = [picture, plain, brighter]
    boxes, landmarks, poses = looked_at(folder, [frames])
    assert boxes.shape == (3, 4) and landmarks.shape == (3, 78, 3) and poses.shape == (3, 7)
    assert np.isfinite(boxes).all(axis=1).tolist() == [True, False, True], "no face is a row, not an error"
    assert np.isnan(landmarks[1]).all() and np.isnan(poses[1]).all()
    # a box of 100 px around the centre of a cell of 128 px, its top a tenth lower
    np.testing.assert_allclose(boxes[0, 2:] - boxes[0, :2], [100, 100 * (1 - backend.FOREHEAD_SHARE)], rtol=1e-3)
    assert np.isfinite(landmarks[0, :68]).all() and np.isnan(landmarks[:, IRISES]).all()
    assert (landmarks[0, EYES, :2] == np.rint(landmarks[0, EYES, :2])).all() and len(np.unique(landmarks[0, :68, 2])) > 10
    singly = looked_at(folder, [[frame] for frame in (*frames, picture)])
    for found, one_by_one in zip((boxes, landmarks, poses), singly, strict=True):
        np.testing.assert_allclose(one_by_one[:3], found, atol=0.01)
        np.testing.assert_array_equal(one_by_one[3], one_by_one[0], err_msg="not the same twice")


def test_points_are_the_librarys_own_with_z_turned_round(folder: Path, declared: dict, picture: np.ndarray) -> None:
    library = backend._library(folder, "cuda" if torch.cuda.is_available() else "cpu")
    wanted = library.get_landmarks_from_image(picture)
    assert wanted is not None and len(wanted) == 1
    _, landmarks, poses = looked_at(folder, [[picture]])
    np.testing.assert_allclose(landmarks[0, :68], wanted[0] * [1, 1, -1], atol=0.01)
    np.testing.assert_allclose(poses, estimate_pose_68(landmarks).as_array())
    with pytest.warns(UserWarning, match="No faces"):
        assert library.get_landmarks_from_image(np.zeros_like(picture)) is None, "what the library says of no face"


def test_large_pictures_are_searched_small(folder: Path, declared: dict, picture: np.ndarray, monkeypatch) -> None:
    monkeypatch.setattr(backend, "DETECTION_SIDE_PX", SIDE_PX)
    faces = FaceAlignmentBackend(folder)
    (small,), (large,) = faces._detect([picture]), faces._detect([picture.repeat(2, axis=0).repeat(2, axis=1)])
    assert len(small) == 1
    np.testing.assert_allclose(large, small * [2, 2, 2, 2, 1], atol=0.1)


def test_a_clip_without_frames_or_of_two_sizes(folder: Path, declared: dict, picture: np.ndarray) -> None:
    faces = FaceAlignmentBackend(folder)
    with pytest.raises(MediaError, match="changes its size"):
        faces.look([picture, picture[:100]])
    landmarks, poses = faces.finish()
    assert landmarks.shape == (0, 78, 3) and poses.shape == (0, 7)


def test_other_files_are_refused(folder: Path, declared: dict, tmp_path: Path, monkeypatch) -> None:
    assert "state_dict" in backend._tensors(folder / "depth.pth.tar")
    torch.save(nn.Linear(2, 2), tmp_path / "fan.pth.tar")  # a pickle of code
    with pytest.raises(SpaceError, match="not a file of tensors"):
        backend._tensors(tmp_path / "fan.pth.tar")
    for file in ("s3fd.pth", "depth.pth.tar"):
        (tmp_path / file).symlink_to(folder / file)
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "fan.pth.tar")
    with pytest.raises(SpaceError, match="weights face-alignment-3dfan4 have"):
        FaceAlignmentBackend(tmp_path)
    fan = declared_as(declared_file(tmp_path / "fan.pth.tar"))
    monkeypatch.setattr(weights, "declared", lambda: declared | {weights.FAN_3D: fan})
    with pytest.raises(SpaceError, match="do not fit face-alignment 1.5"):
        FaceAlignmentBackend(tmp_path)
