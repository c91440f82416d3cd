"""Sanity systems: they go through the same synthesis and the same evaluator as ours and anchor the scale of every column."""
