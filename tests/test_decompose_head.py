"""Decomposed heads: both forms on all kinds of nets, the stored logits, saving, training, measures, costs, bad input."""
import numpy as np
import pytest

import tfprune
from experiments import REGISTRY
from tests.conftest import shared
from tests.small_nets import NETS, build, examples
from tfprune.experiment import UserError
from tfprune.filters.decomposition import head_weights
from tfprune.filters.index_files import load_index
from tfprune.filters.indices import ClassFilters
from tfprune.keras import keras, tf
from tfprune.layers.decomposed_head import DecomposedHead, MaskedHead
from tfprune.models.heads import find_head
from tfprune.models.multiply_adds import multiply_adds
from tfprune.models.notes import noted_unit_layers
from tfprune.models.rebuild import walk
from tfprune.units.graph import declare_unit_layers

layers = keras.layers
COUNT = 11


def softmax():
    """Sequential, with the activation function in the head, and no bias."""
    return keras.Sequential([keras.Input((6, 6, 2)), layers.Conv2D(7, 3, activation="relu"), layers.GlobalAveragePooling2D(),
                             layers.Dense(4, activation="softmax", use_bias=False, name="classes")])


def followed():
    """The activation function in a layer of its own, which gives float32."""
    images = keras.Input((6, 6, 2))
    x = layers.GlobalMaxPooling2D()(layers.Conv2D(7, 3, activation="relu")(images))
    return keras.Model(images, layers.Softmax()(layers.Activation("linear", dtype="float32")(layers.Dense(4, name="classes")(x))))


def head_inside():
    """An Inception-like body and a head, each a model within a Sequential."""
    images = keras.Input((6, 6, 2))
    branches = [layers.Conv2D(units, side, padding="same", activation="relu")(images) for units, side in ((3, 1), (5, 3))]
    body = keras.Model(images, layers.GlobalAveragePooling2D()(layers.Concatenate()(branches)), name="body")
    top = keras.Sequential([layers.Dropout(0.5), layers.Dense(4, name="classes")], name="top")
    return keras.Sequential([keras.Input((6, 6, 2)), body, top])


def supermask():
    """A masked head."""
    return tfprune.masked_copy(build("normalised"), 0.6)


def registered(number, *changes):
    """A net of the registry."""
    return lambda: tfprune.build_model(tfprune.override(REGISTRY[number], changes))


OWN = {net.__name__: net for net in (softmax, followed, head_inside, supermask)}
REGISTERED = {"Alexnet_digits": registered(9003), "VGG": registered(9270), "Conv of masks": registered(9014), "ResNet20": registered(9030),
              "head of masks": registered(9014, "dnn.last_dense=false")}
EVERY = NETS | OWN | REGISTERED


def made(net, count=COUNT):
    """(model, examples, an index of two filters a class)."""
    keras.backend.clear_session()
    model = REGISTERED[net]() if net in REGISTERED else supermask() if net == "supermask" else build(EVERY[net])
    return model, examples(model, count), two_each(model)


def two_each(model):
    _, head, features = find_head(model)
    random = np.random.default_rng(7)
    return {number: random.permutation(features.shape[-1])[:2].tolist() for number in range(head.units)}


def by_hand(model, images, index):
    """Outputs from the model's own features: the kernel's entries of each class's filters, and the whole bias."""
    path, head, features = find_head(model)
    kernel, bias = head_weights(head)
    if "/" in path:  # of a nested model: its input is what comes before
        values = keras.Sequential(model.layers[:-1])(images, training=False).numpy()
    else:
        values = keras.Model(model.inputs, features)(images, training=False).numpy()
    logits = np.stack([values[:, own] @ kernel[own, number] for number, own in index.items()], axis=1) + (0 if bias is None else bias)
    if head.activation is keras.activations.softmax or isinstance(model.layers[-1], layers.Softmax):
        return tf.nn.softmax(logits).numpy()
    return logits


def close(one, other, tolerance=1e-6):
    np.testing.assert_allclose(one, other, atol=tolerance * max(1, np.abs(other).max()))


@pytest.mark.parametrize("net", EVERY)
def test_both_forms_equal_numpy(net):
    model, images, index = made(net)
    before = model.get_weights()
    gathered, masked = tfprune.decompose_head(model, index), tfprune.decompose_head(model, index, form="mask")
    expected = by_hand(model, images, index)
    close(gathered(images, training=False), expected, 1e-5)
    close(masked(images, training=False), gathered(images, training=False))
    assert np.abs(expected - model(images, training=False)).max() > 1e-4
    path, head, _ = find_head(gathered)
    assert (path, type(head), type(find_head(masked)[1])) == (find_head(model)[0], DecomposedHead, MaskedHead)
    assert head.class_filters() == list(index.values())
    assert find_head(masked)[1].class_filters() == [sorted(own) for own in index.values()]
    assert [name for name, _ in walk(gathered)] == [name for name, _ in walk(model)] and gathered.name == model.name
    assert noted_unit_layers(gathered) == noted_unit_layers(model) and tfprune.unit_layers(gathered) == tfprune.unit_layers(model)
    assert not {id(v) for v in gathered.weights} & {id(v) for v in model.weights}, "a copy"
    assert all(np.array_equal(one, other) for one, other in zip(model.get_weights(), before, strict=True))


@pytest.mark.parametrize("statistics", ["imagenet", "repo"])
def test_stored_logits_of_resnet20(statistics):
    """Features, dense weights and published indices give the reference's logits at 5, 10 and 20 filters."""
    golden = np.load(shared("golden/decomposing/resnet20.npz"))
    model = keras.Sequential([keras.Input([64]), layers.Dense(10)])
    model.set_weights([golden["fc_weight"].T, golden["fc_bias"]])
    features = golden[f"features_{statistics}"]
    close(model(features), golden[f"logits_plain_{statistics}"])
    for top, name in ((5, ""), (10, "_10_10"), (20, "_20_20")):
        index = load_index(shared(f"golden/decomposing/resnet20_cifar-10{name}_indices.json"), 10, 64)
        assert [sorted(own) for own in index.values()] == np.sort(golden[f"idx{top}"]).tolist()
        expected = golden[f"logits_dec{top}_{statistics}"]
        for form in ("gather", "mask"):
            logits = tfprune.decompose_head(model, index, form)(features).numpy()
            close(logits, expected)
            np.testing.assert_array_equal(logits.argmax(axis=1), expected.argmax(axis=1))
        shuffled = {number: own[::-1] for number, own in index.items()}
        close(tfprune.decompose_head(model, shuffled)(features), expected)


@pytest.mark.parametrize("form", ["gather", "mask"])
@pytest.mark.parametrize("net", ["normalised", "softmax", "head_inside", "residual"])
@pytest.mark.parametrize("kind", [".keras", ".h5", ""], ids=["keras", "h5", "savedmodel"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_saved_with_its_indices(net, form, kind, tmp_path):
    if net == "residual" and kind == "":
        pytest.skip("the sum of tensors in it cannot be saved so, decomposed or not")
    model, images, index = made(net)
    model = tfprune.decompose_head(model, index, form)
    model.save(tmp_path / f"net{kind}")
    nested = net == "head_inside" and kind != ".keras"  # where Keras' older formats forget under which name layers are registered
    scope = {"DecomposedHead": DecomposedHead, "MaskedHead": MaskedHead} if nested else {}
    loaded = keras.models.load_model(tmp_path / f"net{kind}", custom_objects=scope)
    close(loaded(images, training=False), model(images, training=False))
    assert find_head(loaded)[1].class_filters() == find_head(model)[1].class_filters()


@pytest.mark.parametrize("form", ["gather", "mask"])
def test_checkpoints_hold_the_indices(form, tmp_path):
    model, images, index = made("ResNet20")
    model = tfprune.decompose_head(model, index, form)
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / "ckpt"))
    other = tfprune.decompose_head(made("ResNet20")[0], {number: [0, 1] for number in range(10)}, form)
    tf.train.Checkpoint(model=other).read(path).assert_consumed()
    close(other(images, training=False), model(images, training=False))
    model.save_weights(tmp_path / "net.weights.h5")
    third = tfprune.decompose_head(made("ResNet20")[0], {number: [0, 1] for number in range(10)}, form)
    third.load_weights(tmp_path / "net.weights.h5")
    close(third(images, training=False), model(images, training=False))


def test_the_setting_builds_the_same_layers():
    """What `dnn.top` builds takes the weights of a decomposed net."""
    for top, form, layer in ((3, "gather", DecomposedHead), (0.5, "mask", MaskedHead)):
        model, images, _ = made("ResNet20")
        index = {number: [number, 20 - number, 30] for number in range(10)}
        decomposed = tfprune.decompose_head(model, index, form)
        built = tfprune.build_model(tfprune.override(REGISTRY[9030], [f"dnn.top={top}"]))
        assert type(find_head(built)[1]) is layer
        built.set_weights(decomposed.get_weights())
        close(built(images, training=False), decomposed(images, training=False))


@pytest.mark.parametrize("net", ["softmax", "normalised"])
def test_gradients_of_the_forms_agree(net):
    model, images, index = made(net)
    gathered, masked = (tfprune.decompose_head(model, index, form) for form in ("gather", "mask"))
    gradients = []
    for copy in (gathered, masked):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(copy(images, training=False) ** 2)
        gradients.append(tape.gradient(loss, copy.trainable_weights))
    head = find_head(gathered)[1]
    place = [id(weight) for weight in gathered.trainable_weights].index(id(head.kernel))
    for number, (one, other) in enumerate(zip(*gradients, strict=True)):
        if number == place:
            rows = np.array(head.class_filters())
            assert np.count_nonzero(other) <= rows.size, "what is masked gets no gradient"
            other = np.take_along_axis(other.numpy().T, rows, axis=1)
        close(one, other, 1e-5)


@pytest.mark.parametrize("form", ["gather", "mask"])
@pytest.mark.parametrize("compiled", [False, True])
def test_trains_and_keeps_its_indices(form, compiled):
    model, images, index = made("normalised", 32)
    copy = tfprune.decompose_head(model, index, form)
    copy.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=compiled)
    history = copy.fit(images, np.arange(32) % 3, epochs=3, verbose=0).history["loss"]
    head = find_head(copy)[1]
    assert history[-1] < history[0]
    assert [sorted(own) for own in head.class_filters()] == [sorted(own) for own in index.values()]
    kernel = head.dense_kernel()
    assert {(row, number) for row, number in zip(*np.nonzero(kernel), strict=True)} == {(f, c) for c, own in index.items() for f in own}


@pytest.mark.parametrize("form", ["gather", "mask"])
@pytest.mark.parametrize("net", ["normalised", "head_inside", "Alexnet_digits"])
def test_every_measure_takes_it(net, form):
    model, images, index = made(net)
    model = tfprune.decompose_head(model, index, form)
    last = tfprune.unit_layers(model)[-1]
    assert tfprune.redundancy(model, images)[last].correlation.shape[0] == tfprune.activations(model, images, layers=[last])[last].shape[1]
    table = tfprune.robustness(model, images, np.zeros(COUNT, int), kinds=("weight_noise", "knockout", "noise"), amounts=2, crosses=1)
    assert table["agreement"].between(0, 1).all() and (table[table["amount"] == 0]["agreement"] == 1).all()
    assert tfprune.class_filters(model, images, np.zeros(COUNT, int), top=1).units == find_head(model)[2].shape[-1]


def test_costs_of_the_heads():
    """60 weights in place of 650, 51,000 in place of 2,049,000; as many multiply-adds as there are kernel entries."""
    for classes, filters, top, dense, few in ((10, 64, 5, 650, 60), (1000, 2048, 50, 2_049_000, 51_000)):
        model = keras.Sequential([keras.Input([filters]), layers.Dense(classes)])
        small = tfprune.decompose_head(model, {number: range(top) for number in range(classes)})
        count = [sum(weight.shape.num_elements() for weight in each.trainable_weights) for each in (model, small)]
        assert count == [dense, few]
        assert (multiply_adds(model), multiply_adds(small)) == (dense - classes, few - classes)


def test_decomposed_once_more():
    """Filters of before keep their weights, others have none."""
    model, images, index = made("normalised")
    for form in ("gather", "mask"):
        first = tfprune.decompose_head(model, index, form)
        fewer = {number: own[:1] for number, own in index.items()}
        close(tfprune.decompose_head(first, fewer)(images), tfprune.decompose_head(model, fewer)(images))
    sets = {0: [0], 1: [1, 2, 3], 2: [0, 2]}
    ragged = tfprune.decompose_head(model, sets)
    assert isinstance(find_head(ragged)[1], MaskedHead), "sets of different sizes need the mask"
    close(ragged(images, training=False), by_hand(model, images, sets), 1e-5)


def test_half_precision():
    from tests.small_nets import half_precision

    model = build(half_precision)
    images, index = examples(model, COUNT), two_each(model)
    head = find_head(tfprune.decompose_head(model, index))[1]
    assert head.compute_dtype == "float32" and head.kernel.dtype == tf.float32
    close(tfprune.decompose_head(model, index)(images), by_hand(model, images, index), 1e-5)


@pytest.mark.parametrize(("index", "form", "message"), [
    ({0: [0], 1: [4], 2: [1]}, None, "index: class 1: different whole numbers from 0 to 3 are needed, not 4"),
    ({0: [0], 1: [1, 1], 2: [1]}, None, "index: class 1: .*; 1 comes twice"),
    ({0: [0], 1: [1]}, None, "index: has 2 classes and not 2; the model's 3"), ({0: [0], 1: [1], 2: [2], 3: [0]}, None, "also 3"),
    ({0: [0], 1: [], 2: [1]}, None, "index: class 1 has no filters; a decomposed head needs one or more of each class"),
    ({0: [0], 1: [0, 1], 2: [1]}, "gather", "form=gather: every class needs as many filters, here they have 1 to 2; form=mask"),
    ({0: [0], 1: [0], 2: [1]}, "dense", "form=dense: expected one of gather, mask"), (7, None, "index: a list of filters for each class"),
    (ClassFilters({0: [0], 1: [0], 2: [1]}, 64, "pool"), None,
     "index: holds filters of 64 features .of layer pool.; the head dense has 4")])
def test_bad_indices_are_one_line(index, form, message):
    with pytest.raises(UserError, match=message) as error:
        tfprune.decompose_head(made("normalised")[0], index, form)
    assert "\n" not in str(error.value)


def test_nets_without_a_head_are_refused():
    images = keras.Input((5, 3))
    for model, message in ((keras.Model(images, layers.Dense(2, name="each")(images)), r"ends in each \(Dense\), not in one dense layer"),
                           (keras.Model(images, layers.Flatten(name="flat")(images)), "ends in flat"),
                           (keras.Sequential([layers.Dense(2)]), "has no graph of layers; build it first")):
        with pytest.raises(UserError, match=message):
            tfprune.decompose_head(model, {0: [0], 1: [1]})


def test_declared_unit_layers_are_kept():
    model = declare_unit_layers(build("normalised"), ["act2"])
    assert noted_unit_layers(tfprune.decompose_head(model, two_each(model))) == ("act2",)
