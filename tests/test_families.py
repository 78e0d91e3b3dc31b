"""The families of VGGs: every list, count and figure of the original's generator, and what it must refuse."""
import collections
import hashlib
import json
import re

import numpy as np
import pytest
from scipy.stats import skewnorm

import tfprune
from experiments import REGISTRY
from tests.conftest import shared
from tfprune.experiment import UserError
from tfprune.families import blocks, parameters, plain_features, spread
from tfprune.skew_normal import shares

# Facts 1 and 11, by depth: features of the plain VGG, members, the same for large patches, sum of all features, least and most of a
# member, least and most "Parameters", SHA-256 of all lists.
FAMILIES = {
    7: (1408, 91, 93, 125_401, (1342, 1397), (473_786, 3_710_764),
        "e9ba91f144a02d45ca12e1dd76c66615a48d82c1b099af54523d625f2ea85a7f"),
    10: (2688, 153, 154, 402_028, (2557, 2667), (2_998_941, 12_211_547),
        "8dcff17ec0b343cda63de40edf8ac386bdead0790cb7344aff5c6cb7fb005470"),
    13: (3968, 194, 219, 751_631, (3776, 3935), (7_882_884, 23_072_193),
        "1510876e56b1c9e39d53e5ba406fffaad94eef4fe0b774a23ac160f8c321f29a"),
    16: (5248, 193, 221, 992_520, (4995, 5204), (13_771_031, 31_953_977),
        "7494f028d496042eb868dd578583a8aed9b3af13267987de014269ff045b8bd9"),
    19: (6528, 139, 166, 892_420, (6212, 6471), (21_326_024, 42_212_830),
        "67d58210f837a501439817e76715f06beac396eee40465379ea9bdfee38af6ef"),
    22: (7808, 84, 112, 643_518, (7427, 7741), (29_537_980, 54_375_612),
        "e449c3b049117b65bf37aa98ad73b977fda357074fd2f67518619356c13ef0d1"),
    25: (9088, 35, 48, 310_134, (8650, 9006), (36_171_681, 61_314_651),
        "426cc0e25b3e7b6c5622efcc16f783dd19bd7fc67fd12c64ab47d8bbfa3dbdff"),
}
MEMBERS = [  # facts 11: depth, index, (location, scale, shape), features, "Parameters"
    (16, 0, (0, 4, 8), "823 961 852 708 552 405 279 181 110 63 34 17 9 4 2", 27_206_551),
    (16, 1, (0, 4, 12), "888 965 852 708 552 405 279 181 110 63 34 17 9 4 2", 27_833_131),
    (16, 33, (0, 5.5, 40), "708 726 680 616 540 458 376 299 230 171 123 86 58 38 24", 21_945_203),
    (16, 34, (1, 4, 4), "323 700 891 845 707 552 405 279 181 110 63 34 17 9 4", 27_071_842),
    (16, 48, (1, 4.5, 20), "79 831 871 789 681 560 438 326 231 156 101 62 36 20 11", 26_274_165),
    (16, 73, (1, 5.5, 40), "39 708 726 680 616 540 458 376 299 230 171 123 86 58 38", 22_134_972),
    (16, 90, (4, 5, 4), "3 19 96 287 536 695 712 647 554 454 358 271 197 138 93", 21_948_651),
    (16, 93, (7, 2, 0), "6 26 86 228 476 778 995 996 781 479 230 87 26 6 2", 31_953_977),
    (16, 96, (7, 3.5, 0), "107 173 260 359 458 539 585 585 540 459 360 261 174 107 61", 18_874_905),
    (16, 120, (14, 4, -40), "4 8 17 34 63 110 180 278 403 551 706 851 964 989 42", 21_010_751),
    (16, 144, (14, 5, -24), "22 37 60 92 137 196 270 357 453 553 648 731 792 759 70", 18_840_358),
    (16, 159, (14, 5.5, -4), "38 58 85 123 170 229 298 375 457 539 611 654 622 480 272", 16_730_336),
    (16, 192, (15, 5.5, -12), "24 38 58 85 123 170 229 298 375 457 539 615 679 724 617", 13_771_031),
    (7, 45, (3, 1, 0), "30 188 475 478 191 31", None), (10, 76, (4, 2, 0), "117 244 399 510 510 400 246 118 45", None),
    (13, 97, (6, 1.5, 0), "2 14 74 268 632 972 974 636 271 75 14 2", None),
    (19, 69, (9, 3, 0), "16 39 84 162 280 436 606 756 844 845 757 608 437 282 163 84 39 17", None),
    (25, 0, (3, 5.5, 4), None, None), (25, 34, (21, 5.5, -4), None, None)]


def distribution(member):
    return member.location, member.scale, member.shape


@pytest.mark.parametrize("depth", FAMILIES)
def test_families_are_the_originals(depth):
    total, members, at_large_patches, all_features, features, sizes, checksum = FAMILIES[depth]
    family = tfprune.feature_families(depth)
    assert sum(plain_features(depth)) == total and len(family) == members and len(set(family)) == members
    assert len(tfprune.feature_families(depth, patch_size=100)) == members
    assert len(tfprune.feature_families(depth, patch_size=101)) == len(tfprune.feature_families(depth, 224)) == at_large_patches
    sums, weights = [sum(member.features) for member in family], [parameters(member.features) for member in family]
    assert sum(sums) == all_features and (min(sums), max(sums)) == features and (min(weights), max(weights)) == sizes
    lines = [f"{m.location:.0f},{m.scale:.1f},{m.shape:.0f}:{','.join(map(str, m.features))}\n" for m in family]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == checksum
    assert all(spread(depth, *distribution(member)) == member.features for member in family)


@pytest.mark.parametrize("depth", FAMILIES)
def test_every_list_equals_the_originals(depth):
    golden = json.loads(shared("golden/feature_amounts/families.json").read_text())["families"][str(depth)]
    ours = [[*distribution(member), list(member.features), parameters(member.features)] for member in tfprune.feature_families(depth)]
    assert ours == golden


@pytest.mark.parametrize(("depth", "index", "asked", "features", "weights"), MEMBERS)
def test_golden_members(depth, index, asked, features, weights):
    member = tfprune.feature_families(depth)[index]
    assert distribution(member) == asked
    assert features is None or member.features == tuple(map(int, features.split()))
    assert weights is None or parameters(member.features) == weights


def test_marginals_of_depth_16():
    family = tfprune.feature_families(16)
    locations, scales, shapes = (collections.Counter(values) for values in zip(*map(distribution, family), strict=True))
    assert locations == {0: 34, 1: 40, 2: 11, 3: 5, 4: 1, 6: 2, 7: 4, 8: 4, 9: 2, 11: 1, 12: 5, 13: 11, 14: 40, 15: 33}
    assert scales == {2: 2, 2.5: 4, 3: 4, 3.5: 8, 4: 44, 4.5: 43, 5: 44, 5.5: 44}
    assert shapes == {shape: {0: 12, 4: 15, -4: 15, -8: 10, 8: 11, 12: 9, -12: 9}.get(shape, 8) for shape in range(-40, 41, 4)}
    widest = collections.Counter(member.features.index(max(member.features)) for member in family)
    assert widest == {0: 5, 1: 34, 2: 33, 3: 11, 4: 5, 5: 4, 6: 4, 7: 4, 8: 4, 9: 2, 10: 5, 11: 11, 12: 32, 13: 33, 14: 6}
    assert max(max(member.features) for member in family) == 1077 and min(min(member.features) for member in family) == 2
    assert plain_features(16) not in {member.features for member in family}


def test_density_is_the_skew_normal():
    """The bins by SciPy's density, after that itself has given the sheet's three values; then against the sheet's own bins."""
    np.testing.assert_allclose(skewnorm.pdf([0, 1, 2.5], 4, 1, 2), [.00800953, .19947114, .30073093], atol=5e-9)
    for depth, location, scale, shape in [
            (16, 7, 3.5, 0), (16, 0, 4, 8), (16, 15, 5.5, -12), (7, 3, .5, -40), (10, 2.5, 1.7, 3), (25, 21, 5.5, -4)]:
        points = np.arange(depth - 1)[:, None] + np.arange(100) / 100
        expected = np.trapezoid(skewnorm.pdf(points, shape, location, scale), dx=.01)
        np.testing.assert_allclose(shares(depth - 1, location, scale, shape), expected, rtol=1e-10, atol=1e-14)
    bins = shares(15, 7, 3.5, 0)
    np.testing.assert_allclose(bins, [
        .0202264379, .032915612, .0493929915, .0683455666, .0872042392, .1026000415, .1113116117, .111356752, .1027249148, .0873812035,
        .0685398182, .0495735603, .0330627446, .0203333328, .0115307673], atol=5e-11)
    assert sum(bins) == pytest.approx(.9564995939, abs=1e-10) and sum(shares(15, 0, 4, 8)) == pytest.approx(.9512719959, abs=1e-10)
    assert sum(shares(15, 15, 5.5, -12)) == pytest.approx(.9572520604, abs=1e-10)


def test_exact_total():
    for depth, (total, members, *_) in FAMILIES.items():
        exact, plain = tfprune.feature_families(depth, exact_total=True), tfprune.feature_families(depth)
        assert [distribution(member) for member in exact] == [distribution(member) for member in plain] and len(exact) == members
        assert {sum(member.features) for member in exact} == {total} and min(min(member.features) for member in exact) >= 1
    found = {distribution(member): member.features for member in tfprune.feature_families(16, exact_total=True)}
    assert found[7, 3.5, 0] == (111, 181, 271, 375, 478, 563, 611, 611, 564, 479, 376, 272, 181, 112, 63)


def test_other_grids():
    fine = tfprune.feature_families(16, scales=(4, 4.25), shapes=(8,))
    assert {member.scale for member in fine} == {4, 4.25} and fine[0] == tfprune.feature_families(16)[0]
    assert tfprune.feature_families(16, scales=(0, 1e-5, 1e-320), shapes=(0, 1000)) == []


def test_plain_features():
    assert plain_features(16) == (64, 64, 128, 128, 256, 256, 256, *[512] * 8) and parameters(plain_features(16)) == 15_239_872
    assert plain_features(16, 224)[-2:] == (4096, 4096) and plain_features(7) == (64, 64, 128, 128, 512, 512)
    assert plain_features(11) == (64, 128, 256, 256, 512, 512, 512, 512, 512, 512)
    assert [blocks(depth) for depth in (7, 11, 13)] == [(2, 2, 0, 0, 0), (1, 1, 2, 2, 2), (2, 2, 2, 2, 2)]


@pytest.mark.parametrize(("asked", "says"), [  # facts 11, and further ones
    ((0, 4, 4), r"only 0.913 of the distribution lies within the 15 layers of VGG16; more than 0.95 is needed"),
    ((15, 5.5, -8), "only 0.944"), ((7, 4, 0), "only 0.928"),
    ((8, 1.5, 0), "leaves layer 1 of VGG16 1 of the features; 2 or more are needed"),
    ((0, 1, 40), "leaves layer 15"), ((7, 3.5, 4), "leaves layer 1 "), ((7, 0, 0), "leaves layer 1 .* 0 of the features"),
    ((1e300, 2, 0), "leaves layer"), ((7, 1e-320, 1000), "leaves layer"), ((7, 1e300, 0), "leaves layer")])
def test_illegal_distributions_are_refused(asked, says):
    with pytest.raises(UserError, match=says) as refusal:
        spread(16, *asked)
    assert str(refusal.value).startswith(f"dnn.location={asked[0]:g}, dnn.scale={asked[1]:g}, dnn.shape={asked[2]:g}: ")
    assert asked not in {distribution(member) for member in tfprune.feature_families(16)}


@pytest.mark.parametrize("depth", [-2, 0, 1, 4, 8, 9, 12, 14, 1003, 10**9 + 3])
def test_depths_that_no_vgg_has_are_refused(depth):
    for make in (tfprune.feature_families, plain_features, blocks):
        with pytest.raises(UserError, match=f"dnn.depth={depth}: no VGG has so many layers; 7, 10, 13, 16, .* and 11"):
            make(depth)


def test_too_small_a_patch_is_refused():
    with pytest.raises(UserError, match="patch_size=31: too small for a VGG; the least is 32"):
        tfprune.feature_families(16, patch_size=31)


# Design 5: the first ID of each depth's family, and how many there are.
IDS = {16: (6000, 193), 7: (6200, 91), 10: (6300, 153), 13: (6500, 194), 19: (6700, 139), 22: (6850, 84), 25: (6950, 35), 11: (7200, 155)}


@pytest.mark.parametrize("depth", IDS)
def test_experiments_of_a_family(depth):
    first, count = IDS[depth]
    for number, member in enumerate(tfprune.feature_families(depth), first):
        ours = REGISTRY[number]
        assert (ours.dnn.name, ours.dnn.depth) == ("VGG", depth) and (ours.study, ours.family) == ("feature_amounts", "feature_amounts")
        assert (ours.dnn.location, ours.dnn.scale, ours.dnn.shape) == distribution(member)
        asked = re.fullmatch(rf"ID{number}_VGG{depth}_loc=(.+)_scale=(.+)_shape=(.+)_seed=0", ours.name)
        assert tuple(map(float, asked.groups())) == distribution(member)
    assert number == first + count - 1 and (number + 1 not in REGISTRY or number + 1 == 7000)


def test_all_experiments_of_the_study():
    assert REGISTRY[6000].name == "ID6000_VGG16_loc=0_scale=4_shape=8_seed=0" and REGISTRY[6096].dnn.scale == 3.5
    plain = REGISTRY[6999]
    assert plain.name == "ID6999_VGG16_plain_seed=0" and (plain.dnn.depth, plain.dnn.scale) == (16, 0)
    laptop = [REGISTRY[number] for number in range(9200, 9291)]
    for ours, member in zip(laptop, tfprune.feature_families(7), strict=True):
        assert (ours.dnn.location, ours.dnn.scale, ours.dnn.shape) == distribution(member)
        assert (ours.dnn.neuron_multiplier, ours.dataset.name, ours.family) == (1 / 8, "digits", "laptop")
    assert laptop[45].name == "ID9245_VGG7_digits_loc=3_scale=1_shape=0_seed=0"
    mine = [ours.id for ours in REGISTRY.values() if ours.study == "feature_amounts"]
    assert len(mine) == 1044 + 1 + 92 and mine[-1] == 9291
