"""What huggingface_hub sees of repositories, under the names of our RepositoryCard: repository_card.py TYPE ID …

Reads HF_ENDPOINT. Prints one JSON object per repository, by its type and id.
"""

import json
import sys

from huggingface_hub import HfApi

api = HfApi(token=False)


def texts(value):
    return [value] if isinstance(value, str) else list(value or [])


def scan(status):
    issues = sorted(file["path"] for file in status["filesWithIssues"])
    if issues:
        return {"status": "unsafe", "files": issues}
    return {"status": "safe" if status["scansDone"] else "pending"}


def card(kind, repository):
    # Only of models does the client hand the option through.
    if kind == "model":
        info = api.model_info(repository, securityStatus=True)
    else:
        info = api.repo_info(repository, repo_type=kind)
    tree = api.list_repo_tree(repository, repo_type=kind, revision=info.sha, recursive=True, expand=True)
    files = {file.path: file for file in tree if hasattr(file, "size")}
    # Spaces and datasets have no type of card for these: they are what the README states.
    data = info.card_data.to_dict() if info.card_data else {}
    return {
        "repository": {"type": kind, "id": info.id},
        "commit": info.sha,
        "last_modified": info.last_modified.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
        "files": [
            {
                "path": path,
                "size": file.size,
                "sha256": file.lfs.sha256 if file.lfs else None,
                "git_oid": file.blob_id,
            }
            for path, file in sorted(files.items())
        ],
        "licence": {
            "ids": texts(data.get("license")),
            "name": data.get("license_name"),
            "link": data.get("license_link"),
        },
        "gating": info.gated or "none",
        "private": info.private,
        "states": {path: file.security.status for path, file in files.items()},
        "imports": {
            path: [
                {"name": f"{each['module']}.{each['name']}", "safety": each["safety"]}
                for each in file.security.pickle_import_scan["pickleImports"]
            ]
            for path, file in files.items()
        },
        "scan": scan(info.security_repo_status) if kind == "model" else None,
        "library": getattr(info, "library_name", None),
        "pipeline_tag": getattr(info, "pipeline_tag", None),
        "base_models": texts(data.get("base_model")),
        "custom_code": "custom_code" in info.tags,
    }


pairs = zip(sys.argv[1::2], sys.argv[2::2])
print(json.dumps({f"{kind} {repository}": card(kind, repository) for kind, repository in pairs}))
