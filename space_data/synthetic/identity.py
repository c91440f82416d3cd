"""Who a synthetic person is: shape of the face, skin, hair, eyes, clothes. Drawn from a generator, nothing else.

Shapes are sums of smooth, symmetric displacements of the cage, each with a standard deviation from our study (there at
amplitude 1, where identities were too alike for an encoder: between / within spread 0.99; hence AMPLITUDE).
"""

from dataclasses import dataclass, fields

import numpy as np

from space_data.errors import SpaceError
from space_data.synthetic import regions
from space_data.synthetic.cage import load_cage

AMPLITUDE = 1.55
_CLIP_SD = 2.0
MIN_SHAPE_DISTANCE = 0.02
"""Least RMS distance between two faces of one set, outline and features aligned to unit norm."""
_MAX_DRAWS_PER_IDENTITY = 200

SKIN_TONES = (
    (0.80, 0.585, 0.485), (0.72, 0.50, 0.395), (0.64, 0.425, 0.315), (0.54, 0.335, 0.230),
    (0.40, 0.230, 0.145), (0.275, 0.148, 0.090), (0.185, 0.095, 0.058),
)  # fmt: skip
"""Linear RGB albedo, from light to dark."""
HAIR_COLOURS = (
    (0.018, 0.014, 0.013), (0.045, 0.026, 0.017), (0.085, 0.048, 0.028), (0.15, 0.085, 0.045),
    (0.33, 0.21, 0.10), (0.52, 0.37, 0.19), (0.26, 0.085, 0.03), (0.42, 0.41, 0.40),
)  # fmt: skip
"""Black, dark brown, brown, light brown, dark blond, blond, red, grey."""
DARK_SKIN_FROM, DARK_HAIR_COUNT = 4, 3
"""From this skin tone on, hair is one of the first DARK_HAIR_COUNT colours or grey."""
IRIS_COLOURS = (
    (0.075, 0.035, 0.018), (0.14, 0.070, 0.030), (0.20, 0.125, 0.050),
    (0.13, 0.16, 0.075), (0.15, 0.24, 0.32), (0.24, 0.29, 0.32),
)  # fmt: skip
"""Dark brown, brown, hazel, green, blue, grey."""
HAIR_STYLES = ("bald", "buzz", "short", "side", "fringe", "curly", "bob", "long", "bun")
_STYLE_WEIGHTS = (0.07, 0.09, 0.16, 0.13, 0.12, 0.12, 0.11, 0.12, 0.08)
_BEARDLESS_STYLES = ("bob", "long", "bun")
CLOTH_COLOURS = (
    (0.05, 0.09, 0.19), (0.26, 0.05, 0.06), (0.08, 0.16, 0.13), (0.42, 0.40, 0.36), (0.035, 0.037, 0.045),
    (0.17, 0.11, 0.20), (0.44, 0.29, 0.12), (0.13, 0.24, 0.34), (0.50, 0.48, 0.45),
)  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Deviations from the mean face; cm unless said otherwise."""

    width: float  # share of the whole face
    upper_height: float  # share of what is above the nose bridge
    lower_height: float  # share of what is below it
    jaw_width: float  # share, towards the chin
    chin_length: float
    chin_depth: float
    cheekbone: float
    forehead: float
    nose_length: float
    nose_width: float  # share
    nose_bridge: float
    nose_tip: float
    nose_upturn: float
    eye_spacing: float
    eye_size: float  # share
    eye_height: float
    eye_tilt: float
    lid_opening: float
    brow_height: float
    mouth_width: float  # share
    lip_thickness: float  # share
    mouth_height: float
    asymmetry_x: float
    asymmetry_y: float


_SHAPE_SD = Shape(
    width=0.05, upper_height=0.05, lower_height=0.06, jaw_width=0.09, chin_length=0.55, chin_depth=0.45, cheekbone=0.30,
    forehead=0.40, nose_length=0.35, nose_width=0.105, nose_bridge=0.28, nose_tip=0.28, nose_upturn=0.22, eye_spacing=0.16,
    eye_size=0.07, eye_height=0.16, eye_tilt=0.05, lid_opening=0.07, brow_height=0.20, mouth_width=0.09, lip_thickness=0.20,
    mouth_height=0.25, asymmetry_x=0.05, asymmetry_y=0.05,
)  # fmt: skip
_SHAPE_MEAN = {"lower_height": -0.025, "nose_length": -0.25, "nose_tip": -0.40, "nose_width": -0.10, "lip_thickness": 0.30}
"""The bootstrapped cage has its primitive parent's long nose, long chin and thin lips: the mean person is moved off them."""


@dataclass(frozen=True)
class Identity:
    """All that makes one person; equal values make equal pictures. Colours are linear RGB albedos."""

    shape: Shape
    skin: tuple[float, float, float]
    redness: float  # of cheeks and nose, 0..1
    freckles: float  # 0..1
    age: float  # 0..1: folds beside nose and mouth, forehead lines
    lip_tint: float  # 0 natural .. 1 painted
    hair: tuple[float, float, float]
    hair_style: str
    hair_part: float  # side of the parting, -1..1
    hair_volume: float  # factor, about 1
    brow_thickness: float  # factor, about 1
    beard: float  # 0 none, about 0.4 stubble, 1 full
    iris: tuple[float, float, float]
    cloth: tuple[float, float, float]
    collar: float  # 0 round neck .. 1 high collar
    texture_seed: int


def _window(points: np.ndarray, centre: tuple[float, float], sigma: tuple[float, float]) -> np.ndarray:
    """Gaussian (N,) over x and y, mirrored for centres off the middle."""
    x = np.abs(points[:, 0])
    return np.exp(-0.5 * (((x - abs(centre[0])) / sigma[0]) ** 2 + ((points[:, 1] - centre[1]) / sigma[1]) ** 2))


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3 - 2 * x)


def face_vertices(shape: Shape) -> np.ndarray:
    """Face vertices (468, 3) cm of a person at rest: the cage under the displacements of `shape`."""
    rest = load_cage().vertices
    p = rest.copy()
    x, y, z = rest[:, 0], rest[:, 1], rest[:, 2]
    side = np.sign(x) * np.minimum(1.0, np.abs(x) / 0.8)
    # eyes: whole neighbourhoods move, so that lids and brows stay in proportion
    eye_x, eye_y = 3.4, 3.0
    eye = _window(rest, (eye_x, eye_y), (1.7, 1.1))
    p[:, 0] += side * shape.eye_spacing * eye
    p[:, 1] += shape.eye_height * eye + shape.eye_tilt * (np.abs(x) - eye_x) * eye * 1.6
    p[:, 0] += shape.eye_size * (np.abs(x) - eye_x) * np.sign(x) * eye
    p[:, 1] += shape.eye_size * (y - eye_y) * eye
    for side_index in range(regions.N_SIDES):
        for lids, sign in ((regions.LID_UPPER, 0.62), (regions.LID_LOWER, -0.38)):
            bow = np.sin(np.pi * (np.arange(7) + 1) / 8)
            p[list(lids[side_index]), 1] += sign * shape.lid_opening * bow
    p[:, 1] += shape.brow_height * _window(rest, (3.2, 4.8), (2.6, 0.75))
    # nose
    ridge = _window(rest, (0.0, 1.2), (0.9, 1.6))
    tip = _window(rest, (0.0, -1.3), (1.3, 1.0))
    wings = _window(rest, (0.0, -1.6), (2.1, 1.1)) * (z > 3.8)
    p[:, 1] -= shape.nose_length * _window(rest, (0.0, -1.7), (1.7, 1.2)) * (z > 3.8)
    p[:, 0] += shape.nose_width * x * wings
    p[:, 2] += shape.nose_bridge * ridge + shape.nose_tip * tip
    p[:, 1] += shape.nose_upturn * tip * np.clip((z - 5.5) / 2, 0, 1)
    # mouth: thickness pulls the rows of the lips away from the line between them
    mouth_y = float(rest[13, 1])
    mouth = _window(rest, (0.0, mouth_y), (2.6, 1.3))
    p[:, 0] += shape.mouth_width * x * mouth
    p[:, 1] += shape.mouth_height * mouth
    p[:, 1] += shape.lip_thickness * (y - mouth_y) * _window(rest, (0.0, mouth_y), (2.3, 0.8))
    p[:, 2] += 0.35 * shape.lip_thickness * _window(rest, (0.0, mouth_y), (1.7, 0.7))
    # bones
    below = _smoothstep(-(y + 1.0) / 8.0)
    p[:, 0] *= 1 + shape.jaw_width * below
    p[:, 1] -= shape.chin_length * _smoothstep(-(y + 5.4) / 4.0)
    p[:, 2] += shape.chin_depth * _window(rest, (0.0, -8.8), (3.0, 1.9))
    p[:, 0] += side * shape.cheekbone * _window(rest, (6.0, 0.8), (2.0, 1.5)) * 0.7
    p[:, 2] += shape.cheekbone * _window(rest, (4.4, 0.4), (1.8, 1.4)) * 0.6
    p[:, 2] += shape.forehead * _window(rest, (0.0, 6.6), (4.5, 1.9))
    # proportions of the whole
    p[:, 0] *= 1 + shape.width
    bridge_y = float(rest[168, 1])
    above, under = p[:, 1] > bridge_y, p[:, 1] <= bridge_y
    p[above, 1] = bridge_y + (p[above, 1] - bridge_y) * (1 + shape.upper_height)
    p[under, 1] = bridge_y + (p[under, 1] - bridge_y) * (1 + shape.lower_height)
    p[:, 0] += shape.asymmetry_x * np.sin(y / 4.0)
    p[:, 1] += shape.asymmetry_y * np.sin(x / 3.5)
    return p


def draw_shape(rng: np.random.Generator) -> Shape:
    """A random face shape."""
    values = {}
    for field in fields(Shape):
        deviation = float(np.clip(rng.standard_normal(), -_CLIP_SD, _CLIP_SD))
        values[field.name] = _SHAPE_MEAN.get(field.name, 0.0) + AMPLITUDE * deviation * getattr(_SHAPE_SD, field.name)
    # geometry that would let the lids swallow the eye or the lips vanish
    values["lid_opening"] = float(np.clip(values["lid_opening"], -0.06, 0.22))
    values["chin_depth"] = float(np.clip(values["chin_depth"], -0.7, 1.3))  # a flatter chin would bare the roots of the teeth
    values["chin_length"] = float(np.clip(values["chin_length"], -0.6, 1.3))
    values["lip_thickness"] = float(np.clip(values["lip_thickness"], -0.15, 0.85))
    return Shape(**values)


def draw_identity(rng: np.random.Generator) -> Identity:
    """A random person. Shape, colours and style are independent but for hair colour and skin, beard and hair style."""
    shape = draw_shape(rng)
    tone = rng.uniform(0, len(SKIN_TONES) - 1)
    low = int(tone)
    high = min(low + 1, len(SKIN_TONES) - 1)
    skin = np.array(SKIN_TONES[low]) * (1 - tone + low) + np.array(SKIN_TONES[high]) * (tone - low)
    skin = skin * rng.uniform(0.95, 1.05) * rng.uniform(0.97, 1.03, 3)
    age = float(rng.beta(1.4, 1.8))
    grey = age > 0.6 and rng.random() < 0.6
    choices = DARK_HAIR_COUNT if tone >= DARK_SKIN_FROM - 0.5 else len(HAIR_COLOURS) - 1
    hair = np.array(HAIR_COLOURS[-1] if grey else HAIR_COLOURS[int(rng.integers(choices))]) * rng.uniform(0.85, 1.15)
    style = str(rng.choice(HAIR_STYLES, p=_STYLE_WEIGHTS))
    bearded = style not in _BEARDLESS_STYLES and rng.random() < 0.5
    beard = float(rng.choice([0.25, 0.5, 1.0])) if bearded else 0.0
    light_eyes = tone < 2.5
    iris = IRIS_COLOURS[int(rng.integers(len(IRIS_COLOURS) if light_eyes else 2))]
    return Identity(
        shape=shape,
        skin=_colour(skin),
        redness=float(rng.uniform(0.2, 1.0)),
        freckles=float(rng.uniform(0.3, 1.0)) if tone < 2 and rng.random() < 0.35 else 0.0,
        age=age,
        lip_tint=float(rng.uniform(0.4, 1.0)) if not bearded and rng.random() < 0.4 else 0.0,
        hair=_colour(hair),
        hair_style=style,
        hair_part=float(rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 0.8)),
        hair_volume=float(rng.uniform(0.8, 1.25)),
        brow_thickness=float(rng.uniform(0.75, 1.3)),
        beard=beard,
        iris=_colour(np.array(iris) * rng.uniform(0.85, 1.15)),
        cloth=_colour(np.array(CLOTH_COLOURS[int(rng.integers(len(CLOTH_COLOURS)))]) * rng.uniform(0.8, 1.2)),
        collar=float(rng.random()),
        texture_seed=int(rng.integers(2**31)),
    )


def _colour(rgb: np.ndarray) -> tuple[float, float, float]:
    r, g, b = np.clip(rgb, 0.0, 0.95)
    return float(r), float(g), float(b)


def shape_distance(a: Shape, b: Shape) -> float:
    """RMS distance of two faces seen from the front, centred and scaled to unit norm."""
    return _distance(_outline(a), _outline(b))


def _outline(shape: Shape) -> np.ndarray:
    points = face_vertices(shape)[:, :2]
    points = points - points.mean(0)
    return points / np.linalg.norm(points)


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b))


def draw_identities(rng: np.random.Generator, n: int) -> tuple[Identity, ...]:
    """`n` persons no two of whose faces are nearer than MIN_SHAPE_DISTANCE; raises SpaceError if that many do not fit."""
    people: list[Identity] = []
    outlines: list[np.ndarray] = []
    for _ in range(n * _MAX_DRAWS_PER_IDENTITY):
        if len(people) == n:
            break
        identity = draw_identity(rng)
        outline = _outline(identity.shape)
        if all(_distance(outline, other) >= MIN_SHAPE_DISTANCE for other in outlines):
            people.append(identity)
            outlines.append(outline)
    if len(people) < n:
        raise SpaceError(f"identities: {len(people)} distinct faces found, needed {n} (ask for fewer)")
    return tuple(people)
