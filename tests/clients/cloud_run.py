"""A Cloud Run service from create to delete, as Google's own client sees it: cloud_run.py URL."""

import json
import sys
import urllib.error
import urllib.request

from google_client import client, refused

URL = sys.argv[1]
PARENT = "projects/acme-ml/locations/us-central1"
NAME = f"{PARENT}/services/chat"
SERVICE = "type.googleapis.com/google.cloud.run.v2.Service"

run = client("run", "v2", URL)
locations = run.projects().locations()
services = locations.services()
operations = locations.operations()
revisions = services.revisions()


def service(concurrency):
    return {
        "labels": {"team": "search"},
        "template": {
            "containers": [
                {
                    "image": "us-docker.pkg.dev/acme-ml/serving/vllm:1",
                    "args": ["--model", "Qwen/Qwen2.5-0.5B-Instruct"],
                    "ports": [{"containerPort": 8000}],
                    "resources": {"limits": {"cpu": "8", "memory": "32Gi", "nvidia.com/gpu": "1"}},
                }
            ],
            "nodeSelector": {"accelerator": "nvidia-l4"},
            "gpuZonalRedundancyDisabled": True,
            "maxInstanceRequestConcurrency": concurrency,
            "scaling": {"maxInstanceCount": 1},
        },
    }


def finished(operation):
    """Waits for a long-running operation as the library's users do."""
    name = operation["name"]
    assert name.startswith(f"{PARENT}/operations/"), name
    for _ in range(20):
        if operation.get("done"):
            break
        operation = operations.wait(name=name, body={"timeout": "5s"}).execute()
    assert operation["done"] is True, operation
    assert "error" not in operation, operation
    seen = operations.get(name=name).execute()
    assert seen == operation, (seen, operation)
    assert operation["response"]["@type"] == SERVICE, operation
    return operation["response"]


def ask(path, body=None, token=None):
    """An HTTP request to the service itself: status and JSON."""
    request = urllib.request.Request(live["uri"] + path)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("content-type", "application/json")
    if token:
        request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, None


# Create: a dry run leaves nothing, the real one serves.
services.create(parent=PARENT, serviceId="chat", body=service(16), validateOnly=True).execute()
refused(services.get(name=NAME), 404, "NOT_FOUND")
finished(services.create(parent=PARENT, serviceId="chat", body=service(16)).execute())
live = services.get(name=NAME).execute()
assert live["name"] == NAME and live["labels"] == {"team": "search"}, live
assert live["terminalCondition"]["state"] == "CONDITION_SUCCEEDED", live["terminalCondition"]
assert live["observedGeneration"] == live["generation"] == "1", live
assert not live.get("reconciling"), live
first = live["latestReadyRevision"]
assert first == live["latestCreatedRevision"], live
assert [(t["type"], t["percent"]) for t in live["trafficStatuses"]] == [
    ("TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", 100)
], live["trafficStatuses"]
assert live["uri"] in live["urls"], live

# What is there, wrong, or not allowed is refused in Google's words.
refused(services.create(parent=PARENT, serviceId="chat", body=service(16)), 409, "ALREADY_EXISTS")
misspelt = service(16)
misspelt["template"]["container"] = []
message = refused(services.create(parent=PARENT, serviceId="other", body=misspelt), 400, "INVALID_ARGUMENT")
assert "container" in message and "Cannot find field" in message, message
stranger = client("run", "v2", URL, anonymous=True)
refused(stranger.projects().locations().services().get(name=NAME), 401, "UNAUTHENTICATED")
assert [each["name"] for each in services.list(parent=PARENT).execute()["services"]] == [NAME]

# Update: a stale etag is refused, a fresh one makes a second revision.
stale = {**service(32), "etag": '"stale"'}
refused(services.patch(name=NAME, body=stale), 409, "ABORTED")
finished(services.patch(name=NAME, body={**service(32), "etag": live["etag"]}).execute())
updated = services.get(name=NAME).execute()
assert updated["observedGeneration"] == updated["generation"] == "2", updated
assert updated["etag"] != live["etag"] and updated["uid"] == live["uid"], updated
assert updated["template"]["maxInstanceRequestConcurrency"] == 32, updated["template"]
second = updated["latestReadyRevision"]
assert second != first, second
short = first.rsplit("/", 1)[1], second.rsplit("/", 1)[1]
listed = {each["name"].rsplit("/", 1)[1] for each in revisions.list(parent=NAME).execute()["revisions"]}
assert listed == set(short), listed
oldest = revisions.get(name=f"{NAME}/revisions/{short[0]}").execute()
assert oldest["maxInstanceRequestConcurrency"] == 16, oldest

# Labels alone make no revision.
finished(services.patch(name=NAME, updateMask="labels", body={"labels": {"team": "ads"}}).execute())
relabelled = services.get(name=NAME).execute()
assert relabelled["labels"] == {"team": "ads"}, relabelled
assert relabelled["template"]["maxInstanceRequestConcurrency"] == 32, relabelled["template"]
assert relabelled["latestReadyRevision"] == second, relabelled

# A page at a time.
page = revisions.list(parent=NAME, pageSize=1).execute()
rest = revisions.list_next(revisions.list(parent=NAME, pageSize=1), page).execute()
names = [each["name"].rsplit("/", 1)[1] for each in page["revisions"] + rest["revisions"]]
assert len(page["revisions"]) == 1 and set(names) == set(short), names

# IAM: private at first, public once allUsers may invoke.
assert ask("/v1/models")[0] == 403
policy = services.getIamPolicy(resource=NAME).execute()
assert not policy.get("bindings"), policy
policy["bindings"] = [{"role": "roles/run.invoker", "members": ["allUsers"]}]
services.setIamPolicy(resource=NAME, body={"policy": policy}).execute()
refused(services.setIamPolicy(resource=NAME, body={"policy": policy}), 409, "ABORTED")
assert services.getIamPolicy(resource=NAME).execute()["bindings"] == policy["bindings"]
wanted = {"permissions": ["run.services.get"]}
assert services.testIamPermissions(resource=NAME, body=wanted).execute() == wanted

# It serves.
status, models = ask("/v1/models")
assert status == 200 and models["data"][0]["object"] == "model", models
question = {"model": models["data"][0]["id"], "messages": [{"role": "user", "content": "Hello?"}]}
status, answer = ask("/v1/chat/completions", question)
assert status == 200 and answer["choices"][0]["message"]["content"], answer
usage = answer["usage"]
assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"], usage

# Delete: gone, with its revisions.
finished(services.delete(name=NAME).execute())
refused(services.get(name=NAME), 404, "NOT_FOUND")
assert not services.list(parent=PARENT).execute().get("services")
refused(services.delete(name=NAME), 404, "NOT_FOUND")
