"""Training that runs out of memory, in an update or an evaluation: it goes on as a killed run does with less in the net."""
import pytest

import data
from experiments import REGISTRY
from tests.test_training import assert_same_files, trained
from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.models import build_model
from tfprune.overrides import override
from tfprune.run import Run
from tfprune.training import losses
from tfprune.training.checkpoints import Keeper, load_trained
from tfprune.training.metrics import read
from tfprune.training.out_of_memory import is_out_of_memory
from tfprune.training.train import train

# 285 examples in batches of 32, 15 to validate on: call 1 is the first evaluation, 2 to 9 an epoch's updates, 10 the next evaluation, ...
TINY = ["dataset.limit=300", "hyper.max_num_epochs=3", "hyper.drop_train=0.7"]
MOMENTS = {"the first evaluation": 1, "the first update": 2, "an epoch's middle": 5, "an evaluation": 10, "the second epoch": 15,
           "the last figures": 29}


def failing(monkeypatch, error, first=1, most=7):
    """From its `first` call on, the loss of more than `most` examples raises an error."""
    calls, compute = iter(range(1, 10**9)), losses.cross_entropy

    def measured(logits, labels, smoothing):
        def check(labels):
            if next(calls) >= first and len(labels) > most:
                raise error(f"too much, with {len(labels)} examples")
            return labels

        return compute(logits, tf.ensure_shape(tf.numpy_function(check, [labels], labels.dtype), labels.shape), smoothing)

    monkeypatch.setattr(losses, "cross_entropy", measured)


def restoring(monkeypatch, micro_batch):
    """Whatever a checkpoint says, a run that is resumed goes on with this micro-batch."""
    restore = Keeper.restore

    def restored(self, numbers=None):
        number = restore(self, numbers)
        if self.kind == "last":
            self.checkpoint.micro_batch.assign(micro_batch)
        return number

    monkeypatch.setattr(Keeper, "restore", restored)


@pytest.mark.parametrize("moment", MOMENTS)
def test_it_goes_on_as_a_killed_run_would_with_less(tmp_path, data_dir, monkeypatch, capsys, moment):
    """Of 32 examples 16, 8 and then 4 are in the net at once; every file is that of a run that died there and was resumed with 4."""
    with monkeypatch.context() as patch:
        failing(patch, MemoryError, MOMENTS[moment])
        run, marker = trained(tmp_path / "a", data_dir, TINY)
    said = capsys.readouterr().out
    assert [f"goes on with {number} from" in said for number in (16, 8, 4, 2)] == [True, True, True, False]
    assert marker["result"]["micro_batch"] == 4 and [line["epoch"] for line in read(run.path / "metrics.jsonl")] == [0, 1, 2, 3]
    with monkeypatch.context() as patch:
        failing(patch, ZeroDivisionError, MOMENTS[moment])
        with pytest.raises(tf.errors.OpError, match="ZeroDivisionError"):
            trained(tmp_path / "b", data_dir, TINY)
    with monkeypatch.context() as patch:
        restoring(patch, 4)
        resumed, _ = trained(tmp_path / "b", data_dir, TINY)
    assert_same_files(run.path, resumed.path)


def test_out_of_memory_from_the_start_is_a_training_in_smaller_pieces(tmp_path, data_dir, monkeypatch):
    with monkeypatch.context() as patch:
        failing(patch, MemoryError, MOMENTS["the first update"])
        run, marker = trained(tmp_path, data_dir, TINY)
    smaller, expected = trained(tmp_path, data_dir, [*TINY, "training.micro_batch=4"])
    assert run.path != smaller.path and marker["result"] == expected["result"]
    ours, theirs = (load_trained(each, build_model(each.experiment)).get_weights() for each in (run, smaller))
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))


def test_without_dropout_the_result_is_that_of_enough_memory(tmp_path, data_dir, monkeypatch):
    settings = [*TINY, "hyper.drop_train=1"]
    whole, _ = trained(tmp_path / "a", data_dir, settings)
    with monkeypatch.context() as patch:
        failing(patch, MemoryError, MOMENTS["the second epoch"])
        run, _ = trained(tmp_path / "b", data_dir, settings)
    ours, theirs = ([line[name] for line in read(each.path / "metrics.jsonl")[1:] for name in ("train_loss", "val_loss")]
                    for each in (run, whole))
    assert ours == pytest.approx(theirs, rel=1e-4) and len(ours) == 6


def test_killed_later_it_goes_on_with_the_checkpoints_number(tmp_path, data_dir, monkeypatch):
    with monkeypatch.context() as patch:
        failing(patch, MemoryError, MOMENTS["an epoch's middle"])
        run, _ = trained(tmp_path / "a", data_dir, TINY)
    with monkeypatch.context() as patch:
        failing(patch, MemoryError, MOMENTS["an epoch's middle"])
        saves, save = iter(range(100)), Keeper.save

        def dying(self, number):
            if self.kind == "last" and next(saves) == 2:
                raise KeyboardInterrupt
            save(self, number)

        patch.setattr(Keeper, "save", dying)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "b", data_dir, TINY)
    resumed, marker = trained(tmp_path / "b", data_dir, TINY)
    assert marker["result"]["micro_batch"] == 4
    assert_same_files(run.path, resumed.path)


def test_resumed_with_less_memory_it_goes_on_with_fewer(tmp_path, data_dir, monkeypatch):
    with monkeypatch.context() as patch:
        failing(patch, ZeroDivisionError, MOMENTS["the second epoch"])
        with pytest.raises(tf.errors.OpError):
            trained(tmp_path, data_dir, TINY)
    run = Run(override(REGISTRY[9002], TINY), tmp_path / "results")
    with monkeypatch.context() as patch:
        failing(patch, ZeroDivisionError)  # with more than 7
        _, result = train(run, data.ensure(run.experiment.dataset, data_dir), micro_batch=4)
    assert result["micro_batch"] == 4 and len(read(run.path / "metrics.jsonl")) == 4


def test_where_one_example_is_too_much_a_line_says_so_and_nothing_is_lost(tmp_path, data_dir, monkeypatch):
    with monkeypatch.context() as patch:
        failing(patch, MemoryError, MOMENTS["the second epoch"], most=0)
        with pytest.raises(UserError, match="^--experiment_id=9002: out of memory with one example .* needed; what is trained is kept$"):
            trained(tmp_path / "a", data_dir, TINY)
    resumed, marker = trained(tmp_path / "a", data_dir, TINY)
    whole, _ = trained(tmp_path / "b", data_dir, TINY)
    assert marker["result"]["micro_batch"] == 32
    assert_same_files(whole.path, resumed.path)


def test_batches_that_cannot_be_cut_are_an_error_of_one_line(tmp_path, data_dir, monkeypatch):
    settings = ["hyper.mse=true", "dataset.regression=true", "dnn.name=MLP1_regression", "training.mse=broadcast", "hyper.batch_size=32"]
    from tfprune.training.trainer import Trainer

    def update(self, batches, rates):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(Trainer, "update", update)
    with pytest.raises(UserError, match="training.mse=broadcast compares"):
        trained(tmp_path, data_dir, [*settings, "dataset.num_train=100"], experiment_id=247)


def test_what_is_out_of_memory():
    with pytest.raises(tf.errors.OpError) as caught:
        tf.zeros([2**50])
    assert is_out_of_memory(caught.value), "as TensorFlow says it"
    assert is_out_of_memory(MemoryError()) and is_out_of_memory(tf.errors.NotFoundError(None, None, "No algorithm: RESOURCE_EXHAUSTED"))
    assert is_out_of_memory(tf.errors.AbortedError(None, None, "Operation received an exception:Status: 1, message: could not create"))
    assert not is_out_of_memory(tf.errors.AbortedError(None, None, "Operation received an exception:Status: 2, message: bad"))
    assert not is_out_of_memory(tf.errors.InvalidArgumentError(None, None, "Incompatible shapes"))
