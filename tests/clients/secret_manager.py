"""A secret from create to delete, as Google's own client sees it: secret_manager.py URL."""

import base64
import sys

from google_client import client, refused

secrets = client("secretmanager", "v1", sys.argv[1]).projects().secrets()
versions = secrets.versions()


def add(secret, payload):
    data = base64.b64encode(payload).decode()
    return secrets.addVersion(parent=secret, body={"payload": {"data": data}}).execute()


def access(version):
    payload = versions.access(name=version).execute()["payload"]
    return base64.b64decode(payload["data"]), payload["dataCrc32c"]


body = {"replication": {"automatic": {}}, "labels": {"team": "search"}}
created = secrets.create(parent="projects/acme-ml", secretId="token", body=body).execute()
name = created["name"]
# The API answers with the project's number, whatever it was asked with.
project = name.split("/")[1]
assert name == f"projects/{project}/secrets/token" and project.isdigit(), name
assert created["labels"] == {"team": "search"} and created["replication"] == {"automatic": {}}, created
refused(secrets.create(parent="projects/acme-ml", secretId="token", body=body), 409, "ALREADY_EXISTS")
refused(versions.access(name=f"{name}/versions/latest"), 404, "NOT_FOUND")

first = add("projects/acme-ml/secrets/token", b"one")
second = add(name, b"123456789")
assert [first["name"], second["name"]] == [f"{name}/versions/1", f"{name}/versions/2"], (first, second)
assert first["state"] == "ENABLED", first
assert access(f"{name}/versions/1")[0] == b"one"
# CRC-32C's own check value, of these nine digits: 0xE3069283.
assert access(f"{name}/versions/latest") == (b"123456789", str(0xE3069283))

disabled = versions.disable(name=first["name"], body={}).execute()
assert disabled["state"] == "DISABLED", disabled
refused(versions.access(name=first["name"]), 400, "FAILED_PRECONDITION")
destroyed = versions.destroy(name=first["name"], body={}).execute()
assert destroyed["state"] == "DESTROYED" and destroyed["destroyTime"], destroyed
listed = versions.list(parent=name).execute()
states = {each["name"].rsplit("/", 1)[1]: each["state"] for each in listed["versions"]}
assert states == {"1": "DESTROYED", "2": "ENABLED"}, states

patched = secrets.patch(name=name, updateMask="labels", body={"labels": {"team": "ads"}}).execute()
assert patched["labels"] == {"team": "ads"} and patched["replication"] == {"automatic": {}}, patched
assert [each["name"] for each in secrets.list(parent="projects/acme-ml").execute()["secrets"]] == [name]

binding = {"role": "roles/secretmanager.secretAccessor", "members": ["serviceAccount:a@acme-ml.iam.gserviceaccount.com"]}
policy = secrets.getIamPolicy(resource=name).execute()
policy["bindings"] = [binding]
secrets.setIamPolicy(resource=name, body={"policy": policy}).execute()
assert secrets.getIamPolicy(resource=name).execute()["bindings"] == [binding]

assert secrets.delete(name=name).execute() == {}
refused(secrets.get(name=name), 404, "NOT_FOUND")
refused(versions.access(name=f"{name}/versions/2"), 404, "NOT_FOUND")
