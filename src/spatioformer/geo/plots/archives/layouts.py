"""Layouts of archives that have a header (a row a plot) and a long list (a row a plot and species).

Sources:

- sPlotOpen: Sabatini et al. 2021, Global Ecology and Biogeography 30:1740, doi:10.1111/geb.13346,
  tables `header`, `DT`, `metadata` and `references`.
- AusPlots: `get_ausplots` of the R package ausplotsR, elements `site.info`, `veg.vouch`, `veg.PI`
  saved as CSV; plots of 1 ha by White et al. 2012, AusPlots Rangelands survey protocols manual.
- Turboveg: header and species files that Turboveg 3 exports for the European Vegetation Archive
  (Chytry et al. 2016, Applied Vegetation Science 19:173), and those of Turboveg 2 (Hennekens &
  Schaminee 2001, Journal of Vegetation Science 12:589).

Columns are compared as words without accents, so `Relevé area (m²)` is `Releve area (m2)`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from spatioformer.geo.plots.archives.origins import Origin
from spatioformer.geo.plots.archives.survey import NO, NOT_STATED, YES
from spatioformer.geo.plots.vocabulary import joined

_VASCULAR = ("all vascular plants", "all vascular plants and", "complete vegetation")


@dataclass(frozen=True)
class Layout:
    """How an archive names its columns; names of columns are those that `vocabulary.joined` gives.

    Attributes:
        name: name of the format.
        header: field of `survey.VISIT` -> columns, the first that the table has counts. plot_id,
            lon and lat are needed.
        plot: columns of the list that name the plot.
        accepted, recorded: columns of the list with names; the first that is filled counts.
        marks: columns of which the header or the list must have one, so that this format is known.
        amount: columns of the list with the cover or abundance, of which 0 means absent.
        group: columns of the list with the group of plants (vascular plant, moss).
        reference: what is to be cited.
        complete: text of the field `scope` -> whether the list is complete.
        settings: how cells are written where the format fixes it.
        sure: parts of names of lists that hold all species -> completeness of their lists.
    """

    name: str
    header: Mapping[str, tuple[str, ...]]
    plot: tuple[str, ...]
    accepted: tuple[str, ...]
    recorded: tuple[str, ...]
    marks: tuple[str, ...]
    reference: Origin
    group: tuple[str, ...] = ()
    amount: tuple[str, ...] = ()
    complete: Callable[[str], str] = field(default=lambda scope: NOT_STATED)
    settings: Mapping[str, str] = field(default_factory=dict)
    sure: tuple[tuple[str, str], ...] = ()

    def is_header(self, columns: Collection[str]) -> bool:
        """Whether a table with these columns is the header."""
        names = {joined(column) for column in columns}
        needed = (self.header["plot_id"], self.header["lon"], self.header["lat"])
        return all(names & set(choices) for choices in needed)

    def is_list(self, columns: Collection[str]) -> bool:
        """Whether a table with these columns is the list of species."""
        names = {joined(column) for column in columns}
        return bool(names & set(self.plot)) and bool(names & {*self.accepted, *self.recorded})

    def is_marked(self, columns: Collection[str]) -> bool:
        """Whether columns of header and list together are those of this format."""
        return bool({joined(column) for column in columns} & set(self.marks))


def _splot_complete(scope: str) -> str:
    """Lists of all vascular plants are complete; those of woody or dominant plants are not."""
    plain = scope.strip().lower()
    if plain in ("", "na", "not specified"):
        return NOT_STATED
    return YES if plain.startswith(_VASCULAR) else NO


SPLOT = Layout(
    name="sPlotOpen",
    header={
        "plot_id": ("plotobservationid",),
        "lon": ("longitude",),
        "lat": ("latitude",),
        "area_m2": ("relevearea",),
        "date": ("dateofrecording",),
        "programme": ("dataset",),
        "coordinate_uncertainty_m": ("locationuncertainty",),
        "scope": ("plantrecorded", "plantsrecorded"),
        "origin": ("givdid",),
    },
    plot=("plotobservationid",),
    accepted=("species",),
    recorded=("originalspecies",),
    marks=("givdid", "relativecover", "plantrecorded"),
    amount=("originalabundance",),
    reference=Origin(
        title="sPlotOpen",
        doi="10.1111/geb.13346",
        citation="Sabatini, F. M. et al. 2021. sPlotOpen - An environmentally balanced, "
        "open-access, global dataset of vegetation plots. Global Ecology and Biogeography "
        "30:1740-1764",
    ),
    complete=_splot_complete,
    settings={"decimal": "."},
)

AUSPLOTS = Layout(
    name="AusPlots",
    header={
        "plot_id": ("siteunique",),
        "lon": ("longitude",),
        "lat": ("latitude",),
        "date": ("visitstartdate", "visitdate"),
        "site": ("sitelocationname",),
        "area_m2": ("plotdimensions",),
    },
    plot=("siteunique",),
    accepted=("standardisedname",),
    recorded=("herbariumdetermination", "genusspecies"),
    marks=("siteunique",),
    reference=Origin(
        title="TERN AusPlots, by ausplotsR",
        licence="CC-BY-4.0",
        citation="TERN AusPlots ecosystem surveillance monitoring dataset, extracted with the R "
        "package ausplotsR",
    ),
    sure=(("vouch", YES), ("vpi", NO), ("veg.pi", NO), ("veg_pi", NO), ("pi", NO), ("basal", NO)),
    settings={"decimal": "."},
)

TURBOVEG = Layout(
    name="Turboveg",
    header={
        "plot_id": ("plotobservationid", "releveid", "relevenr", "relevenumber", "plotid"),
        "lon": ("longitude", "deglon"),
        "lat": ("latitude", "deglat"),
        "area_m2": ("releveaream2", "relevearea", "surfarea", "surfacearea"),
        "date": ("dateofrecording", "date"),
        "programme": ("dataset", "project"),
        "coordinate_uncertainty_m": ("locationuncertaintym", "locationuncertainty", "precision"),
        "scope": ("plantsrecorded", "plantrecorded"),
        "site": ("resurveyplot", "rsplot"),
    },
    plot=("plotobservationid", "releveid", "relevenr", "relevenumber", "plotid"),
    accepted=("matchedconcept",),
    recorded=("originaltaxonconcept", "turboveg2concept", "speciesname",
              "species", "taxonname", "scientificname"),
    marks=("matchedconcept", "turboveg2concept", "originaltaxonconcept", "relevenr",
           "relevenumber", "tv2relevenumber", "coverabundancescale", "releveaream2", "covercode"),
    reference=Origin(title="Turboveg export"),
    group=("taxongroup",),
    amount=("cover", "coverpercent", "coverperc", "coverpercentage"),
    complete=_splot_complete,
)  # fmt: skip

LAYOUTS = (SPLOT, AUSPLOTS, TURBOVEG)
"""All layouts; the first that fits counts."""
