"""The site's settings in the process of the tests, whatever the machine's .env contains.

pytest-django loads them before any conftest.py.
"""

import os

from tests.servers import OWN

os.environ |= OWN | {"QUOTES_FEED": "inline"}  # with a key in the environment .env is not read

from quoteboard.settings import *  # noqa: F403
