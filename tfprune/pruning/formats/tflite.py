"""TensorFlow Lite, whose interpreter is called LiteRT now: one file for phones and boards, in float32 or in integers.

`tf.lite` announces the removal of its interpreter in favour of the package ai_edge_litert; that one is taken where it is installed.
"""
import os
import re
import warnings

from tfprune import files
from tfprune.experiment import UserError
from tfprune.keras import quiet, tf
from tfprune.pruning.formats.serving import serving_function, weights_of


def write(model, path, images=None):
    """Writes a model in float32; UserError naming the operation that TensorFlow Lite does not have."""
    files.write(path, converted(model))


def write_int8(model, path, images):
    """Writes a model with weights and activities in 8-bit integers, input and output in float32.

    The ranges of the activities are those that `images` give (Jacob et al. 2018, quantisation after training); weights have a scale for
    every output channel, and those that are 0 stay 0.
    """
    files.write(path, converted(model, images))


def converted(model, images=None):
    """The bytes of a model's file, in integers where there are images to find the ranges with.

    Raises:
      UserError: there is an operation that TensorFlow Lite does not have, or has not in integers.
    """
    function = serving_function(model).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], weights_of(model))
    if images is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in images)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    failure = None
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return converter.convert()
        except Exception as error:  # whatever of the converter's parts raises it: what it could not take is in the message
            failure = str(error)
    raise UserError(_obstacle(model, function, failure, "tflite" if images is None else "tflite_int8"))


def load(path):
    """The net in a file, as a function."""
    return _Interpreted(path)


class _Interpreted:
    """The interpreter of a file as a function of batches of any size."""

    def __init__(self, path):
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.interpreter = _interpreter()(model_path=str(path), num_threads=os.cpu_count())
        (self.images,), (self.logits,) = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        self.path, self.shape = path, None

    def __call__(self, images):
        if self.shape != images.shape:
            self._fit(images.shape)
        self.interpreter.set_tensor(self.images["index"], images)
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.logits["index"])

    def _fit(self, shape):
        """Makes room for batches of this shape; UserError where the kernels do not take the file.

        They refuse integers of which a layer's range is far beyond that of the next, as where no image makes any unit of a layer active.
        With others than TensorFlow Lite's own choice of kernels such a file ends the process.
        """
        failure = None
        with quiet():
            self.interpreter.resize_tensor_input(self.images["index"], shape)
            try:
                self.interpreter.allocate_tensors()
            except RuntimeError as error:
                failure = " ".join(str(error).split())
        if failure:
            raise UserError(f"{self.path}: TensorFlow Lite cannot run what it was converted to, as where a layer is silent or its range "
                            f"is far from that of the next: {failure}")
        self.shape = shape


def _interpreter():
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        return tf.lite.Interpreter
    return Interpreter


def _obstacle(model, function, message, name):
    """The line that says which operations, of which layers, cannot be converted."""
    kinds = sorted(set(re.findall(r"'tf\.(\w+)' op", message)))
    found = [op for op in function.graph.get_operations() if op.type in kinds]
    types = sorted({tensor.dtype.name for op in found for tensor in op.outputs if tensor.dtype.is_floating} - {"float32"})
    if not kinds:
        return f"{name}: TensorFlow Lite cannot convert the model '{model.name}': {next(iter(message.splitlines()), 'no reason given')}"
    where = f" (of {', '.join(op.name for op in found[:3])})" if found else ""
    return f"{name}: TensorFlow Lite has no {', '.join(kinds)}{' in ' + ', '.join(types) if types else ''}{where}"
