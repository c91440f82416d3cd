"""numpy < 1.24: the names np.bool, np.int, np.float, np.complex, np.object and np.str of Python's own types."""

import builtins

try:
    import numpy
except ImportError:
    numpy = None

for name in ("bool", "int", "float", "complex", "object", "str") if numpy else ():
    if name not in vars(numpy):
        setattr(numpy, name, getattr(builtins, name))
