"""Compares the hub's cache as RUNABOUT leaves it with Python's `huggingface_hub`; see `test`."""

import contextlib
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hub import Hub

HUB = Hub()
os.environ |= {"HF_ENDPOINT": HUB.url, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_TOKEN": "secret", "NO_PROXY": "*"}
os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1"}

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download  # noqa: E402
from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: E402
from huggingface_hub.utils import _shared_blobs  # noqa: E402

# What mlx_lm fetches of a repository.
MLX_LM = "*.json model*.safetensors *.py tokenizer.model *.tiktoken tiktoken.model *.txt *.jsonl *.jinja".split()
SIZE = 4 << 20


def weights(seed, n_bytes=SIZE):
    data = random.Random(seed).randbytes(n_bytes)
    header = json.dumps({"w": {"dtype": "U8", "shape": [n_bytes], "data_offsets": [0, n_bytes]}}).encode()
    return struct.pack("<Q", len(header)) + header + data


def model(seed, **more):
    return {
        "README.md": b"about",
        "config.json": json.dumps({"model_type": "llama", "seed": seed}).encode(),
        "tokenizer.json": b'{"model": {}}',
        "tokenizer_config.json": b"{}",
        "model.safetensors": weights(seed),
    } | more


def environment(folder):
    return os.environ | {"RUNABOUT_HOME": str(folder / "home"), "HF_HUB_CACHE": str(folder / "cache"), "RUNABOUT_LOG": "warn"}


def runabout(folder, *args, fails=False, **more):
    command = [os.environ["RUNABOUT"], "models", *args]
    result = subprocess.run(command, env=environment(folder) | more, capture_output=True, text=True)
    assert (result.returncode != 0) == fails, f"{args}: {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout + result.stderr if fails else result.stdout


@contextlib.contextmanager
def cache():
    with tempfile.TemporaryDirectory() as folder:
        HUB.forget_requests()
        yield Path(folder)


def scan(folder):
    info = scan_cache_dir(folder / "cache")
    assert not info.warnings, info.warnings
    return info


def tree(folder):
    """All paths of a cache with the kinds and sizes of files, without what either program has for itself."""
    root = folder / "cache"
    paths = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        own = (".runabout", ".locks", "CACHEDIR.TAG")
        if any(part in own for part in path.parts) or name.endswith((".lock", ".refs")):
            continue
        if path.is_symlink():
            paths[name] = f"-> {os.readlink(path)}"
        elif path.is_file():
            paths[name] = path.stat().st_size
    return paths


def python_reads_what_runabout_fetched():
    HUB.add("owner/ours", model(1))
    commit = HUB.repositories["owner/ours"][-1][0]
    with cache() as folder:
        path = Path(runabout(folder, "pull", "owner/ours").strip())
        info = scan(folder)
        (repository,) = info.repos
        (revision,) = repository.revisions
        assert (repository.repo_id, revision.commit_hash, revision.refs) == ("owner/ours", commit, {"main"})
        assert repository.nb_files == 4 and not info.incomplete_files
        found = snapshot_download("owner/ours", cache_dir=folder / "cache", local_files_only=True)
        assert Path(found).resolve() == path.resolve(), (found, path)
        HUB.forget_requests()
        # As mlx_lm loads it: the hub is asked what there is, and no file is fetched.
        snapshot_download("owner/ours", cache_dir=folder / "cache", allow_patterns=MLX_LM)
        assert not HUB.files_asked(), HUB.files_asked()
        snapshot_download("owner/ours", cache_dir=folder / "cache", allow_patterns=MLX_LM, local_files_only=True)
        # Python wants the README too, and puts it into the same snapshot.
        snapshot_download("owner/ours", cache_dir=folder / "cache")
        assert [it.rsplit("/", 1)[1] for it in HUB.files_asked()] == ["README.md"], HUB.files_asked()
        scan(folder)
        cli = [Path(sys.executable).with_name("hf"), "cache", "verify", "owner/ours", "--cache-dir", folder / "cache"]
        verified = subprocess.run(cli, capture_output=True, text=True)
        assert verified.returncode == 0, verified.stdout + verified.stderr
        assert "5 files" in runabout(folder, "verify", "owner/ours")


def runabout_reads_what_python_fetched():
    HUB.add("owner/theirs", model(2))
    for patterns in (MLX_LM, None):
        with cache() as folder:
            path = snapshot_download("owner/theirs", cache_dir=folder / "cache", allow_patterns=patterns)
            before = tree(folder)
            HUB.forget_requests()
            ours = runabout(folder, "pull", "owner/theirs", "--offline").strip()
            assert Path(ours).resolve() == Path(path).resolve()
            runabout(folder, "verify", "owner/theirs")
            (listed,) = json.loads(runabout(folder, "list", "--json"))["models"]
            assert (listed["name"], listed["place"], listed["architecture"]) == ("owner/theirs", "hub_cache", "llama")
            assert not HUB.requests, HUB.requests
            runabout(folder, "pull", "owner/theirs")
            assert not HUB.files_asked(), HUB.files_asked()
            assert tree(folder) == before


def what_python_fetched_in_part_is_completed():
    HUB.add("owner/part", model(3))
    with cache() as folder:
        for file in ("config.json", "tokenizer.json"):
            hf_hub_download("owner/part", file, cache_dir=folder / "cache")
        assert "downloads are off" in runabout(folder, "pull", "owner/part", "--offline", fails=True)
        HUB.forget_requests()
        runabout(folder, "pull", "owner/part")
        asked = sorted(it.rsplit("/", 1)[1] for it in HUB.files_asked())
        assert asked == ["model.safetensors", "tokenizer_config.json"], asked
        scan(folder)
        snapshot_download("owner/part", cache_dir=folder / "cache", allow_patterns=MLX_LM, local_files_only=True)


def python_resumes_nothing_of_ours_and_waits_for_no_lock():
    HUB.add("owner/broken", model(4))
    with cache() as folder:
        HUB.pause = 0.02
        pull = subprocess.Popen([os.environ["RUNABOUT"], "models", "pull", "owner/broken"], env=environment(folder))
        while HUB.n_sent < SIZE // 4:
            time.sleep(0.01)
        pull.kill()
        pull.wait()
        HUB.pause = 0.0
        scan(folder)
        try:
            snapshot_download("owner/broken", cache_dir=folder / "cache", local_files_only=True)
            raise AssertionError("Python takes an unfinished pull for whole")
        except LocalEntryNotFoundError:
            pass
        snapshot_download("owner/broken", cache_dir=folder / "cache")
        scan(folder)
        runabout(folder, "verify", "owner/broken")
        freed = json.loads(runabout(folder, "prune", "--yes", "--json"))["freed_bytes"]
        assert freed > 0
        runabout(folder, "verify", "owner/broken")


def removals_leave_what_pythons_leave():
    shared = weights(5)
    first = HUB.add("owner/removed", model(5) | {"model.safetensors": shared})
    HUB.add("owner/removed", model(6) | {"model.safetensors": shared, "extra.txt": b"new"})
    HUB.add("owner/kept", model(7))

    def prepared(folder):
        for repository, revision in (("owner/removed", first), ("owner/removed", "main"), ("owner/kept", "main")):
            snapshot_download(repository, revision=revision, cache_dir=folder / "cache")

    for ours, commits in ((f"owner/removed@{first}", [first]), ("owner/removed", None)):
        with cache() as by_us, cache() as by_python:
            prepared(by_us)
            prepared(by_python)
            assert tree(by_us) == tree(by_python)
            (repository,) = [it for it in scan(by_python).repos if it.repo_id == "owner/removed"]
            commits = commits or [it.commit_hash for it in repository.revisions]
            strategy = scan(by_python).delete_revisions(*commits)
            strategy.execute()
            report = json.loads(runabout(by_us, "rm", ours, "--yes", "--json"))
            # Python leaves the list of the files of a removed commit, and does not count it.
            trees = {it for it in tree(by_python) if "/trees/" in it and it not in tree(by_us)}
            left = {it: size for it, size in tree(by_python).items() if it not in trees}
            assert tree(by_us) == left, (ours, set(tree(by_us)) ^ set(left))
            beside = report["freed_bytes"] - strategy.expected_freed_size
            assert 0 <= beside < 10_000, (ours, report, strategy.expected_freed_size)
            scan(by_us)


def shared_blobs_outlive_all_but_their_last_repository():
    xet = "ab" * 32

    def prepared(folder):
        for repository in ("owner/one", "owner/two"):
            snapshot_download(repository, cache_dir=folder / "cache")
            (blob,) = [it for it in folder.glob(f"cache/models--{repository.replace('/', '--')}/blobs/*") if it.stat().st_size > SIZE]
            if repository == "owner/one":
                arguments = dict(blob_path=str(blob), xet_hash=xet, cache_dir=folder / "cache", expected_size=blob.stat().st_size)
                assert _shared_blobs.publish_blob_to_shared_store(**arguments)
            else:
                size = blob.stat().st_size
                blob.unlink()
                assert _shared_blobs.try_link_from_shared_store(
                    blob_path=str(blob), xet_hash=xet, cache_dir=folder / "cache", expected_size=size
                )

    HUB.add("owner/one", model(8))
    HUB.add("owner/two", model(9) | {"model.safetensors": weights(8)})
    with cache() as by_us, cache() as by_python:
        prepared(by_us)
        prepared(by_python)
        runabout(by_us, "verify", "owner/one")
        for repository in ("owner/one", "owner/two"):
            (theirs,) = [it for it in scan(by_python).repos if it.repo_id == repository]
            strategy = scan(by_python).delete_revisions(*(it.commit_hash for it in theirs.revisions))
            strategy.execute()
            report = json.loads(runabout(by_us, "rm", repository, "--yes", "--json"))
            assert tree(by_us) == tree(by_python), set(tree(by_us)) ^ set(tree(by_python))
            beside = report["freed_bytes"] - strategy.expected_freed_size
            assert 0 <= beside < 10_000, (repository, report, strategy.expected_freed_size)
            scan(by_us)
        assert not (by_us / "cache/blobs/ab" / xet).exists()

    # An older Python deletes repositories without the shared blobs.
    with cache() as folder:
        prepared(folder)
        for repository in ("one", "two"):
            shutil.rmtree(folder / f"cache/models--owner--{repository}")
        assert (folder / "cache/blobs/ab" / xet).exists()
        assert json.loads(runabout(folder, "prune", "--yes", "--json"))["freed_bytes"] > SIZE
        assert not (folder / "cache/blobs/ab" / xet).exists()


def pruning_repairs_what_python_refuses():
    with cache() as folder:
        snapshot_download("owner/kept", cache_dir=folder / "cache")
        before = tree(folder)
        repository = folder / "cache/models--owner--kept"
        (repository / "refs/gone").write_text("0" * 40)
        (repository / "blobs/0123.incomplete").write_bytes(bytes(100))
        (repository / "blobs" / ("1" * 64)).write_bytes(bytes(1000))
        assert scan_cache_dir(folder / "cache").warnings
        assert json.loads(runabout(folder, "prune", "--yes", "--json"))["freed_bytes"] == 1100 + 0
        assert tree(folder) == before
        scan(folder)


def pruning_removes_the_revisions_that_pythons_does():
    shared = weights(30)
    first = HUB.add("owner/pruned", model(30) | {"model.safetensors": shared, "old.json": b"{}"})
    HUB.add("owner/pruned", model(31) | {"model.safetensors": shared})
    lost = HUB.add("owner/lost", model(32))

    def prepared(folder):
        snapshot_download("owner/pruned", revision=first, cache_dir=folder / "cache")
        snapshot_download("owner/pruned", cache_dir=folder / "cache")
        snapshot_download("owner/lost", revision=lost, cache_dir=folder / "cache")

    hf = Path(sys.executable).with_name("hf")
    with cache() as by_us, cache() as by_python:
        prepared(by_us)
        prepared(by_python)
        assert tree(by_us) == tree(by_python)
        theirs = subprocess.run([hf, "cache", "prune", "--yes", "--cache-dir", by_python / "cache"], capture_output=True, text=True)
        assert theirs.returncode == 0, theirs.stdout + theirs.stderr
        freed = json.loads(runabout(by_us, "prune", "--yes", "--json"))["freed_bytes"]
        assert SIZE < freed < SIZE + 10_000, freed
        # As after `rm`, Python leaves the list of the files of a removed commit.
        left = {it: size for it, size in tree(by_python).items() if f"/trees/{first}" not in it}
        assert tree(by_us) == left, set(tree(by_us)) ^ set(left)
        assert not any("owner--lost" in it for it in left) and any("owner--pruned" in it for it in left), left
        scan(by_us)
        runabout(by_us, "verify", "owner/pruned")

    # What we use at a commit has no ref, and Python removes it.
    with cache() as folder:
        runabout(folder, "pull", f"owner/lost@{lost}")
        assert json.loads(runabout(folder, "prune", "--yes", "--json"))["freed_bytes"] == 0
        runabout(folder, "verify", f"owner/lost@{lost}")


def two_pulls_at_once_download_once():
    HUB.add("owner/twice", model(10))
    with cache() as folder:
        HUB.pause = 0.005
        command = [os.environ["RUNABOUT"], "models", "pull", "owner/twice"]
        homes = [environment(folder) | {"RUNABOUT_HOME": str(folder / home)} for home in ("home", "home", "another")]
        pulls = [subprocess.Popen(command, env=it, stdout=subprocess.PIPE) for it in homes]
        paths = {it.communicate()[0] for it in pulls}
        HUB.pause = 0.0
        assert all(it.returncode == 0 for it in pulls) and len(paths) == 1, paths
        n_bytes = len(HUB.repositories["owner/twice"][-1][1]["model.safetensors"])
        assert HUB.n_sent == n_bytes, (HUB.n_sent, n_bytes)
        scan(folder)


def a_pull_that_is_killed_leaves_nothing_that_is_taken_for_whole():
    n_kills = 50 if os.environ.get("RUNABOUT_LONG") else 5
    half = SIZE // 2
    files = model(11) | {f"model-0000{n}-of-00002.safetensors": weights(20 + n, half) for n in (1, 2)}
    del files["model.safetensors"]
    names = {it: it for it in files if it.endswith(".safetensors")}
    files["model.safetensors.index.json"] = json.dumps({"weight_map": names}).encode()
    HUB.add("owner/killed", files)
    random.seed(1)
    HUB.pause = 0.02
    started = time.monotonic()
    with cache() as folder:
        runabout(folder, "pull", "owner/killed")
    whole = time.monotonic() - started
    n_whole = 0
    for _ in range(n_kills):
        with cache() as folder:
            n_bytes = 0
            # Twice in the same cache, so that the second attempt begins with what the first left.
            for _ in range(2):
                pull = subprocess.Popen(
                    [os.environ["RUNABOUT"], "models", "pull", "owner/killed"], env=environment(folder), stdout=subprocess.DEVNULL
                )
                time.sleep(random.uniform(0, whole))
                pull.kill()
                pull.wait()
                if not (folder / "cache").exists():
                    continue
                for repository in scan(folder).repos:
                    for revision in repository.revisions:
                        n_whole += 1
                        assert revision.nb_files == len(files) - 1, revision
                        # It is named after its snapshot is there, so it may have no branch yet.
                        runabout(folder, "verify", f"owner/killed@{revision.commit_hash}")
            HUB.pause = 0.0
            runabout(folder, "pull", "owner/killed")
            n_bytes = HUB.n_sent
            HUB.pause = 0.02
            runabout(folder, "verify", "owner/killed")
            scan(folder)
            # What is in a socket when the program is killed is lost, and nothing else.
            assert n_bytes < SIZE + (1 << 20), n_bytes
            assert json.loads(runabout(folder, "prune", "--yes", "--json"))["freed_bytes"] < SIZE
            runabout(folder, "verify", "owner/killed")
    HUB.pause = 0.0
    print(f"    killed {2 * n_kills} times within {whole:.1f} s, {n_whole} times after everything was there")


def main():
    wanted = sys.argv[1:]
    for test in (
        python_reads_what_runabout_fetched,
        runabout_reads_what_python_fetched,
        what_python_fetched_in_part_is_completed,
        python_resumes_nothing_of_ours_and_waits_for_no_lock,
        removals_leave_what_pythons_leave,
        shared_blobs_outlive_all_but_their_last_repository,
        pruning_repairs_what_python_refuses,
        pruning_removes_the_revisions_that_pythons_does,
        two_pulls_at_once_download_once,
        a_pull_that_is_killed_leaves_nothing_that_is_taken_for_whole,
    ):
        if not wanted or any(it in test.__name__ for it in wanted):
            test()
            print("ok ", test.__name__.replace("_", " "), flush=True)


main()
