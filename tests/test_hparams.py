"""TensorBoard's HParams: each run notes what it was trained with, beside its scalars."""
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from experiments import REGISTRY
from tests.conftest import TINY, ok


def test_a_run_notes_its_settings(tmp_path, data_dir):
    ok("train.py", *TINY, "--seed=3", f"--results_dir={tmp_path}", f"--data_dir={data_dir}")
    board, = tmp_path.glob("laptop/*/tb")
    events = EventAccumulator(str(board))
    events.Reload()
    noted = plugin_data_pb2.HParamsPluginData.FromString(events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content)
    values = {name: value.number_value or value.string_value or value.bool_value
              for name, value in noted.session_start_info.hparams.items()}
    assert values["id"] == 9002 and values["seed"] == 3 and values["hyper.max_num_epochs"] == 3 and values["dataset.limit"] == 300
    assert values["dnn.name"] == REGISTRY[9002].dnn.name and values["hyper.learning_rate"] == REGISTRY[9002].hyper.learning_rate
    assert noted.session_start_info.group_name and "val_accuracy" in events.Tags()["tensors"]
