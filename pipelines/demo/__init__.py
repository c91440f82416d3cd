"""`space demo`, a page to play with: `page` draws it, `form` reads it, `studio` makes the videos, `serve` runs it."""
