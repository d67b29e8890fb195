"""What every folder may use: errors, files, progress, colours, constants, the cache."""
