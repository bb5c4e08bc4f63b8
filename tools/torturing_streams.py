"""Standard streams and outputs that are no files, under every stage, for tools/torture."""

import os
import shutil
import stat
import subprocess

from torturing import HANG, clean, content, refusal


class Streams:
    """What has a table, options, and workplaces of undisturbed runs."""

    def streams(self):
        """Every stage with a standard stream that is full, closed or broken: its files are whole."""
        faults = {"full": "{0}>/dev/full", "closed": "{0}>&-", "broken": "{0}>&7"}
        for target in self.targets:
            place, chosen = self.reference[target], {}
            for stage, identity in place.outputs():
                chosen.setdefault(stage, identity)
            for stage, identity in chosen.items():
                want = content(place.path / "data" / stage / identity)
                for fault, redirection in faults.items():
                    for number, stream in [(1, "output"), (2, "errors")]:
                        output = self.base / "streams" / identity
                        status, errors = self.shell(
                            place, f"'{place.binaries}/ott-{stage}' --config "
                            f"data/config/{stage}/{identity}.json --output '{output}' --threads 1 "
                            + redirection.format(number))
                        # What a stage says on its errors' stream nobody must hear, and a listener
                        # may leave.
                        problem = refusal(status, errors, "standard output") \
                            if number == 1 and fault != "broken" else \
                            None if status == 0 else f"status {status}: {errors[-300:]}"
                        if not (output / "index.json").exists() or content(output) != want:
                            problem = problem or "other bytes, or not whole"
                        self.table.add(f"standard {stream} {fault}", target,
                                       problem and f"{stage}: {problem}")
                        shutil.rmtree(self.base / "streams", ignore_errors=True)
        self.special_files()

    def special_files(self):
        """An export to a link, a pipe and a descriptor: they stay what they are, and get the bytes."""
        target = self.targets[0]
        place = self.reference[target]
        identity = next(identity for stage, identity in place.outputs() if stage == "tokenize")
        folder = self.base / "special"
        folder.mkdir()
        export = f"'{place.binaries}/ott-shards' export data/tokenize/{identity} --to npy -o "
        plain = folder / "plain.npy"
        status, errors = self.shell(place, f"{export}'{plain}'")
        assert status == 0, errors
        want = plain.read_bytes()
        (folder / "link").symlink_to("linked.npy")
        os.mkfifo(folder / "pipe")
        (folder / "descriptor").symlink_to("/proc/self/fd/9")
        cases = {
            "link": (f"{export}'{folder}/link'", "linked.npy", stat.S_IFLNK),
            "pipe": (f"cat '{folder}/pipe' >'{folder}/piped.npy' & {export}'{folder}/pipe' && wait $!",
                     "piped.npy", stat.S_IFIFO),
            "descriptor": (f"{export}'{folder}/descriptor' 9>'{folder}/nine.npy'", "nine.npy",
                           stat.S_IFLNK),
        }
        for name, (command, result, kind) in cases.items():
            status, errors = self.shell(place, command)
            problem = None if status == 0 else f"status {status}: {errors[-300:]}"
            if stat.S_IFMT(os.lstat(folder / name).st_mode) != kind:
                problem = problem or "is something else now"
            if not problem and (folder / result).read_bytes() != want:
                problem = "other bytes"
            self.table.add(f"output is a {name}", target, problem)
        # Into its own source: refused, and the source is as it was.
        source = place.path / "data/tokenize" / identity
        before = content(source)
        for name in ("00000.shard", "index.json", "new"):
            status, errors = self.shell(place, f"{export}'{source}/{name}'")
            problem = refusal(status, errors, "cannot be the output")
            self.table.add("output inside its input", target, problem or (
                None if content(source) == before else "the input was changed"))
        shutil.rmtree(folder)

    @staticmethod
    def shell(place, command):
        """Runs a line of bash whose descriptor 7 is a pipe that nobody reads: status, errors."""
        reader, writer = os.pipe()
        os.close(reader)
        process = subprocess.Popen(
            ["bash", "-c", f"exec 7>&{writer} {writer}>&-; {command}"], cwd=place.path, env=clean(),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            pass_fds=[writer], text=True)
        os.close(writer)
        try:
            errors = process.communicate(timeout=HANG)[1]
            return process.returncode, errors
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None, "hang"
