"""Raw data through tensorflow-datasets, for sources whose own files are absent; kept in `<data_dir>/tfds`."""
import hashlib
import pathlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import numpy as np

from tfprune.experiment import UserError
from tfprune.files import sha256


def digest(paths):
    """SHA-256 over the bytes of files, in order (CIFAR-10's 180 MB: a tenth of a second)."""
    with ThreadPoolExecutor() as pool:
        return hashlib.sha256(bytes.fromhex("".join(pool.map(sha256, paths)))).hexdigest()


def ensure(name, data_dir, url, advice):
    """The files of a prepared tensorflow-datasets copy, downloaded first where there are none.

    Args:
      name: the set's name there.
      url: where it downloads from; looked at first, for without a network it would retry for minutes.
      advice: what a user without a network should do.

    Raises:
      UserError: no network, or the download failed.
    """
    if not prepared(name, data_dir):
        problem = f"--data_dir={data_dir}: no {name} there"
        if not reachable(url):
            raise UserError(f"{problem}, and {urlsplit(url).hostname} cannot be reached to download it; {advice}")
        try:
            _builder(name, data_dir).download_and_prepare()
        except Exception as error:  # requests, urllib3, checksum, disk: whatever it is, the user's next step is the same
            raise UserError(f"{problem}, and the download failed ({type(error).__name__}: {error}); {advice}") from error
    return prepared(name, data_dir)


def prepared(name, data_dir):
    """The files of a finished tensorflow-datasets preparation, in order."""
    found = sorted(pathlib.Path(data_dir, "tfds", name).glob("*/dataset_info.json"))
    return sorted(path for path in found[-1].parent.iterdir() if path.is_file()) if found else []


def load(name, data_dir):
    """{"train": (images, labels), "test": (images, labels)} of a prepared set."""
    builder = _builder(name, data_dir)
    return {split: _arrays(builder.as_dataset(split=split, batch_size=1000, as_supervised=True)) for split in ("train", "test")}


def _arrays(batches):
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _builder(name, data_dir):
    import tensorflow_datasets as tfds

    import tfprune.keras  # noqa: F401  loads TensorFlow without its notes; tfds alone would load it only later

    return tfds.builder(name, data_dir=str(pathlib.Path(data_dir, "tfds")))


def reachable(url, seconds=1.0):
    """Whether a URL's host accepts a connection within about a second.

    Where the environment has a proxy for its scheme (https_proxy or HTTPS_PROXY) the proxy is asked instead, unless no_proxy names the
    host, as the download itself does: https_proxy=http://127.0.0.1:9 no_proxy= is a machine without a network.
    """
    target = urlsplit(url)
    proxy = getproxies().get(target.scheme)
    if proxy and not proxy_bypass(target.hostname):
        target = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    answered = []

    def connect():
        try:
            port = target.port or (443 if target.scheme == "https" else 80)
            socket.create_connection((target.hostname, port), timeout=seconds).close()
            answered.append(True)
        except OSError:
            pass

    # In a thread: looking the name up has no time limit of its own.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(seconds + 0.2)
    return bool(answered)
