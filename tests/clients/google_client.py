"""Google's own client library, pointed at a sandbox."""

import json

import googleapiclient.errors
import httplib2
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build


def client(api, version, url, anonymous=False):
    """A client made from the Discovery document that the library carries."""
    who = {"http": httplib2.Http()} if anonymous else {"credentials": Credentials(token="sandbox")}
    return build(api, version, static_discovery=True, client_options={"api_endpoint": url}, **who)


def refused(request, status, code):
    """The library's own error of a request that is refused; its message."""
    try:
        answer = request.execute()
    except googleapiclient.errors.HttpError as error:
        seen = json.loads(error.content)["error"]
        assert (error.status_code, seen["status"]) == (status, code), f"not {status} {code}, but {seen}"
        return error.reason
    raise AssertionError(f"not refused, but answered: {answer}")
