"""Runs scripts without importing TensorFlow for each of them: a process that has imported it becomes, in forks of itself, every script.

A fork is where `python SCRIPT ARGUMENTS` is once TensorFlow is imported: none of it has been used, no module of the project is loaded, and
environment, folder, files, flags and random numbers are its own. Tests of a start itself (its imports, kills) start Python instead.
"""
import gc
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
SECONDS = 600  # then a fork dies of SIGALRM


class Forks:
    """The process that is forked; it ends with the one that made it, when its input does."""

    def __init__(self, environment):
        self.process = subprocess.Popen([sys.executable, __file__], env=environment, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def run(self, words, environment, root=ROOT):
        """Runs a script of the repository at `root`, named with its arguments, to its end; returns (exit status, stdout, stderr)."""
        with tempfile.TemporaryDirectory() as out:
            print(json.dumps([out, words, environment, str(root)]), file=self.process.stdin, flush=True)
            status = int(self.process.stdout.readline())
            return status, *(pathlib.Path(out, name).read_text(encoding="utf-8") for name in ("stdout", "stderr"))


def load():
    """Imports what takes long, and forgets the flags that came with it: scripts have theirs read before they import TensorFlow."""
    import sklearn.datasets  # noqa: F401  (the digits)
    from absl import flags

    own = set(flags.FLAGS)
    import tensorflow  # noqa: F401
    import tf_keras  # noqa: F401

    for name in set(flags.FLAGS) - own:
        delattr(flags.FLAGS, name)
    gc.freeze()  # what is there by now stays shared memory of all forks, also when they end


def serve():
    """Forks for each line of stdin and prints the fork's exit status; returns in the forks only: the script that each is to run."""
    for line in sys.stdin:
        if pid := os.fork():
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
            continue
        out, words, environment, root = json.loads(line)
        os.environ.clear()
        os.environ.update(environment)
        for descriptor, path in enumerate((os.devnull, f"{out}/stdout", f"{out}/stderr")):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), descriptor)
        sys.argv = words
        os.chdir(root)
        sys.path[0] = os.path.dirname(os.path.abspath(words[0]))  # in place of this script's folder
        sys.modules["numpy"].random.seed()
        signal.alarm(SECONDS)
        return words[0]
    return None


if __name__ == "__main__":
    os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}  # as tfprune/keras.py has it
    load()
    if (script := serve()) == "-m":
        sys.path[0], module = os.getcwd(), sys.argv.pop(1)
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    elif script:
        runpy.run_path(script, run_name="__main__")
