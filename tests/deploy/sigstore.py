"""A container registry, and a Sigstore with roots of its own, on the loopback interface.

What it serves has the form of the real ones, so that a real verifier can judge it offline: images
with keyless signatures as cosign stores them beside an image, and the TUF repository from which a
verifier learns whom to trust.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image"
# The extension in which Fulcio, Sigstore's authority, writes who vouched for the signer.
ISSUER_EXTENSION = "1.3.6.1.4.1.57264.1.1"
START = {"start": "2020-01-01T00:00:00Z"}


def canonical(value: object) -> bytes:
    """Return JSON of which there is only one form, so that it can be signed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def described(kind: str, content: bytes) -> dict[str, Any]:
    """Return an OCI descriptor."""
    return {"mediaType": kind, "digest": f"sha256:{sha256(content)}", "size": len(content)}


def openssl(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    result = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


class Authority:
    """A certificate authority like Fulcio: its certificates name a workflow as the signer."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self.home = home
        self.certificate = home / "ca.pem"
        openssl(
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            home / "ca.key",
        )
        openssl(
            *("req", "-x509", "-new", "-key", home / "ca.key", "-subj", "/O=test/CN=test"),
            *("-addext", "keyUsage=critical,keyCertSign", "-days", "1", "-out", self.certificate),
        )

    def sign(self, payload: bytes, subject: str, issuer: str) -> dict[str, str]:
        """Return the annotations in which cosign stores a signature and its certificate."""
        key, request, extensions = (self.home / f"leaf.{end}" for end in ("key", "csr", "cnf"))
        extensions.write_text(
            "keyUsage = critical, digitalSignature\n"
            "extendedKeyUsage = codeSigning\n"
            f"subjectAltName = critical, URI:{subject}\n"
            f"{ISSUER_EXTENSION} = DER:{issuer.encode().hex()}\n"
        )
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        openssl("req", "-new", "-key", key, "-subj", "/", "-out", request)
        certificate = openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey"),
            *(self.home / "ca.key", "-days", "1", "-extfile", extensions),
        )
        signature = openssl("dgst", "-sha256", "-sign", key, stdin=payload)
        return {
            "dev.cosignproject.cosign/signature": base64.b64encode(signature).decode(),
            "dev.sigstore.cosign/certificate": certificate.decode(),
            "dev.sigstore.cosign/chain": self.certificate.read_text(),
        }


@dataclass
class Registry:
    """What is served, by path: media type and content. Names of images are below `host`."""

    host: str = ""
    served: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def put(self, path: str, content: bytes, kind: str = "application/json") -> None:
        self.served[path] = (kind, content)

    def blob(self, name: str, kind: str, content: bytes) -> dict[str, Any]:
        self.put(f"/v2/{name}/blobs/sha256:{sha256(content)}", content)
        return described(kind, content)

    def manifest(self, name: str, layers: list[dict[str, Any]], tag: str) -> str:
        """Store an image manifest, by digest and by tag, and return its digest."""
        config = canonical(
            {"os": "linux", "architecture": "amd64", "author": name, "rootfs": {"type": "layers"}}
        )
        kind = f"{OCI}.manifest.v1+json"
        content = canonical(
            {
                "schemaVersion": 2,
                "mediaType": kind,
                "config": self.blob(name, f"{OCI}.config.v1+json", config),
                "layers": layers,
            }
        )
        digest = f"sha256:{sha256(content)}"
        for reference in (digest, tag):
            self.put(f"/v2/{name}/manifests/{reference}", content, kind)
        return digest

    def image(self, name: str) -> str:
        """Store an image without layers and return its digest."""
        return self.manifest(name, [], "latest")

    def sign(
        self,
        name: str,
        digest: str,
        authority: Authority,
        subject: str,
        issuer: str,
        about: str = "",
    ) -> None:
        """Store a signature beside an image; `about` is the digest that it vouches for."""
        payload = canonical(
            {
                "critical": {
                    "identity": {"docker-reference": f"{self.host}/{name}"},
                    "image": {"docker-manifest-digest": about or digest},
                    "type": "cosign container image signature",
                },
                "optional": None,
            }
        )
        layer = self.blob(name, "application/vnd.dev.cosign.simplesigning.v1+json", payload)
        layer["annotations"] = authority.sign(payload, subject, issuer)
        self.manifest(name, [layer], f"{digest.replace(':', '-')}.sig")

    def trust(self, authority: Authority) -> bytes:
        """Serve a TUF repository at /tuf that trusts one authority, and return its root."""
        key = authority.home / "tuf.key"
        openssl("genpkey", "-algorithm", "ed25519", "-out", key)
        public = {
            "keytype": "ed25519",
            "scheme": "ed25519",
            "keyval": {
                "public": openssl("pkey", "-in", key, "-pubout", "-outform", "DER")[-32:].hex()
            },
        }
        key_id = sha256(canonical(public))

        def signed(kind: str, **content: object) -> bytes:
            body = {
                "_type": kind,
                "spec_version": "1.0",
                "version": 1,
                "expires": "2099-01-01T00:00:00Z",
            }
            message = authority.home / "message"
            message.write_bytes(canonical(body | content))
            signature = openssl("pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", message)
            signatures = [{"keyid": key_id, "sig": signature.hex()}]
            return canonical({"signed": body | content, "signatures": signatures})

        def hashed(content: bytes) -> dict[str, Any]:
            return {"length": len(content), "hashes": {"sha256": sha256(content)}}

        roles = ("root", "targets", "snapshot", "timestamp")
        root = signed(
            "root",
            consistent_snapshot=True,
            keys={key_id: public},
            roles={role: {"keyids": [key_id], "threshold": 1} for role in roles},
        )
        roots = canonical(trusted_root(authority))
        targets = signed("targets", targets={"trusted_root.json": hashed(roots)})
        snapshot = signed("snapshot", meta={"targets.json": hashed(targets) | {"version": 1}})
        timestamp = signed("timestamp", meta={"snapshot.json": hashed(snapshot) | {"version": 1}})
        self.put("/tuf/1.root.json", root)
        self.put("/tuf/1.targets.json", targets)
        self.put("/tuf/1.snapshot.json", snapshot)
        self.put("/tuf/timestamp.json", timestamp)
        self.put(f"/tuf/targets/{sha256(roots)}.trusted_root.json", roots)
        return root


def trusted_root(authority: Authority) -> dict[str, Any]:
    """Return the document by which Sigstore names its authorities and logs."""
    certificate = openssl("x509", "-in", authority.certificate, "-outform", "DER")
    log_key = openssl("pkey", "-in", authority.home / "ca.key", "-pubout", "-outform", "DER")
    log = {
        "baseUrl": "https://log.invalid",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": base64.b64encode(log_key).decode(),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": START,
        },
        "logId": {"keyId": base64.b64encode(hashlib.sha256(log_key).digest()).decode()},
    }
    return {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [log],
        "ctlogs": [log],
        "certificateAuthorities": [
            {
                "subject": {"organization": "test", "commonName": "test"},
                "uri": "https://authority.invalid",
                "certChain": {
                    "certificates": [{"rawBytes": base64.b64encode(certificate).decode()}]
                },
                "validFor": START,
            }
        ],
    }


@contextmanager
def registry() -> Iterator[Registry]:
    """Serve a registry on a port of its own."""
    content = Registry()
    content.put("/v2/", b"{}")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = content.served.get(self.path, ("", b""))
            if not kind:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Content-Digest", f"sha256:{sha256(body)}")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        content.host = f"127.0.0.1:{server.server_address[1]}"
        yield content
        server.shutdown()
