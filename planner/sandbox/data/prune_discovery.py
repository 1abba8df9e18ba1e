"""Cut Google's Discovery documents down to what the sandbox checks: names, types, enums.

    python3 prune_discovery.py [--check] <folder with run.v2.json, secretmanager.v1.json, ...>

With --check nothing is written; it fails when the kept documents are not those of the folder.

The folder is `googleapiclient/discovery_cache/documents` of the PyPI package
google-api-python-client (the revision of each document is kept in its output).
Descriptions are dropped; schemas are those that the kept methods reach.
"""

import json
import pathlib
import re
import sys

KEEP = {
    "run.v2": r"run\.projects\.locations\.(jobs|operations|services)\.(?!.*exportStatus)",
    "secretmanager.v1": r"secretmanager\.projects\.(locations\.)?secrets\.(?!.*(otat))",
    "iamcredentials.v1": r"iamcredentials\.projects\.serviceAccounts\.generate(Access|Id)Token",
    "sts.v1": r"sts\.token",
    "storage.v1": (
        r"storage\.(anywhereCaches\.|buckets\.operations\.(get|list)$"
        r"|managedFolders\.(delete|get|insert|list)$"
        r"|buckets\.(delete|get|getIamPolicy|getStorageLayout|insert|list|patch|setIamPolicy|testIamPermissions|update)$"
        r"|objects\.(compose|copy|delete|get|insert|list|patch|restore|rewrite|update)$)"
    ),
    "storagetransfer.v1": r"storagetransfer\.(googleServiceAccounts|transferJobs|transferOperations)\.",
}
# Messages that long-running operations carry, which no method names.
CARRIED = {"storagetransfer.v1": ["TransferOperation"]}
FIELD_KEYS = ("type", "format", "enum", "$ref", "readOnly")
# The member of the request message that the HTTP body fills; other bodies are the message itself.
BODY_MEMBER = {
    "GoogleCloudRunV2Job": "job",
    "GoogleCloudRunV2Service": "service",
    "Secret": "secret",
    "TransferJob": "transfer_job",
}


def field(node):
    kept = {key: node[key] for key in FIELD_KEYS if key in node}
    for inner in ("items", "additionalProperties"):
        if inner in node:
            kept[inner] = field(node[inner])
    if "properties" in node:
        kept["properties"] = {name: field(value) for name, value in node["properties"].items()}
    return kept


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)


def methods(resource):
    yield from resource.get("methods", {}).values()
    for inner in resource.get("resources", {}).values():
        yield from methods(inner)


def prune(document, pattern, carried):
    kept = []
    for method in methods(document):
        if not re.match(pattern, method["id"]):
            continue
        request = method.get("request", {}).get("$ref")
        kept.append({
            "id": method["id"],
            "verb": method["httpMethod"],
            "path": document["servicePath"] + method.get("flatPath", method["path"]),
            "query": {
                name: parameter["type"]
                for name, parameter in sorted(method.get("parameters", {}).items())
                if parameter["location"] == "query"
            },
            "request": request,
            "body": BODY_MEMBER.get(request),
            "response": method.get("response", {}).get("$ref"),
        })
    wanted = [name for method in kept for name in (method["request"], method["response"]) if name]
    wanted += carried
    schemas = {}
    while wanted:
        name = wanted.pop()
        if name not in schemas:
            schemas[name] = field(document["schemas"][name])
            wanted.extend(references(schemas[name]))
    return {
        "api": document["name"] + "." + document["version"],
        "revision": document["revision"],
        "methods": sorted(kept, key=lambda method: method["id"]),
        "schemas": dict(sorted(schemas.items())),
    }


def main(arguments):
    check = "--check" in arguments
    folder = pathlib.Path(arguments[-1])
    stale = []
    for api, pattern in KEEP.items():
        document = json.loads((folder / f"{api}.json").read_text())
        target = pathlib.Path(__file__).parent / "discovery" / f"{api}.json"
        text = json.dumps(prune(document, pattern, CARRIED.get(api, [])), indent=1) + "\n"
        if not check:
            target.write_text(text)
        elif target.read_text() != text:
            stale.append(target.name)
    if stale:
        sys.exit(f"not as in {folder}: {', '.join(stale)}; run without --check to renew them")


if __name__ == "__main__":
    main(sys.argv[1:])
