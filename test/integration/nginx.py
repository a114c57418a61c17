"""nginx as a peer: a server that is not ours and keeps its own count of what it accepted."""

import re
import urllib.request

from harness import Failure, wait_until

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/client;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000;
    server {{
        listen 80 backlog=4096;
        listen [::]:80 backlog=4096;
        location / {{ return 200 "{body}"; }}
    }}
    server {{
        listen 127.0.0.1:81;
        location / {{ stub_status; }}
    }}
}}
"""


class Nginx:
    """Answers every request to port 80 with a short body."""

    BODY = "hello from nginx"

    def __init__(self, lab, host):
        self._host = host
        configuration = lab.folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(folder=lab.folder, body=self.BODY))
        self._process = host.start("nginx", "nginx", "-c", configuration, "-p", lab.folder)
        wait_until(self._answers, "nginx answers")
        self._before = self._accepted_ever()
        self._asked = 0

    def _answers(self):
        if not self._process.running():
            raise Failure(f"nginx ended: {self._process.errors}")
        try:
            return self._status()
        except OSError:
            return None

    def _status(self):
        with self._host.entered(), urllib.request.urlopen("http://127.0.0.1:81/", timeout=30) as r:
            return r.read().decode()

    def _accepted_ever(self):
        return int(re.search(r"^ *(\d+) \d+ \d+ *$", self._status(), re.MULTILINE).group(1))

    def accepted(self):
        """Connections accepted since the start, without those of this question and earlier ones."""
        self._asked += 1
        return self._accepted_ever() - self._before - self._asked
