"""The formats in which a net is written for use elsewhere, a file each; a new one is a file and a line in FORMATS."""
from collections.abc import Callable
from dataclasses import dataclass

from tfprune.pruning.formats import keras_file, saved_model, tflite


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
      file: name of the file or folder.
      write: function (model, path, images) that writes it whole or not at all; `images` are an array of prepared ones, as the net will see.
      load: function (path) -> function of an array of prepared images that gives an array of logits; it knows the file alone.
      exact: does it compute what the net in memory does, but for rounding?
      needs: function (path) -> names of the classes that its user's program needs besides Keras' or TensorFlow's own.
    """

    file: str
    write: Callable
    load: Callable
    exact: bool = True
    needs: Callable = lambda path: ()


FORMATS = {
    "keras": Format("model.keras", keras_file.write, keras_file.load, needs=keras_file.needs),
    "saved_model": Format("saved_model", saved_model.write, saved_model.load),
    "tflite": Format("model.tflite", tflite.write, tflite.load),
    "tflite_int8": Format("model_int8.tflite", tflite.write_int8, tflite.load, exact=False),
}
