"""Image files checked by decoding them, and made RGB JPEGs where they are not.

ImageNet has a PNG and 22 CMYK JPEGs under the names of ordinary JPEGs, and some in greyscale; the original lists their names. Here the
content tells. Ordinary files are kept byte for byte.
"""
QUALITY = 100  # of what is encoded again, as in the original
DAMAGED = "damaged or cut short"
MOST_VALUES = 2**29  # pixels * 3; TensorFlow decodes no JPEG that has as many, at full size
MOST_LONGER = 100  # one side than the other: a short side of 256 pixels makes a long one of 25,600
NO_FRAME = (0xC4, 0xC8, 0xCC)  # Huffman tables, reserved, arithmetic coding: between the markers that hold a shape
START_OF_SCAN = 0xDA


class Unreadable(ValueError):
    """No decoder reads the file; the message says why."""


def normalised(content):
    """The image file as an RGB JPEG.

    Args:
      content: bytes of a JPEG or PNG file.

    Returns (bytes, height, width).

    Raises:
      Unreadable: it is something else, or cut short, or damaged so that decoding notices, or of a size that no batch should hold.
    """
    from tfprune.keras import tf

    try:
        if content.startswith(b"\xff\xd8"):
            return _jpeg(tf, content)
        if content.startswith(b"\x89PNG"):
            return _png(tf, content)
    except tf.errors.OpError:
        raise Unreadable(DAMAGED) from None
    raise Unreadable("neither a JPEG nor a PNG" if content else "empty")


def _jpeg(tf, content):
    height, width, channels = header(content)
    _check_size(height, width)
    if channels != 3:
        return _encoded(tf, tf.io.decode_jpeg(content, channels=3))
    tf.io.decode_jpeg(content, channels=3, ratio=8)  # reads all of it and finds what a full one would, for three quarters of the work
    return content, height, width


def _png(tf, content):
    _check_size(*(int.from_bytes(content[start:start + 4], "big") for start in (20, 16)))
    return _encoded(tf, tf.io.decode_png(content, channels=3))


def _check_size(height, width):
    """Unreadable for a small file that would fill the memory when it is decoded, or when its short side is made as long as the net's."""
    if height * width * 3 >= MOST_VALUES:
        raise Unreadable(f"{width} x {height} pixels are too many")
    if max(height, width) > MOST_LONGER * min(height, width):
        raise Unreadable(f"{width} x {height} pixels, one side more than {MOST_LONGER} times the other")


def header(content):
    """(height, width, channels) of a JPEG, from its markers; libjpeg would print a line of its own about a header that is cut short.

    Raises:
      Unreadable: the pixels never begin.
    """
    position, shape = 2, None
    while content[position:position + 1] == b"\xff" and len(content) >= position + 4:
        marker, length = content[position + 1], int.from_bytes(content[position + 2:position + 4], "big")
        if marker == 0xFF:  # padding
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in NO_FRAME and len(content) >= position + 10:
            height, width = (int.from_bytes(content[position + start:position + start + 2], "big") for start in (5, 7))
            shape = height, width, content[position + 9]
        position += 2 + length
        if marker == START_OF_SCAN and shape and len(content) > position:
            return shape
    raise Unreadable(DAMAGED)


def _encoded(tf, image):
    height, width, _ = image.shape
    return tf.io.encode_jpeg(image, format="rgb", quality=QUALITY).numpy(), height, width
