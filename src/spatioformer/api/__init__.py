"""The Python door, for people who know scikit-learn, geopandas and xarray and write no YAML.

Everything here is offered by `spatioformer` itself: `import spatioformer as sf`.

| step | plots and rasters | a plain table |
|---|---|---|
| read | `sf.read_plots`, `sf.read_imagery` | pandas |
| model | `sf.SpatioformerRegressor().fit(plots, imagery)` | `.fit(X, y)` |
| judge | `sf.cross_validate(model, plots, imagery, splits=...)` | the same with `X, y` |
| map | `sf.predict_map(model, imagery)` | |
| draw | `sf.plot.map`, `sf.plot.observed_predicted`, `sf.plot.folds` | |

The command line and the run's stages use the same functions.
"""
