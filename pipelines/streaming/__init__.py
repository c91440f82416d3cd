"""`space stream`: sound in from a file, a pipe or a socket; frames out to a file, a pipe or a browser (docs/animate.md)."""
