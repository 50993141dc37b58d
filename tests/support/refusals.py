"""What a command that refuses something says."""

import subprocess


def refused(done: "subprocess.CompletedProcess[str]", *expected: str) -> None:
    """The last two lines of stderr are a message and its remedy, which say what is expected; there is no output.

    A usage that is wrong has the remedy, how to get help, before the message.
    """
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    *before, message, remedy = sorted(done.stderr.splitlines(), key=lambda line: line.startswith("Try 'nmt"))
    assert message.startswith("Error: ")
    assert remedy
    assert not any(line.startswith("Error: ") for line in before)
    for text in expected:
        assert text in done.stderr
