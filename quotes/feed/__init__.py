"""The feed: keeps providers running, and puts their quotes in order."""
