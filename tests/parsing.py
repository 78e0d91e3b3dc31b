"""Parses command lines with the scripts' own flags, and does nothing else: reads [[word]] from a JSON file, prints what is wrong with each.

Each command line is parsed in a fork of this process, as flags can be defined but once; experiments and settings are looked up, too.
"""
import argparse
import json
import os
import pathlib
import runpy
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import experiments  # noqa: E402, F401  (no fork makes the registry again)
from tfprune import flags, recipe_flags  # noqa: E402


def only_parsed(_, registry=None):
    """In place of `flags.run`: what it does before it calls a script's own code, and a look at the experiments that are asked for."""
    with flags.in_one_line():
        shared = "experiment_id" in flags.FLAGS
        positional = flags.FLAGS(recipe_flags.arguments(sys.argv, flags.FLAGS) if shared else sys.argv)[1:]
        numbers = [word for word in positional if word.isdecimal()]
        name = shared and flags.FLAGS.experiment_id
        if shared and registry and not (name and not name.isdecimal()) and not flags.FLAGS.list and flags.named(numbers) and not absent():
            flags.experiments(registry, numbers)
    sys.exit(0)


def absent():
    """Whether a recipe of the user's is asked for, which only the user has."""
    return flags.FLAGS.config == "mine.yml"


def parsed_by_argparse(parser, *arguments):
    """In place of `parse_args`."""
    argparse_parse(parser, *arguments)
    sys.exit(0)


def fork(words):
    """What a command line's parser says to it: nothing where it is right."""
    read, written = os.pipe()
    if pid := os.fork():
        os.close(written)
        with os.fdopen(read) as said:
            text = said.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return "" if status == 0 else f"exit {status}: {text}"
    os.dup2(written, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        module = words[0] == "-m"
        sys.argv = words[1:] if module else words
        runpy.run_module(words[1], run_name="__main__") if module else runpy.run_path(words[0], run_name="__main__")
    except SystemExit as leaving:
        sys.stderr.flush()
        os._exit(leaving.code or 0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    print("it parsed nothing", file=sys.stderr, flush=True)
    os._exit(1)


if __name__ == "__main__":
    argparse_parse, argparse.ArgumentParser.parse_args = argparse.ArgumentParser.parse_args, parsed_by_argparse
    flags.run = only_parsed
    sys.path[0] = str(ROOT)
    print(json.dumps([fork(words) for words in json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))]))
