"""Starts ``nmt`` processes in no time: imports once, then forks a process for each that is asked for.

Each line of standard input is a JSON object, and each is answered by a line with a number:

- ``{"arguments": […], "messages": FILE, "largest_file": BYTES or null, "environment": {…}, "before": CODE}`` starts nmt
  after it has run the code; its PID
- the same with ``"through": FILE``: a process between starts it, as torchrun does, and writes the PID of nmt there; the
  PID of the process between
- ``{"wait": PID}``: its exit code, or the negative number of the signal that ended it
"""

import ctypes
import json
import os
import resource
import signal
import sys
import traceback

import nmt.__main__
import nmt.cli.train
import nmt.training.run  # imported here so that the processes don't have to


def become_nmt(wanted: dict) -> int:
    """Run the program in this process; its exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(wanted["messages"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.environ.update(wanted["environment"])
    if wanted["largest_file"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wanted["largest_file"], wanted["largest_file"]))
    sys.argv = ["nmt", *wanted["arguments"]]
    exec(wanted["before"], {})
    try:
        nmt.__main__.main()
    except SystemExit as leaving:
        return leaving.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def start(wanted: dict) -> int:
    """Fork; the PID of the child."""
    pid = os.fork()
    if not pid:
        if "through" in wanted:
            file = wanted.pop("through")
            with open(f"{file}.new", "w") as stream:
                stream.write(str(start(wanted)))
            os.rename(f"{file}.new", file)
            signal.pause()
        os._exit(become_nmt(wanted))
    return pid


# Processes whose parent has ended become children of this one, which can wait for them.
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
for line in sys.stdin:
    asked = json.loads(line)
    if "wait" in asked:
        answer = os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1])
    else:
        answer = start(asked)
    print(answer, flush=True)
