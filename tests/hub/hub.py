"""A hub on a local port, as far as pulls need one: listing, tree, redirects to another host, ranges, hashes.

Files of git are answered at once; large ones by a redirect to a second port, with what the hub says about them in the
redirect. Xet is not offered.
"""

import hashlib
import http.server
import json
import pathlib
import sys
import threading
import time
import urllib.parse

CHUNK = 64 << 10


def git_hash(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub:
    """Repositories by name: a list of commits, the last of which is `main`; each has files by name."""

    def __init__(self):
        self.repositories = {}
        self.requests = []
        # Bytes of large files that were sent, and how fast.
        self.n_sent = 0
        self.pause = 0.0
        self.storage = self._serve(self._answer_storage)
        self.url = self._serve(self._answer_hub)

    def add(self, name, files):
        """Adds a commit and returns its hash."""
        commits = self.repositories.setdefault(name, [])
        commit = hashlib.sha1(f"{name}{len(commits)}".encode()).hexdigest()
        commits.append((commit, files))
        return commit

    def forget_requests(self):
        self.requests.clear()
        self.n_sent = 0

    def files_asked(self):
        return [path for method, path in self.requests if method == "GET" and "/resolve/" in path]

    def _serve(self, answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                try:
                    answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    pass

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    def _commit(self, name, revision):
        for commit, files in reversed(self.repositories.get(name, [])):
            if revision in ("main", commit):
                return commit, files
        return None, None

    def _answer_hub(self, request):
        path = urllib.parse.unquote(urllib.parse.urlparse(request.path).path)
        self.requests.append((request.command, path))
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            name = "/".join(parts[2:4])
            commit, files = self._commit(name, parts[5] if len(parts) > 5 else "main")
            if commit is None:
                return self._send(request, 404, {"x-error-code": "RepoNotFound"}, b"{}")
            if len(parts) > 4 and parts[4] == "tree":
                body = [dict(self._about(data), type="file", path=file) for file, data in files.items()]
            else:
                siblings = [dict(self._about(data), rfilename=file) for file, data in files.items()]
                for it in siblings:
                    it["blobId"] = it.pop("oid")
                body = {"id": name, "sha": commit, "siblings": siblings, "private": False, "downloads": 0, "tags": []}
            return self._send(request, 200, {"content-type": "application/json"}, json.dumps(body).encode())
        if len(parts) < 5:
            return self._send(request, 404, {}, b"")
        name, revision, file = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        commit, files = self._commit(name, revision)
        if commit is None or file not in files:
            return self._send(request, 404, {"x-error-code": "EntryNotFound"}, b"")
        data = files[file]
        headers = {"x-repo-commit": commit}
        if not is_large(file):
            headers["etag"] = f'"{git_hash(data)}"'
            return self._send(request, 200, headers, data)
        headers |= {
            "x-linked-etag": f'"{hashlib.sha256(data).hexdigest()}"',
            "x-linked-size": str(len(data)),
            "location": f"{self.storage}/{name}/{commit}/{file}",
        }
        self._send(request, 302, headers, b"")

    @staticmethod
    def _about(data):
        if is_large(None, data):
            lfs = {"sha256": hashlib.sha256(data).hexdigest(), "oid": hashlib.sha256(data).hexdigest()}
            return {"size": len(data), "oid": git_hash(b"a note"), "lfs": lfs | {"size": len(data), "pointerSize": 100}}
        return {"size": len(data), "oid": git_hash(data)}

    def _answer_storage(self, request):
        assert "authorization" not in request.headers, "the token went to another host"
        name, commit, file = urllib.parse.unquote(request.path).strip("/").rsplit("/", 2)
        data = self._commit(name, commit)[1][file]
        start = 0
        if asked := request.headers.get("range"):
            start = int(asked.removeprefix("bytes=").split("-")[0])
        headers = {"etag": '"of-the-storage"'}
        if asked:
            headers["content-range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        request.send_response(206 if asked else 200)
        for key, value in headers.items():
            request.send_header(key, value)
        request.send_header("content-length", str(len(data) - start))
        request.end_headers()
        for at in range(start, len(data), CHUNK):
            if request.command == "GET":
                chunk = data[at : at + CHUNK]
                request.wfile.write(chunk)
                self.n_sent += len(chunk)
                time.sleep(self.pause)

    @staticmethod
    def _send(request, status, headers, body):
        request.send_response(status)
        for key, value in headers.items():
            request.send_header(key, value)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(body)


def is_large(file, data=b""):
    return file.endswith(".safetensors") if file else len(data) > 100_000


def serve(folder):
    """Serves the files of a folder as `owner/name`, until standard input ends, and says where."""
    hub = Hub()
    # Slow enough that a download can be caught in its middle.
    hub.pause = 0.003
    hub.add("owner/name", {it.name: it.read_bytes() for it in pathlib.Path(folder).iterdir()})
    print(hub.url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(sys.argv[1])
