"""System checks: of the values in settings, and of the steps of an installation."""
