"""Analyses of finished maps and models: drivers, survey sites, zones, years and trends."""
