"""Licences: their names, and what they forbid."""

import pytest

from spatioformer.common.licences import (
    NO_DERIVATIVES,
    NON_COMMERCIAL,
    SHARE_ALIKE,
    restrictions,
    spdx,
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CC_BY_4_0", "CC-BY-4.0"),
        ("CC_BY_NC_4_0", "CC-BY-NC-4.0"),
        ("CC0_1_0", "CC0-1.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/legalcode", "CC0-1.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/3.0/", "CC-BY-NC-SA-3.0"),
        ("Creative Commons Attribution Non Commercial (CC-BY-NC) 4.0 License", "CC-BY-NC-4.0"),
        ("Creative Commons Attribution-ShareAlike 4.0 International", "CC-BY-SA-4.0"),
        ("Creative Commons Attribution-NoDerivatives 4.0", "CC-BY-ND-4.0"),
        ("CC BY 4.0", "CC-BY-4.0"),
        ("CC-BY", "CC-BY"),
        ("MIT", "MIT"),
        ("All rights\n reserved", "All rights reserved"),
        ("UNSPECIFIED", ""),
        ("", ""),
    ],
)
def test_names_of_licences(text, name):
    assert spdx(text) == name
    assert spdx(name) == name


@pytest.mark.parametrize(
    ("licence", "uses"),
    [
        ("CC-BY-4.0", []),
        ("CC0-1.0", []),
        ("Public domain", []),
        ("CC-BY-NC-4.0", [NON_COMMERCIAL]),
        ("CC-BY-NC-SA-4.0", [NON_COMMERCIAL, SHARE_ALIKE]),
        ("CC-BY-ND-4.0", [NO_DERIVATIVES]),
        ("ODbL-1.0", [SHARE_ALIKE]),
        ("GPL-3.0", [SHARE_ALIKE]),
        ("non-commercial use only", [NON_COMMERCIAL]),
        ("Not for commercial use", [NON_COMMERCIAL]),
        ("no commercial use", [NON_COMMERCIAL]),
        ("Note: commercial use is free", []),
    ],
)
def test_uses_that_licences_forbid(licence, uses):
    assert restrictions(licence) == uses
