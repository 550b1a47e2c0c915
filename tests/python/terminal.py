"""Runs a program in a terminal of 80 columns and 24 rows, and ends it as --end says.

Prints what it showed until then, whether the terminal is as it was, and the exit code, as one JSON line.
Standard input stays open until the test ends.
"""

import argparse
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from report import report


def main():
    options = arguments()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(theirs)
    program = subprocess.Popen(options.program, stdin=theirs, stdout=theirs, stderr=theirs)
    shown = read_until(ours, options.shows.encode(), SHOWN_WITHIN)
    if options.end == "key":
        os.write(ours, b"q")
    else:
        program.send_signal(signal.SIGTERM)
    try:
        code = program.wait(ENDS_WITHIN)
    except subprocess.TimeoutExpired:
        program.kill()
        code = None
    shown += read_until(ours, b"\x1b[?1049l", 1)
    restored = termios.tcgetattr(theirs) == before and b"\x1b[?1049l" in shown
    report("terminal", shown=shown.decode(errors="replace"), restored=restored, code=code)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--end", choices=["key", "signal"], required=True)
    parser.add_argument("--shows", required=True, help="what the program shows before it is ended")
    parser.add_argument("program", nargs="+")
    return parser.parse_args()


def read_until(terminal, text, seconds):
    """What comes until `text` was shown, or for so many seconds."""
    shown, until = b"", time.monotonic() + seconds
    while text not in shown and time.monotonic() < until:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                shown += os.read(terminal, 65536)
            except OSError:
                break
    return shown


SHOWN_WITHIN = 20
ENDS_WITHIN = 10

if __name__ == "__main__":
    sys.exit(main())
