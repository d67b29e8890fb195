"""Plot tables: CSV, GeoPackage, Parquet and species records -> one checked table."""
