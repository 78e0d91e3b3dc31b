"""What the processes of a training do that are not its chief: the same updates, each with its part of the batch, and nothing else."""
import signal

from tfprune.experiment import UserError
from tfprune.input import records
from tfprune.keras import keras
from tfprune.training.replicas import EPOCH, LEAVE, STOP, here, number_of
from tfprune.training.trainer import Trainer


def follow(runs, find_records):
    """Follows the chief through its trainings, until it says that there are no more.

    Signals that ask to leave are the chief's to answer: it saves, and tells.

    Args:
      runs: the `Run`s among which the chief's trainings are.
      find_records: function of an experiment: finds or builds its records and returns their folder.

    Raises:
      UserError: the chief trains something else, or on other data.
    """
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, signal.SIG_IGN)
    chief, known = here(), {number_of(run.experiment.name, run.experiment.trained_hash()): run.experiment for run in runs}
    while True:
        kind, name, data, micro_batch = chief.told()
        if kind == LEAVE:
            return
        if name not in known:
            raise UserError("--strategy: the first process trains an experiment that this one was not asked for; start all with the same "
                            "command line")
        folder = find_records(known[name])
        if number_of(folder.name) != data:
            raise UserError(f"--data_dir: the data here make {folder.name}, those of the first process other records; all need the same")
        keras.backend.clear_session()  # as the chief does, so that names are the same
        if _train_along(Trainer(known[name], records.load(folder, "train"), micro_batch), chief) == LEAVE:
            return


def _train_along(trainer, chief):
    """Returns the word that ends it."""
    while (order := chief.told())[0] not in (STOP, LEAVE):
        kind, number, *_ = order
        trainer.follow(number) if kind == EPOCH else trainer.advance(number)
    return order[0]
