"""What huggingface_hub sees of repositories, under the names of our ModelCard: model_card.py FOLDER ID…

Reads HF_ENDPOINT and HF_TOKEN. Prints one JSON object per repository, by its id.
"""

import json
import pathlib
import sys

from huggingface_hub import HfApi, hf_hub_download

INDEX = "model.safetensors.index.json"
folder, repositories = sys.argv[1], sys.argv[2:]
api = HfApi()


def read(repository, commit, name):
    path = hf_hub_download(repository, name, revision=commit, cache_dir=folder)
    return json.loads(pathlib.Path(path).read_text())


def card(repository):
    info = api.model_info(repository, files_metadata=True)
    sizes = {file.rfilename: file.size for file in info.siblings}
    if INDEX in sizes:
        weights = set(read(repository, info.sha, INDEX)["weight_map"].values())
    else:
        weights = {"model.safetensors"}
    config = read(repository, info.sha, "config.json")
    files = [
        {
            "path": file.rfilename,
            "size": file.size,
            "sha256": file.lfs.sha256 if file.lfs else None,
            "git_oid": file.blob_id,
        }
        for file in info.siblings
    ]
    return {
        "id": info.id,
        "commit": info.sha,
        "parameters": info.safetensors.total,
        "parameters_by_dtype": info.safetensors.parameters,
        "weight_bytes": sum(sizes[name] for name in weights),
        "files": sorted(files, key=lambda file: file["path"]),
        "licence": info.card_data.license,
        "gating": info.gated or "none",
        "private": info.private,
        "library": info.library_name,
        "pipeline_tag": info.pipeline_tag,
        "architecture": config["architectures"][0],
    }


print(json.dumps({repository: card(repository) for repository in repositories}))
