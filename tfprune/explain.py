"""Where the results in a run's folder come from, in words, and whether its files still are what its stages wrote.

A file counts as what a stage wrote where its SHA-256 is the one in the stage's done marker; a stage as made from another one where that
one's marker is the same as it was then.
"""
import os
import pathlib
import shlex

from tfprune import flags
from tfprune.experiment import UserError
from tfprune.files import read_json, sha256
from tfprune.run import standing

SUFFIX = ".done.json"


def main(positional):
    """Says where each run's results come from; with --verify what of its files has changed. Returns the exit status, 1 where any has."""
    if not positional:
        raise UserError("give the folder of one or more runs, such as results/laptop/ID9004_Alexnet_digits_nmult=1_seed=0")
    folders = [folder_of(text) for text in positional]
    print("\n\n".join("\n".join(explained(folder)) for folder in folders))
    if not flags.FLAGS.verify:
        return 0
    problems = [problem for folder in folders for problem in damages(folder)]
    checked = sum(len(_table(marker, "files", path)) for folder in folders for path, marker in markers(folder).items())
    print("\n" + "\n".join([*problems, f"verified: {checked} files of {len(folders)} run(s), {len(problems)} problem(s)"]))
    return int(bool(problems))


def folder_of(text):
    """The folder of a run, of its path or that of a file in it; UserError where no stage ever ran in it."""
    path = pathlib.Path(text)
    folder = path.parent if path.is_file() else path
    if not (folder / "config.json").is_file():
        raise UserError(f"argument {text}: no folder of a run (it has no config.json); they are below results/, as <family>/<name>")
    return folder


def markers(folder):
    """{path: content} of a run's done markers, by the time at which they were written.

    Raises:
      UserError: one of them is no done marker.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return {path: _object(path) for path in paths}


def explained(folder):
    """Lines that say of a run which experiment it is, and of each of its stages when, how and from what it was made.

    Raises:
      UserError: a file of the run that says so is damaged.
    """
    config, stages = _object(folder / "config.json"), _object(folder / "provenance.json", {})
    lines = [f"{config.get('name', folder.name)}  ({folder})",
             f"  experiment {config.get('id')} of {config.get('study')}, seed {config.get('seed')}, {config.get('fidelity')}, settings "
             f"{str(config.get('config_hash'))[:12]} (config.json has all of them)"]
    done = markers(folder)
    for path in done:
        name = path.name.removesuffix(SUFFIX)
        written, made = (_table(done[path], kind, path) for kind in ("files", "made_from"))
        state = "done" if standing(path) else "done once, but a file is missing or what it was made from has changed since"
        lines += [f"  {name}: {state}", *(f"    {label:<12} {text}" for label, text in origin(stages.get(name)).items())]
        lines += [f"    made from    {', '.join(made)}"] if made else []
        lines += [f"    files        {len(written)}"]
    lines += [f"  {name}: not done" for name in stages if folder / f"{name}{SUFFIX}" not in done]
    return lines if done or stages else [*lines, "  no stage is done"]


def damages(folder):
    """Lines that name each file of a run that is missing, or not what its stage wrote, and each stage made from what is there no more."""
    lines = []
    for path, marker in markers(folder).items():
        stage = path.name.removesuffix(SUFFIX)
        for kind, again in (("files", f"{stage} wrote"), ("made_from", f"{stage} was made from")):
            for name, digest in _table(marker, kind, path).items():
                file = pathlib.Path(os.path.normpath(folder / name))
                if not file.is_file():
                    lines.append(f"missing: {file}, which {again}")
                elif sha256(file) != digest:
                    lines.append(f"changed: {file}, since {again} it" if kind == "files" else f"changed: {file}, since {again} it; "
                                 f"run {stage} again")
    return lines


def origin(entry):
    """{what: text} of what provenance.json has of a stage: its command, when it ran, with which code, versions, machine, data and seed."""
    if not isinstance(entry, dict):
        return {"provenance": "provenance.json says nothing of it"}
    code, machine, packages = (entry.get(name) if isinstance(entry.get(name), dict) else {} for name in ("code", "machine", "packages"))
    commit = f"{code.get('commit')}{', with uncommitted changes' if code.get('changed') else ''}" if code else "not from a checkout"
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    argv, devices = (value if isinstance(value, list) else [] for value in (entry.get("argv"), machine.get("devices")))
    return {"command": shlex.join(map(str, argv)), "when": f"{entry.get('started')} to {entry.get('finished')}", "code": commit,
            "versions": f"Python {entry.get('python')}, {versions}",
            "machine": f"{machine.get('host')}, {machine.get('system')}, {', '.join(map(str, devices or ['no device']))}",
            "data": str(entry.get("records") or "as the stages before"), "seed": str(entry.get("seed"))}


def _object(path, otherwise=None):
    """The JSON object in a file; `otherwise` where there is no file. UserError where it holds something else."""
    if otherwise is not None and not path.exists():
        return otherwise
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: damaged (a JSON object is expected); remove it and run the stage again")
    return value


def _table(marker, name, path):
    """{path: SHA-256} of a done marker."""
    table = marker.get(name)
    if not isinstance(table, dict) or not all(isinstance(digest, str) for digest in table.values()):
        raise UserError(f"{path}: damaged (not a done marker); remove it and run the stage again")
    return table
