"""Runs a script that something happens to in the midst of its work: python tests/dying.py WHAT NUMBER SCRIPT ARGUMENTS

WHAT is a signal (KILL, TERM) that comes when the script is about to flush a file or folder to disk for the NUMBERth time (before a file is
renamed, and after that); `count`, which only says how often it does; or `full`: no file can have more than NUMBER bytes.
"""
import os
import resource
import runpy
import signal
import sys


def main(what, number, script, *arguments):
    """Runs the script."""
    calls, fsync = [], os.fsync

    def counted(descriptor):
        calls.append(descriptor)
        if len(calls) == number and what != "count":
            os.kill(os.getpid(), getattr(signal, f"SIG{what}"))
        fsync(descriptor)

    if what == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (number, resource.RLIM_INFINITY))
    else:
        os.fsync = counted
    sys.argv, sys.path[0] = [script, *arguments], os.getcwd()
    try:
        if script.endswith(".py"):
            runpy.run_path(script, run_name="__main__")
        else:
            runpy.run_module(script, run_name="__main__", alter_sys=True)
    finally:
        if what == "count":
            print(f"flushed {len(calls)} times")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
