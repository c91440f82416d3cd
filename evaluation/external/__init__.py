"""Systems that are not ours: what a card says of one, the sound that it must be given, and how its program is run."""
