"""Types of the lazy names of `spatioformer`, for type checkers and editors."""

from spatioformer.api import plot as plot
from spatioformer.api.archives import LazyImagery as LazyImagery
from spatioformer.api.estimators import DistilledRegressor as DistilledRegressor
from spatioformer.api.estimators import SpatioformerRegressor as SpatioformerRegressor
from spatioformer.api.estimators import StackRegressor as StackRegressor
from spatioformer.api.imagery import Imagery as Imagery
from spatioformer.api.maps import predict_map as predict_map
from spatioformer.api.plots import read_plots as read_plots
from spatioformer.api.reading import read_imagery as read_imagery
from spatioformer.api.runs import run_config as run_config
from spatioformer.api.runs import write_report as write_report
from spatioformer.api.scenarios import project as project
from spatioformer.api.tabular_estimators import ClosedFormStackRegressor as ClosedFormStackRegressor
from spatioformer.api.tabular_estimators import ForestKrigingRegressor as ForestKrigingRegressor
from spatioformer.api.tabular_estimators import GaussianProcessRegressor as GaussianProcessRegressor
from spatioformer.api.validation import cross_validate as cross_validate
from spatioformer.common.errors import SpatioformerError as SpatioformerError
from spatioformer.evaluation.knndm import KNNDM as KNNDM
from spatioformer.evaluation.splits import BufferedKFold as BufferedKFold
from spatioformer.evaluation.splits import LeaveRegionOut as LeaveRegionOut
from spatioformer.evaluation.splits import RandomKFold as RandomKFold
from spatioformer.evaluation.splits import SpatialBlockKFold as SpatialBlockKFold
from spatioformer.mapping import map_raster as map_raster
from spatioformer.models.store import load as load
from spatioformer.viewer.notebook import view as view

__version__: str
