"""A client of the admin API."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request

Json = dict[str, object]


def post(path: str, body: Json) -> Json:
    """Send a request; the response, also if it is an error."""
    url = os.environ["LOCALAWS_ADMIN_URL"] + path
    try:
        sent = json.dumps(body).encode()
        with urllib.request.urlopen(url, sent) as response:  # nosec B310 # the admin API
            text = response.read()
    except urllib.error.HTTPError as error:
        text = error.read()
    parsed: Json = json.loads(text)
    return parsed
