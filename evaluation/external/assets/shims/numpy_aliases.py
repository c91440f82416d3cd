"""numpy < 1.24: the names np.bool, np.int, np.float, np.complex, np.object and np.str of Python's own types."""

import builtins

try:
    import numpy

    gone = [name for name in ("bool", "int", "float", "complex", "object", "str") if name not in vars(numpy)]
except ImportError:
    gone = []

for name in gone:
    setattr(numpy, name, getattr(builtins, name))
