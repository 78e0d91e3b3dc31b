"""A net in files that other programs run, each read again and compared with the net in memory."""
import pathlib
import shutil
from functools import partial

from tfprune import files
from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.masks.dense_twin import to_dense
from tfprune.masks.layers import masked_layers
from tfprune.models.rebuild import check_graph
from tfprune.pruning.costs import seconds_of
from tfprune.pruning.formats import FORMATS
from tfprune.pruning.formats.serving import serving_function
from tfprune.pruning.roundtrip import check_finite, figures, first_images, outputs, sizes, sizes_of
from tfprune.units.batches import fitting_batch, without_labels

CLOSE = 1e-4  # what the outputs of an exact format may differ by, as a share of the largest output: rounding in another order
RANGES = 200  # images from which the ranges of activities in integers are found


def export(model, folder, formats=("keras",), images=None, labels=None, representative=None, batch_size=128):
    """Writes a model in some formats; each is read again by its own loader and run on images. Zeroed weights stay zero.

    Args:
      model: a Functional or Sequential model from one batch of images to one output; masked layers become plain ones.
      folder: where the files go (`FORMATS[name].file`); those of the same names are replaced, each whole or not at all.
      formats: of "keras", "saved_model", "tflite", "tflite_int8".
      images: prepared images to compare on: an array [examples, ...], or a `tf.data.Dataset` of images or (image, label).
      labels: the class of each, where `images` is an array; may be left out.
      representative: images as above, by which activities in integers are scaled ("tflite_int8"; the first 200): some of those that the
        net was trained on. None: `images`.
      batch_size: of the comparison.

    Returns a DataFrame, a row for the net in memory and one for each format:
      format: its name; "memory".                path: of the file or folder; "".
      accuracy: on the images (NaN without labels).  agreement: share of images to which the net in memory gives the same class.
      difference: the largest of an output.      scale: the largest output in memory.
      bytes, gzip_bytes: of the file, and compressed, where zeros save something; of the net in memory those of its weights.
      needs: classes that a program must know to read the file, besides Keras' own.
      seconds: of a batch of one image, the median of several, all of them called in turn.

    Raises:
      UserError: there is no such format, or no images; the model cannot be written in it, or nothing be written there; or what was
        written computes something else, and was removed.
    """
    import pandas as pd

    check_formats(formats)
    if images is None:
        raise UserError("images: some are needed, to compare what the files compute with the net in memory")
    check_graph(model)
    model, folder = to_dense(model) if masked_layers(model) else model, files.writable_folder(folder, "folder")
    function, batch_size = serving_function(model), fitting_batch(model, batch_size)

    def in_memory(batch):
        return function(batch)["logits"].numpy()

    expected, classes = outputs(in_memory, images, labels, batch_size, function.images, "in memory")
    check_finite(expected, model.name)
    images = without_labels(images)
    one = first_images(images, function.images, 1)
    ranges = first_images(images if representative is None else without_labels(representative), function.images, RANGES)
    rows, nets = [{"format": "memory", "path": ""} | figures(expected, expected, classes)
                  | sizes_of([weight.numpy().tobytes() for weight in model.weights]) | {"needs": ""}], [in_memory]
    for name in formats:
        form, path = FORMATS[name], folder / FORMATS[name].file
        _write(form, model, path, ranges)
        net, answers = _read_again(form, path, lambda net, name=name: outputs(net, images, None, batch_size, function.images, name)[0])
        row = figures(answers, expected, classes)
        if form.exact and not row["difference"] <= CLOSE * row["scale"]:
            _remove(path)
            raise UserError(f"{name}: what was written gave other outputs than the net in memory, by up to {row['difference']:.3g}")
        rows.append({"format": name, "path": str(path)} | row | sizes(path) | {"needs": ", ".join(form.needs(path))})
        nets.append(net)
    return pd.DataFrame(rows).assign(seconds=seconds_of([partial(net, one) for net in nets]))


def _read_again(form, path, answers_of):
    """(what a file holds, its answers); a file that cannot be read or run is removed."""
    try:
        net = form.load(path)
        return net, answers_of(net)
    except UserError:
        _remove(path)
        raise


def check_formats(formats):
    """UserError where one of them is none, or they are one word."""
    for name in [formats] if isinstance(formats, str) else formats:
        if name not in FORMATS or isinstance(formats, str):
            raise UserError(f"formats={formats}: a list is accepted of {', '.join(FORMATS)}")


def _write(form, model, path, images):
    try:
        form.write(model, path, images)
    except (OSError, tf.errors.OpError) as error:  # the latter of a SavedModel's weights, which TensorFlow writes
        raise UserError(f"{path}: cannot be written ({_reason(error)})") from None


def _reason(error):
    """Why something could not be written, without TensorFlow's operations and temporary files."""
    said = getattr(error, "strerror", None) or str(error)
    return " ".join(said.rpartition("; ")[2].partition(" [Op:")[0].split())


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        pathlib.Path(path).unlink()
