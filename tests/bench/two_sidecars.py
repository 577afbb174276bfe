"""The mesh that `soak` and `instructions` measure."""
import os

import configs
import processes

PATH = "/small"


class Mesh:
    """outbound sidecar -HTTP/2-> inbound sidecar -HTTP/1.1-> nginx"""

    def __init__(self, children, command=(str(processes.SIDECAR),), tokens=False, name=""):
        """`command`: what runs a sidecar; `tokens`: POSTs run at most once; `name`: of this one, where there are several."""
        within = name + "/" if name else ""
        folder = children.folder / within
        folder.mkdir(exist_ok=True)
        self.nginx_port, self.inbound, self.outbound, inbound_admin, outbound_admin = processes.free_ports(5)
        self.admin = {"outbound": outbound_admin, "inbound": inbound_admin}
        children.write(within + "htdocs" + PATH, "ok: a small response\n")
        os.chmod(children.folder, 0o755)
        os.chmod(folder, 0o755)  # nginx's worker is another user
        children.start(f"nginx{name}", [processes.find_program("nginx"), "-e", f"{folder}/nginx-error.log", "-c", children.write(
            within + "nginx.conf", configs.nginx(self.nginx_port, f"{folder}/htdocs", folder))])
        texts = {
            "inbound": configs.pillion(self.inbound, inbound_admin, self.nginx_port, "INBOUND", from_sidecar=True, tokens=tokens),
            "outbound": configs.pillion(self.outbound, outbound_admin, self.inbound, to_sidecar=True, tokens=tokens),
        }
        self.pids = {side: children.start(side + name, [*command, "--concurrency", "1", "-c",
                                                        children.write(f"{within}{side}.yaml", text)])
                     for side, text in texts.items()}

    def url(self):
        return f"http://127.0.0.1:{self.outbound}{PATH}"
