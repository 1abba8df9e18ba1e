"""Drive Cloud Run and Secret Manager of a sandbox with google-api-python-client.

    python3 google_run.py http://127.0.0.1:PORT
"""

import base64
import sys

from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

URL = sys.argv[1]
PARENT = "projects/acme-ml/locations/us-central1"


def api(name, version):
    return build(
        name,
        version,
        static_discovery=True,
        credentials=Credentials(token="a-token"),
        client_options={"api_endpoint": URL},
    )


def finish(run, operation):
    operations = run.projects().locations().operations()
    for _ in range(10):
        if operation.get("done"):
            return operation
        operation = operations.get(name=operation["name"]).execute()
    raise AssertionError(operation)


def refused(request, status):
    try:
        request.execute()
    except HttpError as error:
        assert error.resp.status == status, error
        return str(error)
    raise AssertionError("not refused")


def cloud_run():
    run = api("run", "v2")
    services = run.projects().locations().services()
    body = {
        "template": {
            "containers": [{"image": "us-docker.pkg.dev/cloudrun/container/hello"}],
            "scaling": {"maxInstanceCount": 3},
        }
    }
    operation = services.create(parent=PARENT, serviceId="hello", body=body).execute()
    service = finish(run, operation)["response"]
    name = service["name"]
    assert service["uri"].startswith(URL), service["uri"]
    assert services.list(parent=PARENT).execute()["services"][0]["name"] == name

    service = services.get(name=name).execute()
    service["template"]["scaling"]["maxInstanceCount"] = 5
    # Everything that get shows can be sent back: read-only members are ignored.
    service = finish(run, services.patch(name=name, body=service).execute())["response"]
    assert service["generation"] == "2", service["generation"]
    revisions = services.revisions().list(parent=name).execute()["revisions"]
    assert len(revisions) == 2
    operation = services.revisions().delete(name=revisions[0]["name"]).execute()
    assert finish(run, operation)["response"]["deleteTime"]

    bindings = [{"role": "roles/run.invoker", "members": ["allUsers"]}]
    services.setIamPolicy(resource=name, body={"policy": {"bindings": bindings}}).execute()
    assert services.getIamPolicy(resource=name).execute()["bindings"] == bindings

    body["template"]["gpus"] = 1
    words = refused(services.patch(name=name, body=body), 400)
    assert "Unknown name" in words and "service.template" in words, words
    waited = run.projects().locations().operations().wait
    operation = services.delete(name=name).execute()
    assert waited(name=operation["name"], body={"timeout": "10s"}).execute()["done"]
    refused(services.get(name=name), 404)


def secret_manager():
    secrets = api("secretmanager", "v1").projects().secrets()
    parent = "projects/acme-ml"
    body = {"replication": {"automatic": {}}}
    name = secrets.create(parent=parent, secretId="token", body=body).execute()["name"]
    payload = {"data": base64.b64encode(b"hf_secret").decode()}
    secrets.addVersion(parent=name, body={"payload": payload}).execute()
    got = secrets.versions().access(name=f"{name}/versions/latest").execute()
    assert base64.b64decode(got["payload"]["data"]) == b"hf_secret"
    secrets.versions().destroy(name=f"{name}/versions/1", body={}).execute()
    refused(secrets.versions().access(name=f"{name}/versions/1"), 400)
    secrets.delete(name=name).execute()
    refused(secrets.get(name=name), 404)


if __name__ == "__main__":
    cloud_run()
    secret_manager()
    print("google: ok")
