"""What the architecture promises: one door to Keras, imports that run downward, a light `import tfprune`."""
import ast
import re
import subprocess
import sys

import pytest

import tfprune
from tests.conftest import ROOT, script_environment

SOURCES = sorted(path for folder in (".", "data", "tfprune") for path in (ROOT / folder).glob("*.py" if folder == "." else "**/*.py")
                 if path.name != "setup.py")
# A module may import from its own floor and from those after it.
FLOORS = (r"[^/]+\.py", r"data/", r"tfprune/studies/",
          r"tfprune/(?!models|masks|layers|input|experiment|settings|datasets|overrides|recipe|registry|flags|faults|famil|filter_words|pruning_words|skew_normal|keras|__init__)",
          r"tfprune/(models|masks|layers|input)/", r"tfprune/")


def floor(path):
    return next(number for number, pattern in enumerate(FLOORS) if re.match(pattern, path))


def imported(path):
    """Files of the repository that a source file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
        else:
            continue
        for name in names:
            for candidate in (name.replace(".", "/") + ".py", name.replace(".", "/") + "/__init__.py"):
                if (ROOT / candidate).exists():
                    yield candidate


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downward(path):
    here = floor(str(path.relative_to(ROOT)))
    # files.py, progress.py and provenance.py stand on the verbs' floor by their place, but know nothing of it
    plain = {"tfprune/files.py", "tfprune/progress.py", "tfprune/unpickler.py", "tfprune/pickles.py"}
    upward = [target for target in imported(path) if floor(target) < here and target not in plain]
    assert not upward


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_keras_has_one_door(path):
    doors = re.findall(r"\btf\.keras\b|^\s*(?:import|from) (?:keras|tf_keras|tensorflow)\b", path.read_text(), re.MULTILINE)
    if path.name != "keras.py":
        assert not [door for door in doors if "tf.keras" not in door], "import keras and tf from tfprune.keras"
        assert not re.search(r"\btf\.keras\.", path.read_text())


def python(code, **environment):
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=script_environment() | environment, capture_output=True, text=True)


def test_import_tfprune_is_light():
    done = python("import sys, tfprune, experiments; assert not {'tensorflow', 'pandas', 'matplotlib'} & set(sys.modules)")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("code", [
    "from tfprune.keras import keras, tf; import tensorflow_model_optimization as tfmot",
    "import tensorflow_model_optimization as tfmot; from tfprune.keras import keras, tf"])
def test_keras_2_in_whatever_order(code):
    done = python(code + "\nmodel = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])\n"
                  "tfmot.sparsity.keras.prune_low_magnitude(model); assert keras.__version__.startswith('2.')")
    assert done.returncode == 0, done.stderr


def test_keras_3_is_refused_by_name():
    done = python("import tfprune.keras", TF_USE_LEGACY_KERAS="0")
    assert done.returncode != 0 and "TF_USE_LEGACY_KERAS=0: tfprune needs Keras 2" in done.stderr


def test_tensorflow_loads_in_silence():
    done = python("from tfprune.keras import tf; tf.constant(1) + 1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_face():
    assert {"build_model", "unit_layers", "activations", "redundancy", "robustness"} <= set(dir(tfprune))
    assert all(callable(getattr(tfprune, name)) for name in dir(tfprune))
    with pytest.raises(AttributeError, match="no attribute 'prune_everything'"):
        _ = tfprune.prune_everything
