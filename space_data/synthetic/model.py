"""The whole head of one person as a mesh at rest: which vertices belong to what, their materials, textures and occlusion.

Built once per person (about a second: painting and ambient occlusion) and kept for the next renderer of the same person.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from space_data.synthetic import regions
from space_data.synthetic.anatomy import (
    CAVITY,
    CAVITY_START,
    LID_RIM,
    N_HEAD_VERTICES,
    N_LIP,
    SKIN,
    eye_centres,
    head_topology,
    surround,
)
from space_data.synthetic.hair import HairSheet, SkullSurface, hair_sheets
from space_data.synthetic.identity import Identity, face_vertices
from space_data.synthetic.mesh import vertex_normals
from space_data.synthetic.parts import Part, ear, eyeball, neck, shoulders, teeth, tongue
from space_data.synthetic.raster import Cutout, rasterise
from space_data.synthetic.shade import Material, material_table
from space_data.synthetic.texture import EYE_UV_CENTRE, EYE_UV_RADIUS, Atlas, face_uv, hair_uv, paint_atlas

M_FACE, M_BODY, M_CAVITY, M_LID, M_EYE, M_TEETH, M_HAIR, M_CLOTH = range(8)
_CAVITY_TINTS = (0.42, 0.06, 0.03)
"""Brightness of the mouth cavity from front to back."""
_HAIR_ALPHA = 0.5
_KEEP_MODELS = 16
"""About 11 MB each. Clips come in any order: with fewer, a worker would paint the same person again and again."""

_OCCLUSION_DIRECTIONS = 40
_OCCLUSION_MAP_PX = 144
_OCCLUSION_SPAN_CM = 44.0
_OCCLUSION_CENTRE_CM = np.array([0.0, -1.0, -3.0])
_OCCLUSION_OFFSET_CM = 0.45
_OCCLUSION_STRENGTH = 0.85
_DEPTH_OFFSET_CM = 100.0
"""Added to depths along a light so that the rasteriser's empty value 0 lies behind everything."""


@dataclass(frozen=True)
class HeadModel:
    """Mesh and looks of one person at rest; arrays float32 unless said otherwise, V vertices, F triangles.

    `net` (758, 3) float64 control vertices; `vertices` (V, 3); `triangles` (F, 3) int32 with `material` (F,) int32;
    `tint` (V, 3), `uv` (V, 2) texels, `head_weight` (V,); slices into the vertices: `skin`, `eyes` (two), `jaw_bone`;
    `tongue` is the part of `jaw_bone` that also moves by itself; `hair` with `next_row` (len(hair),) int64 along the fibre;
    `casts` (F,) bool marks what throws shadows. `lid_index` (2 arrays) skin vertices that must stay off each eyeball.
    """

    net: np.ndarray
    vertices: np.ndarray
    triangles: np.ndarray
    material: np.ndarray
    tint: np.ndarray
    uv: np.ndarray
    head_weight: np.ndarray
    skin: slice
    eyes: tuple[slice, slice]
    jaw_bone: slice
    tongue: slice
    hair: slice
    next_row: np.ndarray
    eye_centres: np.ndarray
    lid_index: tuple[np.ndarray, np.ndarray]
    two_sided: np.ndarray
    casts: np.ndarray
    cutout: Cutout
    materials: np.ndarray
    atlas: Atlas


def _materials(identity: Identity) -> np.ndarray:
    skin, cloth = identity.skin, identity.cloth
    gloss = 0.050 + 0.035 * (1 - skin[0])
    return material_table((
        Material(0.42, 0.24, 0.19, gloss, 18.0, 0.35, 1, 1, 1, textured=True),
        Material(0.42, 0.24, 0.19, 0.7 * gloss, 14.0, 0.35, *skin),
        Material(0.40, 0.25, 0.25, 0.05, 30.0, 0.0, 0.34, 0.10, 0.10, shadowed=False),
        Material(0.40, 0.25, 0.25, 0.10, 30.0, 0.0, 0.85 * skin[0] + 0.05, 0.62 * skin[1] + 0.03, 0.60 * skin[2] + 0.03),
        Material(0.30, 0.25, 0.25, 1.10, 110.0, 0.0, 1, 1, 1, textured=True),
        Material(0.45, 0.40, 0.38, 0.12, 40.0, 0.0, 0.95, 0.95, 0.95, shadowed=False),
        Material(0.25, 0.25, 0.25, 0.22, 26.0, 0.30, 1, 1, 1, textured=True, strand=True),
        Material(0.20, 0.20, 0.20, 0.015, 6.0, 0.55, *cloth),
    ))  # fmt: skip


def _skin_part(net: np.ndarray) -> Part:
    """The subdivided face, skull, lid rims and mouth cavity."""
    topology = head_topology()
    tint = np.ones((N_HEAD_VERTICES, 1))
    for k, level in enumerate(_CAVITY_TINTS):
        tint[CAVITY_START + k * N_LIP : CAVITY_START + (k + 1) * N_LIP] = level
    fine = topology.fine.matrix @ topology.interpolate.solve(net)
    fine_tint = np.repeat(np.clip(topology.fine.matrix @ tint, 0, 1), 3, 1)
    return Part(fine, topology.fine.triangles, fine_tint, face_uv(fine), np.ones(len(fine)))


def _oral_parts(face: np.ndarray) -> tuple[Part, Part, Part]:
    """Upper teeth, lower teeth and tongue behind the lips of face vertices (468, 3)."""
    lip_y, lip_z = float(face[13, 1]), float(face[13, 2])
    scale = float(np.linalg.norm(face[61] - face[291])) / 5.5
    scale = 0.5 + 0.5 * min(max(scale, 0.8), 1.25)
    return (
        teeth((lip_y - 0.24, lip_z - 0.66), upper=True, scale=scale),
        teeth((lip_y - 0.14, lip_z - 0.95), upper=False, scale=0.94 * scale),
        tongue((lip_y - 0.75, lip_z - 1.5)),
    )


def _ears(net: np.ndarray) -> tuple[Part, Part]:
    skull = SkullSurface(net)
    place = np.array([28.0, 8.0])  # landmarks 234 and 454 on the oval
    roots = skull.at(place, np.full(2, 0.62)) + (0.0, 0.35, 0.0)
    height = 0.34 * float(net[10, 1] - net[152, 1]) + 0.1
    return ear(-1.0, roots[0] + (0.25, 0, 0), height), ear(1.0, roots[1] - (0.25, 0, 0), height)


def _occlusion(vertices: np.ndarray, normals: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Share (V,) of the sky each vertex sees, cosine-weighted, from depth maps along directions spread over the sphere."""
    seen = np.zeros(len(vertices))
    total = np.zeros(len(vertices))
    golden = np.pi * (3 - 5**0.5)
    scale = _OCCLUSION_MAP_PX / _OCCLUSION_SPAN_CM
    away = vertices + _OCCLUSION_OFFSET_CM * normals
    everything = np.ones(len(triangles), np.bool_)
    for k in range(_OCCLUSION_DIRECTIONS):
        height = 1 - 1.5 * (k + 0.5) / _OCCLUSION_DIRECTIONS  # little light comes from straight below
        across = np.sqrt(1 - height**2)
        direction = np.array([across * np.cos(k * golden), height, across * np.sin(k * golden)])
        axes = light_axes(direction)
        place = light_coordinates(vertices, axes, scale)
        depth = rasterise(place, triangles, _OCCLUSION_MAP_PX, _OCCLUSION_MAP_PX, two_sided=everything).inv_depth
        look = light_coordinates(away, axes, scale)
        column, row = np.clip(look[:, :2].astype(int), 0, _OCCLUSION_MAP_PX - 1).T
        cosine = np.clip(normals @ direction, 0, None)
        seen += cosine * (depth[row, column] <= look[:, 2])
        total += cosine
    return np.where(total > 0, seen / np.maximum(total, 1e-9), 1.0)


def light_axes(direction: np.ndarray) -> np.ndarray:
    """Rows right, up, towards the light of a view along `direction` (3,)."""
    right = np.cross((0.0, 1.0, 0.0), direction)
    right /= np.linalg.norm(right) + 1e-12
    return np.stack([right, np.cross(direction, right), direction])


def light_coordinates(points: np.ndarray, axes: np.ndarray, texels_per_cm: float) -> np.ndarray:
    """Points (V, 3) as (x texel, y texel, depth) float32 of a square map centred on the head; larger depth = nearer."""
    place = (points - _OCCLUSION_CENTRE_CM) @ axes.T
    half = 0.5 * _OCCLUSION_SPAN_CM * texels_per_cm
    return np.stack(
        [half + place[:, 0] * texels_per_cm, half - place[:, 1] * texels_per_cm, place[:, 2] + _DEPTH_OFFSET_CM], -1
    ).astype(np.float32)


def light_table(axes: np.ndarray, texels_per_cm: float) -> np.ndarray:
    """`light_coordinates` as an affine map (3, 4) float32."""
    linear = axes * np.array([[texels_per_cm], [-texels_per_cm], [1.0]])
    half = 0.5 * _OCCLUSION_SPAN_CM * texels_per_cm
    shift = np.array([half, half, _DEPTH_OFFSET_CM]) - linear @ _OCCLUSION_CENTRE_CM
    return np.concatenate([linear, shift[:, None]], axis=1).astype(np.float32)


@dataclass(frozen=True)
class _Assembly:
    parts: list[tuple[Part, int]]

    def slice_of(self, index: int) -> slice:
        start = sum(len(part.vertices) for part, _ in self.parts[:index])
        return slice(start, start + len(self.parts[index][0].vertices))


def _near_lids(vertices: np.ndarray, skin: slice, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    near = [np.flatnonzero(np.linalg.norm(vertices[skin] - c, axis=1) < 2.4) for c in centres]
    face_like = np.unique(head_topology().fine.triangles[head_topology().fine_part == SKIN])
    left, right = (np.intersect1d(n, face_like) for n in near)
    return left, right


def _hair_part(sheet: HairSheet) -> Part:
    return replace(sheet.part, uv=hair_uv(sheet.part.uv))


def _frayed(uv: np.ndarray, triangles: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Which triangles (F,) touch texels below the alpha threshold; the others need no test per sample."""
    holes = np.zeros((alpha.shape[0] + 1, alpha.shape[1] + 1), np.int64)
    holes[1:, 1:] = (alpha < _HAIR_ALPHA).cumsum(0).cumsum(1)
    corners = uv[triangles]
    low = np.clip(np.floor(corners.min(1)).astype(int) - 1, 0, None)
    high = np.minimum(np.floor(corners.max(1)).astype(int) + 2, alpha.shape[::-1])
    (x0, y0), (x1, y1) = low.T, high.T
    return holes[y1, x1] - holes[y0, x1] - holes[y1, x0] + holes[y0, x0] > 0


@lru_cache(maxsize=_KEEP_MODELS)
def head_model(identity: Identity) -> HeadModel:
    """The model of one person."""
    face = face_vertices(identity.shape)
    net = surround(face)
    centres = eye_centres(net)
    sheets = hair_sheets(net, identity)
    eye = eyeball(EYE_UV_CENTRE, EYE_UV_RADIUS)
    upper_teeth, lower_teeth, tongue_part = _oral_parts(face)
    girth = 0.5 + 0.5 * float(np.linalg.norm(net[172] - net[397])) / 12.0
    parts = [(_skin_part(net), M_FACE)]
    parts += [(replace(eye, vertices=eye.vertices + c), M_EYE) for c in centres]
    parts += [(upper_teeth, M_TEETH), (lower_teeth, M_TEETH), (tongue_part, M_TEETH)]
    parts += [(e, M_BODY) for e in _ears(net)]
    parts += [(neck(girth), M_BODY), (shoulders(identity.collar, girth), M_CLOTH)]
    n_fixed = len(parts)
    parts += [(_hair_part(sheet), M_HAIR) for sheet in sheets]
    assembly = _Assembly(parts)
    starts = np.cumsum([0] + [len(part.vertices) for part, _ in parts])
    vertices = np.concatenate([part.vertices for part, _ in parts]).astype(np.float32)
    triangles = np.concatenate([part.triangles + start for (part, _), start in zip(parts, starts, strict=False)]).astype(np.int32)
    material = np.concatenate([np.full(len(part.triangles), kind) for part, kind in parts]).astype(np.int32)
    n_skin_triangles = len(parts[0][0].triangles)
    by_part = {SKIN: M_FACE, LID_RIM: M_LID, CAVITY: M_CAVITY}
    material[:n_skin_triangles] = [by_part[p] for p in head_topology().fine_part]
    tint = np.concatenate([part.tint for part, _ in parts])
    uv = np.concatenate([part.uv for part, _ in parts]).astype(np.float32)
    outer = np.isin(material, (M_FACE, M_BODY, M_HAIR, M_CLOTH))
    open_to_sky = np.unique(triangles[outer])
    occlusion = np.ones(len(vertices))
    sky = _occlusion(vertices, vertex_normals(vertices, triangles), triangles[outer])
    occlusion[open_to_sky] = (1 - _OCCLUSION_STRENGTH + _OCCLUSION_STRENGTH * np.clip(sky[open_to_sky] * 1.12, 0, 1))
    inner_lip = np.array(regions.INNER_LIP)
    occlusion[inner_lip] = np.maximum(occlusion[inner_lip], 0.8)
    tint = tint * occlusion[:, None]
    skin = assembly.slice_of(0)
    hair_start, hair_stop = int(starts[n_fixed]), int(starts[-1])
    offsets = starts[n_fixed:-1] - hair_start
    next_row = [sheet.next_row + offset for sheet, offset in zip(sheets, offsets, strict=True)]
    atlas = paint_atlas(identity, net)
    return HeadModel(
        net=net,
        vertices=vertices,
        triangles=triangles,
        material=material,
        tint=tint.astype(np.float32),
        uv=uv,
        head_weight=np.concatenate([part.head_weight for part, _ in parts]).astype(np.float32),
        skin=skin,
        eyes=(assembly.slice_of(1), assembly.slice_of(2)),
        jaw_bone=slice(assembly.slice_of(4).start, assembly.slice_of(5).stop),
        tongue=assembly.slice_of(5),
        hair=slice(hair_start, hair_stop),
        next_row=np.concatenate(next_row) if next_row else np.zeros(0, np.int64),
        eye_centres=centres,
        lid_index=_near_lids(vertices, skin, centres),
        two_sided=np.isin(material, (M_HAIR, M_CAVITY, M_LID, M_TEETH)),
        casts=np.isin(material, (M_FACE, M_BODY, M_HAIR)),
        cutout=Cutout((material == M_HAIR) & _frayed(uv, triangles, atlas.alpha), uv, atlas.alpha, _HAIR_ALPHA),
        materials=_materials(identity),
        atlas=atlas,
    )
