"""Tokens, as Google's own client and its authentication library ask for them: tokens.py URL."""

import json
import sys
import tempfile

import google.auth.transport.requests
import google.oauth2.credentials
from google.auth import identity_pool

from google_client import client

URL = sys.argv[1]
transport = google.auth.transport.requests.Request()

accounts = client("iamcredentials", "v1", URL).projects().serviceAccounts()
account = "projects/-/serviceAccounts/app@acme-ml.iam.gserviceaccount.com"
scope = ["https://www.googleapis.com/auth/cloud-platform"]
token = accounts.generateAccessToken(name=account, body={"scope": scope, "lifetime": "600s"}).execute()
assert token["accessToken"] and token["expireTime"].endswith("Z"), token
audience = "https://chat-1.us-central1.run.app"
token = accounts.generateIdToken(name=account, body={"audience": audience, "includeEmail": True}).execute()
assert token["token"].count(".") == 2, "an id token is a JWT"

# What gcloud leaves for applications: a refresh token.
user = google.oauth2.credentials.Credentials(
    token=None, refresh_token="refresh", token_uri=f"{URL}/token", client_id="id", client_secret="secret"
)
user.refresh(transport)
assert user.valid and user.token, "a refreshed token"

# Workload identity federation, as a pipeline has it: a token in a file, exchanged by STS.
with tempfile.NamedTemporaryFile("w", suffix=".json") as subject:
    json.dump({"id": "subject-token"}, subject)
    subject.flush()
    format = {"type": "json", "subject_token_field_name": "id"}
    pool = identity_pool.Credentials(
        audience="//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/github",
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",
        token_url=f"{URL}/v1/token",
        credential_source={"file": subject.name, "format": format},
        scopes=scope,
    )
    pool.refresh(transport)
    assert pool.valid and pool.token, "a federated token"

sts = client("sts", "v1", URL, anonymous=True)
exchange = {
    "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
    "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
    "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt",
    "subjectToken": "subject-token",
    "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/github",
    "scope": scope[0],
}
exchanged = sts.v1().token(body=exchange).execute()
assert exchanged["token_type"] == "Bearer" and exchanged["expires_in"] > 0, exchanged
