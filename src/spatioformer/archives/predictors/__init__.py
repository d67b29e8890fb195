"""Terrain, climate, soil and shares of land cover: files at addresses that follow a form.

forms    from the form of a collection to items
vrt      from a VRT, as SoilGrids has, to items
tiles    one file or tile as values on a grid
months   the months of a file of one year
whole    files that are fetched whole
reader   windows of the target grid, and what is computed from elevation
"""
