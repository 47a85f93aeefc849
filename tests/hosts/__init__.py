"""Projects of other people, with the wheel in them."""
