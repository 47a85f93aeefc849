"""Charts as geometry: prices and times in, strings for SVG out. Templates draw them."""
