"""Cloud Storage through the client that Google makes from Discovery: storage_discovery.py URL."""

import io
import json
import sys

import googleapiclient.discovery
from google.oauth2.credentials import Credentials
from googleapiclient.discovery_cache import get_static_doc
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaIoBaseDownload, MediaIoBaseUpload

url = sys.argv[1]
# Its media uploads take their address from the document, and https for granted.
document = json.loads(get_static_doc("storage", "v1"))
document["rootUrl"], document["baseUrl"] = f"{url}/", f"{url}/storage/v1/"
api = googleapiclient.discovery.build_from_document(document, credentials=Credentials(token="sandbox"))


def refused(request, status, reason):
    try:
        request.execute()
    except HttpError as error:
        seen = json.loads(error.content)["error"]
        found = (seen["code"], seen["errors"][0]["reason"])
        assert found == (status, reason), f"not {status} {reason}, but {seen}"
        return
    raise AssertionError(f"not refused: {request.uri}")


body = {"name": "models", "location": "US", "softDeletePolicy": {"retentionDurationSeconds": "0"}}
api.buckets().insert(project="acme-ml", body=body).execute()
refused(api.buckets().insert(project="acme-ml", body=body), 409, "conflict")
refused(api.buckets().insert(project="acme-ml", body={"name": "x"}), 400, "invalid")

content = bytes(range(256)) * 4_096
objects = api.objects()


def upload(name, resumable, **conditions):
    chunk = 512 << 10
    media = MediaIoBaseUpload(io.BytesIO(content), "application/octet-stream", chunk, resumable)
    return objects.insert(bucket="models", body={"name": name}, media_body=media, **conditions)


for name, resumable in [("a/multipart", False), ("a/resumable", True)]:
    made = upload(name, resumable, ifGenerationMatch="0").execute()
    assert made["size"] == str(len(content)) and made["contentType"] == "application/octet-stream", made
    target = io.BytesIO()
    download = MediaIoBaseDownload(target, objects.get_media(bucket="models", object=name), 300_000)
    done = False
    while not done:
        _, done = download.next_chunk()
    assert target.getvalue() == content
refused(upload("a/multipart", False, ifGenerationMatch="0"), 412, "conditionNotMet")
refused(upload("a/resumable", True, ifGenerationMatch="0"), 412, "conditionNotMet")
page = objects.list(bucket="models", prefix="a/", maxResults=1, fields="items(name,md5Hash),nextPageToken").execute()
assert page["items"] == [{"name": "a/multipart", "md5Hash": made["md5Hash"]}], page
page = objects.list_next(objects.list(bucket="models", prefix="a/", maxResults=1), page).execute()
assert [each["name"] for each in page["items"]] == ["a/resumable"] and "nextPageToken" not in page
refused(objects.get(bucket="models", object="b"), 404, "notFound")

caches = api.anywhereCaches()
operation = caches.insert(bucket="models", body={"zone": "us-central1-a", "ttl": "7200s"}).execute()
name = operation["name"].rsplit("/", 1)[1]
for _ in range(5):
    operation = api.operations().get(bucket="models", operationId=name).execute()
    if operation["done"]:
        break
assert operation["response"]["state"] == "running", operation
listed = caches.list(bucket="models").execute()["items"]
assert [(each["zone"], each["ttl"]) for each in listed] == [("us-central1-a", "7200s")]
caches.disable(bucket="models", anywhereCacheId="us-central1-a").execute()

for each in objects.list(bucket="models").execute()["items"]:
    assert objects.delete(bucket="models", object=each["name"]).execute() == ""
refused(api.buckets().delete(bucket="models"), 409, "conflict")
# Twenty seconds of virtual time a look: the cache goes after an hour.
for _ in range(200):
    if "items" not in caches.list(bucket="models").execute():
        break
assert api.buckets().delete(bucket="models").execute() == ""
