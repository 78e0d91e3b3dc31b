"""Takes out of a trained net the units that count least, measures what is left, and writes it for other programs.

    python shrink.py --experiment_id=8000 --sparsity=0.7                       without 70 % of the units of each layer, as a .keras file
    python shrink.py 9004 --sparsity=0.5 --formats=keras,tflite,tflite_int8    a net with convolutions; for phones, in integers too
    python shrink.py 9045 --sparsity=0                                         takes out only what is silent already

The outputs of the smaller net are those of the net with these units silenced (to 1e-5). It is printed, and kept in shrink.csv, what both
are worth on the test set and cost: parameters, multiply-adds, file size, time of 1 and of 64 images. Settings have short names here:
--sparsity (measure.cut), --formats keras,saved_model,tflite,tflite_int8, and as in prune.py --criterion, --scope layer|global and
--exclude LAYERS; --set measure.renormalised=true finds the averages of batch normalisation anew. docs/network_pruning.md says more.
"""
from functools import partial

import data
from experiments import DATA_DIR, REGISTRY, RESULTS_DIR
from tfprune import flags, pruning_words
from tfprune.recipe_flags import split
from tfprune.run import asked

FLAGS = flags.FLAGS
SETTINGS = {"measure.cut": "sparsity", "measure.formats": "formats"}  # and the flag of each


def main(positional):
    """Makes the net of each experiment smaller."""
    runs = asked_for(positional)
    from tfprune.pruning.shrink_stage import check

    for run in runs:
        with pruning_words.as_typed(split(FLAGS.set)[0], typed()):
            check(run.experiment)
    for run in runs:
        execute(run)


def execute(run):
    """Makes one net smaller, unless that is done."""
    from tfprune.pruning import shrink_stage

    records = partial(data.ensure, run.experiment.dataset, FLAGS.data_dir, strict=FLAGS.strict)
    shrink_stage.execute(run, records, FLAGS.overwrite, FLAGS.dry_run)


def asked_for(positional):
    """The runs that the flags name; what is wrong with a setting that has a flag here is said of that."""
    given = [f"{field}={FLAGS[flag].value}" for field, flag in typed().items()]
    try:
        return asked(REGISTRY, positional, given)
    except flags.UserError as error:
        message = str(error)
        for text in given:
            field, _, value = text.partition("=")
            message = message.replace(f"--set {text}", f"--{SETTINGS[field]}={value}")
        raise flags.UserError(message) from None


def typed():
    """{setting: its flag} of those flags here that the command line has."""
    return {field: flag for field, flag in SETTINGS.items() if FLAGS[flag].value is not None}


if __name__ == "__main__":
    flags.define(RESULTS_DIR, DATA_DIR)
    flags.flags.DEFINE_string("sparsity", None, "share of each layer's units that is taken out, from 0 to below 1")
    flags.flags.DEFINE_string("formats", None, "of keras, saved_model, tflite, tflite_int8, with commas between")
    flags.run(main, REGISTRY)
