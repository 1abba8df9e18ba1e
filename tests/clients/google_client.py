"""Google's own client library, pointed at a sandbox."""

import google.auth.credentials
import google.oauth2.credentials
import googleapiclient.errors
from googleapiclient.discovery import build


def client(api, version, url, anonymous=False):
    """A client made from the Discovery document that the library carries."""
    if anonymous:
        credentials = google.auth.credentials.AnonymousCredentials()
    else:
        credentials = google.oauth2.credentials.Credentials(token="sandbox")
    options = {"api_endpoint": url}
    return build(api, version, static_discovery=True, credentials=credentials, client_options=options)


def refused(request, status, code):
    """The library's own error of a request that is refused; its message."""
    try:
        answer = request.execute()
    except googleapiclient.errors.HttpError as error:
        details = error.error_details
        assert error.status_code == status, f"{error.status_code}, not {status}: {error}"
        assert f'"status": "{code}"' in error.content.decode(), error.content
        return f"{error.reason} {details}"
    raise AssertionError(f"not refused, but answered: {answer}")
