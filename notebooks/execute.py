"""Execute all notebooks and write the executed copies into results/notebooks; the ones in notebooks/ stay without outputs.

    python notebooks/execute.py                                        what make notebooks does
    python notebooks/execute.py --results_dir=FOLDER plot_demo         only some, on other results
"""
import os
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tfprune import flags  # noqa: E402


def names():
    """The notebooks of this folder, without their suffix."""
    return sorted(path.stem for path in HERE.glob("plot_*.ipynb"))


def execute(path, results_dir, out, folder=HERE):
    """Runs a notebook from a clean kernel, and writes the executed copy.

    Args:
      path: the notebook.
      results_dir: folder of the results that it shows.
      out: folder of the copy.
      folder: where the kernel starts.

    Returns:
      The path of the copy.

    Raises:
      nbclient.exceptions.CellExecutionError: a cell failed; the copy up to there is written all the same.
    """
    import nbclient
    import nbformat
    import traitlets.config

    notebook = nbformat.read(path, as_version=4)
    environment = os.environ | {"TFPRUNE_RESULTS": str(pathlib.Path(results_dir).resolve())}
    environment.pop("MPLBACKEND", None)  # it would decide over the kernel's own, which draws into the notebook
    copy = pathlib.Path(out) / pathlib.Path(path).name
    copy.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tfprune") as sockets:  # not TCP: nobody else on the machine can listen
        sockets_only = traitlets.config.Config(KernelManager={"transport": "ipc", "connection_file": f"{sockets}/kernel.json"})
        client = nbclient.NotebookClient(notebook, kernel_name="python3", timeout=600, config=sockets_only,
                                         resources={"metadata": {"path": str(folder)}})
        try:
            client.execute(env=environment)
        finally:
            nbformat.write(notebook, copy)
    return copy


def main():
    """Executes what the command line names."""
    parser = flags.Parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="notebooks to execute; by default all")
    parser.add_argument("--results_dir", default=HERE.parent / "results", help="folder of the results (default: results)")
    parser.add_argument("--out", help="folder of the executed copies (default: <results_dir>/notebooks)")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(names()))
    if unknown:
        flags.fail(f"argument {unknown[0]}: no such notebook; there are {', '.join(names())}")
    results = pathlib.Path(arguments.results_dir)
    if not results.is_dir():
        flags.fail(f"--results_dir={results}: no such folder; make demo makes some results")
    try:
        for name in arguments.names or names():
            print(f"executed {execute(HERE / f'{name}.ipynb', results, arguments.out or results / 'notebooks')}", flush=True)
    except ImportError as error:
        flags.fail(f"{error.name} is not installed: pip install -e '.[notebooks]'")
    except OSError as error:
        flags.fail(f"{error.filename or name}: {error.strerror or error}")


if __name__ == "__main__":
    main()
