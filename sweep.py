"""Many experiments with one command: their stages, several runs at once, on this machine.

    python sweep.py --experiment_ids=2-61 --seeds=0-2 --jobs=2                          trains them
    python sweep.py --experiment_ids=9002-9006 --jobs=2 --stages=train,get_activations,get_redundancy,get_robustness,pkl2csv
    python sweep.py --experiment_ids=9040-9049 --seeds=0,1 --stages=train,prune,shrink --retry=1

A task is all stages of one experiment with one seed, in a process of its own that has its share of the cores, and a GPU where there are
any. What is finished is skipped; what a killed sweep has begun goes on with the next one. Two sweeps over the same experiments share the
work: each leaves alone what the other is at. All that a task says is in results/sweep/<family>/<run>.log. The exit status is 0 only if
every task is done.
"""
import importlib
import sys
from functools import partial

from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags, pkl2csv
from tfprune.progress import say
from tfprune.run import asked
from tfprune.sweep.display import Display, last_words
from tfprune.sweep.local import ELSEWHERE, Local
from tfprune.sweep.machine import cores, gpus
from tfprune.sweep.tasks import Stage, Task

FLAGS = flags.FLAGS
KINDS = ("redundancy", "robustness")
PASSED_ON = ("results_dir", "data_dir", "fidelity", "streaming", "strict", "overwrite")


def main(positional):
    """Runs all tasks; returns the exit status."""
    stages = chosen_stages(FLAGS.stages)
    check_flags()
    tasks = [Task(run, stages) for seed in seeds() for run in runs_of(seed, positional)]
    if FLAGS.dry_run:
        left = [task for task in tasks if FLAGS.overwrite or not task.finished()]
        print("\n".join([*(f"{task.label}: would run {', '.join(stage.name for stage in task.stages)}" for task in left),
                         f"{len(left)} of {len(tasks)} tasks to do"]))
        return 0
    return here(tasks) if FLAGS.engine == "here" else local(tasks)


def local(tasks):
    """Runs tasks in processes of their own."""
    devices = gpus()
    jobs = FLAGS.jobs or max(1, len(devices))
    threads = FLAGS.threads or max(1, cores() // jobs)
    engine = Local(command, jobs, threads, tuple(devices), FLAGS.retry, FLAGS.fail_fast, FLAGS.overwrite, Display())
    states = engine.run(tasks)
    print("\n".join(last_words(states)))
    return int(any(state.word != "done" for state in states))


def here(tasks):
    """Runs tasks in this process, one after the other: what every other engine's process does with its own."""
    status = 0
    for task in tasks:
        with task.claimed() as mine:
            if not mine:
                say(f"{task.label}: another process is at it")
                status = ELSEWHERE
            for stage in task.stages if mine else ():
                do(stage.name, task.run)
    return status


def do(name, run):
    """One stage of one run, unless it is done."""
    if name == "train":
        import train

        train.execute(run, FLAGS.data_dir, overwrite=FLAGS.overwrite, strict=FLAGS.strict)
    elif name == "pkl2csv":
        for kind in KINDS:
            pkl2csv.export_run(kind, run)
    elif name == "prune":
        import prune

        prune.prune(run)
    else:
        importlib.import_module(name).execute(run)


def done(name, run, known):
    """Is a stage of a run done?"""
    return all(map(run.exported, KINDS)) if name == "pkl2csv" else run.done(name, known) is not None


STAGES = ("train", "get_activations", "get_redundancy", "get_robustness", "pkl2csv", "prune", "shrink")


def chosen_stages(text):
    """The `Stage`s of --stages, in its order."""
    names = text.split(",")
    for name in names:
        if name not in STAGES or names.count(name) > 1:
            raise flags.UserError(f"--stages={text}: expected some of {','.join(STAGES)}, each once, with commas between")
    return tuple(Stage(name, partial(done, name)) for name in names)


def check_flags():
    """UserError where numbers are out of range, or flags say the same twice."""
    for name, least in (("jobs", 1), ("threads", 1), ("retry", 0)):
        value = FLAGS[name].value
        if value is not None and value < least:
            raise flags.UserError(f"--{name}={value}: expected a whole number from {least}")
    if FLAGS.seed is not None and FLAGS.seeds is not None:
        raise flags.UserError(f"--seed={FLAGS.seed}: is one seed, and --seeds={FLAGS.seeds} names them all; give one of the two")


def seeds():
    """The seeds of --seeds; [None] where each experiment has its own."""
    text, found = FLAGS.seeds, []
    if text is None:
        return [FLAGS.seed]
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(last or first) < int(first) or int(last or first) >= 2**31:
            raise flags.UserError(f"--seeds={text}: expected whole numbers and ranges of them, such as 0-2 or 0,5")
        if int(last or first) - int(first) >= 10_000:
            raise flags.UserError(f"--seeds={text}: {int(last or first) - int(first) + 1} seeds are too many")
        found += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(found))


def runs_of(seed, positional):
    """The runs that the command line names, with one seed."""
    FLAGS.seed = seed
    return asked(REGISTRY, positional)


def command(task):
    """The command that does one task in a process of its own."""
    experiment = task.run.experiment
    words = [sys.executable, sys.argv[0], "--engine=here", experiment.flag, f"--seed={experiment.seed}",
             f"--stages={','.join(stage.name for stage in task.stages)}", *(f"--set={text}" for text in FLAGS.set)]
    for name in PASSED_ON:
        if FLAGS[name].value != FLAGS[name].default:
            words.append(f"--{name}" if FLAGS[name].boolean else f"--{name}={FLAGS[name].value}")
    return words


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.flags.DEFINE_string("seeds", None, "seeds of training, such as 0-2 or 0,5; default: each experiment's own")
    flags.flags.DEFINE_string("stages", "train", f"what to do with each run, in this order: some of {','.join(STAGES)}")
    flags.flags.DEFINE_enum("engine", "local", ["local", "here"], "local: a process for each task; here: this one for all")
    flags.flags.DEFINE_integer("jobs", None, "tasks at once; default: as many as there are GPUs, else one")
    flags.flags.DEFINE_integer("threads", None, "threads of each; default: its share of the cores")
    flags.flags.DEFINE_integer("retry", 0, "how often a task that failed is tried again")
    flags.flags.DEFINE_bool("fail_fast", False, "end all tasks when one has failed")
    flags.run(main, REGISTRY)
