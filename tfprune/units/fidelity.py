"""The switch between a measure as it is meant and as the original study computed it (docs/fidelity.md)."""
from tfprune.experiment import UserError


def is_original(fidelity):
    """True for "original", False for "corrected"; UserError for anything else."""
    if fidelity not in ("corrected", "original"):
        raise UserError(f"fidelity={fidelity}: expected corrected or original")
    return fidelity == "original"
