"""Many experiments with one command: their stages, several runs at once, on this machine or on a cluster.

    python sweep.py --experiment_ids=2-61 --seeds=0-2 --jobs=2                          trains them
    python sweep.py --experiment_ids=9002-9006 --jobs=2 --stages=train,get_activations,get_redundancy,get_robustness,pkl2csv
    python sweep.py --experiment_ids=9040-9049 --seeds=0,1 --stages=train,prune,shrink --retry=1
    python sweep.py --experiment_ids=2-61 --seeds=0-2 --engine=slurm --time_limit=08:00:00 --sbatch=--partition=gpu --submit
    python sweep.py --experiment_ids=2-61 --seeds=0-2 --engine=ray --address=auto       on the nodes of a Ray cluster

A task is all stages of one experiment with one seed, in a process of its own that has its share of the cores, and a GPU where there are
any. What is finished is skipped; what a killed sweep has begun goes on with the next one. Two sweeps over the same experiments share the
work: each leaves alone what the other is at. All that a task says is in results/sweep/<family>/<run>.log. The exit status is 0 only if
every task is done.

Class filters and reports are no stages: decompose.py and report.py are called when the sweep has ended.
"""
import importlib
import sys

from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags, pkl2csv
from tfprune.progress import say
from tfprune.run import asked
from tfprune.sweep import slurm
from tfprune.sweep.display import Display, last_words
from tfprune.sweep.engine import ELSEWHERE
from tfprune.sweep.local import Local
from tfprune.sweep.machine import cores, gpus
from tfprune.sweep.tasks import Task
from tfprune.sweep.words import KINDS, check_flags, chosen_seeds, chosen_stages, define

FLAGS = flags.FLAGS
PASSED_ON = ("results_dir", "data_dir", "fidelity", "streaming", "strict", "overwrite")


def main(positional):
    """Runs all tasks; returns the exit status."""
    stages = chosen_stages(FLAGS.stages)
    engine, _ = ENGINES[FLAGS.engine]
    check_flags({name: own for name, (_, own) in ENGINES.items()})
    if FLAGS.engine == "slurm":
        slurm_request().check(FLAGS.overwrite)
    seeds = [FLAGS.seed] if FLAGS.seeds is None else chosen_seeds(FLAGS.seeds)
    tasks = [Task(run, stages) for seed in seeds for run in runs_of(seed, positional)]
    if FLAGS.dry_run:
        left = [task for task in tasks if FLAGS.overwrite or not task.finished()]
        print("\n".join([*(f"{task.label}: would run {', '.join(stage.name for stage in task.stages)}" for task in left),
                         f"{len(left)} of {len(tasks)} tasks to do"]))
        return 0
    return engine(tasks)


def local(tasks):
    """Runs tasks in processes of their own."""
    devices = gpus()
    jobs = FLAGS.jobs or max(1, len(devices))
    threads = FLAGS.threads or max(1, cores() // jobs)
    return watched(tasks, Local, jobs=jobs, threads=threads, devices=tuple(devices))


def on_ray(tasks):
    """Runs tasks on a cluster of Ray's, or on this machine."""
    from tfprune.sweep.ray_engine import Ray

    return watched(tasks, Ray, jobs=FLAGS.jobs, threads=FLAGS.threads, address=FLAGS.address)


def watched(tasks, kind, **options):
    """Runs tasks with an engine of a kind, and shows how they fare; returns the exit status."""
    engine = kind(command, retry=FLAGS.retry, fail_fast=FLAGS.fail_fast, again=FLAGS.overwrite, show=Display(), **options)
    states = engine.run(tasks)
    print("\n".join(last_words(states)))
    return int(any(state.word != "done" for state in states))


def on_slurm(tasks):
    """Writes the script that does tasks on a cluster, and submits it if asked to."""
    left = [task for task in tasks if not task.finished()]
    print(f"{len(left)} of {len(tasks)} tasks to do")
    if left:
        print(slurm.run(left, command, slurm_request(), FLAGS.submit))
    return 0


def slurm_request():
    """What the flags ask of Slurm."""
    return slurm.Request(FLAGS.throttle, FLAGS.array_size, FLAGS.gpus_per_task, FLAGS.threads or slurm.THREADS, FLAGS.time_limit,
                         tuple(FLAGS.sbatch), FLAGS.retry)


def here(tasks):
    """Runs tasks in this process, one after the other: what every other engine's process does with its own."""
    status = 0
    for task in tasks:
        if task.finished() and not FLAGS.overwrite:
            say(f"{task.label}: finished before")
            continue
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


# What does the tasks: a function of them that returns the exit status, and the flags that are its own.
ENGINES = {
    "local": (local, ("jobs", "threads", "retry", "fail_fast")),
    "ray": (on_ray, ("jobs", "threads", "retry", "fail_fast", "address")),
    "slurm": (on_slurm, ("submit", "threads", "retry", "throttle", "array_size", "gpus_per_task", "time_limit", "sbatch")),
    "here": (here, ()),
}

if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    define(ENGINES)
    flags.run(main, REGISTRY)
