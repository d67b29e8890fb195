"""Codes for missing data and likely faults among the values of a covariate."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spatioformer.geo.plots.far_values import far_values
from spatioformer.geo.plots.table import read_plots


@pytest.mark.parametrize("code", [-9999, -999, 65535, -3.4e38, 1e20])
def test_a_code_far_outside_is_missing_data(code: float) -> None:
    assert far_values(np.append(np.linspace(0, 250, 30), [code, code, np.nan])).codes == [code]


@pytest.mark.parametrize("code", [-999, 32767])
def test_a_code_within_the_range_of_the_others_is_a_value(code: float) -> None:
    assert far_values(np.append(np.linspace(-1200, 32000, 30), code)).codes == []
    assert far_values(np.append(np.linspace(-900, 32000, 30), code)).codes == []
    assert far_values(np.array([1.0, 2.0, -9999])).codes == []


def test_a_code_is_no_fault_and_hides_none() -> None:
    rain = np.append(np.random.default_rng(0).uniform(5, 800, 100), [np.nan, 9500, -9999, -9999])
    codes, coded, faults = far_values(rain)
    assert codes == [-9999]
    assert np.flatnonzero(coded).tolist() == [102, 103]
    assert np.flatnonzero(faults).tolist() == [101]


def test_no_values_have_none() -> None:
    codes, coded, faults = far_values(np.full(3, np.nan))
    assert codes == []
    assert not coded.any()
    assert not faults.any()


def test_faults_lie_far_from_all_others() -> None:
    rain = np.random.default_rng(0).uniform(5, 8000, 200)
    assert not far_values(rain).faults.any()
    rain[[3, 70]] = 1e6, 2e6
    rain[9] = np.nan
    assert np.flatnonzero(far_values(rain).faults).tolist() == [3, 70]
    assert np.flatnonzero(far_values(-rain).faults).tolist() == [3, 70]


def test_long_tails_and_groups_are_no_faults() -> None:
    rng = np.random.default_rng(0)
    for seed in range(20):
        tailed = np.exp(1.5 * np.random.default_rng(seed).normal(size=300))
        assert not far_values(tailed).faults.any()
    groups = np.append(rng.uniform(size=90), 1000 + rng.uniform(size=10))
    assert not far_values(groups).faults.any()
    assert not far_values(np.append(np.zeros(99), 7.0)).faults.any()  # a rare class


def test_a_table_says_what_it_did_with_them(tmp_path: Path) -> None:
    n = 60
    table = pd.DataFrame(
        {"lon": np.linspace(115, 120, n), "lat": -25.0, "richness": np.arange(n)}
        | {"rain": np.linspace(100, 900, n), "heat": np.linspace(10, 20, n)}
    )
    table.loc[[4, 5], "rain"] = -9999
    table.loc[7, "heat"] = 1e6
    table.to_csv(tmp_path / "plots.csv", index=False)
    columns = {name: name for name in ("lon", "lat", "richness")}
    covariates = {"rain": "number", "heat": "number"}
    intake = read_plots(tmp_path / "plots.csv", columns=columns, covariates=covariates)
    assert np.flatnonzero(intake.table["rain"].isna()).tolist() == [4, 5]
    assert intake.table["heat"].max() == 1e6
    notes = " ".join(intake.summary["notes"])
    assert "'rain' counts 2 cells of -9999 as missing" in notes
    assert "between 100 and 900" in notes
    assert "'heat' has a value in 1 of 60 rows far outside all others: 1000000 on line 9" in notes
