"""Runs a command and ends it, with all that it started, as soon as nobody waits for it: ``python -I guard.py COMMAND ...``.

Whoever starts it holds the other end of its standard input and closes that to end it. The kernel closes it for a process that was
killed or whose terminal is gone, too: then no ``finally`` would have run. Standard library only: it is run as a file.
"""

import os
import signal
import subprocess
import sys
import threading

END_S = 5.0
"""Between the request to end and the end by force."""


def main() -> int:
    """The command's exit status."""
    program = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_when_left, args=(program,), daemon=True).start()
    try:
        return program.wait()
    finally:
        _end(program)  # helpers must not outlive it


def _end_when_left(program: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 1):
        pass
    _end(program)


def _end(program: "subprocess.Popen[bytes]") -> None:
    """End the program's whole session."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(program.pid, how)
            program.wait(END_S)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue


if __name__ == "__main__":
    sys.exit(main())
