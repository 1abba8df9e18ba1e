"""A snapshot as Google's own storage client reads it: snapshot.py URL BUCKET FOLDER REPOSITORY COMMIT.

Its files are those that huggingface_hub reports, by name, size and digest.
"""

import base64
import hashlib
import json
import sys

import google_crc32c
from google.cloud import storage
from google.oauth2.credentials import Credentials
from huggingface_hub import HfApi

url, name, folder, repository, commit = sys.argv[1:]
client = storage.Client(
    project="acme-ml", credentials=Credentials(token="sandbox"), client_options={"api_endpoint": url}
)
bucket = client.bucket(name)
blobs = {blob.name.removeprefix(f"{folder}/"): blob for blob in client.list_blobs(bucket, prefix=f"{folder}/")}
manifest = json.loads(blobs.pop(".openmodel/manifest.json").download_as_bytes())
own = [path for path in blobs if path.startswith(".openmodel/")]
assert own in ([], [".openmodel/cache.json"]), own
for path in own:
    del blobs[path]

info = HfApi(endpoint=url, token=False).model_info(repository, revision=commit, files_metadata=True)
hub = {file.rfilename: file for file in info.siblings}
assert set(blobs) == {file["path"] for file in manifest["files"]}, set(blobs)
assert set(blobs) <= set(hub), set(blobs) - set(hub)
for path, blob in blobs.items():
    data = blob.download_as_bytes(checksum="crc32c")
    assert len(data) == hub[path].size == blob.size, path
    crc32c = base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
    assert crc32c == blob.crc32c, path
    if hub[path].lfs:
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        assert digest == "sha256:" + hub[path].lfs.sha256, path
    else:
        digest = "git:" + hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        assert digest == "git:" + hub[path].blob_id, path
    assert blob.metadata["openmodel-identity"] == digest, (path, blob.metadata)
print(len(blobs), "files are what the Hub has")
