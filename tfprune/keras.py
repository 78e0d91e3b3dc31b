"""The only door to Keras: everything in tfprune imports `keras` from here and nobody writes `tf.keras` or `import keras`.

tfprune is Keras 2 (`tf_keras`): tensorflow-model-optimization refuses Keras 3 models, and it writes TF_USE_LEGACY_KERAS=1 into the
environment when imported, so that import order would otherwise decide which Keras a process gets.
"""
import contextlib
import os
import sys
import tempfile

if os.environ.setdefault("TF_USE_LEGACY_KERAS", "1") not in ("1", "true", "True"):
    raise ImportError(f"TF_USE_LEGACY_KERAS={os.environ['TF_USE_LEGACY_KERAS']}: tfprune needs Keras 2; unset it or set it to 1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@contextlib.contextmanager
def quiet():
    """Holds back what TensorFlow's libraries print on stderr (no log level silences them); shown only if the block fails."""
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


with quiet():
    import tensorflow as tf
    import tf_keras as keras
    from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

tf.get_logger().setLevel("ERROR")  # its warnings are for TensorFlow's developers; what users need to know we say ourselves
for gpu in tf.config.list_physical_devices("GPU"):  # take memory as it is needed: other processes share the card
    with contextlib.suppress(RuntimeError):  # in use already; then it is the user's business
        tf.config.experimental.set_memory_growth(gpu, True)



def compiled_by_xla():
    """Whether what is called now becomes part of a function that XLA compiles (jit_compile=True); TensorFlow says so only in private."""
    return GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


__all__ = ["compiled_by_xla", "keras", "quiet", "tf"]
