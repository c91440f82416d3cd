"""Which clips are scored: frozen, named lists, and the rule that chooses where there is none."""
