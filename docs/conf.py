"""How Sphinx makes the documentation: README and docs/ as they are (MyST reads Markdown), and the reference from the docstrings.

    make docs                     into build/docs; a warning is an error

Sources are read from the repository's root, so that links between README.md and docs/ are the same here and on a forge. Docstrings are
plain text with `code`, and Google's sections, which napoleon knows.
"""
import importlib.util
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

project = "tfprune"
html_title = "tfprune"
root_doc = "README"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.apidoc"]
PAGES = ["README", "docs/frivolous_units", "docs/hidden_networks", "docs/recipes", "docs/feature_amounts", "docs/decomposing",
         "docs/network_pruning", "docs/command_line", "docs/figures", "docs/data", "docs/sweeps", "docs/own_models", "docker/README",
         "docs/fidelity", "docs/performance", "docs/reliability", "docs/architecture", "CHANGELOG"]  # in the order of the contents
REFERENCE = "docs/api/tfprune"
include_patterns = [*(f"{page}.md" for page in PAGES), "docs/api/*.rst"]
exclude_patterns = [".*", "build", "results", "datasets", "tests", "data", "tfprune", "notebooks", "benchmarks", "examples",
                    "docs/api/modules.rst"]
suppress_warnings = ["ref.python"]  # a name of the face is that of its module, too

myst_heading_anchors = 4
html_theme = "alabaster"
html_theme_options = {"description": "Which parts of a neural network does it really need?", "page_width": "1080px", "fixed_sidebar": True}
html_show_copyright = False
html_copy_source = False

apidoc_modules = [{"path": "../tfprune", "destination": "docs/api", "separate_modules": True, "module_first": True,
                   "automodule_options": {"members"}}]
autodoc_member_order = "bysource"
autodoc_mock_imports = [name for name in ("ray", "torch", "plotly") if importlib.util.find_spec(name) is None]
autodoc_typehints = "none"
autodoc_inherit_docstrings = False
napoleon_use_ivar = True
CODE = re.compile(r"(`[^`]+`)")


def add_contents(_, name, source):
    """The list of pages, after README's text; on a forge README stands alone."""
    if name == root_doc:
        pages = "\n".join(f"/{page}" for page in [*PAGES[1:], REFERENCE])
        source[0] += f"\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{pages}\n```\n"


def as_rst(_, what, name, obj, options, lines):
    """A docstring in reStructuredText: `code` as such, indented lines after an empty one as commands, and no other markup."""
    plain = [escaped(line) for line in lines]
    for number in [number for number, line in enumerate(lines[:-1], 1) if line in ("Returns:", "Yields:")]:
        plain[number] = re.sub(r"^( *)", r"\1: ", plain[number])  # no type stands before the first colon, which may be that of {key: value}
    for number in range(len(plain) - 1, 0, -1):
        begins = indented(plain[number]) and not plain[number - 1].strip() and not inside(plain, number)
        if begins:
            plain[number:number] = ["::", ""]
            end = next((i for i in range(number + 2, len(plain)) if plain[i].strip() and not indented(plain[i])), len(plain))
            plain[number + 2:end] = lines[number:number + end - number - 2]
    lines[:] = plain


def indented(line):
    """Whether a line begins with spaces."""
    return line.startswith(" ")


def inside(lines, number):
    """Whether a line belongs to a section, such as Args."""
    before = next((line for line in reversed(lines[:number]) if line.strip() and not indented(line)), "")
    return bool(re.fullmatch(r"(Args|Attributes|Returns|Raises|Yields):", before))


def escaped(line):
    """A line without reStructuredText's markup, but for `code`."""
    parts = CODE.split(line)  # every second one is code
    return "".join(rf"\ `{part}`\ " if number % 2 else re.sub(r"([*|\\_`])", r"\\\1", part) for number, part in enumerate(parts))


def setup(app):
    """Connects the two."""
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", as_rst, priority=1)
