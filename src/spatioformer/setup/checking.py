"""Look at a configuration written by hand: what it sets, what is found, what is wrong."""

from spatioformer.config.schema import RunConfig
from spatioformer.setup.findings import Findings


def examine_config(config: RunConfig) -> Findings:
    """Findings."""
    return Findings()
