"""`tf.data` batches of an `EncodedSplit`: images are read, decoded and prepared one by one on all cores, in order, then batched."""
from tfprune.input.compiled import made_once
from tfprune.input.images import prepare
from tfprune.keras import tf

FRAME = 2**12  # bytes of a record around its JPEG, or more
FEATURES = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
PREFETCH = 4  # batches made ahead, at most
PREFETCH_BYTES = 2**30  # a batch of 4,096 ImageNet images takes 2.3 GiB


def training(plans, split, dataset, hyper, ragged):
    """The batches that `plans` (of `plan.plans`) ask for, each image augmented by a seed drawn from its batch's.

    In place of a row of -1, of which there are less than a batch in an epoch, the first image is read, and left out in the end.
    """
    batch = plans.element_spec[0].shape[0]
    prepared = _preparer(split, dataset, hyper, hyper.augmentation)
    if not ragged:
        return _batches(plans.flat_map(_one_by_one), batch, True, prepared, hyper)

    def noted(row, seed):
        return *prepared(tf.maximum(row, 0), seed), row >= 0

    return _batches(plans.flat_map(_one_by_one), batch, True, noted, hyper).map(_without_the_rest)


def _without_the_rest(images, labels, wanted):
    count = tf.math.count_nonzero(wanted)
    return images[:count], labels[:count]


def evaluation(split, dataset, hyper, batch_size):
    """All images in order."""
    rows = tf.data.Dataset.range(len(split)).map(lambda row: (row, tf.zeros([2], tf.int32)))
    return _batches(rows, batch_size, len(split) % batch_size == 0, _preparer(split, dataset, hyper, False), hyper)


def _one_by_one(rows, seed):
    """The plan of a batch, image by image: (row, augmentation seed [2])."""
    everything = tf.int32.min, tf.int32.max
    seeds = tf.random.stateless_uniform([rows.shape[0], 2], seed, *everything, tf.int32)
    return tf.data.Dataset.from_tensor_slices((rows, seeds))


def _batches(images, batch, even, prepared, hyper):
    """Batches of prepared images, of which a few are made ahead, fewer where they are large; all of one size if it comes out `even`."""
    ready = images.map(prepared, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    size = 3 * 4 * hyper.image_size**2 * batch
    return ready.batch(batch, drop_remainder=even).prefetch(max(1, min(PREFETCH, PREFETCH_BYTES // size)))


def _preparer(split, *settings):
    """`preparer`, compiled once for a split and its settings."""
    return made_once(split, ("image", *settings), lambda: preparer(split, *settings))


def preparer(split, dataset, hyper, augmented):
    """Compiled: (row, augmentation seed [2]) -> (image float32 [side, side, 3], label int64).

    The records number the classes from 1, 0 being the background; a net without a class for it (`dataset.background`) has them from 0.
    """
    fetch = fetcher(split.reader)  # not the split, which what is made here must not keep alive
    with tf.device("CPU:0"):
        labels = tf.constant(split.labels if dataset.background else split.labels - 1)

    @tf.function
    def prepared(row, seed):
        return prepare(fetch(row), dataset, hyper, seed if augmented else None), tf.gather(labels, row)
    return prepared


def fetcher(reader):
    """A function of a row, for use in a graph, that gives its JPEG: string scalar.

    All in TensorFlow, which also checks the record's checksum. Threads that wait for Python's lock would slow each other down, and hang a
    process that ends while they read ahead; Python is asked only about damaged records, for `reader.read` says what is wrong with them.
    """
    with tf.device("CPU:0"):
        files = tf.constant([str(path) for path in reader.files])
        shards, records, lengths = (tf.constant(reader.index[name], tf.int64) for name in ("shard", "record", "length"))

    def fetch(row):
        path = tf.gather(files, tf.gather(shards, row))
        record = _record(path, tf.gather(records, row), tf.gather(lengths, row) + FRAME)
        return tf.cond(tf.strings.length(record) > 0, lambda: tf.io.parse_single_example(record, FEATURES)["image/encoded"],
                       lambda: tf.ensure_shape(tf.numpy_function(reader.read, [row], tf.string), []))
    return fetch


def _record(path, begin, size):
    """The TFRecord at a byte of a file, '' where it is missing or damaged; `size` bytes are read at a time."""
    kind = {"output_types": [tf.string], "output_shapes": [[]]}
    found = tf.raw_ops.TFRecordDatasetV2(filenames=path[None], compression_type="", buffer_size=size, byte_offsets=begin[None])
    found = tf.raw_ops.IgnoreErrorsDataset(input_dataset=found, **kind)
    otherwise = tf.raw_ops.TensorDataset(components=[""], output_shapes=[[]])
    found = tf.raw_ops.ConcatenateDataset(input_dataset=found, another_dataset=otherwise, **kind)
    found = tf.raw_ops.TakeDataset(input_dataset=found, count=tf.constant(1, tf.int64), **kind)
    return tf.raw_ops.DatasetToSingleElement(dataset=found, **kind)[0]
