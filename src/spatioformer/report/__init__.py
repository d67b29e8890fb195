"""The report of a run: one self-contained HTML page.

`results` reads what the stages left. `findings` puts numbers into sentences; `facts` lists what is
known of the data; `maps` and `charts` draw arrays in one `style`, and `pictures` gives the drawings
their captions. `page` and `report.html.j2` lay all out.
"""

from spatioformer.report.page import write_report

__all__ = ["write_report"]
