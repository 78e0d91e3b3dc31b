"""Keras' own format, a `.keras` file: the layers' settings as JSON, and the weights. It holds no code, and none is run when it is read."""
import json
import warnings
import zipfile

from tfprune import files
from tfprune.experiment import UserError
from tfprune.keras import keras
from tfprune.models.rebuild import walk
from tfprune.pruning.formats.plain_twin import plain
from tfprune.pruning.formats.serving import serving_function

OWN = ("keras", "tf_keras", "builtins")  # modules whose classes every reader of the file has


def write(model, path, images=None):
    """Writes a model that is not compiled, in Keras' own layers where these compute the same.

    Raises:
      UserError: it has a layer of which only code says what it computes, or that does not say its settings.
    """
    for name, layer in walk(model):
        if _has_code(name, layer):
            raise UserError(f"keras: the layer {name} ({type(layer).__name__}) has a lambda, which a .keras file would hold as code; give "
                            "it a function with a name, or make it a class (keras.utils.register_keras_serializable)")
    with files.atomic(path) as temporary:
        plain(model).save(temporary)


def load(path):
    """The net in a file, as a function; layers of its own are found where they are registered, as those of tfprune are.

    Raises:
      UserError: one is not found there, or cannot be made from its settings.
    """
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise UserError(f"{path}: Keras cannot read it again, as where a layer's class is not registered "
                        f"(keras.utils.register_keras_serializable): {' '.join(str(error).split())[:200]}") from None
    function = serving_function(model)
    return lambda images: function(images)["logits"].numpy()


def needs(path):
    """The classes of the file's layers that are not Keras' own, as `module.Class`, sorted."""
    with zipfile.ZipFile(path) as archive:
        return sorted(set(_foreign(json.loads(archive.read("config.json")))))


def _has_code(name, layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of the same
        try:
            config = layer.get_config()
        except NotImplementedError:
            raise UserError(f"keras: the layer {name} ({type(layer).__name__}) does not say its settings; give its class a get_config()"
                            ) from None
    return config.get("function_type") == "lambda" or "'__lambda__'" in repr(config) or any(map(_is_bytecode, config.values()))


def _is_bytecode(value):
    """Whether a layer's setting is a function as Keras writes one without a name: the code, its defaults, its closure."""
    return isinstance(value, dict) and value.keys() == {"value"} and isinstance(value["value"], tuple) and len(value["value"]) == 3


def _foreign(value):
    if isinstance(value, dict):
        module = value.get("module")
        if "class_name" in value and isinstance(module, str) and module.split(".")[0] not in OWN:
            yield f"{module}.{value['class_name']}"
        value = list(value.values())
    for part in value if isinstance(value, list) else ():
        yield from _foreign(part)
