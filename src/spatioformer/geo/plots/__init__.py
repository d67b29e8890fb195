"""Plot tables: CSV, GeoPackage, Parquet or species records, checked and read into one table."""
