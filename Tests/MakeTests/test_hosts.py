"""tools/hosts-here: hosts of a network of their own on this machine, and ranks on them."""

import csv
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from checkout import BIN, PROJECT

TOOL = PROJECT / "tools/hosts-here"


def hosts(*words, **more):
    environment = {key: value for key, value in os.environ.items() if key != "DELAY"} | more.pop("environment", {})
    return subprocess.run([TOOL, *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120,
                          env=environment, **more)


def lacking():
    """Why there can be no hosts here; None where there can."""
    done = hosts(1, "1gbit", "true")
    return done.stderr.strip() if done.returncode else None


class Refused(unittest.TestCase):
    def assert_one_error(self, done, *words):
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_what_it_cannot_read(self):
        self.assert_one_error(hosts(2, "1gbit"), "usage: ")
        self.assert_one_error(hosts(0, "1gbit", "true"), "usage: ")
        for rate in ("fast", "1", "1..2gbit", "0gbit", "-1gbit"):
            self.assert_one_error(hosts(2, rate, "true"), "error: hosts: expected a rate such as 1gbit", f"'{rate}'")
        self.assert_one_error(hosts(2, "1gbit", "true", environment={"DELAY": "long"}), "expected a DELAY such as 50us")

    @unittest.skipIf(os.geteuid() != 0, "only root can become another user")
    def test_another_user_than_root(self):
        self.assert_one_error(hosts(2, "1gbit", "true", user=65534, group=65534, extra_groups=[]), "expected root")

    def test_without_iproute2(self):
        tool = TOOL.read_text().replace("/usr/sbin:/sbin", "/nowhere")
        done = subprocess.run([sys.executable, "-c", tool, "2", "1gbit", "true"], capture_output=True, text=True,
                              env={"PATH": "/nowhere"})
        self.assert_one_error(done, "expected ip, found none", "apt-get install iproute2")


    @unittest.skipIf(os.geteuid() != 0, "only root comes as far")
    def test_namespaces_that_are_refused(self):
        self.assert_one_error(self.with_program("unshare", "echo unshare failed: no >&2; exit 1"),
                              "expected namespaces, found unshare failed: no", "--privileged")

    @unittest.skipIf(os.geteuid() != 0, "only root comes as far")
    def test_a_kernel_that_shapes_nothing(self):
        done = self.with_program("tc", "echo Error: Specified qdisc kind is unknown. >&2; exit 2")
        if "expected namespaces" in done.stderr:
            self.skipTest(done.stderr.strip())
        self.assert_one_error(done, "expected a kernel that shapes bandwidth (sch_tbf), found Error: Specified")

    def with_program(self, name, text):
        """A call that finds this program before the machine's own."""
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / name
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o755)
            return hosts(2, "1gbit", "true", environment={"PATH": f"{folder}:{os.environ['PATH']}"})


class Hosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if problem := lacking():
            # A quiet run says nothing of what it skips.
            print(f"ranks on several hosts are not tested: {problem}", file=sys.stderr)
            raise unittest.SkipTest(problem)

    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = Path(place.name)
        patch = mock.patch.dict(os.environ, TMPDIR=place.name)
        patch.start()
        self.addCleanup(patch.stop)
        self.before = self.outside()

    def tearDown(self):
        self.assertEqual(self.outside(), self.before)

    def outside(self):
        """What others see of names, links and namespaces."""
        return (Path("/etc/hosts").read_bytes(), sorted(os.listdir("/sys/class/net")), sorted(self.place.glob("hosts-here.*")),
                sorted(os.readlink("/proc/self/ns/" + name) for name in ("net", "uts", "mnt")))

    def test_each_has_its_name_and_address(self):
        done = hosts(2, "1gbit", "sh", "-c", "hostname; getent hosts host1; ip -o -4 address show eth0")
        self.assertEqual(done.returncode, 0, done.stderr)
        name, other, address = done.stdout.splitlines()
        self.assertEqual((name, other.split()), ("host0", ["10.117.0.2", "host1"]))
        self.assertIn("10.117.0.1/24", address)

    def test_links_have_the_rate(self):
        done = hosts(2, "300mbit", "tc", "qdisc", "show", "dev", "eth0")
        self.assertRegex(done.stdout, r"qdisc tbf 1: root .*rate 300Mbit")

    def test_a_delay_is_there_or_said_to_be_missing(self):
        done = hosts(2, "1gbit", "tc", "qdisc", "show", "dev", "eth0", environment={"DELAY": "3ms"})
        self.assertEqual(done.returncode, 0, done.stderr)
        if done.stderr:
            self.assertRegex(done.stderr, r"\Ahosts: bandwidth alone is shaped: no delay by netem \(.*\)\n\Z")
        else:
            self.assertRegex(done.stdout, "netem .*delay 3")

    def test_the_command_says_how_it_ends(self):
        self.assertEqual(hosts(1, "1gbit", "sh", "-c", "exit 7").returncode, 7)
        self.assertEqual(hosts(1, "1gbit", "sh", "-c", "kill -KILL $$").returncode, 137)

    def test_a_signal_reaches_the_command(self):
        for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
            with self.subTest(number):
                process = subprocess.Popen([TOOL, "2", "1gbit", "sh", "-c", "echo up; exec sleep 60"], text=True,
                                           stdout=subprocess.PIPE, start_new_session=True)
                self.assertEqual(process.stdout.readline(), "up\n")
                began = time.monotonic()
                # As a terminal does for Ctrl-C, and as whoever ends one process does.
                (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
                self.assertEqual(process.wait(), status)
                self.assertLess(time.monotonic() - began, 30)
                process.stdout.close()

    def test_ranks_on_two_hosts_change_no_bit(self):
        if subprocess.run([PROJECT / "tools/build-mpi", BIN], capture_output=True).returncode:
            self.skipTest("no MPI: apt-get install libopenmpi-dev openmpi-bin")
        work = [BIN / "ott-bench", "ranks", "--layers", "1", "--width", "32", "--length", "16", "--batch", "4", "--lanes", "4",
                "--threads", "1", "--steps", "2", "--rows", "0,701", "--messages", ""]
        losses = lambda text: [(row["what"], row["size"], row["loss"]) for row in csv.DictReader(text.splitlines())]
        alone = subprocess.run(list(map(str, work)), capture_output=True, text=True)
        self.assertEqual(alone.returncode, 0, alone.stderr)
        expected = losses(alone.stdout)
        self.assertEqual([row[0] for row in expected], ["dense", "sharded", "replicated"])
        for library in sorted((BIN / "mpi").glob("*.so")):
            launcher = f"mpirun.{library.stem}"
            if library.stem not in ("openmpi", "mpich") or subprocess.run(["which", launcher], capture_output=True).returncode:
                continue
            with self.subTest(library.stem):
                where = hosts(2, "1gbit", PROJECT / "tools/ranks", 2, "hostname", environment={"MPIRUN": launcher})
                self.assertEqual(sorted(re.findall("host[0-9]", where.stdout)), ["host0", "host1"], where.stderr)
                done = hosts(2, "1gbit", PROJECT / "tools/ranks", 2, *work, "--ranks", "2", environment={"MPIRUN": launcher})
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(losses(done.stdout), expected)
                self.assert_that_a_stopped_rank_ends_all(launcher)

    def assert_that_a_stopped_rank_ends_all(self, launcher):
        """Rank 1 stops itself on another host; a launcher that waits for it would do so for ever."""
        work = [str(BIN / "ott-bench"), "ranks", "--layers", "2", "--width", "256", "--length", "16", "--batch", "4",
                "--threads", "1", "--steps", "100000", "--messages", ""]
        # Three seconds after it is what it is: both have met, however long the launcher took. (By the file that it
        # runs: the name of a process may change.)
        script = '''[ "$(hostname)" = host0 ] || (
          while kill -0 $$ 2>/dev/null; do
            case $(readlink /proc/$$/exe) in */ott-bench) sleep 3; kill -STOP $$; break ;; esac
            sleep 0.1
          done) & exec "$@"'''
        began = time.monotonic()
        done = hosts(2, "1gbit", PROJECT / "tools/ranks", 2, "sh", "-c", script, "sh", *work,
                     environment={"MPIRUN": launcher})
        self.assertEqual(done.returncode, 1, done.stderr)
        errors = [line for line in done.stderr.splitlines() if line.startswith("error:")]
        self.assertEqual(len(errors), 1, done.stderr)
        self.assertRegex(errors[0], "^error: rank 1 .* on host1.* sent no sign of life")
        self.assertLess(time.monotonic() - began, 60)


if __name__ == "__main__":
    unittest.main()
