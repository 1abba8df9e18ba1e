"""A repository signed as its release team signs it: sign_model.py REPOSITORY FOLDER CURVE.

Reads HF_ENDPOINT. Downloads the repository into FOLDER/model with Hugging Face's own client, makes a key on
CURVE (FOLDER/release.key, FOLDER/release.pub), signs with the official tool by its command line, and lets it
verify what it made: FOLDER/model/model.sig.
"""

import pathlib
import subprocess
import sys

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from huggingface_hub import snapshot_download

repository, folder, curve = sys.argv[1:]
folder = pathlib.Path(folder)
model, key, public = folder / "model", folder / "release.key", folder / "release.pub"
snapshot_download(repository, local_dir=model, token=False)

private = ec.generate_private_key({"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}[curve]())
key.write_bytes(
    private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
)
public.write_bytes(
    private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
)


def model_signing(*arguments):
    subprocess.run([sys.executable, "-m", "model_signing", *map(str, arguments)], check=True)


signature = model / "model.sig"
# What the client notes beside its downloads is not of the model.
cache = model / ".cache"
model_signing("sign", "key", model, "--private_key", key, "--signature", signature, "--ignore-paths", cache)
model_signing("verify", "key", model, "--public_key", public, "--signature", signature)
