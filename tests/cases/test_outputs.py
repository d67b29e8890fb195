"""What we write does not turn on who opens it."""

import numpy as np
import pandas as pd

from spatioformer.vision.predictions import as_csv
from tests.helpers import landscape
from tests.helpers.tiny_run import spatioformer, write_config


def test_rejected_rows_start_no_formula(tmp_path):
    table = landscape.plots().assign(plot=lambda t: [f"p{i}" for i in range(len(t))]).astype(str)
    table.loc[0, ["plot", "richness"]] = '=HYPERLINK("http://x")', ""
    table.loc[1, ["plot", "richness"]] = "@x", "-3"
    landscape.write(tmp_path)
    table.to_csv(tmp_path / "plots.csv", index=False)
    ended = spatioformer("plots", write_config(tmp_path), "--quiet")
    assert ended.code == 0, ended.err
    rejected = pd.read_csv(tmp_path / "run" / "rejected.csv", dtype=str, keep_default_na=False)
    assert rejected["plot_id"].tolist() == ['\'=HYPERLINK("http://x")', "'@x"]
    assert rejected["richness"].tolist() == ["", "-3"]


def test_classes_of_images_start_no_formula():
    rows = [{"image": "=a.png", "@b": 0.5, "class": "-1+1", "true": np.float32(-2)}]
    assert as_csv(rows) == "image,'@b,class,true\n'=a.png,0.5,'-1+1,-2\n"
