"""librosa < 0.10: ``librosa.filters.mel(sr, n_fft, n_mels, fmin, fmax)`` by position."""
# mypy: ignore-errors

try:
    import librosa.filters

    keyword_only = librosa.filters.mel
except ImportError:
    keyword_only = None


def mel(*by_position, **by_name):
    by_name.update(zip(("sr", "n_fft", "n_mels", "fmin", "fmax"), by_position))  # noqa: B905, Python 3.6 has no strict
    return keyword_only(**by_name)


if keyword_only:
    librosa.filters.mel = mel
