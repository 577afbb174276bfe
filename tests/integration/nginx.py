"""nginx as a peer of the mesh."""

import os
import shutil
import subprocess
import tempfile

import mesh


class Nginx:
    """nginx with what the test says inside of http {}; serves when the constructor returns."""

    def __init__(self, port, config):
        self.folder = tempfile.mkdtemp(dir=os.environ.get("TEST_TMPDIR"))
        path = os.path.join(self.folder, "nginx.conf")
        temporary = " ".join("%s_temp_path %s/%s;" % (one, self.folder, one)
                             for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(path, "w") as file:  # a sandbox knows no other user
            file.write("user root root; daemon off; master_process off; pid %s/pid;\nevents {}\n"
                       "http {\naccess_log off; client_max_body_size 0; %s\n%s\n}\n" % (self.folder, temporary, config))
        self.errors = os.path.join(self.folder, "errors")
        self.process = subprocess.Popen(["nginx", "-e", self.errors, "-c", path], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)  # it says everything twice
        mesh.wait_until(lambda: self.listens(port), "nginx listens")

    def listens(self, port):
        if self.process.poll() is not None:
            with open(self.errors) as file:
                raise AssertionError("nginx ended: " + file.read())
        return mesh.listens(port)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=mesh.WAIT)
        shutil.rmtree(self.folder, ignore_errors=True)
