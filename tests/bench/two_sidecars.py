"""The mesh that `soak` and `instructions` measure."""
import os

import configs
import processes

PATH = "/small"
POST = """wrk.method = "POST"
wrk.body = string.rep("x", 256)
wrk.headers["Content-Type"] = "application/octet-stream"
"""  # for wrk


class Mesh:
    """outbound sidecar -HTTP/2-> inbound sidecar -HTTP/1.1-> nginx"""

    def __init__(self, children, command=(str(processes.SIDECAR),), tokens=False, name="", store_port=None):
        """`command`: what runs a sidecar; `tokens`: POSTs run at most once; `store_port`: their records are in Redis there; `name`: of
        this one, where there are several."""
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
            "inbound": configs.pillion(self.inbound, inbound_admin, self.nginx_port, "INBOUND", from_sidecar=True, tokens=tokens, store_port=store_port),
            "outbound": configs.pillion(self.outbound, outbound_admin, self.inbound, to_sidecar=True, tokens=tokens, store_port=store_port),
        }
        self.pids = {side: children.start(side + name, [*command, "--concurrency", "1", "-c",
                                                        children.write(f"{within}{side}.yaml", text)])
                     for side, text in texts.items()}

    def metric(self, side, start):
        """The sum of all series that begin so."""
        _, page = processes.fetch(f"http://127.0.0.1:{self.admin[side]}/metrics")
        return sum(float(line.rsplit(" ", 1)[1]) for line in page.decode().splitlines() if line.startswith(start))

    def url(self):
        return f"http://127.0.0.1:{self.outbound}{PATH}"
