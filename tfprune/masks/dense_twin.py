"""Plain Keras layers that compute what masked ones do in evaluation: nothing is selected any more, and everything takes them."""
from tfprune.keras import keras, tf
from tfprune.masks import npz
from tfprune.masks.layers import Masked
from tfprune.models.rebuild import rebuilt, walk


def to_dense(model):
    """The model without masks: plain layers of the same names whose kernels are weights x mask; unit notes are kept, nothing is compiled.

    Its outputs equal the masked model's in evaluation. Where masks are sampled in evaluation too (rule "sampled" with
    evaluation="sample"), it holds one sample.

    Args:
      model: a Functional or Sequential model, nested ones too.

    Raises:
      UserError: the model has no graph of layers, or a layer of it cannot be copied.
    """
    def instead(_, layer):
        twin = dense_twin(layer)
        return None if twin is layer else twin

    return rebuilt(model, instead)


def save_dense(model, path):
    """Writes the weights of `to_dense(model)` as an .npz of arrays named `layer/variable`, for `numpy.load`."""
    npz.write(path, {f"{name}/{variable.name.removeprefix(f'{layer.name}/').removesuffix(':0')}": variable.numpy()
                     for name, layer in walk(to_dense(model)) for variable in layer.weights})


def dense_twin(layer):
    """The plain Keras layer (Dense, Conv2D, ..) with a built masked layer's effective kernel, bias and settings; any other layer itself.

    A wrapper (TimeDistributed) of a masked layer becomes one of its twin. The kernel is that of now: training the masked layer on does
    not change the twin.
    """
    if isinstance(layer, keras.layers.Wrapper):
        inner = dense_twin(layer.layer)
        return layer if inner is layer.layer else type(layer)(inner, **{k: v for k, v in layer.get_config().items() if k != "layer"})
    if not isinstance(layer, Masked):
        return layer
    plain = next(kind for kind in type(layer).__mro__ if issubclass(kind, keras.layers.Layer) and not issubclass(kind, Masked))
    twin = plain.from_config(plain.get_config(layer))
    _build(twin, layer.INITIALIZER, layer.effective_kernel(training=False), layer.get_build_config()["input_shape"])
    if twin.use_bias:
        twin.bias.assign(layer.bias)
    return twin


def _build(twin, attribute, kernel, input_shape):
    """Builds a layer with this kernel from the start: drawing one that is thrown away takes longer than all else."""
    own = getattr(twin, attribute)
    setattr(twin, attribute, lambda _, dtype=None, **__: tf.cast(kernel, dtype or tf.float32))
    with tf.name_scope(twin.name):
        twin.build(input_shape)
    setattr(twin, attribute, own)
