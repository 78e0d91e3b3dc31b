"""The only door to Keras: everything in tfprune imports `keras` from here and nobody writes `tf.keras` or `import keras`.

tfprune is Keras 2 (`tf_keras`): tensorflow-model-optimization refuses Keras 3 models, and it writes TF_USE_LEGACY_KERAS=1 into the
environment when imported, so that import order would otherwise decide which Keras a process gets.
"""
import os

if os.environ.setdefault("TF_USE_LEGACY_KERAS", "1") not in ("1", "true", "True"):
    raise ImportError(f"TF_USE_LEGACY_KERAS={os.environ['TF_USE_LEGACY_KERAS']}: tfprune needs Keras 2; unset it or set it to 1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notes are no news to our users; warnings stay

import tensorflow as tf  # noqa: E402
import tf_keras as keras  # noqa: E402

__all__ = ["keras", "tf"]
