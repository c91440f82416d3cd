"""The only callers of the codecs (PyAV, which brings FFmpeg) and of the picture readers: probe, decode, encode, mux."""
