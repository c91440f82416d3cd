"""Synthetic talking heads: a parametric head, its controls, and its renderer. No real person, no third-party geometry."""
