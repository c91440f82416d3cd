"""`liveportrait`: our own implementation of LivePortrait's networks (arXiv 2407.03168), which loads the published weights.

``config`` sizes · ``appearance`` F · ``motion`` M · ``warping`` W · ``spade`` G · ``stitching`` S · ``weights`` files, hashes
· ``head`` its pose and ours · ``generator`` the `KeypointGenerator`. Equal to the reference implementation to 1e-4
(tests/space_models/generators/test_liveportrait_parity.py). Licence and origin of the weights: docs/generators.md.
"""
