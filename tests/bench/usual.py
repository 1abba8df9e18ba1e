"""The usual way from the Hub to Cloud Storage: `hf download`, then Google's transfer manager.

    usual.py URL ORG/NAME FOLDER [--check]

Both are asked at URL, which is a device of the benchmark. With --check, sha256sum holds what was
downloaded against the Hub's listing before it is uploaded, as the two do not do it themselves.
"""

import os
import pathlib
import subprocess
import sys

WORKERS = 8


def download(url, name, folder):
    environment = dict(
        os.environ,
        HF_ENDPOINT=url,
        HF_HOME=str(folder / "home"),
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
    )
    hf = pathlib.Path(sys.executable).with_name("hf")
    command = [hf, "download", name, "--local-dir", folder / "files", "--max-workers", str(WORKERS)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def check(url, name, folder):
    import requests

    listing = requests.get(f"{url}/api/models/{name}/tree/main", timeout=60).json()
    lines = [f"{entry['lfs']['oid']}  {entry['path']}\n" for entry in listing]
    command = ["sha256sum", "--check", "--strict", "--quiet"]
    subprocess.run(command, input="".join(lines), text=True, cwd=folder / "files", check=True)


def upload(url, folder):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage
    from google.cloud.storage import transfer_manager

    client = storage.Client(
        project="bench", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
    )
    names = sorted(path.name for path in (folder / "files").iterdir() if path.is_file())
    results = transfer_manager.upload_many_from_filenames(
        client.bucket("bench"), names, source_directory=str(folder / "files"), max_workers=WORKERS
    )
    failed = [result for result in results if isinstance(result, Exception)]
    if failed or len(names) != 8:
        sys.exit(f"usual.py: {len(names)} files, {failed}")


def main():
    url, name, folder, *flags = sys.argv[1:]
    folder = pathlib.Path(folder)
    download(url, name, folder)
    if flags == ["--check"]:
        check(url, name, folder)
    upload(url, folder)


# Its workers are processes of their own, which read this file too.
if __name__ == "__main__":
    main()
