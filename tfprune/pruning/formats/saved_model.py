"""TensorFlow's SavedModel: a folder with the graph and its weights, for servers and for programs without Keras."""
import pathlib

from tfprune import files
from tfprune.experiment import UserError
from tfprune.keras import tf
from tfprune.pruning.formats.serving import serving_function, weights_of

SIGNATURE = "serving_default"


def write(model, path, images=None):
    """Writes a model's graph, with the one signature from `images` to `logits`.

    Raises:
      UserError: something else than such a folder is there; or TensorFlow could not read it there.
    """
    path = pathlib.Path(path)
    if set("*?[]") & set(str(path)):
        raise UserError(f"{path}: TensorFlow cannot read a SavedModel in a path with any of * ? [ ]; give another folder")
    if path.is_symlink() or (path.exists() and not (path / "saved_model.pb").exists()):
        raise UserError(f"{path}: is there and no SavedModel, so it is not replaced; remove it or give another folder")
    with files.atomic_folder(path) as temporary:
        tf.saved_model.save(weights_of(model), str(temporary), {SIGNATURE: serving_function(model)})


def load(path):
    """The net in a folder, as a function."""
    loaded = tf.saved_model.load(str(path))
    function = loaded.signatures[SIGNATURE]

    def logits(images, _=loaded):  # the weights live as long as what was loaded
        return function(images=tf.convert_to_tensor(images))["logits"].numpy()

    return logits
