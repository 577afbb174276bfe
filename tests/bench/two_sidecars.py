"""The mesh that `soak` and `instructions` measure."""
import os

import configs
import processes

PATH = "/small"


class Mesh:
    """outbound sidecar -HTTP/2-> inbound sidecar -HTTP/1.1-> nginx"""

    def __init__(self, children, command=(str(processes.SIDECAR),)):
        """`command`: what runs a sidecar."""
        folder = children.folder
        self.nginx_port, self.inbound, self.outbound, inbound_admin, outbound_admin = processes.free_ports(5)
        self.admin = {"outbound": outbound_admin, "inbound": inbound_admin}
        children.write("htdocs" + PATH, "ok: a small response\n")
        os.chmod(folder, 0o755)  # nginx's worker is another user
        children.start("nginx", [processes.find_program("nginx"), "-e", f"{folder}/nginx-error.log", "-c", children.write(
            "nginx.conf", configs.nginx(self.nginx_port, f"{folder}/htdocs", folder))])
        texts = {
            "inbound": configs.pillion(self.inbound, inbound_admin, self.nginx_port, "INBOUND", from_sidecar=True),
            "outbound": configs.pillion(self.outbound, outbound_admin, self.inbound, to_sidecar=True),
        }
        self.pids = {name: children.start(name, [*command, "--concurrency", "1", "-c",
                                                 children.write(f"{name}.yaml", text)])
                     for name, text in texts.items()}

    def url(self):
        return f"http://127.0.0.1:{self.outbound}{PATH}"
