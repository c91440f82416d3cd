"""Landmarks2Latents (paper, section 3.2): landmarks, speech and emotion to a generator's latents.

``network`` the model · ``inputs`` what it sees · ``ridge`` the linear start · ``task`` the loss · ``metrics`` the figures.
"""

from space_models.l2l.network import L2L, MODEL, L2LConfig, load_l2l

__all__ = ["MODEL", "L2L", "L2LConfig", "load_l2l"]
