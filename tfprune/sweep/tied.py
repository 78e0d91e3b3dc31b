"""Runs a command that is asked to end when the process that started it dies: python -I tied.py PID COMMAND ...

PID is the process that started this one. The command takes this process's place, so that it has one process and gets its signals itself.
"""
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>; it outlives exec


def main(parent, command):
    """Never returns."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before it could be heard
        sys.exit(128 + signal.SIGTERM)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
