"""The memory of a training step: counted, followed on graphs small enough to do it by hand, and compared with a fresh process."""
import json
import subprocess
import sys

import pytest

import train
from experiments import REGISTRY
from tests.conftest import ROOT, refused, script_environment
from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.models import build_model, parameter_count
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.training.liveness import TRACED, _alive, trace
from tfprune.training.memory import CPU, StepMemory, estimate, fitting_micro_batch
from tfprune.training.memory_budget import within_memory

LAPTOP = REGISTRY[9210]
MEMORY = StepMemory(fixed=1000.0, per_example=10.0, sums=200.0)


@pytest.mark.parametrize(("optimizer", "copies", "scalars"), [(0, 1, 0), (1, 0, 0), (2, 2, 2), (3, 1, 0), (7, 2, 2)])
def test_weights_gradients_and_slots_are_those_of_the_net(optimizer, copies, scalars):
    experiment = override(LAPTOP, [f"hyper.optimizer={optimizer}"])
    step, model = trace(experiment), build_model(experiment)
    assert step.trained == 4 * parameter_count(experiment)
    assert step.weights == 4 * sum(weight.shape.num_elements() for weight in model.weights) > step.trained, "with the running averages"
    assert step.slots == copies * step.trained + 4 * scalars
    kernels = [4.0 * weight.shape.num_elements() for weight in model.trainable_weights if weight.shape.rank == 4]
    assert sorted(step.kernel[step.kernel > 0]) == sorted(3 * kernels)[1:], "images need no gradient"
    assert step.example == 4 * 32 * 32


def test_frozen_weights_have_no_gradients():
    step = trace(override(REGISTRY[9014], []))
    assert 0 < step.trained < step.weights


def alive(build):
    """Bytes, and bytes for each example, alive at each operation of a graph on examples of four numbers."""
    graph = tf.Graph()
    with graph.as_default():
        build(tf.compat.v1.placeholder(tf.float32, (TRACED, 4)))
    constant, per_example = _alive(graph.get_operations())
    return constant.tolist(), per_example.tolist()


def test_tensors_live_until_they_are_read_for_the_last_time():
    assert alive(lambda x: tf.tanh(tf.tanh(tf.tanh(x)))) == ([0] * 4, [16, 32, 32, 32])
    _, kept = alive(lambda x: tf.tanh(tf.concat([tf.tanh(tf.tanh(x)), x], axis=1)))  # the axis is the fourth operation
    assert kept == [16, 32, 48, 32, 64, 64]


def test_operations_that_hand_on_their_input_take_no_memory():
    assert alive(lambda x: tf.nn.relu(tf.tanh(x)))[1] == [16, 32, 16]
    assert alive(lambda x: tf.identity(tf.nn.relu(x)) + tf.tanh(x))[1] == [16, 32, 32, 48, 32], "what is read later is not written into"


def test_what_no_batch_changes_is_told_from_what_every_example_needs():
    constant, per_example = alive(lambda x: tf.tanh(tf.reduce_sum(x, axis=0)))
    assert constant[-1] == 2 * 16 and per_example[-1] == 0


def test_memory_is_linear_in_the_batch_and_grows():
    memory = estimate(LAPTOP)
    assert memory.per_example > 0 and memory.fixed > 3 * 4 * parameter_count(LAPTOP), "weights, gradients, momentum"
    assert memory.of(64) - memory.of(32) == pytest.approx(memory.of(32) - memory.of(0))
    assert memory.of_pieces(8) - memory.of(8) == pytest.approx(CPU.sums * 4 * parameter_count(LAPTOP)), "a piece's beside the sums"
    wider = estimate(override(LAPTOP, ["dnn.neuron_multiplier=0.25"]))
    assert wider.fixed > memory.fixed and wider.per_example == pytest.approx(2 * memory.per_example, rel=.3)


@pytest.mark.parametrize(("budget", "chosen"), [
    (2190, 128), (2189, 64), (1727, 64), (1726, 43), (1506, 43), (1505, 32), (1390, 32), (1015, 1), (1010, 1)])
def test_the_largest_of_equal_pieces_that_fits_is_chosen(budget, chosen):
    assert fitting_micro_batch(MEMORY, 128, budget) == chosen


def test_no_more_examples_than_asked_for():
    assert fitting_micro_batch(MEMORY, 128, 1e9, most=50) == 43
    assert fitting_micro_batch(MEMORY, 128, 1e9, most=200) == 128
    assert fitting_micro_batch(MEMORY, 1, 810) == 1, "a batch of one is in no pieces"


@pytest.mark.parametrize(("batch", "budget"), [(128, 1009), (128, -5), (1, 809)])
def test_a_budget_below_one_example_is_refused(batch, budget):
    with pytest.raises(UserError, match=r"^--memory_budget_gb=1: too small .* 0.01 GB or more is needed"):
        fitting_micro_batch(MEMORY, batch, budget, "--memory_budget_gb=1")


def test_a_budget_below_one_example_gets_one_line_and_nothing_is_written(tmp_path):
    folders = [f"--results_dir={tmp_path / 'results'}", f"--data_dir={tmp_path / 'data'}"]
    assert "--memory_budget_gb=0.01: too small" in refused("train.py", "9200", "--memory_budget_gb=0.01", *folders)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_is_a_number_above_0(value):
    with pytest.raises(UserError, match="--memory_budget_gb=.*: a number of GB above 0 is accepted"):
        within_memory(LAPTOP, value)


def test_without_a_budget_nothing_is_estimated(monkeypatch):
    monkeypatch.setattr("tfprune.training.memory_budget.estimate", None)
    assert within_memory(LAPTOP) is None


def test_a_setting_of_the_micro_batch_is_not_exceeded():
    assert within_memory(override(LAPTOP, ["training.micro_batch=16"]), 10) == 16


def test_training_keeps_to_the_budget_and_its_settings_do_not_know_it(tmp_path, data_dir, capsys):
    experiment = override(LAPTOP, ["dataset.limit=200", "hyper.max_num_epochs=1", "hyper.batch_size=64"])
    memory = estimate(experiment)
    run = Run(experiment, tmp_path)
    marker = train.execute(run, data_dir, memory_budget_gb=memory.of_pieces(25) / 0.95e9)
    assert marker["result"]["micro_batch"] == 22, "three pieces of a batch of 64"
    said = [line for line in capsys.readouterr().out.splitlines() if "22" in line and "64" in line]
    assert len(said) == 1 and "micro-batches of 22 of 64" in said[0] and "--memory_budget_gb=0." in said[0]
    assert json.loads((run.path / "config.json").read_text()) == json.loads(json.dumps(experiment.settings()))
    assert train.execute(run, data_dir, memory_budget_gb=100) == marker, "finished before, whatever the budget"


def test_the_estimate_is_what_a_fresh_process_takes():
    experiment = override(LAPTOP, ["hyper.batch_size=96"])
    done = subprocess.run([sys.executable, "benchmarks/memory_estimate.py", "--measure=[9210, [], 96, 96]"], cwd=ROOT,
                          env=script_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0.9 <= estimate(experiment).of(96) / int(done.stdout.split()[-1]) <= 1.25
