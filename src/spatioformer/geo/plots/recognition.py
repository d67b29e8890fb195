"""The steps of `recognise`: each finds some fields and says why."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pyproj import CRS

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots import vocabulary
from spatioformer.geo.plots.columns import Column, read_columns
from spatioformer.geo.plots.covariates import find_covariates
from spatioformer.geo.plots.dates import find_order
from spatioformer.geo.plots.fields import first_cell, is_date, is_richness, names_plots, range_of
from spatioformer.geo.plots.findings import Decision, Question, Recognised
from spatioformer.geo.plots.hemispheres import SIDES, find_sides, with_sides
from spatioformer.geo.plots.numbers import find_styles
from spatioformer.geo.plots.place_crs import find_crs, states_crs
from spatioformer.geo.plots.places import find_places, fits_degrees
from spatioformer.geo.plots.separators import NAMES
from spatioformer.geo.plots.source import GEOMETRY_X, GEOMETRY_Y, Source, quoted
from spatioformer.geo.plots.target import kind_of

_NUMBERS = ("lon", "lat", "richness", "area_m2")


class Recognition:
    """State of one recognition: columns of the table, and the result so far."""

    def __init__(self, source: Source, given: Mapping[str, str]):
        self.source = source
        self.all = read_columns(source)
        self.columns = [c for c in self.all if c.name and source.header.count(c.name) == 1]
        self.columns = [c for c in self.columns if c.name not in (GEOMETRY_X, GEOMETRY_Y)]
        self.by_name = {column.name: column for column in self.columns}
        self.user = dict(given)
        self.result = Recognised()
        for column in self.all:
            if not column.name:
                self.result.left_out[""] = "it has no name"
            elif source.header.count(column.name) > 1:
                self.result.left_out[column.name] = "several columns have this name"

    def file(self) -> None:
        """Say how the file was read."""
        source = self.source
        rows = f"{len(self.all[0].cells):,} rows, {len(self.all)} columns"
        if source.separator:
            self.decide("separator", NAMES.get(source.separator, repr(source.separator)), rows)
        if source.sheet:
            self.decide("sheet", quoted(source.sheet), rows)
        if source.encoding == "cp1252":
            self.decide("encoding", "Windows-1252", "the file is not UTF-8")

    def numbers(self, decimal: str | None) -> None:
        """Decimal and thousands signs, by the rules with which the table is read."""
        names = {name: self.by_name.get(column) for name, column in self.result.columns.items()}
        numeric = {
            n: c for n, c in names.items() if c and n in ("lon", "lat", "richness", "area_m2")
        }
        numeric |= {
            n: self.by_name[n] for n, kind in self.result.covariates.items() if kind == "number"
        }
        try:
            _, notes = find_styles(
                {name: list(column.distinct) for name, column in numeric.items()},
                [name for name, column in numeric.items() if column.typed],
                CRS(self.result.crs or ("EPSG:32631" if self._is_projected() else "EPSG:4326")),
                decimal,
                {name: column.name for name, column in numeric.items()},
            )
        except PlotError as error:
            self.ask("decimal", (".", ","), str(error).partition(";")[0])
            return
        for note in notes:
            self.decide("numbers", note, "")

    def _is_projected(self) -> bool:
        return "zone" in self.result.columns or any(q.key == "crs" for q in self.result.questions)

    def given(self) -> None:
        """Take the columns that the user names."""
        for name, column in self.user.items():
            try:
                self.source.position(column, f"columns.{name}")
            except PlotError as error:
                self.result.problems.append(str(error))
            else:
                self.take(name, column, "given")

    def take(self, name: str, column: str, why: str) -> None:
        self.result.columns[name] = column
        self.decide(name, quoted(column), why)

    def decide(self, what: str, value: str, why: str) -> None:
        self.result.decisions.append(Decision(what, value, why))

    def ask(self, key: str, candidates: Iterable[str], why: str) -> None:
        self.result.questions.append(Question(key, tuple(candidates), why))

    def leave_out(self, names: Iterable[str], why: str) -> None:
        """Keep columns out of the covariates, unless they are fields."""
        for name in names:
            if name not in self.result.columns.values():
                self.result.left_out.setdefault(name, why)

    @property
    def free(self) -> list[Column]:
        """Columns that are no field yet and can still be one."""
        used = {*self.result.columns.values(), *self.result.left_out}
        return [column for column in self.columns if column.name not in used]

    # --- coordinates
    def places(self, crs: str | None) -> None:
        found = find_places(self.columns, self.user.get("lon"), self.user.get("lat"))
        if self.source.crs is not None:
            self.decide("lon, lat", "the geometry", f"points in {self.source.crs.name}")
        else:
            for name, column, axis in (("lon", found.lon, 0), ("lat", found.lat, 1)):
                if name in self.user:
                    continue
                if column is not None:
                    self.take(name, column.name, range_of(column))
                elif found.rivals:
                    names = dict.fromkeys(pair[axis].name for pair in found.rivals)
                    self.ask(f"columns.{name}", names, "several pairs of columns fit")
                else:
                    self.ask(f"columns.{name}", (), self._why_no_place(found.faults))
            self._hemispheres()
            self._crs(crs)
        self.leave_out(found.others, "a coordinate, which would give away the place")
        self.leave_out(
            (c.name for c in self.columns if states_crs(c)),
            "the CRS of coordinates",
        )

    def _hemispheres(self) -> None:
        """Find the columns that name the side of the degrees, and read the degrees with them."""
        lon, lat = (self.by_name.get(self.result.columns.get(name, "")) for name in ("lon", "lat"))
        if lon is None or lat is None or not fits_degrees(lon, lat):
            return
        for axis, column in (("lon", lon), ("lat", lat)):
            field = SIDES[axis]
            if field not in self.user:
                sides = find_sides(self.free, axis)
                if len(sides) > 1:
                    self.ask(f"columns.{field}", [c.name for c in sides], "several columns fit")
                if len(sides) != 1:
                    continue
                self.take(field, sides[0].name, f"{', '.join(sides[0].distinct)} of {axis}")
            side = self.by_name.get(self.result.columns.get(field, ""))
            if side is None:  # given, and not in the table
                continue
            try:
                texts, why = with_sides(column.cells, side.cells, axis, (column.name, side.name))
            except PlotError as error:
                self.result.problems.append(str(error))
                continue
            self.decide(axis, "signs", why)
            if texts != list(column.cells):
                signed = Column(column.name, column.position, texts, False, axis)
                self.by_name[column.name] = signed

    def _why_no_place(self, faults: dict[str, str]) -> str:
        reasons = [f"column {quoted(name)} holds none ({why})" for name, why in faults.items()]
        return "; ".join(["no column of coordinates is recognised", *reasons[:2]])

    def _crs(self, crs: str | None) -> None:
        lon, lat = (self.by_name.get(self.result.columns.get(name, "")) for name in ("lon", "lat"))
        if crs is not None:
            self.result = replace(self.result, crs=crs)
            self.decide("crs", crs, "given")
        if crs is not None or "zone" in self.user or lon is None or lat is None:
            return
        finding = find_crs(lon, lat, self.columns)
        if finding.problem:
            self.result.problems.append(finding.problem)
        elif finding.zone:
            self.take("zone", finding.zone, finding.why)
        elif finding.crs is None:
            self.ask("crs", finding.candidates, finding.why)
        else:
            self.result = replace(self.result, crs=finding.crs)
            self.decide("crs", finding.crs, finding.why)

    # --- richness
    def richness(self) -> None:
        candidates = [c for c in self.free if is_richness(c)]
        if "richness" not in self.user:
            exact = [c for c in candidates if c.joined in vocabulary.RICHNESS]
            chosen = exact if len(exact) == 1 else candidates
            if len(chosen) == 1:
                self.take("richness", chosen[0].name, range_of(chosen[0]))
            elif chosen:
                names = [column.name for column in chosen]
                self.ask("columns.richness", names, "several columns may hold the richness")
            else:
                named = [c.name for c in self.columns if c.joined in vocabulary.RICHNESS]
                why = "no column is named like a species richness"
                if named:
                    why = f"{quoted(named[0])} is named like it; many of its cells are no numbers"
                self.ask("columns.richness", named, why)
        self.leave_out(
            (c.name for c in candidates), "another count of species, which would give away richness"
        )
        self.leave_out(
            (c.name for c in self.free if vocabulary.DIVERSITY_WORDS & set(c.words)),
            "an index of diversity, which is computed from the same species",
        )
        column = self.by_name.get(self.result.columns.get("richness", ""))
        if column is not None and column.has_numbers:
            kind, why = kind_of(column.values)
            self.result = replace(self.result, target_kind=kind)
            self.decide("target", kind, why)

    # --- area
    def area(self) -> None:
        areas = [
            (column, *vocabulary.area_unit(column.name)[1:])
            for column in self.free
            if vocabulary.area_unit(column.name)[0] and column.has_numbers
        ]
        metres = [(column, unit) for column, unit, factor in areas if factor == 1]
        if "area_m2" not in self.user:
            stated = [item for item in metres if item[1]]
            chosen = stated if len(stated) == 1 else metres
            if len(chosen) == 1:
                column, unit = chosen[0]
                why = range_of(column) + ("" if unit else "; no unit in the name, taken as m2")
                self.take("area_m2", column.name, why)
            elif chosen:
                names = ", ".join(quoted(column.name) for column, _ in chosen)
                self.decide("area_m2", "none", f"{names} may be the area; set columns.area_m2")
        for column, unit, factor in areas:
            if factor != 1:
                self.leave_out([column.name], f"an area in {unit}, not in m2")
                if "area_m2" not in self.result.columns:
                    self.decide(
                        "area_m2",
                        "none",
                        f"{quoted(column.name)} is in {unit}; multiply it by {factor:g} and set "
                        f"columns.area_m2",
                    )
        self.leave_out((column.name for column, _ in metres), "another area")

    # --- dates
    def dates(self) -> None:
        candidates = [c for c in self.free if is_date(c)]
        if "date" not in self.user:
            for names in (vocabulary.DATES, vocabulary.YEARS, None):
                tier = [c for c in candidates if names is None or c.joined in names]
                if len(tier) == 1:
                    self.take("date", tier[0].name, f"dates such as {quoted(first_cell(tier[0]))}")
                elif tier:
                    names_ = ", ".join(quoted(c.name) for c in tier)
                    self.decide("date", "none", f"{names_} hold dates; set columns.date to one")
                if tier:
                    break
        self.leave_out((c.name for c in candidates), "another date")
        column = self.by_name.get(self.result.columns.get("date", ""))
        if column is None:
            return
        order = find_order(column.distinct)
        if order.named:
            self.decide("date", "month names", order.named)
        if order.exchanged:
            self.result.problems.append(
                f"column {quoted(column.name)}: {order.exchanged}; correct them, or set date_order"
            )
        elif order.order is not None:
            self.result = replace(self.result, date_order=order.order)
            self.decide("date_order", order.order, order.why)
        elif order.conflict:
            self.result.problems.append(
                f"column {quoted(column.name)} mixes two orders of dates: {order.conflict}; write "
                f"all dates as YYYY-MM-DD"
            )
        elif order.is_ambiguous:
            self.ask("date_order", ("day-first", "month-first"), order.why)

    # --- plot names and programmes
    def names(self) -> None:
        if "plot_id" not in self.user:
            ids = [c for c in self.free if names_plots(c)]
            if ids:
                best = max(ids, key=lambda c: (c.joined in vocabulary.PLOT_ID, len(c.distinct)))
                self.take("plot_id", best.name, f"{len(best.distinct):,} names")
        if "programme" not in self.user:
            programmes = [c for c in self.free if c.joined in vocabulary.PROGRAMME]
            programmes = [c for c in programmes if not c.has_numbers and c.known]
            if len(programmes) == 1:
                self.take("programme", programmes[0].name, f"{len(programmes[0].distinct)} names")

    def rest(self) -> None:
        """Covariates, and why the other columns are none."""
        covariates, left_out = find_covariates(self.free)
        self.result.covariates.update(covariates)
        reasons = self.result.left_out | left_out
        ordered = {name: reasons[name] for name in self.source.header if name in reasons}
        self.result = replace(self.result, left_out=ordered)
