"""The report of a run: one self-contained HTML page.

`results` reads the files of the run folder. `findings` makes sentences from numbers; `facts` lists
facts about the data and the training; `maps` and `charts` draw arrays; `pictures` adds captions to
the drawings. `drivers`, `trust` and `odmap` are panels of the page. `page` and `report.html.j2` put
all parts together.
"""

from spatioformer.report.page import write_report

__all__ = ["write_report"]
