"""The only place where world, recipe, station and store meet."""
