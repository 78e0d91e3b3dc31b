"""The rules by which kernels are masked: golden gradients and trajectories of the facts, and what each rule trains and draws."""
import numpy as np
import pytest

from tfprune.experiment import UserError
from tfprune.keras import keras, tf
from tfprune.masks.initial import KernelInit
from tfprune.masks.layers import SubnetConv2D, SubnetDense
from tfprune.masks.rules import RULES
from tfprune.masks.selection import kept_count
from tfprune.settings import MASKS

# A linear layer y = x (w * m)^T of the facts, whose w is [outputs, inputs] as in PyTorch
W = np.float32([[1, -2, 3, -4], [.5, .25, -.125, 2]])
SCORES = np.float32([[.4, -.1, .3, -.8], [-.6, .2, -.7, .05]])
X = np.float32([[1, 2, -1, .5], [0, 1, 3, -2]])
UPSTREAM = np.float32([[-1, 6, 25, -16.5], [.625, .875, -1.75, 1.0625]])  # dL/dw_eff of L = .5 * sum(y^2)
MASK = np.float32([[1, 0, 0, 1], [1, 0, 1, 0]])
TRAJECTORY = (  # loss before the step, mask in use, scores after it
    (.327656, "10011010", (.4006, -.1119, .2247, -.7332, -.599088, .199581, -.699081, .047825)),
    (.327656, "10011010", (.401739, -.134498, .081705, -.606347, -.597355, .198786, -.697337, .043695)),
    (.327656, "10011010", (.403363, -.166702, -.122072, -.425573, -.594885, .197653, -.69485, .037809)),
    (.327656, "10011010", (.405421, -.207519, -.230349, -.19645, -.591755, .196217, -.691699, .030348)),
    (.427656, "10101010", (.408868, -.254046, -.240568, .085956, -.588034, .194509, -.687952, .021479)),
    (.067656, "11001010", (.414561, -.279667, -.258525, .350036, -.583785, .192559, -.683674, .01135)),
    (.327656, "10011010", (.42027, -.314446, -.199427, .521358, -.579064, .190392, -.67892, .000097)))
MODES = {"eager": lambda f: f, "graph": tf.function, "xla": lambda f: tf.function(f, jit_compile=True)}


def rule_of(name, **options):
    return RULES[name](seed=3, **options)


def gradients(name, kernel=W, scores=SCORES, count=4, upstream=UPSTREAM, wrap=tf.function, **options):
    """(effective kernel, gradient of the kernel, of the scores; None where there is none)."""
    rule, kernel, scores = rule_of(name, **options), tf.constant(kernel), tf.constant(scores)

    def run():
        with tf.GradientTape() as tape:
            tape.watch((kernel, scores))
            effective = rule.effective(kernel, scores, tf.constant(count, tf.int64), True)
        return effective, tape.gradient(effective, (kernel, scores), tf.constant(upstream))

    effective, (of_kernel, of_scores) = wrap(run)()
    return effective.numpy(), *(None if g is None else g.numpy() for g in (of_kernel, of_scores))


def layer_of(rule, units=8, inputs=16, kind=SubnetDense, **settings):
    layer = kind(units, rule=rule, **settings)
    layer.build((None, inputs))
    return layer


def test_every_mask_of_an_experiment_has_its_rule():
    assert tuple(RULES) == MASKS


@pytest.mark.parametrize("mode", MODES)
def test_edge_popup_golden_gradient(mode):
    rule, kernel, scores, wrap = rule_of("edge_popup"), tf.constant(W.T), tf.Variable(SCORES.T), MODES[mode]

    def run():
        with tf.GradientTape() as tape:
            outputs = X @ rule.effective(kernel, tf.convert_to_tensor(scores), tf.constant(4, tf.int64), True)
            loss = .5 * tf.reduce_sum(outputs ** 2)
        return outputs, loss, tape.gradient(loss, scores)

    outputs, loss, gradient = wrap(run)()
    np.testing.assert_allclose(outputs, [[-1, .625], [8, -.375]], rtol=1e-6)
    assert float(loss) == pytest.approx(32.765625)
    np.testing.assert_allclose(tf.transpose(gradient), [[-1, 12, 75, -66], [-.3125, .21875, -.21875, 2.125]], rtol=1e-6)


def test_a_score_of_zero_does_not_move():
    _, _, gradient = gradients("edge_popup", np.ones(3, "float32"), np.float32([0, -.5, .2]), 3, np.ones(3, "float32"))
    np.testing.assert_array_equal(gradient, [0, -1, 1])


@pytest.mark.parametrize("mode", MODES)
def test_seven_steps_on_scores(mode):
    rule, kernel, scores, velocity, wrap = rule_of("edge_popup"), tf.constant(W.T), tf.Variable(SCORES.T), tf.Variable(0 * W.T), MODES[mode]

    def step():
        with tf.GradientTape() as tape:
            effective = rule.effective(kernel, tf.convert_to_tensor(scores), tf.constant(4, tf.int64), True)
            loss = .005 * tf.reduce_sum((X @ effective) ** 2)
        velocity.assign(.9 * velocity + tape.gradient(loss, scores) + .01 * scores)
        scores.assign_sub(.1 * velocity)
        return loss, effective

    step = wrap(step)
    for loss, mask, after in TRAJECTORY:
        found, effective = step()
        assert float(found) == pytest.approx(loss, abs=1e-5)
        assert "".join("01"[int(v != 0)] for v in np.ravel(tf.transpose(effective))) == mask
        np.testing.assert_allclose(np.ravel(tf.transpose(scores)), after, atol=2e-6)


def test_golden_convolution():
    layer = SubnetConv2D(1, 3, padding="same", keep=.5, freeze=False)
    images = tf.reshape(tf.range(16, dtype=tf.float32) / 10, [1, 4, 4, 1])
    layer.build(images.shape)
    layer.kernel.assign(np.arange(-4, 5, dtype="float32").reshape(3, 3, 1, 1))
    layer.scores.assign(np.float32([.9, -.1, .2, -.8, .05, .6, -.7, .3, -.4]).reshape(3, 3, 1, 1))
    with tf.GradientTape() as tape:
        outputs = layer(images, training=True)
        total = tf.reduce_sum(outputs)
    of_kernel, of_scores = tape.gradient(total, (layer.kernel, layer.scores))
    assert np.ravel(layer.mask()).tolist() == [1, 0, 0, 1, 0, 1, 1, 0, 1]
    np.testing.assert_allclose(np.ravel(outputs), [2.1, 3.4, 4, 1, 4.1, 5.8, 6, .6, 6.1, 6.6, 6.8, -.6, 1.3, -3, -3.4, -5.4], atol=1e-5)
    np.testing.assert_allclose(np.ravel(of_scores), [-18, 19.8, -10.8, 8.4, 0, 9.6, -16.2, 34.2, -36], atol=1e-4)
    np.testing.assert_allclose(np.ravel(of_kernel), [4.5, 0, 0, 8.4, 0, 9.6, 8.1, 0, 9], atol=1e-5)
    layer.keep = .3
    assert np.ravel(layer.mask()).tolist() == [1, 0, 0, 1, 0, 0, 1, 0, 0]


def test_sampled_golden_gradient_and_share():
    scores = np.float32([-2, 0, 1])
    for wrap in MODES.values():
        _, _, gradient = gradients("sampled", np.ones(3, "float32"), scores, 0, np.float32([1, 2, 3]),
                                   wrap=wrap if wrap is not MODES["xla"] else tf.function)
        np.testing.assert_allclose(gradient, [.104994, .5, .589836], atol=1e-6)
    rule, many = rule_of("sampled"), tf.ones([100_000, 3])
    drawn = rule.effective(many, many * scores, 0, True)
    np.testing.assert_allclose(np.mean(drawn, 0), [.119203, .5, .731059], atol=.01)
    assert np.any(drawn != rule.effective(many, many * scores, 0, True))
    np.testing.assert_array_equal(rule.effective(many, many * scores, 0, False)[0], [0, 0, 1])  # more likely kept than not
    legacy = rule_of("sampled", evaluation="sample")
    np.testing.assert_allclose(np.mean(legacy.effective(many, many * scores, 0, False), 0), [.119203, .5, .731059], atol=.01)


def test_sampled_draws_go_on_after_a_restart(tmp_path):
    layer, scores = layer_of("sampled"), tf.zeros([16, 8])
    layer.effective_kernel(True)
    path = tf.train.Checkpoint(layer=layer).write(str(tmp_path / "c"))
    after = layer.effective_kernel(True).numpy()
    fresh = layer_of("sampled")
    tf.train.Checkpoint(layer=fresh).read(path).assert_consumed()
    np.testing.assert_array_equal(fresh.effective_kernel(True), after)
    assert np.isnan(rule_of("sampled").effective(scores + 1, scores + np.nan, 0, True)).all()


def test_biprop_has_one_magnitude_a_layer():
    kernel, scores = np.float32([.5, -1, 2, -.25]), np.float32([.9, .1, -.8, .2])
    effective, _, gradient = gradients("biprop", kernel, scores, 2, np.float32([1, 2, 3, 4]))
    np.testing.assert_array_equal(effective, [1.25, 0, 1.25, 0])
    np.testing.assert_allclose(gradient, np.sign(scores) * kernel * [1, 2, 3, 4])  # through sign(kernel) * mask, times |kernel|
    assert not gradients("biprop", kernel, scores, 0, kernel)[0].any()


def test_signed_keeps_and_turns():
    effective, _, gradient = gradients("signed")
    np.testing.assert_array_equal(effective, W * MASK * np.sign(SCORES))
    np.testing.assert_allclose(gradient, W * UPSTREAM)


def test_dnw_keeps_large_weights_and_trains_all():
    effective, gradient, _ = gradients("dnw")
    np.testing.assert_array_equal(effective, W * (np.abs(W) >= 2))
    np.testing.assert_array_equal(gradient, UPSTREAM)


def test_weights_that_are_trained_get_the_masks_share():
    for name in ("edge_popup", "signed", "random"):
        effective, gradient, _ = gradients(name)
        np.testing.assert_allclose(gradient, effective / W * UPSTREAM, rtol=1e-6)


def test_a_random_mask_follows_from_the_seed():
    one, same, other = (layer_of("random", keep=.3, seed=seed) for seed in (1, 1, 2))
    assert np.count_nonzero(one.mask()) == kept_count(128, .3)
    np.testing.assert_array_equal(one.mask(), same.mask())
    assert np.any(one.mask() != other.mask())
    small = one.mask().numpy()
    one.keep = .6
    assert np.all(small <= one.mask())


def test_a_fixed_mask_is_set_or_made_from_scores():
    layer = layer_of("fixed", keep=.3)
    assert np.unique(layer.scores).tolist() == [0, 1] and np.count_nonzero(layer.mask()) == kept_count(128, .3)
    mask = np.arange(128).reshape(16, 8) % 3 == 0
    layer.set_mask(mask)
    np.testing.assert_array_equal(layer.effective_kernel(), layer.kernel * mask)
    assert layer.density() == layer.keep == mask.mean() and int(layer.kept) == mask.sum()
    searched = layer_of("edge_popup", keep=.7)
    layer.scores.assign(searched.scores)
    layer.keep = .7
    layer.set_mask()
    np.testing.assert_array_equal(layer.mask(), searched.mask())
    for wrong in (mask[:3], 2 * mask):
        with pytest.raises(UserError, match="a mask of 0 and 1 of shape"):
            layer.set_mask(wrong)
    with pytest.raises(UserError, match="its rule is edge_popup"):
        searched.set_mask(mask)


@pytest.mark.parametrize("initial", [KernelInit("kaiming_normal", seed=1), keras.initializers.HeNormal(seed=1)])
def test_iterand_draws_masked_out_weights_anew(initial):
    settings = {"options": {"redraw_share": .5, "redraw_every": 20}, "kernel_initializer": initial, "units": 100, "inputs": 200, "seed": 4}
    layer, resumed = layer_of("iterand", **settings), layer_of("iterand", **settings)
    mask, before = layer.mask().numpy(), layer.kernel.numpy()
    refresh = tf.function(lambda update: layer.rule.refresh(layer, update))
    for update in range(20):
        refresh(tf.constant(update, tf.int64))
    np.testing.assert_array_equal(layer.kernel, before)
    refresh(tf.constant(20, tf.int64))
    after = layer.kernel.numpy()
    changed = after != before
    assert not np.any(changed & (mask == 1))
    assert changed[mask == 0].mean() == pytest.approx(.5, abs=.02)
    assert after[changed].std() == pytest.approx(before.std(), rel=.05)
    assert abs(np.corrcoef(after[changed], before[changed])[0, 1]) < .05
    refresh(tf.constant(40, tf.int64))
    assert np.any((layer.kernel != after) & changed)  # drawn otherwise each time
    for update in (20, 40):
        resumed.rule.refresh(resumed, tf.constant(update))
    np.testing.assert_array_equal(layer.kernel, resumed.kernel)


@pytest.mark.parametrize("rule,options,message", [
    ("edge_popup", {"share": 1}, "options share of rule EdgePopup: it has none"), ("sampled", {"evaluation": "x"}, "threshold, sample"),
    ("iterand", {"redraw_share": 2}, "redraw_share=2"), ("iterand", {"redraw_every": 0}, "redraw_every=0")])
def test_wrong_options_are_refused(rule, options, message):
    with pytest.raises(UserError, match=message):
        rule_of(rule, **options)
