"""Whether `swift build` runs is decided by the content of the sources, and it ends."""

import os
import shutil
import signal
import subprocess
import time
import unittest

from checkout import BIN, FAR_OFF, LONG_AGO, PLACE, Checkout

# Counts its calls, and builds what a test gives it: copies of finished executables.
SWIFT = """\
#!/bin/bash
echo "$*" >>"$SWIFT_LOG"
[ ! -e "$SWIFT_HOOK" ] || . "$SWIFT_HOOK"
mkdir -p .build/release
for name in ott-plan ott-train; do cp "$SWIFT_BUILT/$name" .build/release/; done
"""
STALE = "Sources/Room/Stale.swift"


class Builds(unittest.TestCase):
    def setUp(self):
        self.place = Checkout()
        self.addCleanup(self.place.remove)
        self.place.write("Package.swift", "// package")
        self.place.write("Sources/Room/Room.swift", "let room = 1")
        self.place.write(STALE, "let stale = 1")
        self.log, self.hook = self.place.base / "log", self.place.base / "hook"
        tools = self.place.base / "tools"
        tools.mkdir()
        (tools / "swift").write_text(SWIFT)
        (tools / "swift").chmod(0o755)
        self.environment = {
            "PATH": f"{tools}:{os.environ['PATH']}", "SWIFT_LOG": str(self.log),
            "SWIFT_HOOK": str(self.hook), "SWIFT_BUILT": str(BIN)}
        self.assertEqual(self.make("build").returncode, 0)
        self.assertEqual(self.builds(), 1)

    def make(self, *goals, **options):
        return self.place.run("make", "PRESET=tiny", *goals, environment=self.environment, **options)

    def builds(self):
        """How often swift was called since the last look."""
        count = len(self.log.read_text().splitlines()) if self.log.exists() else 0
        self.log.unlink(missing_ok=True)
        return count

    def assert_builds_once(self, *goals):
        for expected in [1, 0, 0]:
            result = self.make(*(goals or ["build"]), timeout=30)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(self.builds(), expected, result.stdout + result.stderr)

    def test_nothing_changed(self):
        for time in [LONG_AGO, FAR_OFF, None]:
            for path in [*self.place.path.rglob("*.swift"), self.place.path / "Makefile"]:
                os.utime(path, None if time is None else (time, time))
            for goal in ["build", "plan"]:
                self.assertEqual(self.make(goal).returncode, 0)
                self.assertEqual(self.builds(), 0)

    def test_what_must_build(self):
        place = self.place.path
        binary = place / ".build/release/ott-train"
        changes = {
            "changed": lambda: self.place.write(STALE, "let stale = 2"),
            "older": lambda: self.place.write(STALE, "let stale = 3", LONG_AGO),
            "future": lambda: self.place.write(STALE, "let stale = 4", FAR_OFF),
            "deleted": lambda: (place / STALE).unlink(),
            "added": lambda: self.place.write(STALE, "let stale = 4", LONG_AGO),
            "renamed": lambda: (place / STALE).rename(place / "Sources/Room/New.swift"),
            "odd name": lambda: self.place.write("Sources/Room/it's a\n$new #1.swift", "1"),
            "its content": lambda: self.place.write("Sources/Room/it's a\n$new #1.swift", "2"),
            "header": lambda: self.place.write("Sources/CRoom/include/CRoom.h", "int room;"),
            "manifest": lambda: self.place.write("Package.swift", "// other"),
            "linked": lambda: (place / "Sources/Link").symlink_to(self.place.base / "tools"),
            "link's content": lambda: (self.place.base / "tools/x.swift").write_text("1"),
            "executable gone": lambda: binary.unlink(),
            "executable of another build": lambda: shutil.copy(BIN / "ott-train", binary),
            "build gone": lambda: shutil.rmtree(place / ".build"),
        }
        for name, change in changes.items():
            with self.subTest(name):
                change()
                self.assert_builds_once()

    def test_a_figure_builds_first(self):
        self.place.write(STALE, "let stale = 2", FAR_OFF)
        self.assert_builds_once("-n", "figure2")
        (self.place.path / ".build/release/ott-plan").unlink()
        self.assert_builds_once("-n", "figure2")

    def test_a_file_of_the_future_does_not_build_for_ever(self):
        for path in [STALE, PLACE, "pipeline/figure2.yaml", "Makefile"]:
            os.utime(self.place.path / path, (FAR_OFF, FAR_OFF))
        result = self.make("-n", "figure2", timeout=30)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.builds(), 0)

    def test_other_flags(self):
        for expected in [1, 0]:
            result = self.make("build", "BUILD_FLAGS=-c release -Xcc -march=x86-64-v3")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(self.builds(), expected)
        self.assert_builds_once()

    def test_a_build_that_fails_counts_for_nothing(self):
        self.place.write(STALE, "let stale = 2")
        self.hook.write_text("echo 'error: no such thing' >&2; exit 1\n")
        for goals in [["build"], ["-n", "figure2"], ["plan"]]:
            result = self.make(*goals)
            self.assertEqual(result.returncode, 2)
            self.assertIn("error: no such thing", result.stderr)
            self.assertEqual(self.builds(), 1)
        # The executables may be of either: the way back builds too.
        self.place.write(STALE, "let stale = 1")
        self.hook.unlink()
        self.assert_builds_once()

    def test_a_build_that_is_killed_counts_for_nothing(self):
        self.place.write(STALE, "let stale = 2")
        self.hook.write_text("kill -9 $PPID\n")
        self.assertEqual(self.make("build").returncode, 2)
        self.builds()
        self.hook.unlink()
        self.place.write(STALE, "let stale = 1")
        self.assert_builds_once()

    def test_an_interrupt_ends_make(self):
        for goal in ["build", "figure2"]:
            self.place.write(STALE, f"let stale = \"{goal}\"")
            began = self.place.base / f"began-{goal}"
            self.hook.write_text(f": >{began}; exec sleep 60\n")
            make = subprocess.Popen(
                ["make", "PRESET=tiny", goal], cwd=self.place.path, start_new_session=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={**os.environ, **self.environment})
            while not began.exists():
                time.sleep(0.01)
            os.killpg(make.pid, signal.SIGINT)
            self.assertNotEqual(make.wait(timeout=30), 0)
            self.assertFalse((self.place.path / "data/plan").exists())
        self.hook.unlink()
        self.builds()
        self.assert_builds_once()

    def test_sources_that_change_while_they_are_built(self):
        self.place.write(STALE, "let stale = 2")
        self.hook.write_text(f"echo 'let stale = 3' >{STALE}\n")
        self.assertEqual(self.make("build").returncode, 0)
        self.assertEqual(self.builds(), 1)
        self.hook.unlink()
        self.assert_builds_once()

    def test_two_makes_at_once(self):
        self.place.write(STALE, "let stale = 2")
        command = ["make", "PRESET=tiny", "build"]
        makes = [subprocess.Popen(command, cwd=self.place.path, stdout=subprocess.DEVNULL,
                                  env={**os.environ, **self.environment}) for _ in range(3)]
        self.assertEqual([make.wait(timeout=30) for make in makes], [0, 0, 0])
        self.assertEqual(self.builds(), 1)

    def test_executables_that_are_given_are_not_built(self):
        self.place.write(STALE, "let stale = 2")
        self.assertEqual(self.make("plan", f"BIN={BIN}").returncode, 0)
        self.assertEqual(self.builds(), 0)


class Dependencies(unittest.TestCase):
    """tools/install-dependencies on machines where something is missing."""

    def setUp(self):
        self.place = Checkout()
        self.addCleanup(self.place.remove)
        self.tools = self.place.base / "tools"
        self.tools.mkdir()
        for name in ["bash", "env", "swift", "git", "python3", "gnuplot", "true"]:
            found = shutil.which(name)
            if found:
                (self.tools / name).symlink_to(found)
        # Missing: zlib.
        self.script("pkg-config", 'case "$*" in *zlib*) [ -e "$INSTALLED" ];; esac')
        self.script("swift", "true")

    def script(self, name, text):
        path = self.tools / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def install(self):
        return self.place.run("tools/install-dependencies", environment={
            "PATH": str(self.tools), "INSTALLED": str(self.place.base / "installed"),
            "LOG": str(self.place.base / "log")})

    def test_without_leave_the_line_to_type_is_named(self):
        self.script("id", "echo 1000")
        self.script("apt-get", "exit 9")
        self.script("sudo", "exit 1")
        result = self.install()
        self.assertEqual(result.returncode, 1)
        self.assertIn("Type: sudo apt-get update && sudo apt-get install --yes "
                      "--no-install-recommends zlib1g-dev", result.stderr)

    def test_another_system(self):
        self.script("id", "echo 0")
        result = self.install()
        self.assertEqual(result.returncode, 1)
        self.assertIn("missing: zlib1g-dev (Debian names)", result.stderr)

    def test_missing_lists_are_fetched(self):
        self.script("id", "echo 0")
        self.script("apt-get", 'echo "$1" >>"$LOG"; [ "$1" = update ] || grep -q update "$LOG" && '
                    ': >"$INSTALLED"')
        (self.tools / "grep").symlink_to(shutil.which("grep"))
        result = self.install()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((self.place.base / "log").read_text().split(),
                         ["install", "update", "install"])
        self.assertEqual(self.install().returncode, 0)

    def test_lists_that_are_there_are_not_fetched(self):
        self.script("id", "echo 1000")
        self.script("sudo", 'shift; exec "$@"')
        self.script("apt-get", 'echo "$1 $DEBIAN_FRONTEND" >>"$LOG"; : >"$INSTALLED"')
        result = self.install()
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((self.place.base / "log").read_text(), "install noninteractive\n")


if __name__ == "__main__":
    unittest.main()
