"""Drive the Hub of a sandbox with huggingface_hub, every byte compared.

    HF_ENDPOINT=http://127.0.0.1:PORT HF_TOKEN=hf_any python3 hub.py
"""

import hashlib
import pathlib
import tempfile

from huggingface_hub import HfApi, get_safetensors_metadata, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)


def refused(error, call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except error:
        return
    raise AssertionError(f"{call} did not raise {error}")


def download(api, repo, kind):
    with tempfile.TemporaryDirectory() as folder:
        snapshot_download(repo, repo_type=kind, local_dir=folder, cache_dir=folder + "/cache")
        count = 0
        for item in api.list_repo_tree(repo, repo_type=kind, recursive=True):
            if not hasattr(item, "blob_id"):
                continue
            data = (pathlib.Path(folder) / item.path).read_bytes()
            assert len(data) == item.size, item.path
            if item.lfs:
                assert hashlib.sha256(data).hexdigest() == item.lfs.sha256, item.path
            else:
                blob = b"blob %d\0" % len(data) + data
                assert hashlib.sha1(blob).hexdigest() == item.blob_id, item.path
            count += 1
        assert count >= 3, count


def main():
    api = HfApi()
    assert api.whoami()["type"] == "user"
    info = api.model_info("meta-llama/Llama-3.1-8B-Instruct", files_metadata=True)
    assert info.safetensors.total == 8_030_261_248
    assert info.gated == "manual" and info.card_data.license == "llama3.1"
    assert any(file.lfs for file in info.siblings)
    assert api.model_info("openai/gpt-oss-20b", expand=["gated", "safetensors"]).gated is False

    download(api, "openmodel/tiny-random-llama", "model")
    download(api, "openmodel/tiny-prompts", "dataset")

    # Headers of a sharded checkpoint, read by ranges.
    metadata = get_safetensors_metadata("meta-llama/Llama-3.1-8B-Instruct")
    assert sum(metadata.parameter_count.values()) == 8_030_261_248
    paths = api.get_paths_info("openmodel/tiny-random-llama", ["config.json", "nope"], expand=True)
    assert [path.path for path in paths] == ["config.json"] and paths[0].last_commit
    refs = api.list_repo_refs("openmodel/tiny-random-llama")
    assert [branch.name for branch in refs.branches] == ["main"]

    with tempfile.TemporaryDirectory() as cache:
        anonymous = {"token": False, "cache_dir": cache}
        refused(GatedRepoError, hf_hub_download, "openmodel/tiny-gated-llama", "config.json", **anonymous)
        hf_hub_download("openmodel/tiny-gated-llama", "config.json", cache_dir=cache)
        tiny = "openmodel/tiny-random-llama"
        refused(RemoteEntryNotFoundError, hf_hub_download, tiny, "nope", cache_dir=cache)
        refused(RevisionNotFoundError, hf_hub_download, tiny, "config.json", revision="x", cache_dir=cache)
    refused(RepositoryNotFoundError, api.model_info, "no/such")
    refused(RepositoryNotFoundError, api.model_info, "no/such", token=False)
    print("hub: ok")


if __name__ == "__main__":
    main()
