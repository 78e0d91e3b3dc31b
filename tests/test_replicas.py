"""Training by several processes: the same nets as by one, whoever starts them, and one line where it cannot be."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.conftest import ROOT, TINY, ok, refused, script_environment, start, started
from tfprune.keras import keras, tf
from tfprune.layers.dropout import Dropout
from tfprune.layers.normalisation import TorchBatchNormalization
from tfprune.training.metrics import read
from tfprune.training.replicas import number_of
from tfprune.training.shared_batch import SharedDropout, SharedNormalisation, shared

# Two epochs of twelve updates.
SETTINGS = ["--set=dataset.limit=480", "--set=hyper.max_num_epochs=2", "--set=training.keep=last", "--set=hyper.batch_size=32"]
# Plain, edge-popup, gradually pruned; and residual with batch normalisation, at a low rate: what lies on the edge of a ReLU makes of a
# change by 6e-8 in the weights one of 1e-2 in a gradient, of one process alone, and at a rate of 0.01 soon one in the weights.
NETS = {"--experiment_ids=9002,9014,9045": [], "--experiment_id=9030": ["--set=hyper.learning_rate=0.001"]}
LONG = ["--set=dataset.limit=320", "--set=hyper.max_num_epochs=2000", "--set=training.patience=5000"]
TWO = ["--strategy=mirrored", "--replicas=2"]


@pytest.fixture(scope="module")
def results(tmp_path_factory, data_dir):
    """Folders of results of the nets: trained by one process, and by two."""
    folder = tmp_path_factory.mktemp("replicas")
    for asked, changed in NETS.items():
        arguments = [asked, *SETTINGS, *changed, f"--data_dir={data_dir}"]
        ok("train.py", *arguments, f"--results_dir={folder / 'one'}")
        status, out, err = started("train.py", *arguments, *TWO, f"--results_dir={folder / 'two'}")
        assert status == 0 and not err and out.count("2 processes share each batch of 32") == asked.count("9"), out + err
    return folder


def last_state(folder):
    """{run/name: value} of all numbers that the last checkpoints of a folder's runs hold."""
    found = {}
    for index in sorted(folder.glob("laptop/*/checkpoints/last/last-*.index")):
        reader = tf.train.load_checkpoint(str(index)[:-len(".index")])
        names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
        found |= {f"{index.parts[-4]}/{name}": reader.get_tensor(name) for name in names if "/score/" not in name}
    return found


def test_two_processes_train_as_one(results):
    one, two = last_state(results / "one"), last_state(results / "two")
    assert one.keys() == two.keys() and len({name.split("/")[0] for name in one}) == 4
    one = {name: value for name, value in one.items() if not (name.startswith("ID9030") and "OPTIMIZER_SLOT" in name)}
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


def test_figures_are_of_the_whole_batches(results):
    for path in (results / "one").glob("laptop/*/metrics.jsonl"):
        ours, theirs = read(path), read(results / "two" / path.relative_to(results / "one"))
        assert len(ours) == len(theirs) == 3
        for one, two in zip(ours, theirs, strict=True):
            for name in one.keys() - {"images_per_second", "seconds"}:
                assert two[name] == one[name] or two[name] == pytest.approx(one[name], rel=1e-3, abs=1e-3), name


def test_the_marker_says_how_many_there_were(results):
    for marker in (results / "two").glob("laptop/*/train.done.json"):
        result = json.loads(marker.read_text())["result"]
        assert result["replicas"] == 2 and result["global_batch"] == 32
    assert len(list((results / "two").glob("laptop/*/train.done.json"))) == 4


def addresses(count):
    """Ports that were free just now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    found = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return found


def workers(folder, data_dir, *more):
    """Two processes of a training that TF_CONFIG joins, the chief first."""
    cluster = {"worker": addresses(2)}
    for index in range(2):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        yield subprocess.Popen([sys.executable, "train.py", "--experiment_id=9002", "--strategy=multiworker", f"--results_dir={folder}",
                                f"--data_dir={data_dir}", *more], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env=script_environment() | {"TF_CONFIG": config})


def test_workers_equal_one_process_and_only_the_chief_writes(results, tmp_path, data_dir):
    chief, other = workers(tmp_path, data_dir, *SETTINGS)
    said = [process.communicate(timeout=600) for process in (chief, other)]
    assert (chief.returncode, other.returncode) == (0, 0), said
    assert "waits until all 2 processes are there" in said[0][0] and "2 processes share each batch of 32" in said[0][0]
    assert said[1] == ("", "")
    one = {name: value for name, value in last_state(results / "one").items() if name.startswith("ID9002")}
    two = last_state(tmp_path)
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("dead", ["chief", "other"])
def test_one_that_dies_ends_the_other_and_nothing_is_lost(tmp_path, data_dir, dead):
    chief, other = workers(tmp_path, data_dir, *LONG)
    victim, left = (chief, other) if dead == "chief" else (other, chief)
    wait_for(lambda: len(epochs(tmp_path)) > 2)
    victim.kill()
    out, err = left.communicate(timeout=120)
    victim.communicate()
    assert left.returncode == 1 and err.count("\n") == 1 and "another process of this training has ended" in err, out + err
    goes_on_alone(tmp_path, data_dir)


def test_sigterm_saves_and_all_leave(tmp_path, data_dir):
    chief, other = workers(tmp_path, data_dir, *LONG)
    wait_for(lambda: len(epochs(tmp_path)) > 2)
    other.send_signal(signal.SIGTERM)
    chief.send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=120) for process in (chief, other)]
    assert (chief.returncode, other.returncode) == (143, 0) and not said[0][1] + said[1][1], said
    goes_on_alone(tmp_path, data_dir)


def goes_on_alone(folder, data_dir):
    """What several processes began is finished by one; no epoch is lost or doubled."""
    before = len(epochs(folder))
    process = start("train.py", "--experiment_id=9002", *LONG, f"--results_dir={folder}", f"--data_dir={data_dir}")
    wait_for(lambda: len(epochs(folder)) > before)
    process.terminate()
    assert process.wait(timeout=60) == 143
    process.communicate()
    assert [line["epoch"] for line in epochs(folder)] == list(range(len(epochs(folder))))


def epochs(folder):
    path, = list(folder.glob("laptop/*/metrics.jsonl")) or [folder / "none"]
    return read(path)


def wait_for(condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(.1)


def test_processes_with_other_command_lines_do_not_train_together(tmp_path, data_dir):
    assert number_of("a", "b") != number_of("ab") and 0 <= number_of("x") < 2**62
    cluster = {"worker": addresses(2)}
    processes = []
    for index in range(2):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        processes.append(subprocess.Popen(
            [sys.executable, "train.py", f"--experiment_id={9002 + index}", "--strategy=multiworker", f"--results_dir={tmp_path}",
             f"--data_dir={data_dir}", "--set=dataset.limit=320"], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=script_environment() | {"TF_CONFIG": config}))
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 2] and "start all with the same command line" in said[1], said


@pytest.mark.parametrize(("flags", "config", "says"), [
    (["--strategy=multiworker"], None, "TF_CONFIG="), (["--strategy=multiworker"], "{", "TF_CONFIG={"),
    (["--strategy=multiworker"], '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "TF_CONFIG="),
    (["--strategy=multiworker"], '{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}', "TF_CONFIG="),
    (["--strategy=multiworker"], '{"cluster": {"worker": ["h:x", "h:"]}, "task": {"type": "worker", "index": 0}}', "TF_CONFIG="),
    (["--strategy=multiworker"], '{"cluster": {"ps": ["a:1"], "worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "TF_CONFIG="),
    (["--strategy=multiworker", "--replicas=2"], None, "--replicas=2: is for --strategy=mirrored"),
    (["--strategy=mirrored"], None, "there is no GPU here; --replicas=2"), (["--replicas=2"], None, "--replicas=2: is for"),
    (["--strategy=mirrored", "--replicas=0"], None, "--replicas=0"), (["--strategy=mirrored", "--replicas=-1"], None, "--replicas=-1"),
    (["--gpus=0"], None, "--gpus=0: there is no GPU here"), (["--gpus=0,x"], None, "--gpus=0,x"), (["--strategy=tpu"], None, "strategy")])
def test_mistakes_are_one_line(tmp_path, monkeypatch, flags, config, says):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    if config:
        monkeypatch.setenv("TF_CONFIG", config)
    assert says in refused("train.py", "--experiment_id=9002", *flags, f"--results_dir={tmp_path / 'results'}", f"--data_dir={tmp_path}")
    assert not (tmp_path / "results").exists()


def test_processes_on_two_gpus_find_each_other(tmp_path, data_dir, monkeypatch):
    """Each is shown one of the two, which there are not: they share the cores."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    status, out, err = started("train.py", *TINY, "--gpus=0,1", f"--results_dir={tmp_path}", f"--data_dir={data_dir}")
    assert status == 0 and "2 processes share each batch of 32" in out and not err, out + err


def test_what_needs_whole_batches_is_refused(tmp_path, data_dir):
    mse = ["--set=hyper.mse=true", "--set=dataset.regression=true", "--set=dnn.name=MLP1_regression", "--set=training.mse=broadcast"]
    line = refused("train.py", "--experiment_id=900", "--set=dataset.limit=200", *mse, *TWO, f"--results_dir={tmp_path}",
                   f"--data_dir={data_dir}")
    assert "training.mse=broadcast compares every label" in line


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path, data_dir):
    line = refused("train.py", "--experiment_id=9002", *TWO, "--set=hyper.batch_size=1", "--set=dataset.limit=100",
                   f"--results_dir={tmp_path}", f"--data_dir={data_dir}")
    assert "2 processes cannot share a batch of 1" in line


class Parts:
    """Stands for the place of a process among others, whose sums are not asked for."""

    def __init__(self, count, index):
        self.count, self.index, self.place = count, index, (0, 0)

    def total(self, tensors):
        return [tf.identity(tensor) for tensor in tensors]


@pytest.mark.parametrize("kind", [keras.layers.BatchNormalization, TorchBatchNormalization])
@pytest.mark.parametrize("shape", [(16, 4, 4, 5), (16, 7)])
def test_normalisation_of_one_part_is_keras_own(kind, shape):
    """The output, the gradients and the running averages, of inputs far from 0."""
    rng = np.random.default_rng(0)
    inputs, upstream = (tf.constant(rng.normal(mean, 3, shape), tf.float32) for mean in (20, 0))
    layers = [kind(epsilon=1e-3) for _ in range(2)]
    for layer in layers:
        layer(inputs)
    found = []
    for called, layer in ((layers[0], layers[0]), (SharedNormalisation(layers[1], Parts(1, 0)), layers[1])):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = called(inputs, training=True)
            value = tf.reduce_sum(outputs * upstream)
        found.append([outputs, *tape.gradient(value, [inputs, layer.gamma, layer.beta]), layer.moving_mean, layer.moving_variance])
    for ours, keras_own in zip(*found, strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-4, atol=1e-4)


def test_dropout_of_the_parts_is_that_of_the_batch():
    inputs = tf.random.stateless_uniform((7, 5), [1, 2]) + 1
    whole = Dropout(0.5, seed=3)(inputs, training=True)
    parts = []
    for index, (first, last) in enumerate(((0, 3), (3, 7))):
        process = Parts(2, index)
        process.place = first, 7
        dropout = Dropout(0.5, seed=3)
        dropout.trainable = bool(index)  # at rest it drops as well
        parts.append(SharedDropout(dropout, process)(inputs[first:last], training=True))
    np.testing.assert_array_equal(tf.concat(parts, 0), whole)


def test_other_layers_and_other_uses_stay_as_they_are():
    inputs = keras.Input((4, 4, 3))
    outputs = keras.layers.Dense(2)(Dropout(0.5, 1)(keras.layers.BatchNormalization()(keras.layers.Conv2D(3, 2)(inputs))))
    model = keras.Model(inputs, outputs)
    same = shared(model, Parts(2, 0))
    images = np.random.default_rng(0).normal(size=(5, 4, 4, 3)).astype("float32")
    np.testing.assert_array_equal(same(images, training=False), model(images, training=False))
    assert [weight.ref() for weight in same.trainable_weights] == [weight.ref() for weight in model.trainable_weights]
    assert os.environ.get("TF_CONFIG") is None
