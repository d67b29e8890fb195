"""What is asked of finished maps and models: drivers, survey sites, zones, years and trends."""
