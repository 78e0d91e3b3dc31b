"""TF_CONFIG, by which TensorFlow's processes know each other: where each is to be reached, and which of them this one is."""
import json
import os

from tfprune.experiment import UserError

EXAMPLE = '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'


def index():
    """This process's number, from 0, the first's; UserError where TF_CONFIG is missing or wrong."""
    return _index(_config())


def count():
    """How many processes there are."""
    return len(_addresses(_config()))


def _config():
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        _addresses(config)
        _index(config)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"TF_CONFIG={text[:200]}: --strategy=multiworker needs in the environment of each process, with its own index: "
                        f"TF_CONFIG='{EXAMPLE}'") from None
    return config


def _addresses(config):
    """All processes' addresses, the chief's first."""
    cluster = config["cluster"]
    addresses = [*cluster.get("chief", []), *cluster["worker"]]
    places = [address.rpartition(":") for address in addresses]
    if set(cluster) - {"chief", "worker"} or len(set(addresses)) < len(addresses):
        raise ValueError
    if not all(host and port.isdecimal() and 0 < int(port[:9]) < 65536 for host, _, port in places):
        raise ValueError
    return addresses


def _index(config):
    """This process's number."""
    kind, index = config["task"]["type"], config["task"]["index"]
    if not isinstance(index, int) or not 0 <= index < len(config["cluster"][kind]):
        raise ValueError
    return index + (len(config["cluster"].get("chief", [])) if kind == "worker" else 0)
