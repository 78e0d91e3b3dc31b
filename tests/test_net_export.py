"""Nets in files: each format is read again, by others too, and holds the same net; files are whole or not there."""
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from tests.conftest import ROOT, script_environment
from tests.small_nets import build, examples
from tfprune import UserError, files, settings
from tfprune.keras import keras, tf
from tfprune.layers.dropout import Dropout
from tfprune.layers.lrn import LocalResponseNormalization
from tfprune.layers.normalisation import TorchBatchNormalization
from tfprune.masks.initial import KernelInit
from tfprune.masks.layers import SubnetDense
from tfprune.pruning import formats
from tfprune.pruning.export import export
from tfprune.pruning.formats import FORMATS, keras_file, saved_model, tflite

layers = keras.layers
ALL = tuple(FORMATS)


def net(lrn=True):
    """Convolution, normalisations, dropout, dense layers: what the studies' nets are made of."""
    images = keras.Input((6, 6, 2), name="images")
    x = layers.Conv2D(6, 3, padding="same", use_bias=False, kernel_initializer=KernelInit(), name="conv1")(images)
    x = TorchBatchNormalization(name="norm1")(x)
    x = layers.ReLU(name="relu1")(x)
    x = LocalResponseNormalization(alpha=0.1, name="lrn")(x) if lrn else x
    x = Dropout(0.5, seed=1, name="drop")(layers.MaxPooling2D(2)(x))
    x = layers.Dense(32, activation="relu", name="fc")(layers.Flatten()(x))
    return keras.Model(images, layers.Dense(4, name="logits")(x), name="net")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """(net, images, its classes for them, folder, table)."""
    model = build(net)
    images = examples(model, 40)
    labels = model.predict(images, verbose=0).argmax(1)
    folder = tmp_path_factory.mktemp("exported")
    return model, images, labels, folder, export(model, folder, ALL, images, labels).set_index("format")


def test_the_table_of_formats():
    assert ALL == settings.FORMATS


def test_every_format_is_the_same_net(exported):
    table = exported[-1]
    assert list(table.index) == ["memory", *ALL]
    floats = table.drop(index="tflite_int8")
    assert (floats["accuracy"] == 1).all() and (floats["agreement"] == 1).all()
    assert (floats["difference"] <= 1e-5 * floats["scale"]).all() and (table["seconds"] > 0).all()
    int8 = table.loc["tflite_int8"]
    assert int8["agreement"] >= 0.9 and 0 < int8["difference"] < 0.1 * int8["scale"]
    assert list(table["needs"]) == ["", "tfprune.layers.lrn.LocalResponseNormalization", "", "", ""]


def test_sizes_are_those_on_disk(exported):
    model, *_, folder, table = exported
    assert table.loc["memory", "bytes"] == 4 * model.count_params()
    for name in ALL:
        path = folder / FORMATS[name].file
        parts = [part for part in [path, *path.rglob("*")] if part.is_file()]
        assert table.loc[name, "bytes"] == sum(part.stat().st_size for part in parts) and table.loc[name, "path"] == str(path)
    assert sorted(path.name for path in folder.iterdir()) == sorted(form.file for form in FORMATS.values()), "nothing else is left"


def test_others_read_the_files_without_tfprune(tmp_path):
    model = build(lambda: net(lrn=False))
    images = examples(model, 5)
    export(model, tmp_path, ("keras", "saved_model"), images)
    np.save(tmp_path / "images.npy", images)
    code = """
import os, sys; os.environ["TF_USE_LEGACY_KERAS"] = "1"
import numpy as np, tensorflow as tf, tf_keras
images = np.load("images.npy")
kept = tf_keras.models.load_model("model.keras")(images)
served = tf.saved_model.load("saved_model").signatures["serving_default"](images=tf.constant(images))["logits"]
assert "tfprune" not in sys.modules
np.save("kept.npy", kept), np.save("served.npy", served)"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=script_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("kept", "served"):
        assert np.allclose(np.load(tmp_path / f"{name}.npy"), model(images), atol=1e-5)


def test_a_keras_file_holds_no_code(exported):
    with zipfile.ZipFile(exported[3] / "model.keras") as archive:
        assert sorted(archive.namelist()) == ["config.json", "metadata.json", "model.weights.h5"]
        config = archive.read("config.json").decode()
    assert "lambda" not in config.lower() and "Initial" not in str(keras_file.needs(exported[3] / "model.keras"))
    assert all(layer["module"].startswith(("keras.", "tfprune.layers")) for layer in json.loads(config)["config"]["layers"])


@pytest.mark.parametrize("layer", [layers.Lambda(lambda x: 2 * x, name="twice"),
                                   layers.Activation(lambda x: 2 * x, name="twice")], ids=["layer", "activation"])
def test_code_is_refused_in_a_keras_file(tmp_path, layer):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layer])
    with pytest.raises(UserError, match="the layer twice .* has a lambda"):
        export(model, tmp_path, ("keras",), examples(model, 4))
    assert not list(tmp_path.iterdir())
    table = export(model, tmp_path, ("tflite",), examples(model, 4))
    assert table["agreement"].iloc[-1] == 1, "other formats hold the computation itself"


class Twice(layers.Layer):
    def __init__(self, factor, **settings):
        super().__init__(**settings)
        self.factor = factor

    def call(self, inputs):
        return inputs * 2


@pytest.mark.parametrize(("factor", "says"), [(2, "Keras cannot read it again, as where a layer's class is not registered .*Twice"),
                                              (object(), r"the layer twice \(Twice\) does not say its settings")])
def test_layers_that_keras_cannot_make_again(tmp_path, factor, says):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), Twice(factor, name="twice")])
    with pytest.raises(UserError, match=says) as refusal:
        export(model, tmp_path, ("keras",), examples(model, 4))
    assert "\n" not in str(refusal.value) and not list(tmp_path.iterdir())
    assert export(model, tmp_path, ("tflite",), examples(model, 4))["agreement"].iloc[-1] == 1


@pytest.mark.parametrize("name", ["residual", "nested", "sequential"])
def test_nets_of_other_shapes(tmp_path, name):
    model = build(name)
    table = export(model, tmp_path, ("keras", "tflite_int8"), examples(model, 40))
    assert np.isnan(table["accuracy"]).all() and table["agreement"].iloc[1] == 1
    assert table["difference"].iloc[2] < 0.1 * table["scale"].iloc[2]


def test_masked_layers_become_plain_ones(tmp_path):
    model = keras.Sequential([keras.Input((8,)), SubnetDense(16, keep=0.3, activation="relu"), layers.Dense(3)])
    table = export(model, tmp_path, ("keras", "saved_model"), examples(model, 10))
    assert list(table["agreement"]) == [1, 1, 1] and table["needs"].iloc[1] == ""


def test_regression_and_half_precision(tmp_path):
    from tests.small_nets import half_precision

    regression = export(build("regression"), tmp_path, ("tflite",), np.ones((3, 4), "float32"), [1, 2, 3])
    assert np.isnan(regression[["accuracy", "agreement"]]).all(axis=None) and (regression["difference"] < 1e-5).all()
    half = build(half_precision)
    assert (export(half, tmp_path, ("keras", "saved_model"), examples(half, 10))["agreement"] == 1).all()
    with pytest.raises(UserError, match="TensorFlow Lite has no .* in b?float16"):
        export(half, tmp_path, ("tflite",), examples(half, 10))


def test_zeros_stay_zeros_and_compress(tmp_path, exported):
    model = keras.models.clone_model(exported[0])
    model.set_weights(exported[0].get_weights())
    kernel = model.get_layer("fc").kernel
    kept = np.random.default_rng(0).random(kernel.shape) < 0.1
    kernel.assign(kernel * kept)
    table = export(model, tmp_path, ALL, exported[1]).set_index("format")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(again.get_layer("fc").kernel.numpy(), kernel.numpy())
    interpreter = tflite.load(tmp_path / "model_int8.tflite").interpreter
    stored = [interpreter.get_tensor(own["index"]) for own in interpreter.get_tensor_details()
              if own["dtype"] == np.int8 and tuple(own["shape"]) == kernel.shape[::-1]]
    assert any(not own.T[~kept].any() and own.any() for own in stored)
    for name in ("keras", "saved_model", "tflite", "tflite_int8"):
        assert table.loc[name, "gzip_bytes"] < exported[-1].loc[name, "gzip_bytes"] - (300 if name == "tflite_int8" else 2000)


def test_ranges_come_from_the_representative_images(tmp_path, exported):
    model, images, *_, table = exported
    narrow = export(model, tmp_path, ("tflite_int8",), images, representative=images / 50)
    assert narrow["difference"].iloc[-1] > 2 * table.loc["tflite_int8", "difference"]
    dataset = tf.data.Dataset.from_tensor_slices((images, np.zeros(len(images)))).batch(7)
    same = export(model, tmp_path, ("tflite_int8",), dataset, representative=dataset)
    assert np.isclose(same["difference"].iloc[-1], table.loc["tflite_int8", "difference"], rtol=1e-3)


@keras.utils.register_keras_serializable("tests")
class Odd(layers.Layer):
    def call(self, inputs):
        return tf.raw_ops.Digamma(x=inputs)


def test_an_operation_that_tflite_has_not(tmp_path, capfd):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, activation="sigmoid"), Odd(name="odd"), layers.Dense(2)], name="strange")
    with pytest.raises(UserError, match=r"^tflite: TensorFlow Lite has no Digamma \(of strange/odd/Digamma\)$"):
        export(model, tmp_path, ("saved_model", "tflite"), np.ones((3, 3), "float32"))
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"], "what was written before is whole"
    assert "".join(capfd.readouterr()) == ""


def test_integers_that_the_kernels_refuse(tmp_path, capfd):
    silent = layers.Conv2D(4, 3, activation="relu", bias_initializer=keras.initializers.Constant(-5.0))
    model = keras.Sequential([keras.Input((8, 8, 2)), silent, layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(UserError, match="model_int8.tflite: TensorFlow Lite cannot run what it was converted to, as where a layer"):
        export(model, tmp_path, ("tflite_int8",), np.random.default_rng(0).random((20, 8, 8, 2), "float32"))
    assert not list(tmp_path.iterdir()) and "".join(capfd.readouterr()) == ""


def test_in_silence(tmp_path, exported, capfd):
    export(*exported[:1], tmp_path, ALL, exported[1])
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize(("given", "says"), [
    ({"formats": ("onnx",)}, "a list is accepted of keras, saved_model, tflite, tflite_int8"), ({"formats": "keras"}, "a list is accepted"),
    ({"images": None}, "images: some are needed"), ({"images": np.ones((2, 5))}, "does not fit the net"),
    ({"images": np.ones((0, 3), "float32")}, "images: there are none"), ({"labels": [1]}, "labels: there are 1 for 2 images"),
    ({"folder": "/proc/nowhere"}, "folder=/proc/nowhere: cannot write there")])
def test_bad_input(tmp_path, given, says):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    with pytest.raises(UserError, match=says):
        export(model, **{"folder": tmp_path, "images": np.ones((2, 3), "float32")} | given)
    assert not list(tmp_path.iterdir())


def test_a_net_that_gives_no_numbers(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)], name="broken")
    model.layers[0].kernel.assign(tf.fill([3, 2], np.nan))
    with pytest.raises(UserError, match="'broken' gives outputs that are NaN"):
        export(model, tmp_path, ALL, np.ones((2, 3), "float32"))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_tensorflow_cannot_read(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    with pytest.raises(UserError, match="TensorFlow cannot read a SavedModel in a path with any of"):
        export(model, tmp_path / "a[b]", ("saved_model",), np.ones((2, 3), "float32"))
    assert not list((tmp_path / "a[b]").iterdir())


@pytest.mark.parametrize("name", ALL)
def test_a_disk_that_is_full(tmp_path, name):
    code = f"""
import resource, signal
import numpy as np
from tfprune import UserError
from tfprune.keras import keras
from tfprune.pruning.export import export
model = keras.Sequential([keras.Input((300,)), keras.layers.Dense(300)])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    export(model, {str(tmp_path)!r}, ({name!r},), np.random.default_rng(0).random((20, 300), "float32"))
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=script_environment(), capture_output=True, text=True)
    assert done.stdout == f"{tmp_path / FORMATS[name].file}: cannot be written (File too large)\n", done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ALL)
def test_what_is_in_the_way_stays(tmp_path, name):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    own = tmp_path / FORMATS[name].file
    own.mkdir()
    (own / "precious").write_text("mine")
    with pytest.raises(UserError, match=str(own)):
        export(model, tmp_path, (name,), np.ones((2, 3), "float32"))
    assert (own / "precious").read_text() == "mine" and [path.name for path in tmp_path.iterdir()] == [own.name]


def test_a_saved_model_is_replaced_whole_or_stays(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    images = np.ones((2, 3), "float32")
    export(model, tmp_path, ("saved_model",), images)
    before = model(images).numpy()
    model.layers[0].kernel.assign(model.layers[0].kernel * 2)
    with monkeypatch.context() as patch:
        patch.setattr(saved_model.tf.saved_model, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(UserError, match="No space left on device"):
            export(model, tmp_path, ("saved_model",), images)
    assert np.allclose(saved_model.load(tmp_path / "saved_model")(images), before)
    export(model, tmp_path, ("saved_model",), images)
    assert np.allclose(saved_model.load(tmp_path / "saved_model")(images), 2 * before, atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["saved_model"]


def test_a_killed_export_leaves_nothing_after_tidying(tmp_path):
    code = "import os, sys; from tfprune import files\nwith files.atomic_folder(sys.argv[1]) as folder:\n" \
           " (folder / 'part').write_text('x'); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "whole")], cwd=ROOT, env=script_environment())
    assert not (tmp_path / "whole").exists() and len(os.listdir(tmp_path)) == 1
    files.remove_unfinished(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_file_that_computes_something_else_is_no_answer(tmp_path, monkeypatch):
    wrong = replace(FORMATS["tflite"], load=lambda path: lambda images: np.zeros((len(images), 2), "float32"))
    monkeypatch.setitem(formats.FORMATS, "tflite", wrong)
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    with pytest.raises(UserError, match="tflite: what was written gave other outputs"):
        export(model, tmp_path, ("tflite",), np.ones((2, 3), "float32"))
    assert not list(tmp_path.iterdir())
