"""Runs pip for as long as somebody holds the other end of standard input.

Whichever way the program that wants the wheel ends, that pipe closes: pip ends too, and its scratch folder, the first
argument, goes. The other arguments are pip's.
"""

import sys

# The folder that the program was started in may be a project with a `pip.py` of its own.
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
