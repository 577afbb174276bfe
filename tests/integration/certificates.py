"""Keys and certificates for tests, made on the spot with the openssl program."""

import os
import subprocess
import tempfile


def _run(*arguments, **more):
    subprocess.run(["/usr/bin/openssl", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   **more)


class Authority:
    """Makes leaves in a folder of its own: `path(name)` is the certificate, `key(name)` its key, `ca` the CA's."""

    def __init__(self, name="authority"):
        self.folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        self.ca = os.path.join(self.folder, "ca.pem")
        self._key = os.path.join(self.folder, "ca.key")
        _run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
             "-subj", "/CN=" + name, "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self._key, "-out", self.ca)

    def path(self, name):
        return os.path.join(self.folder, name + ".pem")

    def key(self, name):
        return os.path.join(self.folder, name + ".key")

    def issue(self, name, names="", days=5):
        """`names`: "DNS:a,URI:spiffe://td/a". Returns what a TlsCertificate says of files."""
        request = os.path.join(self.folder, name + ".csr")
        extensions = os.path.join(self.folder, name + ".ext")
        _run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=" + name,
             "-keyout", self.key(name), "-out", request)
        with open(extensions, "w") as file:
            file.write("basicConstraints=CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                       "extendedKeyUsage=serverAuth,clientAuth\n")
            if names:
                file.write("subjectAltName=" + names + "\n")
        _run("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial", "-days", str(days),
             "-extfile", extensions, "-out", self.path(name))
        return self.files(name)

    def files(self, name):
        return {"certificate_chain": {"filename": self.path(name)}, "private_key": {"filename": self.key(name)}}

    def inline(self, name):
        with open(self.path(name)) as chain, open(self.key(name)) as key:
            return {"certificate_chain": {"inline_string": chain.read()}, "private_key": {"inline_string": key.read()}}

    def trusted(self, **more):
        return {"trusted_ca": {"filename": self.ca}, **more}

    def revocations(self, *names):
        """The path of a list of them, made anew."""
        database, config = (os.path.join(self.folder, name) for name in ("index.txt", "ca.cnf"))
        with open(database, "a"), open(config, "w") as file:
            file.write("[ca]\ndefault_ca=own\n[own]\ndatabase=%s\ndefault_md=sha256\ndefault_crl_days=5\n" % database)
        common = ("ca", "-config", config, "-keyfile", self._key, "-cert", self.ca)
        for name in names:
            _run(*common, "-revoke", self.path(name))
        made = os.path.join(self.folder, "revoked.pem")
        _run(*common, "-gencrl", "-out", made)
        return made
