"""Tables of figures as CSV."""

import numpy as np
import pandas as pd

from spatioformer.report.downloads import as_csv


def test_the_csv_is_what_pandas_writes():
    values = np.array([1.5, np.nan, -np.inf, 1234567.0, 1e-9, 0.1 + 0.2])
    table = pd.DataFrame(
        {
            "plot_id": ["a", "b, c", 'd"e', "", "f\ng", None],
            "observed": values,
            "predicted": values.astype(np.float32),
            "fold": np.arange(6),
            "outside": values > 1,
        }
    )
    assert as_csv(table) == table.to_csv(index=False, float_format="%.6g")
    assert as_csv(table[:0]) == table[:0].to_csv(index=False)
