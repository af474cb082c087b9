"""Runs pip until it is done or standard input is closed.

Standard input is a pipe from the program that needs the wheel. However that program ends, the pipe closes; then pip ends
too, and its scratch folder, the first argument, is deleted. The other arguments are pip's.
"""

import sys

# The working directory may be a project with a file `pip.py`.
if sys.path and sys.path[0] == "":
    del sys.path[0]

import os
import runpy
import shutil
import threading

is_abandoned = threading.Event()


def watch(scratch):
    while os.read(0, 1024):
        pass
    is_abandoned.set()
    # The other thread may still be creating files.
    for _ in range(100):
        shutil.rmtree(scratch, ignore_errors=True)
        if not os.path.exists(scratch):
            break
    os._exit(1)


watcher = threading.Thread(target=watch, args=(sys.argv[1],), daemon=True)
watcher.start()
sys.argv[:] = ["pip", *sys.argv[2:]]
try:
    runpy.run_module("pip", run_name="__main__", alter_sys=True)
finally:
    if is_abandoned.is_set():
        watcher.join()
