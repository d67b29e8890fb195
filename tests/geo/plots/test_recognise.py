"""What the columns of a table are: found by names and values, or asked, never guessed."""

import pytest

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.files import open_source
from spatioformer.geo.plots.recognise import Recognised, recognise
from tests.helpers.plot_tables import put


def found(tmp_path, text: str, **options) -> Recognised:
    return recognise(open_source(put(tmp_path, text)), **options)


def table(header: str, *columns, rows: int = 6) -> str:
    """CSV text of a header and columns, each a function of the row number or a list of cells."""
    cells = [
        [str(c(i)) if callable(c) else str(c[i % len(c)]) for c in columns] for i in range(rows)
    ]
    return "\n".join([header, *map(",".join, cells)]) + "\n"


def degrees(i):
    return 141.4321 + i / 7


def south(i):
    return -31.8934 + i / 9


def counts(i):
    return 7 * i % 40


def asked(result: Recognised) -> dict:
    return {question.key: question.candidates for question in result.questions}


@pytest.mark.parametrize(
    "header",
    [
        "Longitude,Latitude,Species richness",
        "LONG,LAT,S",
        "Lon,Lat,n_species",
        "lng,lat,NSpecies",
        "decimalLongitude,decimalLatitude,speciesRichness",
        "Longitud,Latitud,Riqueza",
        "longitud,latitud,Número de especies",
        "longitude,latitude,Nombre d'espèces",
        "longitude,latitude,richesse spécifique",
        "Länge,Breite,Artenzahl",
        "Laenge,Breite,Anzahl der Arten",
        "longitude,latitude,riqueza_de_espécies",
        "x,y,sr",
        "X_WGS84,Y_WGS84,nsp",
        "start_lon,start_lat,richness",
        "plot.long,plot.lat,woody_richness",
    ],
)
def test_names_in_five_languages(tmp_path, header):
    result = found(tmp_path, table(header, degrees, south, counts))
    lon, lat, richness = header.split(",")
    assert result.columns == {"lon": lon, "lat": lat, "richness": richness}
    assert (result.crs, result.questions, result.problems) == ("EPSG:4326", [], [])


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("area_m2", "area_m2"),
        ("Plot area (m²)", "area_m2"),
        ("Fläche", "area_m2"),
        ("Superficie", "area_m2"),
        ("numplots", "plot_id"),
        ("Código parcela", "plot_id"),
        ("PlotObservationID", "plot_id"),
        ("ano", "date"),
    ],
)
def test_other_fields(tmp_path, header, field):
    cells = {"area_m2": lambda i: 100 * (i + 1), "plot_id": lambda i: i + 5, "date": [1990, 1995]}
    text = table(f"lon,lat,richness,{header}", degrees, south, counts, cells[field])
    assert found(tmp_path, text).columns[field] == header


@pytest.mark.parametrize("header", ["area_ha", "Plot area [km2]", "Superficie (ha)"])
def test_an_area_in_another_unit_is_left_out_and_said(tmp_path, header):
    result = found(
        tmp_path, table(f"lon,lat,richness,{header}", degrees, south, counts, [0.1, 0.2, 1])
    )
    assert "area_m2" not in result.columns
    assert "not in m2" in result.left_out[header]
    assert any("multiply it by" in decision.why for decision in result.decisions)


def test_degrees_come_before_metres_and_the_rest_is_left_out(tmp_path):
    text = table(
        "x,y,lat,lon,richness,rain",
        lambda i: 2567237 + i,
        lambda i: 6672984 + i,
        south,
        degrees,
        counts,
        [100.5, 20],
    )
    result = found(tmp_path, text)
    assert result.columns == {"lon": "lon", "lat": "lat", "richness": "richness"}
    assert list(result.left_out) == ["x", "y"]
    assert result.covariates == {"rain": "number"}


def test_letters_that_are_no_coordinates_stay_covariates(tmp_path):
    text = table("lon,lat,richness,N,P", degrees, south, counts, [0.1, 0.2], [3.5, 4])
    assert found(tmp_path, text).covariates == {"N": "number", "P": "number"}


def test_several_richness_columns_are_asked_for(tmp_path):
    header = "lon,lat,Species richness_vouchers,Species richness_intercepts,shannon"
    result = found(tmp_path, table(header, degrees, south, counts, counts, [1.5, 0.3]))
    candidates = ("Species richness_vouchers", "Species richness_intercepts")
    assert asked(result) == {"columns.richness": candidates}
    assert result.covariates == {}
    given = found(
        tmp_path,
        table(header, degrees, south, counts, counts, [1.5, 0.3]),
        columns={"richness": candidates[1]},
    )
    assert given.questions == []
    assert candidates[0] in given.left_out
    assert candidates[1] not in given.left_out


def test_the_exact_name_wins(tmp_path):
    text = table("lon,lat,tree_richness,richness", degrees, south, counts, counts)
    result = found(tmp_path, text)
    assert result.columns["richness"] == "richness"
    assert list(result.left_out) == ["tree_richness"]


def test_metres_are_asked_for(tmp_path):
    text = table("long,lat,richness", lambda i: 578626.6 + i, lambda i: 127191.4 + i, counts)
    result = found(tmp_path, text)
    assert asked(result) == {"crs": ()}
    assert result.crs is None
    assert found(tmp_path, text, crs="EPSG:21781").crs == "EPSG:21781"


@pytest.mark.parametrize(
    ("header", "x", "y"),
    [
        ("x,y", lambda i: 10 * i, lambda i: 5 * i),
        ("x,y", lambda i: 1.25 * i, lambda i: 2.5 * i),
        ("x,y", lambda i: 1.23456 * i, lambda i: 2.34567 * i),
        ("x,y", lambda i: round(101.234 + i, 3), lambda i: round(51.345 + i, 3)),
        ("easting,northing", lambda i: 101.1234 + i, lambda i: 51.2345 + i),
        ("lon,lat", lambda i: 0.1 * i, lambda i: 0.2 * i),
    ],
)
def test_local_metres_that_fit_degrees_are_asked_for(tmp_path, header, x, y):
    result = found(tmp_path, table(f"{header},richness", x, y, counts))
    assert asked(result)["crs"] == ("EPSG:4326",)


def test_a_crs_that_the_table_states(tmp_path):
    text = table(
        "coordx,coordy,crs,richness",
        lambda i: 402000 + i,
        lambda i: 4684000 + i,
        ["23031.0"],
        counts,
    )
    assert found(tmp_path, text).crs == "EPSG:23031"


def test_swapped_columns_are_a_problem(tmp_path):
    result = found(tmp_path, table("lon,lat,richness", south, degrees, counts))
    assert result.crs is None
    assert result.problems == [
        "column 'lon' holds latitudes, and 'lat' holds longitudes such as 141.432; exchange "
        "columns.lon and columns.lat"
    ]


@pytest.mark.parametrize(
    ("header", "x", "words"),
    [
        ("lon,lat", lambda i: 230.5 + i, "count from 0 to 360; subtract 360"),
        ("Longitude W,Latitude", lambda i: 70.5 + i, "named for the west"),
    ],
)
def test_longitudes_that_cannot_be_read_are_a_problem(tmp_path, header, x, words):
    (problem,) = found(tmp_path, table(f"{header},richness", x, south, counts)).problems
    assert words in problem


def test_a_column_named_like_a_longitude_that_is_none(tmp_path):
    text = table("long,x,y,richness", ["yes", "no"], degrees, south, counts)
    result = found(tmp_path, text)
    assert (result.columns["lon"], result.columns["lat"]) == ("x", "y")
    assert result.covariates == {"long": "class"}
    nothing = found(tmp_path, table("lon,lat,richness", ["a", "b"], ["c", "d"], counts))
    assert asked(nothing) == {"columns.lon": (), "columns.lat": ()}
    assert "'lon' holds none ('a' is no number)" in nothing.questions[0].why


def test_two_pairs_are_asked_for(tmp_path):
    header = "start_lon,start_lat,end_lon,end_lat,richness"
    result = found(tmp_path, table(header, degrees, south, degrees, south, counts))
    assert asked(result) == {
        "columns.lon": ("start_lon", "end_lon"),
        "columns.lat": ("start_lat", "end_lat"),
    }
    half = found(
        tmp_path,
        table(header, degrees, south, degrees, south, counts),
        columns={"lon": "end_lon"},
    )
    assert half.columns["lat"] == "end_lat"


@pytest.mark.parametrize(
    ("cells", "order", "questions"),
    [
        (["2014-05-03", "1990"], "year-first", {}),
        (["5/1/2014", "25/12/2014"], "day-first", {}),
        (["05.01.2014", "2014-05-03", "13.01.2014"], "day-first", {}),
        (["5/1/2014 10:30", "12/25/2014 7:00 PM"], "month-first", {}),
        (["5/1/2014", "7/7/2014"], None, {"date_order": ("day-first", "month-first")}),
    ],
)
def test_the_whole_column_decides_the_order_of_dates(tmp_path, cells, order, questions):
    result = found(tmp_path, table("lon,lat,richness,Fecha", degrees, south, counts, cells))
    assert result.columns["date"] == "Fecha"
    assert (result.date_order, asked(result)) == (order, questions)


def test_dates_that_contradict_each_other_are_a_problem(tmp_path):
    cells = ["25/12/2014", "12/25/2014"]
    (problem,) = found(
        tmp_path, table("lon,lat,richness,date", degrees, south, counts, cells)
    ).problems
    assert problem == (
        "column 'date' mixes two orders of dates: '25/12/2014' begins with the day, and "
        "'12/25/2014' does not; write all dates as YYYY-MM-DD"
    )


def test_covariates(tmp_path):
    text = table(
        "lon,lat,richness,rain,soil,flag,constant,id,fid,note,lonely,empty,group,counter",
        degrees,
        south,
        counts,
        [100.5, "NA", 30, 22, 21],
        ["clay", "sand"],
        [0, 1, 1],
        ["x"],
        lambda i: f"P{i}",
        lambda i: i * 3,
        lambda i: f"note {i}",
        lambda i: "one" if i == 0 else "many",
        [""],
        ["a", "b"],
        lambda i: i + 1,
        rows=30,
    )
    result = found(tmp_path, text)
    assert result.columns["plot_id"] == "id"
    assert result.covariates == {"rain": "number", "soil": "class", "flag": "number"}
    assert result.left_out == {
        "constant": "the same in every row: 'x'",
        "fid": "an identifier",
        "note": "an identifier: 30 different texts",
        "lonely": "class 'one' is in a single row",
        "empty": "blank",
        "group": "the name of a column of every plot table; rename it",
        "counter": "numbers the rows",
    }


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ([3, 4, 5], "count"),
        ([3, 4, 5, 6, 7, 8, 9, 10, 11, 12.5], "count"),
        ([3.5, 4.25, 5], "continuous"),
        ([0.5, 0.25, 0.1, 1], "proportion"),
    ],
)
def test_the_kind_of_the_target(tmp_path, cells, kind):
    text = table("lon,lat,richness", degrees, south, cells, rows=20)
    assert found(tmp_path, text).target_kind == kind


def test_everything_is_listed_at_once(tmp_path):
    text = table(
        "x,y,tree_richness,shrub_richness,date",
        lambda i: 402000 + i,
        lambda i: 4684000 + i,
        counts,
        counts,
        ["5/1/2014"],
    )
    assert list(asked(found(tmp_path, text))) == ["crs", "columns.richness", "date_order"]


def test_a_header_that_is_longer_than_the_rows(tmp_path):
    result = found(tmp_path, "lon,lat,richness,,\n141.4321,-31.8934,3\n142.4321,-32.8934,4\n")
    assert result.columns == {"lon": "lon", "lat": "lat", "richness": "richness"}


@pytest.mark.parametrize(
    ("lon", "lat"), [("70°30'W", "33°15'S"), ("70 30 00 W", "33 15 00 S"), ("-70 30 00", "-33.25")]
)
def test_degrees_and_minutes_are_degrees(tmp_path, lon, lat):
    text = table("x,y,richness", [lon, lon.replace("30", "45")], [lat], counts)
    result = found(tmp_path, text)
    assert (result.crs, result.columns["lon"], result.questions) == ("EPSG:4326", "x", [])


def test_a_zone_of_all_rows_is_a_crs(tmp_path):
    header = "este,norte,huso,riqueza"
    east = [795551.5, 797242.25]
    north = [8932373.5, 8934801.25]
    one = found(tmp_path, table(header, east, north, ["17S"], counts))
    assert (one.crs, one.questions, list(one.left_out)) == ("EPSG:32717", [], ["huso"])
    two = found(tmp_path, table(header, east, north, ["17S", "18S"], counts))
    assert (two.crs, two.columns["zone"], two.questions) == (None, "huso", [])
    bare = found(tmp_path, table(header, east, north, ["17"], counts))
    assert asked(bare) == {"crs": ("EPSG:32617", "EPSG:32717")}
    ecological = found(tmp_path, table("lon,lat,zone,riqueza", degrees, south, [1, 2], counts))
    assert ecological.covariates == {"zone": "number"}


def test_an_old_datum_is_asked_for(tmp_path):
    result = found(tmp_path, table("lon,lat,datum,richness", degrees, south, ["AGD66"], counts))
    assert asked(result) == {"crs": ("EPSG:4202",)}
    named = found(tmp_path, table("lon_nad27,lat_nad27,richness", degrees, south, counts))
    assert asked(named) == {"crs": ("EPSG:4267",)}


def test_how_numbers_are_read_is_said_or_asked(tmp_path):
    header = "lon;lat;richness;rain"
    text = table(header, degrees, south, counts, [10.5, 20.25])
    result = found(tmp_path, text.replace(",", ";").replace(".", ","))
    said = {decision.what: decision.value for decision in result.decisions}
    assert said["separator"] == "semicolon"
    assert said["numbers"] == "decimal comma found in lon, lat, rain"
    whole = table("lon;lat;richness;rain", [141, 142], [-31, -32], counts, ["1.500", "2.250"])
    text = whole.replace(",", ";")
    assert asked(found(tmp_path, text)) == {"decimal": (".", ",")}
    assert found(tmp_path, text, decimal=".").questions == []


def test_no_rows_and_columns_that_are_absent(tmp_path):
    assert found(tmp_path, "lon,lat,richness\n").problems == [
        "plots.csv has a header but no rows; add plots"
    ]
    result = found(
        tmp_path, table("lon,lat,richness", degrees, south, counts), columns={"date": "when"}
    )
    assert len(result.problems) == 1
    assert "column 'when' (columns.date) is not in plots.csv" in result.problems[0]


@pytest.mark.parametrize("crs", ["EPSG:99", "Mars", "IAU_2015:30100"])
def test_a_crs_that_cannot_be_used_is_refused(tmp_path, crs):
    source = open_source(put(tmp_path, "lon,lat,richness\n1.5,2.5,3\n2.5,3.5,4\n"))
    with pytest.raises(PlotError, match=f"crs '{crs}' "):
        recognise(source, crs=crs)


def test_a_column_of_that_name_without_numbers_is_asked_for(tmp_path):
    source = open_source(put(tmp_path, "lon,lat,richness\n1.5,2.5,many\n2.5,3.5,few\n"))
    (question,) = recognise(source).questions
    assert (question.key, question.candidates) == ("columns.richness", ("richness",))
    assert "many of its cells are no numbers" in question.why


def test_indices_of_the_same_species_are_no_covariates(tmp_path):
    header = "lon,lat,richness,rain,Shannon,Pareto alpha,Lognorm sigma,Delta AIC"
    rows = "\n".join(
        f"{i}.5,{i}.1,{i * 3 % 7},{i * 1.7},{i / 3},{i / 4},{i / 5},{i / 6}" for i in range(9)
    )
    found = recognise(open_source(put(tmp_path, f"{header}\n{rows}\n")))
    assert list(found.covariates) == ["rain"]
    assert all("the same species" in found.left_out[n] for n in ("Pareto alpha", "Delta AIC"))
