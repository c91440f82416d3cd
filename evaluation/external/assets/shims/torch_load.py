"""torch < 2.6: ``torch.load`` of files that hold more than tensors, an optimiser for example. It runs code that is in them."""
# mypy: ignore-errors

try:
    import torch

    guarded = torch.load
except ImportError:
    guarded = None


def load(*arguments, **options):
    options.setdefault("weights_only", False)
    return guarded(*arguments, **options)


if guarded:
    torch.load = load
