"""Files in a run's folder that are not what a stage wrote, and why; what is in pickles is read through the allow-list alone."""
from tfprune import pickles
from tfprune.experiment import UserError
from tfprune.files import sha256
from tfprune.run import STAGES

DONE = ".done.json"
MADE = ("config.json", "provenance.json", "metrics.jsonl", "checkpoints", "tb", "figures")  # whatever is done
CHECKED = 2 ** 20  # bytes of a pickle that is looked into here; whoever reads a larger one does so through the same allow-list


def strangers_in(folder, names, done):
    """{name: why} of what no stage that is done has written, and of pickles that are not what it wrote.

    Args:
      folder: path of a run's folder.
      names: {name: os.DirEntry} of what is in it.
      done: {stage, with its tag: content of its done marker}.
    """
    listed = {name: (stage, digest) for stage, marker in done.items() for name, digest in marker["files"].items()}
    ours, strange = {name.partition("/")[0] for name in listed}, {}
    for name, found in sorted(names.items()):
        marker = name.endswith(DONE) and name.removesuffix(DONE).partition("+")[0] in STAGES
        if name not in ours and name not in MADE and not marker and not name.startswith("."):
            strange[name] = _refusal(folder / name, found) or "belongs to no stage that is done"
        elif name.endswith(".pkl") and name in listed:
            stage, digest = listed[name]
            newer, size = found.stat().st_mtime_ns > names[f"{stage}{DONE}"].stat().st_mtime_ns, found.stat().st_size
            if newer and size <= CHECKED and sha256(folder / name) != digest:
                strange[name] = _refusal(folder / name, found) or f"changed since {stage} wrote it"
    return strange


def _refusal(path, found):
    """Why a pickle cannot be read, as far as it is looked into; nothing where it can, or is something else."""
    if not path.name.endswith((".pkl", ".pickle")) or not found.is_file() or found.stat().st_size > CHECKED:
        return ""
    try:
        pickles.load(path)
    except UserError as problem:
        return in_folder(problem, path.parent).removeprefix(f"{path.name}: ")
    return ""


def in_folder(problem, folder):
    """A problem's message without the path of the folder, which stands beside it."""
    return str(problem).replace(f"{folder}/", "")
