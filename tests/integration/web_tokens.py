"""JSON Web Tokens for tests, signed with the openssl program by keys that are made on the spot."""

import base64
import json
import os
import subprocess
import tempfile
import time


def _run(*arguments, data=None):
    return subprocess.run(["/usr/bin/openssl", *arguments], check=True, input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def encode(data):
    """base64url without padding."""
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=").decode()


def _numbers(der, size):
    """r and s of an ECDSA signature in DER, each of `size` bytes: both are integers of less than 128 bytes."""
    first = 4 + der[3]
    r, s = der[4:first], der[first + 2:]
    return b"".join(int.from_bytes(one, "big").to_bytes(size, "big") for one in (r, s))


class Issuer:
    """Signs as `name` with a key of its own, P-256 or, with rsa, RSA of 2048 bits."""

    def __init__(self, name="https://issuer.test", kid="one", rsa=False):
        self.name, self.kid, self.rsa = name, kid, rsa
        self.folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        self.key = os.path.join(self.folder, "key.pem")
        kind = ("RSA", "rsa_keygen_bits:2048") if rsa else ("EC", "ec_paramgen_curve:P-256")
        _run("genpkey", "-algorithm", kind[0], "-pkeyopt", kind[1], "-out", self.key)

    def jwk(self):
        if self.rsa:
            modulus = _run("rsa", "-in", self.key, "-noout", "-modulus").decode().strip().split("=")[1]
            return {"kty": "RSA", "kid": self.kid, "use": "sig", "n": encode(bytes.fromhex(modulus)), "e": "AQAB"}
        point = _run("pkey", "-in", self.key, "-pubout", "-outform", "DER")[-64:]
        return {"kty": "EC", "crv": "P-256", "kid": self.kid, "x": encode(point[:32]), "y": encode(point[32:])}

    def jwks(self, *others):
        return json.dumps({"keys": [one.jwk() for one in (self, *others)]})

    def token(self, sub, valid_s=300, **claims):
        """Expires in so many seconds; claims that are None are left out."""
        said = {"iss": self.name, "sub": sub, "iat": int(time.time()), "exp": int(time.time()) + valid_s, **claims}
        text = encode({"alg": "RS256" if self.rsa else "ES256", "kid": self.kid, "typ": "JWT"})
        text += "." + encode({name: value for name, value in said.items() if value is not None})
        signature = _run("dgst", "-sha256", "-sign", self.key, data=text.encode())
        return text + "." + encode(signature if self.rsa else _numbers(signature, 32))

    def bearer(self, sub, **more):
        return "Bearer " + self.token(sub, **more)
