"""A transfer of the Hub's files, as Google's own client sees it: storage_transfer.py URL."""

import base64
import hashlib
import json
import sys
import time
import urllib.request

from google.cloud import storage
from google.oauth2.credentials import Credentials
from google_client import client, refused

URL = sys.argv[1]
HUB = f"{URL}/acme/weights/resolve/main"
PROJECT = "acme-ml"
NAME = "transferJobs/mirror"

buckets = storage.Client(
    project=PROJECT, credentials=Credentials(token="sandbox"), client_options={"api_endpoint": URL}
)
api = client("storagetransfer", "v1", URL)
jobs = api.transferJobs()
operations = api.transferOperations()


def fault(path, millis):
    """Makes the sandbox slow for a path: a rule of its own side."""
    rule = {"id": "slow", "match": {"path": path}, "then": {"delayMillis": millis}}
    request = urllib.request.Request(f"{URL}/sandbox/faults", data=json.dumps(rule).encode())
    urllib.request.urlopen(request).close()


def run():
    return jobs.run(jobName=NAME, body={"projectId": PROJECT}).execute()["name"]


def done(name):
    for _ in range(1_000):
        operation = operations.get(name=name).execute()
        if operation.get("done"):
            assert operation["metadata"]["name"] == name, operation
            return operation
        time.sleep(0.01)
    raise AssertionError(f"never done: {operation}")


def md5(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()


bucket = buckets.create_bucket("models", location="us-central1")
with urllib.request.urlopen(f"{HUB}/model.safetensors") as answer:
    model = answer.read()
lines = [f"{HUB}/config.json", f"{HUB}/model.safetensors\t{len(model)}\t{md5(model)}"]
bucket.blob("list.tsv").upload_from_string("\n".join(["TsvHttpData-1.0", *lines]))

job = {
    "name": NAME,
    "projectId": PROJECT,
    "status": "ENABLED",
    "description": "mirror of acme/weights",
    "transferSpec": {
        "httpDataSource": {"listUrl": "gs://models/list.tsv"},
        "gcsDataSink": {"bucketName": "models", "path": "mirror/"},
        "transferOptions": {"overwriteWhen": "DIFFERENT"},
    },
}
# The service's own account needs access to the bucket.
message = refused(jobs.create(body=job), 400, "FAILED_PRECONDITION")
assert "insufficient permissions" in message, message
account = api.googleServiceAccounts().get(projectId=PROJECT).execute()["accountEmail"]
assert account.endswith("@storage-transfer-service.iam.gserviceaccount.com"), account
policy = bucket.get_iam_policy(requested_policy_version=3)
for role in ["roles/storage.legacyBucketReader", "roles/storage.objectAdmin"]:
    policy.bindings.append({"role": role, "members": {f"serviceAccount:{account}"}})
bucket.set_iam_policy(policy)
made = jobs.create(body=job).execute()
assert (made["name"], made["status"]) == (NAME, "ENABLED") and made["creationTime"], made
refused(jobs.create(body=job), 409, "ALREADY_EXISTS")
refused(jobs.create(body={**job, "jobs": 1}), 400, "INVALID_ARGUMENT")
refused(jobs.get(jobName="transferJobs/other", projectId=PROJECT), 404, "NOT_FOUND")
listed = jobs.list(filter=json.dumps({"projectId": PROJECT, "jobStatuses": ["enabled"]})).execute()
assert [each["name"] for each in listed["transferJobs"]] == [NAME], listed

# Objects are named by host and path; the Hub's redirects are followed.
first = done(run())["metadata"]
assert first["status"] == "SUCCESS" and first["endTime"] and "errorBreakdowns" not in first, first
counters = first["counters"]
assert counters["objectsFoundFromSource"] == counters["objectsCopiedToSink"] == "2", counters
assert counters["bytesCopiedToSink"] == str(len(model) + 2), counters
prefix = "mirror/127.0.0.1/acme/weights/resolve/main"
assert bucket.blob(f"{prefix}/model.safetensors").download_as_bytes(checksum="md5") == model
assert bucket.blob(f"{prefix}/config.json").download_as_bytes() == b"{}"
assert jobs.get(jobName=NAME, projectId=PROJECT).execute()["latestOperationName"] == first["name"]
again = done(run())["metadata"]["counters"]
assert again == {
    "objectsFromSourceSkippedBySync": "2",
    "bytesFromSourceSkippedBySync": str(len(model) + 2),
}, again

# A wrong digest fails its object, and the operation says which.
lines[0] += f"\t2\t{md5(b'other')}"
bucket.blob("list.tsv").upload_from_string("\n".join(["TsvHttpData-1.0", *lines]))
wrong = done(run())
assert wrong["metadata"]["status"] == "FAILED" and wrong["error"], wrong
errors = wrong["metadata"]["errorBreakdowns"]
assert [each["errorCount"] for each in errors] == ["1"], errors
assert errors[0]["errorLogEntries"][0]["url"] == f"{HUB}/config.json", errors

# Pause, resume, cancel: of a list that takes its time.
spec = {**job["transferSpec"], "transferOptions": {"overwriteWhen": "ALWAYS"}}
body = {"projectId": PROJECT, "transferJob": {"transferSpec": spec}}
jobs.patch(jobName=NAME, body={**body, "updateTransferJobFieldMask": "transfer_spec"}).execute()
fault("*/config.json", 1_000)
paused = run()
operations.pause(name=paused, body={}).execute()
assert operations.get(name=paused).execute()["metadata"]["status"] == "PAUSED"
refused(jobs.run(jobName=NAME, body={"projectId": PROJECT}), 400, "FAILED_PRECONDITION")
operations.resume(name=paused, body={}).execute()
assert done(paused)["metadata"]["status"] == "FAILED"
fault("*/config.json", 600_000)
cancelled = run()
operations.cancel(name=cancelled, body={}).execute()
assert done(cancelled)["metadata"]["status"] == "ABORTED"
wanted = {"projectId": PROJECT, "jobNames": [NAME], "transferStatuses": ["aborted"]}
found = operations.list(name="transferOperations", filter=json.dumps(wanted)).execute()
assert [each["name"] for each in found["operations"]] == [cancelled], found
wanted = {"projectId": PROJECT}
newest = operations.list(name="transferOperations", filter=json.dumps(wanted), pageSize=2).execute()
assert [each["name"] for each in newest["operations"]] == [cancelled, paused], newest
assert newest["nextPageToken"], newest

body = {"projectId": PROJECT, "transferJob": {"status": "DISABLED"}, "updateTransferJobFieldMask": "status"}
assert jobs.patch(jobName=NAME, body=body).execute()["status"] == "DISABLED"
refused(jobs.run(jobName=NAME, body={"projectId": PROJECT}), 400, "FAILED_PRECONDITION")
jobs.delete(jobName=NAME, projectId=PROJECT).execute()
assert jobs.get(jobName=NAME, projectId=PROJECT).execute()["status"] == "DELETED"
bucket.delete_blobs([blob.name for blob in buckets.list_blobs(bucket)])
bucket.delete()
