"""The sandbox's Hub through huggingface_hub, which reads HF_ENDPOINT: hub.py FOLDER.

Without HF_TOKEN in the environment; FOLDER is where downloads go.
"""

import hashlib
import json
import pathlib
import sys

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

FOLDER = pathlib.Path(sys.argv[1])
TINY = "openmodel/tiny-random-llama"
XET = "acme/weights"
GATED = "meta-llama/Llama-3.1-8B-Instruct"
OPEN = "Qwen/Qwen2.5-7B-Instruct"
PROMPTS = "openmodel/tiny-prompts"

api = HfApi(token=False)


def raises(kind, call):
    try:
        answer = call()
    except kind as error:
        # GatedRepoError is a RepositoryNotFoundError: the exact class counts.
        assert type(error) is kind, f"{type(error)}, not {kind}: {error}"
        return error
    raise AssertionError(f"no {kind.__name__}, but {answer}")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def git_blob(path):
    return hashlib.sha1(b"blob %d\0" % path.stat().st_size + path.read_bytes()).hexdigest()


# Facts of a well-known model, resolved to a commit.
info = api.model_info(OPEN, securityStatus=True, files_metadata=True)
assert info.id == OPEN and len(info.sha) == 40 and info.gated is False and not info.private, info
assert info.safetensors.total == 7_615_616_512, info.safetensors
assert info.card_data.license == "apache-2.0", info.card_data
assert info.config["model_type"] == "qwen2", info.config
assert info.security_repo_status["scansDone"] is True, info.security_repo_status
weights = {each.rfilename: each for each in info.siblings if each.rfilename.endswith(".safetensors")}
assert all(each.lfs.size == each.size and len(each.lfs.sha256) == 64 for each in weights.values()), weights

# The tree at that commit names the same files.
tree = {each.path: each for each in api.list_repo_tree(OPEN, revision=info.sha, recursive=True)}
assert set(tree) == {each.rfilename for each in info.siblings}, tree
for name, file in weights.items():
    assert tree[name].size == file.size and tree[name].lfs.sha256 == file.lfs.sha256, name
index = json.loads(pathlib.Path(hf_hub_download(OPEN, "model.safetensors.index.json", cache_dir=FOLDER)).read_text())
assert index["metadata"]["total_size"] == 2 * info.safetensors.total, index["metadata"]
assert set(index["weight_map"].values()) == set(weights), "the index names the shards"
config = json.loads(pathlib.Path(hf_hub_download(OPEN, "config.json", cache_dir=FOLDER)).read_text())
assert config["num_key_value_heads"] == 4 and config["num_hidden_layers"] == 28, config

# A whole small repository, byte-true; a second download asks for nothing it has.
tiny = api.model_info(TINY, files_metadata=True)
snapshot = pathlib.Path(snapshot_download(TINY, cache_dir=FOLDER))
assert snapshot.name == tiny.sha, snapshot
for file in tiny.siblings:
    path = snapshot / file.rfilename
    assert path.stat().st_size == file.size, file
    assert file.lfs is None or sha256(path) == file.lfs.sha256, file
    # A file in Git itself is named by its content too; a pointer stands there for a large one.
    assert file.lfs or git_blob(path) == file.blob_id, file
assert any(file.lfs for file in tiny.siblings), "no weights in the tiny repository"
flat = FOLDER / "flat"
assert pathlib.Path(snapshot_download(TINY, revision=tiny.sha, local_dir=flat)) == flat
assert all((flat / file.rfilename).stat().st_size == file.size for file in tiny.siblings)

# A data set is another kind of repository.
prompts = api.dataset_info(PROMPTS, files_metadata=True)
folder = pathlib.Path(snapshot_download(PROMPTS, repo_type="dataset", cache_dir=FOLDER))
assert folder.name == prompts.sha and any(folder.iterdir()), folder
raises(RepositoryNotFoundError, lambda: api.model_info(PROMPTS))

# Kept in Xet, and not liked by a scanner; the old way of downloading still works.
(weights,) = api.get_paths_info(XET, ["model.safetensors"], expand=True)
assert len(weights.xet_hash) == 64 and weights.security.status == "unsafe", weights
assert not weights.security.safe and weights.last_commit, weights
path = pathlib.Path(hf_hub_download(XET, "model.safetensors", cache_dir=FOLDER))
assert sha256(path) == weights.lfs.sha256

# Searched by a part of the name, and by who made it.
assert [each.id for each in api.list_models(search="TINY-random-llama", limit=5)] == [TINY]
assert PROMPTS in [each.id for each in api.list_datasets(author="openmodel", sort="downloads")]
assert not list(api.list_spaces(search="openmodel/nowhere"))

# Gated: everyone sees the facts, who has no access gets no file.
gated = api.model_info(GATED)
assert gated.gated == "manual" and gated.safetensors.total == 8_030_261_248, gated
raises(GatedRepoError, lambda: hf_hub_download(GATED, "config.json", cache_dir=FOLDER, token=False))
config = pathlib.Path(hf_hub_download(GATED, "config.json", cache_dir=FOLDER, token="hf_accepted"))
assert json.loads(config.read_text())["model_type"] == "llama"

# What is not there, by the library's own names.
raises(RepositoryNotFoundError, lambda: api.model_info("openmodel/not-there"))
raises(RevisionNotFoundError, lambda: api.model_info(TINY, revision="not-there"))
raises(RevisionNotFoundError, lambda: hf_hub_download(TINY, "config.json", revision="not-there", cache_dir=FOLDER))
raises(RemoteEntryNotFoundError, lambda: hf_hub_download(TINY, "not-there", cache_dir=FOLDER))
raises(RemoteEntryNotFoundError, lambda: list(api.list_repo_tree(TINY, "not-there")))
