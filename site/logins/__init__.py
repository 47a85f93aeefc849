"""The site's login: attempts are limited, and checked one after the other."""
