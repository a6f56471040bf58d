import logging
import subprocess
import sys

from audiocodec.printing import printable


def test_only_what_steers_is_escaped():
    assert printable("a\tb\x1b[1m\r\n\x85\u2066é漢") == r"a\tb\x1b[1m\r\n\x85\u2066é漢"
    assert printable(b"caf\xe9".decode(errors="surrogateescape")) == r"caf\udce9"
    everything = "".join(map(chr, range(0x110000)))
    escaped = [char for char in everything if printable(char) != char]
    assert not any(char.isprintable() for char in escaped)
    assert printable(printable(everything)) == printable(everything)


LOGS = """
import logging
from audiocodec.printing import print_logs_plainly
print_logs_plainly()
logging.getLogger("audiocodec.x").warning("left out: %s", "a\\x1b[2J\\nb")
"""


def test_what_is_logged_is_escaped_too():
    told = subprocess.run([sys.executable, "-c", LOGS], capture_output=True, check=True).stderr
    assert told == b"left out: a\\x1b[2J\\nb\n"
    assert logging.lastResort.formatter is None  # not in this process: whoever imports us keeps his logging
