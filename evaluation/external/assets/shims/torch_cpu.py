"""A machine without CUDA: ``.cuda()`` and ``.to("cuda")`` change nothing, what was saved on a GPU is loaded on the processor."""
# mypy: ignore-errors

try:
    import torch

    absent = not torch.cuda.is_available()
except ImportError:
    absent = False


def stay(self, *_, **__):
    return self


def without_cuda(move):
    def on_processor(value):
        return "cpu" if str(value).startswith("cuda") and not hasattr(value, "shape") else value

    def moved(self, *arguments, **options):
        return move(self, *map(on_processor, arguments), **{name: on_processor(value) for name, value in options.items()})

    return moved


def loading_on_processor(load):
    def loaded(file, map_location="cpu", *arguments, **options):
        return load(file, map_location, *arguments, **options)

    return loaded


if absent:
    torch.load = loading_on_processor(torch.load)
    for kind in (torch.Tensor, torch.nn.Module):
        kind.cuda, kind.to = stay, without_cuda(kind.to)
