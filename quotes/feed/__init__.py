"""The feed: providers kept alive, and the quotes that they bring in order."""
