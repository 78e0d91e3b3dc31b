"""What a sweep's flags say in words: stages, seeds, and which flags belong to which engine."""
from functools import partial

from absl import flags

from tfprune.experiment import UserError
from tfprune.pruning_words import drawn
from tfprune.sweep.tasks import Stage
from tfprune.training.summaries import listed

STAGES = ("train", "get_activations", "get_redundancy", "get_robustness", "pkl2csv", "prune", "shrink")
AFTERWARDS = {"train": listed, "prune": drawn}  # is there what is written after a stage's marker?
KINDS = ("redundancy", "robustness")
MOST_SEEDS = 10_000
LEAST = {"jobs": 1, "threads": 1, "retry": 0, "throttle": 1, "array_size": 1, "gpus_per_task": 0}


def define(engines):
    """Defines the flags that are a sweep's own; `engines` are the names of --engine."""
    flags.DEFINE_string("seeds", None, "seeds of training, such as 0-2 or 0,5; default: each experiment's own")
    flags.DEFINE_string("stages", "train", f"what to do with each run, in this order: some of {','.join(STAGES)}")
    flags.DEFINE_enum("engine", "local", list(engines), "local: a process for each task; slurm: an array of jobs on a cluster; "
                      "ray: the nodes of a Ray cluster; here: this process for all")
    flags.DEFINE_integer("jobs", None, "tasks at once; default: as many as there are GPUs, else one; with ray what there is room for")
    flags.DEFINE_integer("threads", None, "threads of each; default: its share of the cores; with slurm 4")
    flags.DEFINE_integer("retry", 0, "how often a task that failed is tried again; default: 0, never")
    flags.DEFINE_bool("fail_fast", False, "end all tasks when one has failed")
    flags.DEFINE_string("address", None, "ray: host:port of the cluster's head, or auto; default: Ray is started on this machine")
    flags.DEFINE_bool("submit", False, "slurm: hand the script to sbatch")
    flags.DEFINE_integer("throttle", 64, "slurm: elements of the array that run at once")
    flags.DEFINE_integer("array_size", 1000, "slurm: elements of the array, at most; with more tasks each does several in turn")
    flags.DEFINE_integer("gpus_per_task", 1, "slurm: GPUs of each; 0: CPU only")
    flags.DEFINE_string("time_limit", None, "slurm: of each element, HH:MM:SS or D-HH:MM:SS; default: the cluster's")
    flags.DEFINE_multi_string("sbatch", [], "slurm: an option for sbatch, repeatable: --sbatch=--partition=gpu --sbatch=--mem=16G")


def chosen_stages(text):
    """The `Stage`s of --stages, in its order; UserError where it names none of them, or one twice."""
    names = text.split(",")
    for name in names:
        if name not in STAGES or names.count(name) > 1:
            raise UserError(f"--stages={text}: expected some of {','.join(STAGES)}, each once, with commas between")
    return tuple(Stage(name, partial(_done, name)) for name in names)


def chosen_seeds(text):
    """The seeds of --seeds, such as 0-2,5, each once; UserError where they are none or too many."""
    found = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        numbers = [first, last] if dash else [first]
        if not all(number.isdecimal() and len(number) <= 10 for number in numbers) or not int(first) <= int(numbers[-1]) < 2**31:
            raise UserError(f"--seeds={text}: expected whole numbers and ranges of them, such as 0-2 or 0,5")
        if int(last or first) - int(first) >= MOST_SEEDS:
            raise UserError(f"--seeds={text}: {int(last or first) - int(first) + 1} seeds are too many")
        found += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(found))


def check_flags(takes):
    """UserError where a number is too small, seeds are given twice, or a flag is for another engine.

    `takes` is {engine: names of its own flags}.
    """
    values = flags.FLAGS
    for name, number in LEAST.items():
        if values[name].value is not None and values[name].value < number:
            raise UserError(f"--{name}={values[name].value}: expected a whole number from {number}")
    if values.seed is not None and values.seeds is not None:
        raise UserError(f"--seed={values.seed}: is one seed, and --seeds={values.seeds} names them all; give one of the two")
    for name in dict.fromkeys(name for names in takes.values() for name in names):
        if name not in takes[values.engine] and values[name].value != values[name].default:
            others = " or ".join(f"--engine={other}" for other, names in takes.items() if name in names)
            raise UserError(f"--{name}: is for {others}, and says nothing to --engine={values.engine}; leave it out")


def _done(name, run, known):
    if name == "pkl2csv":
        return all(map(run.exported, KINDS))
    return run.done(name, known) is not None and (name not in AFTERWARDS or AFTERWARDS[name](run))
