"""Prunability, redundancy and growth: the values of the original's notebooks and what we correct in them."""
import numpy as np
import pytest

from tfprune.experiment import UserError
from tfprune.units.growth import growth_factor, non_prunability, non_redundancy, prunability, redundancy, threshold

CROSSING = {  # G6
    (1, 0.9, 0.85, 0.7, 0.5, 0.2, 0.1): 0.388889, (1, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2): 0.111111, (1, 0.9, 0.8, 0.79, 0.5, 0.3, 0.1): 0.333333,
    (1, 0.9, 0.7, 0.85, 0.6, 0.3, 0.1): 0.25, (1, 0.95, 0.9, 0.85, 0.82, 0.8, 0.1): 0.833333}
NEVER = {(1, 1, 1, 1, 1, 1, 0.9): 1.0, (0.9, 0.85, 0.84, 0.83, 0.82, 0.81, 0.805): 0.9}


@pytest.mark.parametrize("fidelity", ["corrected", "original"])
@pytest.mark.parametrize("curve, expected", CROSSING.items(), ids=str)
def test_threshold_interpolates_the_first_crossing(curve, expected, fidelity):
    assert threshold(curve, fidelity=fidelity) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("curve, original", NEVER.items(), ids=str)
def test_a_curve_that_never_crosses(curve, original):
    assert threshold(curve, fidelity="original") == original  # its first value
    assert threshold(curve) == 1  # every unit can go


def test_a_curve_that_starts_below():
    assert threshold([0] * 7) == threshold([0] * 7, fidelity="original") == 0
    assert threshold([0.5, 0.9, 0.1]) == 0 and threshold([0.5, 0.6, 0.7]) == 0
    assert threshold([0.5, 0.9, 0.1], fidelity="original") == pytest.approx(0.5 + 0.5 * 0.1 / 0.8)


def test_any_number_of_amounts_and_any_threshold():
    assert threshold([1, 0]) == pytest.approx(0.2) and threshold(np.linspace(1, 0, 101), 0.35) == pytest.approx(0.65)


def test_prunability_of_g6():
    curve = next(iter(CROSSING))
    assert prunability(curve, 2, 4) == pytest.approx(0.194444, abs=1e-6)
    assert non_prunability(curve, 2, 4) == pytest.approx(0.305556, abs=1e-6)


def test_crosses():
    curves = np.array(list(CROSSING)[:3])  # 7/18, 1/9, 1/3
    before = curves.copy()
    assert prunability(curves, 1, 4) == pytest.approx((7 / 18 + 1 / 9 + 1 / 3) / 3 / 4)
    assert prunability(curves, 1, 4, fidelity="original") == pytest.approx(7 / 18 / 4)  # the maximum
    assert non_prunability(curves, 1, 4, fidelity="original") == pytest.approx(1 / 4 - 7 / 18 / 4)  # the minimum
    assert (curves == before).all()


def test_redundancy_is_normalised_by_width():
    compressabilities = np.array([[0.5, 0.25], [0.75, 0.5]])
    assert redundancy(compressabilities, 2, 4) == 0.25 and non_redundancy(compressabilities, 2, 4) == 0.25


@pytest.mark.parametrize("measure, fidelity, expected", [
    ("prunability", "corrected", 2.516667), ("prunability", "original", 2.516667), ("redundancy", "corrected", 2.516667),
    ("redundancy", "original", 2.522222), ("non_redundancy", "original", 2.522222)])
def test_growth_of_g7(measure, fidelity, expected):
    values = [0.01, 0.025, 0.06, 0.15, 0.4]
    assert growth_factor(values, measure, fidelity) == pytest.approx(expected, abs=1e-6)
    assert values == [0.01, 0.025, 0.06, 0.15, 0.4]


@pytest.mark.parametrize("measure", ["prunability", "redundancy"])
def test_missing_nets(measure):
    values = np.array([0.01, 0.02, 0.04, 0, 0])
    assert growth_factor(values, measure, "original") == pytest.approx(2.0)
    assert values[-1] == 0  # not written to
    assert growth_factor([0.01, np.nan, 0.04, 0.12], measure) == pytest.approx(3.0)


def test_growth_of_many_curves_and_of_none():
    np.testing.assert_allclose(growth_factor([[1, 2, 4], [1, 3, 9], [0, 1, 0]]), [2, 3, np.nan])
    assert np.isnan(growth_factor([0.5, 0, 0.5]))


def test_unknown_fidelity():
    with pytest.raises(UserError, match="corrected or original"):
        threshold([1, 0], fidelity="exact")
