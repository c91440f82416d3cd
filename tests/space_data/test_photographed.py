"""The photo score: the network against torch, where the aligned face comes from, invariances, and known pictures."""

from importlib.resources import as_file, files
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.photo_faces import WIDE_PX, Faces, read_list
from benchmarks.photo_fit import folded, folds_by_kind, folds_by_source, network, save, spoil, weights_of
from benchmarks.photo_roc import auc, caught, interval, threshold_at
from space_data.errors import SpaceError
from space_data.facemesh import mesh_of_image
from space_data.landmarks import N_MESH
from space_data.photographed import INPUT_PX, PhotoScorer, aligned_face, default_scorer, load_scorer, photo_score

SIDE_PX = 400
REJECT_BELOW = 0.03
"""What docs/photographed.md recommends as the bound."""


def square_face(centre: tuple[float, float], side_px: float, roll_deg: float = 0.0) -> NDArray[np.float32]:
    """A made-up mesh whose box is a square of ``side_px`` turned by ``roll_deg``, with the eye corners level in it."""
    grid = np.linspace(-0.5, 0.5, N_MESH)
    points = np.stack([grid, grid[::-1]], axis=1)
    points[33], points[263] = (-0.3, -0.1), (0.3, -0.1)
    angle = np.deg2rad(roll_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points * side_px @ turn.T + centre).astype(np.float32)


def ramp() -> NDArray[np.uint8]:
    """A picture whose red is x / 2 and whose green is y / 2: every pixel says where it was."""
    along = (np.arange(SIDE_PX) / 2).astype(np.uint8)
    picture = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
    picture[..., 0], picture[..., 1] = along[None, :], along[:, None]
    return picture


@pytest.fixture(scope="module")
def astronaut_mesh(astronaut: NDArray[np.uint8]) -> NDArray[np.float32]:
    mesh = mesh_of_image(astronaut)
    assert mesh is not None
    return mesh


def test_aligned_face_is_centred_on_the_mesh_and_as_wide_as_promised() -> None:
    face = aligned_face(ramp(), square_face((180.0, 220.0), 150.0), size_px=60, margin=1.2).astype(float)
    middle = face[29:31, 29:31].mean(axis=(0, 1)) * 2
    assert middle[:2] == pytest.approx((180.0, 220.0), abs=2.0)
    assert (face[30, 59, 0] - face[30, 0, 0]) * 2 == pytest.approx(150 * 1.2 * 59 / 60, abs=4.0)


def test_aligned_face_turns_a_rolled_face_upright() -> None:
    face = aligned_face(ramp(), square_face((200.0, 200.0), 120.0, roll_deg=30.0), size_px=60, margin=1.2).astype(float)
    right = (face[30, 55, :2] - face[30, 5, :2]) * 2  # direction of the eye line in the source picture
    assert np.degrees(np.arctan2(right[1], right[0])) == pytest.approx(30.0, abs=2.0)


def test_aligned_face_repeats_the_edge_outside_of_the_picture() -> None:
    face = aligned_face(ramp(), square_face((5.0, 200.0), 150.0))
    assert (face[:, 0, 0] == 0).all() and face[:, -1, 0].min() > 20
    assert aligned_face(ramp(), square_face((-900.0, -900.0), 150.0)).max() == 0


@pytest.mark.parametrize("mesh", [np.zeros((468, 3)), np.zeros((N_MESH, 1)), np.zeros((2, N_MESH, 3))])
def test_a_mesh_of_another_shape_is_refused(mesh: NDArray[np.float64]) -> None:
    with pytest.raises(SpaceError, match="478"):
        aligned_face(ramp(), mesh)


def test_a_mesh_in_relative_coordinates_is_refused() -> None:
    with pytest.raises(SpaceError, match="in pixels"):
        aligned_face(ramp(), square_face((0.5, 0.5), 0.4))


def test_no_face_has_no_score() -> None:
    assert np.isnan(photo_score(ramp(), np.full((N_MESH, 3), np.nan)))


def test_numpy_network_equals_torch_network(rng: np.random.Generator, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = network()
    net.train()
    for _ in range(3):  # running statistics that are not 0 and 1
        net(torch.randn(8, 3, INPUT_PX, INPUT_PX) * 2 + 1)
    net.eval()
    save(folded(net), tmp_path / "scorer.npz")
    face = rng.integers(0, 256, (INPUT_PX, INPUT_PX, 3)).astype(np.uint8)
    with torch.no_grad():
        wanted = torch.sigmoid(net(torch.from_numpy(face).permute(2, 0, 1)[None].float() / 255 - 0.5)).item()
    assert load_scorer(tmp_path / "scorer.npz").score(face) == pytest.approx(wanted, abs=2e-3)


def test_load_scorer_names_what_is_missing(tmp_path: Path) -> None:
    np.savez(tmp_path / "half.npz", weight_0=np.zeros((1, 3, 3, 3)), strides=np.array([2]))
    with pytest.raises(SpaceError, match="bias_0.*unit"):
        load_scorer(tmp_path / "half.npz")
    np.savez(tmp_path / "other.npz", something=np.zeros(3))
    with pytest.raises(SpaceError, match="not a photo scorer"):
        load_scorer(tmp_path / "other.npz")


def test_the_shipped_scorer_is_small_and_has_a_card() -> None:
    with as_file(files("space_data") / "assets" / "photo_scorer.npz") as path:
        assert path.stat().st_size <= 300_000
        assert path.with_suffix(".json").is_file()
    assert isinstance(default_scorer(), PhotoScorer)


def test_a_photographed_person_scores_high(astronaut: NDArray[np.uint8], astronaut_mesh: NDArray[np.float32]) -> None:
    assert photo_score(astronaut, astronaut_mesh) > 0.3


@pytest.mark.parametrize("change", ["jpeg", "half", "double", "mirrored", "darker", "grey", "blurred"])
def test_what_a_camera_or_codec_does_leaves_a_person_above_the_bound(
    change: str, astronaut: NDArray[np.uint8], astronaut_mesh: NDArray[np.float32]
) -> None:
    picture: NDArray[np.uint8] = astronaut
    mesh = astronaut_mesh.copy()
    if change == "jpeg":
        _, coded = cv2.imencode(".jpg", astronaut, [cv2.IMWRITE_JPEG_QUALITY, 25])
        picture = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    elif change in ("half", "double"):
        scale = 0.5 if change == "half" else 2.0
        picture = np.asarray(cv2.resize(astronaut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        mesh *= scale
    elif change == "mirrored":
        picture = np.ascontiguousarray(astronaut[:, ::-1])
        mesh[:, 0] = astronaut.shape[1] - 1 - mesh[:, 0]
        mesh[[33, 263]] = mesh[[263, 33]]
    elif change == "darker":
        picture = (astronaut * 0.5).astype(np.uint8)
    elif change == "grey":
        picture = np.repeat(astronaut.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    elif change == "blurred":
        picture = np.asarray(cv2.GaussianBlur(astronaut, (0, 0), 1.5), np.uint8)
    assert photo_score(picture, mesh) > 2 * REJECT_BELOW


def test_the_score_is_the_same_twice(astronaut: NDArray[np.uint8], astronaut_mesh: NDArray[np.float32]) -> None:
    assert photo_score(astronaut, astronaut_mesh) == photo_score(astronaut.copy(), astronaut_mesh.copy())


def test_drawn_faces_score_below_the_photo(astronaut: NDArray[np.uint8], astronaut_mesh: NDArray[np.float32]) -> None:
    """A flat drawing made on the spot over the very mesh of the photo: same geometry, no photograph."""
    drawn = np.full_like(astronaut, 235)
    outline = cv2.convexHull(astronaut_mesh[:468, :2].astype(np.int32))
    cv2.fillPoly(drawn, [outline], (250, 214, 180))
    cv2.polylines(drawn, [outline], True, (40, 20, 20), 2)
    for corner in (468, 473):
        centre = tuple(astronaut_mesh[corner, :2].astype(int).tolist())
        cv2.circle(drawn, centre, 7, (255, 255, 255), -1)
        cv2.circle(drawn, centre, 4, (60, 90, 200), -1)
    mouth = astronaut_mesh[[61, 0, 291, 17], :2].astype(np.int32)
    cv2.polylines(drawn, [mouth], True, (180, 40, 60), 2)
    assert photo_score(drawn, astronaut_mesh) < min(0.5, photo_score(astronaut, astronaut_mesh))


def test_auc_of_answers_known_by_hand() -> None:
    assert auc(np.array([0.8, 0.9]), np.array([0.1, 0.2])) == 1.0
    assert auc(np.array([0.1]), np.array([0.9])) == 0.0
    assert auc(np.array([0.5, 0.5]), np.array([0.5])) == 0.5
    assert auc(np.array([0.2, 0.6]), np.array([0.4])) == 0.5
    assert np.isnan(auc(np.array([]), np.array([0.4])))


def test_threshold_rejects_no_more_photos_than_allowed(rng: np.random.Generator) -> None:
    photos = rng.permutation(np.arange(200) / 200)
    at = threshold_at(photos, 0.01)
    assert at == 0.01 and (photos < at).mean() == 0.01
    assert caught(photos, np.array([0.005, 0.5]), 0.01) == 0.5


def test_interval_holds_the_auc_and_narrows_with_more_faces(rng: np.random.Generator) -> None:
    photos, others = rng.normal(1.0, 1, 400), rng.normal(0.0, 1, 400)
    low, high = interval(photos, others, rng, draws=200)
    assert low < auc(photos, others) < high
    few = interval(photos[:40], others[:40], rng, draws=200)
    assert few[1] - few[0] > high - low


def made_up_faces(sources: list[tuple[str, str, int]]) -> Faces:
    """Faces of (source, kind, how many); kind "photo" is label 1."""
    rows = [(source, kind) for source, kind, count in sources for _ in range(count)]
    blank = np.array([""] * len(rows))
    return Faces(
        tight=np.zeros((len(rows), 2, 2, 3), np.uint8),
        wide=np.zeros((len(rows), 2, 2, 3), np.uint8),
        label=np.array([int(kind == "photo") for _, kind in rows]),
        face_px=np.zeros(len(rows), np.float32),
        kind=np.array([kind for _, kind in rows]),
        source=np.array([source for source, _ in rows]),
        group=blank,
        path=blank,
    )


def test_no_source_is_on_both_sides_and_every_fold_has_photos_and_others() -> None:
    faces = made_up_faces(
        [("a", "photo", 9), ("b", "photo", 5), ("c", "photo", 4), ("d", "anime", 6), ("e", "dog", 3), ("f", "dog", 2)]
    )
    fold = folds_by_source(faces, count=2)
    for source in "abcdef":
        assert len(set(fold[faces.source == source].tolist())) == 1
    for at in (0, 1):
        assert set(faces.label[fold == at].tolist()) == {0, 1}


def test_folds_by_kind_hold_out_one_kind_of_non_photo_each() -> None:
    faces = made_up_faces([("a", "photo", 4), ("b", "photo", 4), ("d", "anime", 3), ("e", "dog", 2), ("f", "dog", 2)])
    fold = folds_by_kind(faces)
    others = faces.label == 0
    assert [set(faces.kind[others & (fold == at)].tolist()) for at in (0, 1)] == [{"anime"}, {"dog"}]


def test_a_large_source_does_not_decide_alone() -> None:
    faces = made_up_faces([("a", "photo", 100), ("b", "photo", 4), ("c", "anime", 10)])
    draw = weights_of(faces)
    assert draw.sum() == pytest.approx(1.0)
    assert draw[faces.label == 1].sum() == pytest.approx(0.5)
    large, small = draw[faces.source == "a"].sum(), draw[faces.source == "b"].sum()
    assert large / small == pytest.approx(np.sqrt(100 / 4))


def test_spoilt_faces_keep_their_place(rng: np.random.Generator) -> None:
    wide = np.zeros((WIDE_PX, WIDE_PX, 3), np.uint8)
    cv2.circle(wide, (WIDE_PX // 2, WIDE_PX // 2), 15, (255, 255, 255), -1)
    for _ in range(20):
        spoilt = spoil(wide, rng)
        assert spoilt.shape == (INPUT_PX, INPUT_PX, 3) and spoilt.dtype == np.uint8
        bright = np.argwhere(spoilt.mean(axis=2) > (float(spoilt.min()) + float(spoilt.max())) / 2)
        assert np.abs(bright.mean(axis=0) - (INPUT_PX - 1) / 2).max() < 12


def test_a_list_with_a_wrong_label_says_where(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("path,label,kind,source\na.png,1,photo,x\nb.png,yes,anime,x\n")
    with pytest.raises(SpaceError, match="line 3.*'yes'"):
        read_list(table)
    table.write_text("path,label,kind\na.png,1,photo\n")
    with pytest.raises(SpaceError, match="source"):
        read_list(table)
