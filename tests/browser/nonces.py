"""Settings of another site whose policy has nonces: the one of docs/embedding.md."""

from __future__ import annotations

import re

from tests.browser.pieces import *  # noqa: F403
from tests.servers import ROOT

_DOCUMENT = (ROOT / "docs" / "embedding.md").read_text()
[_POLICY] = re.findall(r"(?s)\n# settings\.py, with django-csp\n(.*?)\n```", _DOCUMENT)
_GIVEN: dict[str, object] = {}
exec(_POLICY, _GIVEN)
CONTENT_SECURITY_POLICY = _GIVEN["CONTENT_SECURITY_POLICY"]
ROOT_URLCONF = "tests.browser.nonces_urls"
