"""Supermasks as files of bits and seeds: what comes back is the same net, and nothing else is ever loaded or half loaded."""
import io
import json
import zipfile

import numpy as np
import pytest

import tfprune
from tests.conftest import cli, ok, refused
from tfprune.experiment import UserError
from tfprune.keras import keras
from tfprune.masks.initial import SCHEMES, KernelInit, ScoreInit
from tfprune.masks.layers import SubnetConv1D, SubnetConv2D, SubnetDense, SubnetDepthwiseConv2D, masked_layers
from tfprune.masks.rules import RULES

layers = keras.layers
SIDE, COUNT = 8, 7
IMAGES = np.random.default_rng(0).normal(size=(COUNT, SIDE, SIDE, 2)).astype("float32")
WITHOUT_FILE = {"dnw", "random", "fixed"}  # rules that train the kernel
RULES_WITH_FILES = sorted(set(RULES) - WITHOUT_FILE)


def settings(seed, scheme, **options):
    return {"keep": 0.4, "scores_initializer": ScoreInit(seed=seed), "kernel_initializer": KernelInit(scheme, seed=seed), **options}


def net(seed=0, scheme="signed_constant", units=5, **options):
    """A masked convolution, one within a nested model, normalisation, a plain layer, a masked layer with a bias."""
    keras.backend.clear_session()
    inner = keras.Sequential([keras.Input((6, 6, 4)), SubnetConv2D(units, 3, strides=2, **settings(seed + 1, scheme, **options)),
                              layers.BatchNormalization()], name="inner")
    return keras.Sequential([
        keras.Input((SIDE, SIDE, 2)), SubnetConv2D(4, 3, name="conv", **settings(seed, scheme, **options)), layers.ReLU(), inner,
        layers.Flatten(), layers.Dense(6, name="plain"),
        SubnetDense(3, name="classes", **settings(seed + 2, scheme, use_bias=True, bias_initializer="ones", **options))])


def trained(model):
    """The model as after a training: other scores, normalisation's averages, and whatever else is not frozen."""
    generator = np.random.default_rng(5)
    for variable in (*model.trainable_variables, *(v for v in model.non_trainable_variables if "moving" in v.name)):
        variable.assign(np.abs(variable + generator.normal(size=variable.shape)) if "variance" in variable.name
                        else variable + generator.normal(size=variable.shape))
    return model


def outputs(model):
    return model(IMAGES, training=False).numpy()


def content(model):
    return [weight.numpy() for weight in model.weights]


def assert_untouched(model, before):
    for weight, earlier in zip(content(model), before, strict=True):
        np.testing.assert_array_equal(weight, earlier)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(a trained net's outputs, its file)."""
    path = tmp_path_factory.mktemp("supermask") / "net.npz"
    model = trained(net())
    tfprune.save_supermask(model, path)
    return outputs(model), path


@pytest.mark.parametrize("scheme", SCHEMES)
def test_comes_back_bit_for_bit(scheme, tmp_path):
    model, fresh = trained(net(scheme=scheme)), net(seed=9, scheme=scheme)
    tfprune.save_supermask(model, tmp_path / "net.npz")
    assert np.abs(outputs(fresh) - outputs(model)).max() > 1e-3
    assert tfprune.load_supermask(fresh, tmp_path / "net.npz") is fresh
    np.testing.assert_array_equal(outputs(fresh), outputs(model))
    for ours, theirs in zip(masked_layers(fresh), masked_layers(model), strict=True):
        np.testing.assert_array_equal(ours.mask(), theirs.mask())
        np.testing.assert_array_equal(ours.kernel, theirs.kernel)
        assert ours.keep == theirs.keep and ours.kept.numpy() == theirs.kept.numpy()
    assert tfprune.density_report(fresh).equals(tfprune.density_report(model))


@pytest.mark.parametrize("rule", RULES_WITH_FILES)
def test_comes_back_under_every_rule(rule, tmp_path):
    model = trained(net(rule=rule))
    tfprune.save_supermask(model, tmp_path / "net.npz")
    fresh = tfprune.load_supermask(net(seed=5, rule=rule), tmp_path / "net.npz")
    np.testing.assert_array_equal(outputs(fresh), outputs(model))
    for ours, theirs in zip(masked_layers(fresh), masked_layers(model), strict=True):
        np.testing.assert_array_equal(ours.mask(), theirs.mask())


def test_other_kinds_of_layers(tmp_path):
    """Depthwise and one-dimensional ones; counts of kept weights that are not those of a share, as one threshold over all gives."""
    def build(seed):
        keras.backend.clear_session()
        depthwise = {"keep": 0.5, "scores_initializer": ScoreInit(seed=seed, depthwise=True),
                     "depthwise_initializer": KernelInit(seed=seed, depthwise=True)}
        return keras.Sequential([keras.Input((SIDE, SIDE, 2)), SubnetDepthwiseConv2D(3, depth_multiplier=2, **depthwise),
                                 layers.Reshape((36, 4)), SubnetConv1D(5, 2, **settings(seed, "standard")), layers.GlobalMaxPooling1D()])
    model = build(1)
    for layer, kept in zip(masked_layers(model), (3, 38), strict=True):
        layer.kept.assign(kept)
    tfprune.save_supermask(model, tmp_path / "net.npz")
    fresh = tfprune.load_supermask(build(2), tmp_path / "net.npz")
    np.testing.assert_array_equal(outputs(fresh), outputs(model))
    assert tfprune.density_report(fresh)["kept"].tolist() == [3, 38, 41]


def test_is_as_small_as_the_mask(tmp_path):
    """A bit a weight, less where few are kept; the same bytes from the same net."""
    def build():
        return keras.Sequential([keras.Input((500,)), SubnetDense(2000, name="one", **settings(1, "kaiming_normal") | {"keep": 0.3}),
                                 layers.BatchNormalization(center=False, scale=False)])
    sizes = {}
    for name in ("one", "two"):
        tfprune.save_supermask(build(), tmp_path / name)
        sizes[name] = (tmp_path / name).read_bytes()
    assert sizes["one"] == sizes["two"]
    assert len(sizes["one"]) < 1_000_000 / 8 + 2000 * 2 * 4 + 3000


@pytest.mark.parametrize(("model", "name"), [
    (lambda: trained(net(freeze=False)), "conv"), (lambda: trained(net(rule="dnw")), "conv"), (lambda: trained(net(rule="random")), "conv"),
    (lambda: tfprune.masked_copy(tfprune.to_dense(net())), "conv"),
    (lambda: keras.Sequential([keras.Input((4,)), SubnetDense(3, kernel_initializer="he_normal", name="unseeded")]), "unseeded"),
    (lambda: keras.Sequential([keras.Input((4,)), SubnetDense(3, kernel_initializer=lambda shape, dtype=None: keras.backend.ones(shape),
                                                              name="function")]), "function")])
def test_weights_that_no_seed_gives_are_refused(model, name, tmp_path):
    message = f"net.npz: the kernel of {name} is not what its initialiser draws .* export the dense net"
    with pytest.raises(UserError, match=message) as refusal:
        tfprune.save_supermask(model(), tmp_path / "net.npz")
    assert "\n" not in str(refusal.value) and not list(tmp_path.iterdir())


def test_samples_are_refused(tmp_path):
    model = net(rule="sampled", options={"evaluation": "sample"})
    with pytest.raises(UserError, match="net.npz: conv draws another mask in every evaluation"):
        tfprune.save_supermask(model, tmp_path / "net.npz")


@pytest.mark.parametrize(("other", "message"), [
    (lambda: net(units=6), r"of another architecture: number 1 of its masked layers is \[\[3, 3, 4, 5\], 'edge_popup'\]"),
    (lambda: net(rule="biprop"), "of another architecture: number 0 of its masked layers"),
    (lambda: keras.Sequential([keras.Input((4,)), SubnetDense(3)]), "it has 3 masked layers, the model has 1"),
    (lambda: keras.Sequential([keras.Input((SIDE, SIDE, 2)), *net().layers, layers.Dense(3)]), "it has 7 other variables, the model has 9"),
    (lambda: keras.Sequential([keras.Input((4,)), layers.Dense(3)], name="dense"), "the model 'dense' has no masked layers")])
def test_another_architecture_is_refused(saved, other, message):
    model = other()
    before = content(model)
    with pytest.raises(UserError, match=message) as refusal:
        tfprune.load_supermask(model, saved[1])
    assert "\n" not in str(refusal.value)
    assert_untouched(model, before)


def rewritten(path, change):
    """The bytes of a file with other arrays in it: `change` gets {name: array}, its header as a dictionary."""
    with np.load(path) as file:
        arrays = dict(file)
    arrays["header"] = json.loads(arrays["header"].tobytes())
    change(arrays)
    if isinstance(arrays.get("header"), (dict, list)):
        arrays["header"] = np.frombuffer(json.dumps(arrays["header"]).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def first_layer(**values):
    return lambda arrays: arrays["header"]["layers"][0].update(values)


CHANGES = {
    "format": (lambda a: a["header"].update(format="tfprune supermask 9"), "damaged, or no file of save_supermask"),
    "header": (lambda a: a.update(header=np.zeros(5, np.uint8)), "damaged"),
    "header_is_a_list": (lambda a: a.update(header=[1, 2]), "damaged"),
    "no_bits": (lambda a: a.pop("bits"), "damaged, or no file of arrays with the names header, bits, signs, others"),
    "few_bits": (lambda a: a.update(bits=a["bits"][:-1]), "damaged: .* bytes of mask for"),
    "few_signs": (lambda a: a.update(signs=a["signs"][:-1]), "damaged: .* bytes of signs"),
    "other_bits": (lambda a: a.update(bits=np.zeros_like(a["bits"])), "damaged: .* bytes of signs for 0 kept"),
    "few_others": (lambda a: a.update(others=a["others"][:-4]), "damaged: .* bytes of other variables"),
    "float_bits": (lambda a: a.update(bits=a["bits"].astype(float)), "damaged"),
    "few_layers": (lambda a: a["header"]["layers"].pop(), "damaged"),
    "model": (lambda a: a["header"].update(model=3), "damaged"),
    "masked": (lambda a: a["header"]["model"].update(others={"a": 1}), "of another architecture: it has no list of other variables"),
    "keep": (first_layer(keep=7), "damaged"),
    "keep_is_text": (first_layer(keep="half"), "damaged"),
    "initialiser": (first_layer(initialiser="system"), "the initialiser of layer conv cannot be built"),
    "initialiser_is_code": (first_layer(initialiser={"module": "os", "class_name": "system"}), "layer conv cannot be built"),
    "config": (first_layer(config={"scheme": "evil"}), "the initialiser of layer conv cannot be built"),
    "unknown_setting": (first_layer(config={"command": "rm"}), "the initialiser of layer conv cannot be built"),
    "other_seed": (first_layer(config={"scheme": "signed_constant", "seed": 8}), "the weights of conv come out otherwise"),
    "sha": (first_layer(sha256="0" * 64), "the weights of conv come out otherwise than where the file was written"),
    "pickled": (lambda a: a.update(header=np.array([print], object)), "damaged"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_files_are_refused(saved, change, tmp_path):
    path, model = tmp_path / "net.npz", net(seed=3)
    path.write_bytes(rewritten(saved[1], CHANGES[change][0]))
    before = content(model)
    with pytest.raises(UserError, match=rf"net.npz: .*{CHANGES[change][1]}|net.npz: {CHANGES[change][1]}") as refusal:
        tfprune.load_supermask(model, path)
    assert "\n" not in str(refusal.value)
    assert_untouched(model, before)


def test_unchanged_file_is_read(saved, tmp_path):
    """`rewritten` itself does no harm; only then do the tests above show anything."""
    (tmp_path / "net.npz").write_bytes(rewritten(saved[1], lambda arrays: None))
    np.testing.assert_array_equal(outputs(tfprune.load_supermask(net(seed=3), tmp_path / "net.npz")), saved[0])


def test_damaged_bytes_are_refused(saved, tmp_path):
    """Cut anywhere, or with any byte turned over: refused, or (a byte that means nothing) the same net."""
    whole, path, model = saved[1].read_bytes(), tmp_path / "net.npz", net(seed=3)
    before, refusals = content(model), 0
    cuts = [whole[:size] for size in np.linspace(0, len(whole) - 1, 12, dtype=int)]
    flips = [whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1:] for place in np.linspace(0, len(whole) - 1, 60, dtype=int)]
    for damaged in (*cuts, *flips, b"no archive", b"\x80\x04N."):
        path.write_bytes(damaged)
        try:
            tfprune.load_supermask(model, path)
        except UserError as refusal:
            assert "\n" not in str(refusal) and str(path) in str(refusal)
            assert_untouched(model, before)
            refusals += 1
        else:
            np.testing.assert_array_equal(outputs(model), saved[0])
            model.set_weights(before)
    assert refusals > 50


def test_other_archives_are_refused(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros(3))
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
        archive.writestr("header.npy", "hello")
    (tmp_path / "folder").mkdir()
    for name in ("array.npy", "text.zip", "folder", "nothing"):
        with pytest.raises(UserError, match=name) as refusal:
            tfprune.load_supermask(net(), tmp_path / name)
        assert "\n" not in str(refusal.value)


def test_a_bomb_is_refused_before_it_unpacks(saved, tmp_path):
    path = tmp_path / "bomb.npz"
    path.write_bytes(saved[1].read_bytes())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros.npy", "w") as entry:
        for _ in range(300):
            entry.write(bytes(2**20))
    with pytest.raises(UserError, match="it unpacks to 31[0-9]{7} bytes, .* are the most"):
        tfprune.load_supermask(net(), path)


def test_a_failed_write_leaves_the_old_file(saved, tmp_path, monkeypatch):
    path = tmp_path / "net.npz"
    path.write_bytes(b"old")

    def full(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(UserError, match="net.npz: cannot be written .No space left on device"):
        tfprune.save_supermask(net(), path)
    assert path.read_bytes() == b"old" and [file.name for file in tmp_path.iterdir()] == ["net.npz"]


def test_unwritable_place_is_one_line(tmp_path):
    with pytest.raises(UserError, match="nowhere/net.npz: cannot be written"):
        tfprune.save_supermask(net(), tmp_path / "nowhere" / "net.npz")


SMALL = ["--experiment_id=9015", "--set=dataset.limit=200", "--set=hyper.max_num_epochs=2"]


def test_export_script(tmp_path, data_dir):
    folders = [f"--results_dir={tmp_path}", f"--data_dir={data_dir}"]
    assert "needs train first" in refused("export_subnet.py", *SMALL, *folders)
    ok("train.py", *SMALL, *folders)
    from experiments import REGISTRY

    experiment = tfprune.override(REGISTRY[9015], [flag.removeprefix("--set=") for flag in SMALL[1:]])
    model = tfprune.trained_model(experiment, tmp_path)
    images = np.random.default_rng(0).normal(size=(5, *model.input_shape[1:])).astype("float32")
    expected = model(images, training=False).numpy()
    assert "would write" in ok("export_subnet.py", *SMALL, *folders, "--dry_run")
    assert not list(tmp_path.rglob("subnet_*"))
    assert "wrote" in ok("export_subnet.py", *SMALL, *folders)
    mask, = tmp_path.rglob("subnet_mask.npz")
    fresh = tfprune.load_supermask(tfprune.build_model(tfprune.override(experiment, [], seed=7)), mask)
    np.testing.assert_array_equal(fresh(images, training=False), expected)
    ok("export_subnet.py", *SMALL, *folders, "--format=dense", f"--out={tmp_path / 'dense.npz'}")
    with np.load(tmp_path / "dense.npz") as dense:
        x = images.reshape(5, -1)
        kernels = [dense[name] for name in dense if name.endswith("kernel")]
        for kernel in kernels:
            x = np.maximum(x @ kernel, 0) if kernel is not kernels[-1] else x @ kernel
    np.testing.assert_allclose(x, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(("arguments", "message"), [
    (["--experiment_id=9002"], "--experiment_id=9002: .* has no masks"), (["--experiment_ids=9010-9011", "--out=x"], "--out=x: names one"),
    (["--experiment_id=9010", "--format=onnx"], "onnx")])
def test_export_script_refuses(arguments, message, tmp_path):
    import re
    assert re.search(message, refused("export_subnet.py", *arguments, f"--results_dir={tmp_path}"))
    assert not list(tmp_path.iterdir())


def test_export_script_helps_without_tensorflow():
    status, out, _ = cli("export_subnet.py", "--help")
    assert status == 0 and "--format" in out and "load_supermask" in out
