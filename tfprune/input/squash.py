"""ImageNet's images squeezed to a square, as akshaybadola/decomposing-the-deep prepares them: nothing is cropped in an evaluation.

In training the whole image is mirrored half of the time; then its contrast, its channels' brightness and its place are changed, in random
order, for what is pushed in from outside is black and takes on the colours of the steps that follow. Then it is squeezed to the square,
padded by a 56th a side (4 of 224) with its reflection, and cropped to the old size at random. The original does so with imgaug and
torchvision; its `ColorJitter()` without arguments changes nothing.
"""
import math

from tfprune.keras import tf

CONTRAST = (0.75, 1.5)  # times the distance to MIDDLE
MIDDLE = 127.0  # grey level
BRIGHTNESS = (0.8, 1.2)  # times each channel
STRETCH = (0.8, 1.2)  # of each side
ROTATION, SHEAR = math.radians(25), math.radians(8)  # either way
SHIFT = 0.2  # of each side, either way
WHITE = 255.0


def squashed(image, size, method):
    """The whole image at `size` x `size`, float32; `method` as of `images.resize`, which is asked for "antialias"."""
    return tf.image.resize(image, [size, size], antialias=method == "antialias")


def augmented(encoded, size, method, seed):
    """The image of a JPEG (string scalar) as training sees it, float32 [size, size, 3]; the same seed [2] gives the same image."""
    mirror, order, contrast, brightness, place, crop = tf.unstack(tf.random.experimental.stateless_split(seed, 6))
    image = tf.cast(tf.io.decode_jpeg(encoded, channels=3), tf.float32)
    image = tf.cond(_uniform(mirror) < 0.5, lambda: image[:, ::-1], lambda: image)
    steps = [lambda: with_contrast(image, _uniform(contrast, (), *CONTRAST)), lambda: lit(image, _uniform(brightness, (3,), *BRIGHTNESS)),
             lambda: moved(image, *drawn_place(place))]
    for number in tf.unstack(tf.argsort(_uniform(order, (len(steps),)))):
        image = tf.ensure_shape(tf.switch_case(number, steps), [None, None, 3])
    return reflected_crop(squashed(image, size, method), _uniform(crop, (2,)))


def with_contrast(image, factor):
    """Grey levels `factor` times as far from the middle one, as far as there are levels."""
    return tf.clip_by_value(MIDDLE + factor * (image - MIDDLE), 0.0, WHITE)


def lit(image, factors):
    """Each channel times its factor [3], up to white."""
    return tf.minimum(image * factors, WHITE)


def drawn_place(seed):
    """What `moved` takes, drawn."""
    draws = _uniform(seed, (6,), -1.0, 1.0)
    middle, reach = (STRETCH[1] + STRETCH[0]) / 2, (STRETCH[1] - STRETCH[0]) / 2
    return middle + reach * draws[:2], ROTATION * draws[2], SHEAR * draws[3], SHIFT * draws[4:]


def moved(image, stretch, rotation, shear, shift):
    """The image [height, width, 3] stretched, sheared and turned about its centre, then shifted; linear between pixels, black outside.

    Args:
      stretch, shift: [2], of x (to the right) and of y (downwards); the shift is a share of the side.
      rotation, shear: radians, clockwise.

    A point (x, y) from the centre goes to (sx x cos r - sy y sin(r + s), sx x sin r + sy y cos(r + s)) plus the shift, as in imgaug.
    """
    sides = tf.cast(tf.shape(image)[1::-1], tf.float32)
    centre = (sides - 1) / 2
    from_x, from_y = centre + shift * sides, centre
    # The operation asks where each pixel comes from: the inverse.
    area = stretch[0] * stretch[1] * tf.cos(shear)
    back = tf.stack([[stretch[1] * tf.cos(rotation + shear), stretch[1] * tf.sin(rotation + shear)],
                     [-stretch[0] * tf.sin(rotation), stretch[0] * tf.cos(rotation)]]) / area
    rest = from_y - tf.linalg.matvec(back, from_x)
    transform = tf.concat([back[0], rest[:1], back[1], rest[1:], tf.zeros([2])], axis=0)
    return tf.raw_ops.ImageProjectiveTransformV3(images=image[None], transforms=transform[None], output_shape=tf.shape(image)[:2],
                                                 fill_value=0.0, interpolation="BILINEAR", fill_mode="CONSTANT")[0]


def reflected_crop(image, draws):
    """The square image [size, size, 3], padded by a 56th a side with its reflection and cropped to its old size; draws from 0 to 1, [2]."""
    size = image.shape[0]
    pad = max(1, round(size / 56))
    padded = tf.pad(image, [[pad, pad], [pad, pad], [0, 0]], "REFLECT")
    top, left = tf.unstack(tf.cast(draws * (2 * pad + 1), tf.int32))
    return padded[top:top + size, left:left + size]


def _uniform(seed, shape=(), low=0.0, high=1.0):
    return tf.random.stateless_uniform(shape, seed, low, high)
