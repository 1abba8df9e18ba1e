"""A bucket from create to delete, as Google's own storage client sees it: storage.py URL FOLDER."""

import base64
import hashlib
import pathlib
import sys

import google_crc32c
from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage import transfer_manager
from google.oauth2.credentials import Credentials

url, folder = sys.argv[1], pathlib.Path(sys.argv[2])
client = storage.Client(
    project="acme-ml", credentials=Credentials(token="sandbox"), client_options={"api_endpoint": url}
)
MIB = 1 << 20
large = hashlib.shake_256(b"large").digest(11 * MIB + 12_345)


def refused(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error as refusal:
        return str(refusal)
    raise AssertionError(f"{call} did not raise {error}")


def crc32c(data):
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()


bucket = client.bucket("models")
bucket.storage_class = "STANDARD"
bucket.labels = {"team": "search", "phase": "new"}
bucket.iam_configuration.uniform_bucket_level_access_enabled = True
bucket.iam_configuration.public_access_prevention = "enforced"
bucket.create(location="us-central1")
assert bucket.location == "US-CENTRAL1" and bucket.location_type == "region", bucket.location_type
assert bucket.soft_delete_policy.retention_duration_seconds == 604_800
refused(exceptions.Conflict, client.create_bucket, "models")
refused(exceptions.NotFound, client.get_bucket, "nowhere")
refused(exceptions.BadRequest, client.create_bucket, "elsewhere", location="mars")
bucket.labels = {"team": "ads"}
bucket.patch()
assert client.get_bucket("models").labels == {"team": "ads"}
policy = bucket.get_iam_policy(requested_policy_version=3)
member = "serviceAccount:reader@acme-ml.iam.gserviceaccount.com"
policy.bindings.append({"role": "roles/storage.objectViewer", "members": {member}})
bucket.set_iam_policy(policy)
assert any(member in each["members"] for each in bucket.get_iam_policy().bindings)
assert bucket.test_iam_permissions(["storage.objects.get"]) == ["storage.objects.get"]

# In one request of two parts; nothing may be there yet.
small = bucket.blob("snapshot/config.json")
small.metadata = {"hf-commit": "abc"}
small.upload_from_string(b'{"a": 1}', content_type="application/json", if_generation_match=0)
assert small.crc32c == crc32c(b'{"a": 1}') and small.generation, small.crc32c
again = bucket.blob("snapshot/config.json")
refused(exceptions.PreconditionFailed, again.upload_from_string, b"other", if_generation_match=0)
assert again.download_as_bytes(checksum="crc32c", raw_download=True) == b'{"a": 1}'
read = bucket.get_blob("snapshot/config.json")
assert read.metadata == {"hf-commit": "abc"} and read.content_type == "application/json", read.metadata

# By a resumable session: in chunks, and at once.
source = folder / "large"
source.write_bytes(large)
for name, chunk in [("snapshot/chunks", 2 * MIB), ("snapshot/stream", None)]:
    blob = bucket.blob(name, chunk_size=chunk)
    blob.upload_from_filename(str(source), checksum="crc32c", if_generation_match=0)
    assert (blob.size, blob.crc32c) == (len(large), crc32c(large)), blob.size
    for checksum in ["crc32c", "md5"]:
        assert bucket.blob(name).download_as_bytes(checksum=checksum) == large, name
    assert blob.download_as_bytes(start=MIB, end=MIB + 9) == large[MIB : MIB + 10]
    refused(exceptions.ClientError, blob.download_as_bytes, start=len(large))
pinned = bucket.blob("snapshot/stream", generation=blob.generation)
assert pinned.download_as_bytes(if_generation_match=blob.generation) == large
refused(exceptions.NotFound, bucket.blob("snapshot/stream", generation=1).download_as_bytes)

# In parts at the same time, by the XML API; and back in ranges.
parts = bucket.blob("snapshot/parts")
transfer_manager.upload_chunks_concurrently(
    str(source), parts, chunk_size=5 * MIB, max_workers=3, worker_type=transfer_manager.THREAD
)
parts.reload()
assert (parts.size, parts.crc32c, parts.md5_hash) == (len(large), crc32c(large), None), parts.md5_hash
back = folder / "back"
transfer_manager.download_chunks_concurrently(
    parts, str(back), chunk_size=4 * MIB, max_workers=3, worker_type=transfer_manager.THREAD
)
assert back.read_bytes() == large

listed = client.list_blobs("models", prefix="snapshot/", page_size=2)
assert [each.name for each in listed] == [
    "snapshot/chunks", "snapshot/config.json", "snapshot/parts", "snapshot/stream"
]
top = client.list_blobs("models", delimiter="/")
assert list(top) == [] and top.prefixes == {"snapshot/"}, top.prefixes
globbed = client.list_blobs("models", match_glob="**.json", fields="items(name,size),nextPageToken")
assert [(each.name, each.size) for each in globbed] == [("snapshot/config.json", 8)]

# One of two, then to another continent in several calls.
whole = bucket.blob("whole")
whole.content_type = "application/octet-stream"
stream = bucket.get_blob("snapshot/stream")
whole.compose(
    [stream, small], if_generation_match=0, if_source_generation_match=[stream.generation, small.generation]
)
assert whole.component_count == 2 and whole.md5_hash is None
assert whole.crc32c == crc32c(large + b'{"a": 1}')
assert whole.download_as_bytes(checksum="crc32c") == large + b'{"a": 1}'
europe = client.create_bucket("models-eu", location="europe-west4")
copy = europe.blob("whole")
token, calls = None, 0
while calls == 0 or token:
    token, written, total = copy.rewrite(whole, token=token, if_generation_match=0)
    calls += 1
assert calls > 1 and written == total == len(large) + 8, (calls, written, total)
assert copy.crc32c == whole.crc32c
near = bucket.copy_blob(stream, bucket, "again", if_generation_match=0)
assert near.md5_hash == stream.md5_hash

stream.metadata = {"hf-sha256": "00"}
stream.patch(if_metageneration_match=stream.metageneration)
assert stream.metageneration == 2 and bucket.get_blob("snapshot/stream").metadata == {"hf-sha256": "00"}
refused(exceptions.PreconditionFailed, stream.delete, if_generation_match=1)
generation = stream.generation
stream.delete(if_generation_match=generation)
assert bucket.get_blob("snapshot/stream") is None
soft = list(client.list_blobs("models", soft_deleted=True, prefix="snapshot/stream"))
assert [each.generation for each in soft] == [generation] and soft[0].hard_delete_time
restored = bucket.restore_blob("snapshot/stream", generation=generation)
assert restored.generation > generation and restored.download_as_bytes() == large

refused(exceptions.Conflict, bucket.delete)
for each in [bucket, europe]:
    each.delete_blobs([blob.name for blob in client.list_blobs(each)])
    each.delete()
assert list(client.list_buckets()) == []
