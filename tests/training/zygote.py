"""Starts ``nmt`` processes in no time: imports once, then forks a process for each line of standard input.

A line is a JSON object: the ``arguments`` of nmt, the file for its ``messages``, and the size in bytes of the
``largest_file`` it can write, or null. The answers are ``started PID`` and, when the process has ended,
``ended STATUS`` (its exit code, or the negative number of the signal that ended it).
"""

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
    if wanted["largest_file"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (wanted["largest_file"], wanted["largest_file"]))
    sys.argv = ["nmt", *wanted["arguments"]]
    try:
        nmt.__main__.main()
    except SystemExit as leaving:
        return leaving.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


for line in sys.stdin:
    pid = os.fork()
    if not pid:
        os._exit(become_nmt(json.loads(line)))
    print("started", pid, flush=True)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
