"""The controls of `animate` (docs/animate.md): what is asked for in flags or a timeline becomes one value per frame.

SPACE edits landmarks between its stages (paper, section 3; project page: pose, blinks, gaze). Rates follow the one product that
descends from it: about 15 blinks a minute, glances away every few seconds.
"""
