"""TFRecord -> memory -> prepared batches; and here, free of TensorFlow, what a record folder holds (`data.records` makes it)."""
META = "meta.json"
SPLITS = ("train", "val", "test")


def record_file(split):
    """Name of a split's file in a record folder."""
    return f"{split}.tfrecords"
