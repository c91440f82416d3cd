"""Controls: they go through the same synthesis and the same evaluator as every system and anchor the scale of each metric."""
