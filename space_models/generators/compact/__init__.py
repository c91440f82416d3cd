"""`compact`: the small keypoint-driven generator of our own, trained by this repository on rendered heads (docs/compact.md).

``canvas`` the head-fixed picture on which it works · ``keypoints``, ``encoder``, ``motion``, ``painter`` and all of them in
``networks`` · ``losses``, ``sampling``, ``training`` · ``composite`` the full-size picture · ``generator`` what stands behind the
interface of ``space_models.generators``.
"""

from space_models.generators.compact.generator import MODEL, CompactGenerator, CompactState, load_compact

__all__ = ["MODEL", "CompactGenerator", "CompactState", "load_compact"]
