"""face_alignment < 1.4: ``LandmarksType._2D``, ``_2halfD`` and ``_3D``."""
# mypy: ignore-errors

try:
    from face_alignment import LandmarksType
except ImportError:
    LandmarksType = None

for old, new in (("_2D", "TWO_D"), ("_2halfD", "TWO_HALF_D"), ("_3D", "THREE_D")) if LandmarksType else ():
    if not hasattr(LandmarksType, old):
        setattr(LandmarksType, old, LandmarksType[new])
