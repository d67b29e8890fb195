"""Names of columns in plot tables, in English, Spanish, French, German and Portuguese.

Names are compared as words: in lower case, without accents, cut at `_`, `.`, blanks, digits and at
capitals inside (decimalLongitude). So `Species richness_vouchers` is species, richness, vouchers.
"""

import re
import unicodedata

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


def words(name: str) -> tuple[str, ...]:
    """Words of a name, in lower case and without accents; 'm²' is m, 2, and 'ß' is ss."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    plain = "".join(mark for mark in plain if not unicodedata.combining(mark))
    return tuple(word.lower() for word in _WORD.findall(plain))


def joined(name: str) -> str:
    """The words of a name without anything between them."""
    return "".join(words(name))


def word_set(text: str) -> frozenset[str]:
    """Words that stand in one text."""
    return frozenset(text.split())


# --- coordinates: each word for x has its partner for y
DEGREES = {
    "longitude": "latitude",
    "longitud": "latitud",
    "lon": "lat",
    "long": "lat",
    "lng": "lat",
    "laenge": "breite",
    "lange": "breite",
    "laengengrad": "breitengrad",
    "langengrad": "breitengrad",
}
"""Words for a longitude -> the word for its latitude."""

METRES = {
    "easting": "northing",
    "eastings": "northings",
    "east": "north",
    "este": "norte",
    "leste": "norte",
    "est": "nord",
    "ost": "nord",
    "ostwert": "nordwert",
    "rechtswert": "hochwert",
    "e": "n",
}
"""Words for an easting -> the word for its northing."""

EITHER = {"x": "y"}
"""Words that name degrees as well as metres."""

PARTNERS = DEGREES | METRES | EITHER

VAGUE = word_set("e n x y long est este nord norte ost east north breite lange laenge")
"""Words that are coordinates only beside a partner: N may be nitrogen, long a length."""

# Written as one word in capitals or small letters, these cannot be cut: coordx, UTMX, XCOORD.
_PREFIXES = ("coord", "coordinate", "coordenada", "koordinate", "utm", "point", "pt", "gps", "pos")
_ONE_WORD = {
    form: ("coord", axis)
    for axis in ("x", "y")
    for prefix in _PREFIXES
    for form in (prefix + axis, axis + prefix)
} | {
    "utme": ("utm", "e"),
    "utmn": ("utm", "n"),
    "coordxutm": ("coord", "utm", "x"),
    "coordyutm": ("coord", "utm", "y"),
    "utmeasting": ("utm", "easting"),
    "utmnorthing": ("utm", "northing"),
    "decimallongitude": ("decimal", "longitude"),
    "decimallatitude": ("decimal", "latitude"),
    "longdd": ("dd", "long"),
    "londd": ("dd", "lon"),
    "latdd": ("dd", "lat"),
}

QUALIFIERS = word_set(
    "coord coords coordinate coordinates coordenada coordenadas coordonnee coordonnees "
    "koordinate utm gps point pt wgs dd dec decimal deg degree degrees grad grados graus "
    "degres gradi geo geog geographic geographische geogr etrs gda nad ed sad sirgas epsg m "
    "metre metres meter meters mts plot site parcela parcelle placette releve centre center "
    "centroid middle mid start begin end final initial corner map grid original orig raw "
    "fuzzed rounded approx real proj projected pos position in of de la w o e n s west oeste "
    "ouest ovest sud sur sul south este east gk lv ch lambert"
)
"""Words that may stand beside those for coordinates; others make the name mean something else."""

WESTWARD = word_set("w west oeste ouest westlich")
SOUTHWARD = word_set("s south sur sud sul")
"""Words of a column whose positive values may point west or south."""

ZONE = word_set(
    "zone utmzone zoneutm huso husoutm utmhuso zona zonautm utmzona fuso fusoutm fuseau "
    "fuseauutm utmfuseau utmz streifen zonenfeld"
)
ZONE_WORDS = word_set("huso fuso fuseau utmzone")
CRS = word_set("crs epsg epsgcode codeepsg srid srs crsepsg epsgcrs coordcrs")
DATUM = word_set(
    "datum geodeticdatum coordsys coordsystem coordinatesystem coordinatereferencesystem "
    "sistema sistemacoordenadas sistemadecoordenadas srs crs projection proyeccion "
    "spatialreference"
)
"""Columns that may state the datum of the coordinates as text."""

# --- richness
RICHNESS = word_set(
    "richness speciesrichness plantrichness plantspeciesrichness vascularplantrichness "
    "totalrichness sprichness spprichness srichness nspecies numspecies "
    "numberspecies numberofspecies nrspecies nospecies speciesnumber speciescount "
    "countspecies nspp nplantspecies riqueza riquezaespecies riquezadeespecies riquezatotal "
    "numeroespecies numerodeespecies numespecies nespecies numesp nroespecies nodeespecies "
    "cantidaddeespecies riquezaespecifica richesse richessespecifique richesseespeces "
    "richesseenespeces nombreespeces nombredespeces nbespeces nbreespeces nespeces nbesp "
    "artenzahl artenanzahl anzahlarten anzahlderarten artenreichtum narten artenzahlen "
    "gesamtartenzahl numerodespecies"
)
"""Names that mean richness and nothing else."""

SHORT_RICHNESS = word_set(
    "s sr nsp nsps spn spnum numsp nosp spcount spnumber species especies especes arten sps "
    "rich riq nbsp"
)
"""Names that mean richness if the column holds counts."""

RICHNESS_WORDS = word_set(
    "richness riqueza richesse artenzahl artenanzahl artenreichtum nspecies nspp numspecies"
)
"""Words inside longer names of richness columns, such as woody_richness."""

DIVERSITY_WORDS = word_set(
    "shannon simpson evenness pielou diversity diversidad diversite diversitat diversitaet "
    "diversidade hill chao rarefied rarefaction fisher equitability equitabilidad invsimpson "
    "pareto lognorm lognormal logseries zipf mandelbrot aic"
)
"""Words of indices that are computed from the same species as the richness, also of models of their
abundances (Pareto alpha, Delta AIC)."""

# --- area
AREA = word_set(
    "area plotarea plotsize surveyarea surveyedarea sampledarea samplearea areaplot "
    "areaofplot sitearea quadratarea quadratsize quadarea releveearea relevearea relevesize "
    "areasampled superficie superficieparcela areaparcela areadaparcela areaparcelle "
    "surfaceparcelle superficieplacette surface surfacereleve flaeche flache probeflaeche "
    "probeflache aufnahmeflaeche aufnahmeflache flaechengroesse flachengrosse plotflaeche "
    "plotflache m2 sqm areadelaparcela areadeparcela aufnahmeflaechengroesse tamanoparcela"
)
_AREA_UNITS = {
    "m2": 1.0,
    "sqm": 1.0,
    "squaremetres": 1.0,
    "squaremeters": 1.0,
    "qm": 1.0,
    "metrocuadrado": 1.0,
    "metroscuadrados": 1.0,
    "ha": 1e4,
    "hectare": 1e4,
    "hectares": 1e4,
    "hectarea": 1e4,
    "hectareas": 1e4,
    "hektar": 1e4,
    "km2": 1e6,
    "sqkm": 1e6,
    "cm2": 1e-4,
    "dm2": 1e-2,
    "acre": 4046.8564224,
    "acres": 4046.8564224,
    "are": 100.0,
    "ares": 100.0,
    "ft2": 0.09290304,
    "sqft": 0.09290304,
}


def area_unit(name: str) -> tuple[bool, str, float]:
    """Whether a name is that of a plot's area; its unit, '' if not stated; square metres a unit."""
    parts = words(name)
    text = "".join(parts)
    if text in ("m2", "sqm"):
        return True, text, 1.0
    for count in (1, 2):
        unit, rest = "".join(parts[-count:]), "".join(parts[:-count])
        if unit in _AREA_UNITS and rest.removesuffix("in") in AREA:
            return True, unit, _AREA_UNITS[unit]
    return text in AREA, "", 1.0


# --- the others
DATES = word_set(
    "date surveydate dateofsurvey eventdate samplingdate sampledate dateofrecording "
    "recordingdate recorddate visitdate dateofvisit fieldworkdate obsdate observationdate "
    "collectiondate fecha fechamuestreo fechadelmuestreo fechainventario fechalevantamiento "
    "fechavisita data datacoleta datadacoleta datainventario dataamostragem daterelev "
    "datereleve dateinventaire datedureleve datedinventaire datum aufnahmedatum "
    "erhebungsdatum datumaufnahme begehungsdatum"
)
"""Names of a day. `data` (Portuguese) counts only if the column holds dates."""

YEARS = word_set(
    "year yr surveyyear yearofsurvey samplingyear sampleyear yearsampled yearrecorded "
    "visityear inventoryyear ano anyo anio anomuestreo anioinventario anoinventario anocoleta "
    "annee anneereleve anneeinventaire jahr aufnahmejahr erhebungsjahr"
)
DATE_WORDS = word_set("date fecha datum aufnahmedatum year jahr annee anio ano")

PLOT_ID = word_set(
    "plotid plot plotcode plotname plotno plotnr plotnumber plotnum plotlabel plotkey "
    "plotidentifier idplot numplot numplots siteid site sitecode sitename idsite siteno "
    "sitenumber releve releveid relevenr relevenumber relevecode quadrat quadratid quadratno "
    "id uniqueid uniquecode idunique iduniquecode plotobservationid observationid eventid "
    "sampleid sample samplecode parcela idparcela parcelaid codigoparcela codparcela "
    "numparcela parcelle idparcelle numeroparcelle placette idplacette placetteid station "
    "stationid aufnahme aufnahmenr aufnahmenummer aufnahmeid plotbezeichnung probeflaechenr "
    "flaechennr flachennr locationid sitio idsitio code codigo siteandvisit visit visitid "
    "transect transectid name nombre nome nom"
)
PLOT_WORDS = word_set("plot site releve parcela parcelle placette aufnahme quadrat visit stand")

PROGRAMME = word_set(
    "programme program programa programm project projectname projet projekt proyecto projeto "
    "dataset datasetname survey surveyname network"
)

IDENTIFIER = PLOT_ID | word_set(
    "fid objectid ogcfid oid gid rowid rowname rownames row index idx nr no num number numero "
    "rn globalid uuid key recordid recordnumber catalognumber fieldnumber unnamed"
)
"""Names of columns that number or name rows."""


def coordinate(name: str) -> tuple[str, tuple[str, ...]] | None:
    """The word for a coordinate in a name, and the other words; None if the name is not of one."""
    parts: list[str] = []
    for word in words(name):
        parts.extend(_ONE_WORD.get(word, (word,)))
    parts = list(_ONE_WORD.get("".join(parts), parts))
    axes = {*PARTNERS, *PARTNERS.values()}
    # A long word such as longitude comes before a short one such as e or x.
    for axis in sorted((part for part in parts if part in axes), key=len, reverse=True):
        others = list(parts)
        others.remove(axis)
        if all(part in QUALIFIERS or part.isdigit() for part in others):
            return axis, tuple(sorted(others))
        break
    return None
