"""`space demo`, a page to play with (docs/demo.md): `page` draws it, `form` reads it, `studio` makes the videos, `serve` runs it."""
