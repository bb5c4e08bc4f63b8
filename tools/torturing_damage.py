"""Bit flips, cuts and foreign content in every kind of file, for tools/torture."""

import resource
import shutil

from torturing import Workplace, refusal, run, shard_parts, weights_parts, words


class Damage:
    """What has a table, a random generator, options, and workplaces of undisturbed runs."""

    # MARK: Damage

    def damage(self, flips):
        """Damages one file of each kind, in each of its parts, and gives it to its reader."""
        for target in self.targets:
            place = Workplace(self.base, self.options.bin, f"damage-{target}")
            shutil.rmtree(place.path / "data")
            shutil.copytree(self.reference[target].path / "data", place.path / "data")
            seen = set()
            for title, path, parts, reader in self.victims(place):
                if title in seen:
                    continue
                seen.add(title)
                whole = path.read_bytes()
                for part, (low, high) in parts(whole).items():
                    for _ in range(flips):
                        if high <= low:
                            continue
                        position, bit = self.random.randrange(low, high), self.random.randrange(8)
                        data = bytearray(whole)
                        data[position] ^= 1 << bit
                        path.write_bytes(data)
                        problem = self.judge(path, reader)
                        self.table.add(f"bit flip: {title}, {part}", target, problem and
                                       f"{path.name} byte {position} bit {bit}: {problem}")
                    path.write_bytes(whole)
                for other in [whole[:self.random.randrange(max(1, len(whole)))], b"",
                              b"\x7fELF" + whole[4:]]:
                    path.write_bytes(other)
                    self.table.add(f"cut, emptied, foreign: {title}", target,
                                   self.judge(path, reader))
                path.write_bytes(whole)
            place.remove()

    def judge(self, path, reader):
        status, errors, names = reader()
        return refusal(status, errors, *names)

    def victims(self, place):
        """(kind of file, path, byte classes, reader) for one file of every kind."""
        chosen = {}
        for stage, identity in place.outputs():
            chosen.setdefault(stage, identity)
        consumers = {}
        for stage, identity in place.outputs():
            for name, source in place.config(stage, identity)["inputs"].items():
                consumers.setdefault((source["path"], name), (stage, identity))

        def consumer(stage, identity, output="out"):
            def read(names):
                shutil.rmtree(place.path / output, ignore_errors=True)
                status, _, errors = place.stage(
                    stage, identity, output, limits={resource.RLIMIT_AS: 8 << 30})
                return status, errors, names
            return read

        everything = lambda data: {"any byte": (0, len(data))}
        for (path, name), (stage, identity) in consumers.items():
            folder = place.path / path
            if not (folder / "index.json").exists():
                files = [folder] if folder.is_file() else sorted(folder.glob("*"))
                for file in files[:1]:
                    yield (f"{name} file", file, everything,
                           lambda read=consumer(stage, identity), names=[file.name, path]: read(names))
                continue
            for file in sorted(folder.glob("tokenizer.json")):
                yield ("trained tokenizer", file, everything,
                       lambda read=consumer(stage, identity), names=[file.name]: read(names))
            if stage == "report" and (folder / "metrics.jsonl").exists():
                yield ("metrics of a finished run", folder / "metrics.jsonl", everything,
                       lambda read=consumer(stage, identity), names=["metrics.jsonl"]: read(names))
            shards = sorted(folder.glob("*.shard"))
            if shards:
                yield (f"{folder.parent.name} shard", shards[-1], shard_parts,
                       lambda read=consumer(stage, identity), names=[shards[-1].name]: read(names))
            # Reports read a run's metrics, never its weights.
            snapshots = [] if stage == "report" else sorted(folder.glob("weights-*.safetensors"))
            for weights in snapshots[-1:]:
                yield ("weights", weights, weights_parts,
                       lambda read=consumer(stage, identity), names=[weights.name]: read(names))
            yield (f"{folder.parent.name} index", folder / "index.json", everything,
                   lambda read=consumer(stage, identity), names=["index.json"]: read(names))
            if stage == "report":
                yield ("evidence of an evaluation", folder / "evidence.json", words,
                       lambda read=consumer(stage, identity), names=["evidence.json"]: read(names))
        for stage, identity in chosen.items():
            config = place.path / "data/config" / stage / f"{identity}.json"

            def read(stage=stage, identity=identity):
                output = place.path / "again" / identity
                shutil.rmtree(output, ignore_errors=True)
                status, _, errors = place.stage(stage, identity, output)
                return status, errors, [f"{identity}.json", "data/", "/index.json", "/evidence.json"]
            yield f"{stage} configuration", config, words, read
        yield from self.resumed(place, chosen["train"])
        parameters = place.config("sample", chosen["sample"])["parameters"] \
            if "sample" in chosen else {}
        if "grammar" in parameters:
            grammar = place.path / parameters["grammar"]
            yield "grammar", grammar, everything, lambda: (
                *self.first_and_last(place.stage("sample", chosen["sample"], "out-sample")),
                [grammar.name])
        for path in sorted((place.path / "data/report").glob("*/*.json")):
            if path.name in ("index.json", "evidence.json"):
                continue
            yield "report output", path, everything, lambda path=path: (
                *self.first_and_last(run([f"{place.binaries}/ott-provenance", "verify"], place.path)),
                [path.name])

    def resumed(self, place, identity):
        """A stopped training run: its checkpoint, its metrics, an earlier snapshot."""
        output = place.path / "stopped" / identity
        steps = place.config("train", identity)["parameters"]["training"]["steps"]
        place.stage("train", identity, output, "--stop-after", str(steps - 2))
        copy = place.path / "stopped-copy"
        shutil.copytree(output, copy)

        def read(name):
            def go():
                damaged = (output / name).read_bytes()
                shutil.rmtree(output)
                shutil.copytree(copy, output)
                (output / name).write_bytes(damaged)
                status, _, errors = place.stage("train", identity, output)
                return status, errors, [name]
            return go
        for path in sorted(output.glob("*")):
            if path.name.startswith("evidence"):
                continue
            parts = weights_parts if path.suffix == ".safetensors" else \
                (lambda data: {"any byte": (0, len(data))})
            if path.name == "metrics.jsonl":
                # Lines beyond the checkpoint are cut off, whatever they hold.
                parts = lambda data: {"lines": (0, data.index(b"\n"))}
            kind = "snapshot of a stopped run" if path.name.startswith("weights") else path.name
            yield kind, path, parts, read(path.name)

    @staticmethod
    def first_and_last(result):
        return result[0], result[2]

    # MARK: Text files

    def texts(self, flips):
        """Corpora and tokenizers of the stage that reads them, plain and compressed."""
        place = Workplace(self.base, self.options.bin, "texts")
        folder = place.path / "text"
        folder.mkdir()
        lines = "".join(f'{{"text": "The {word} sat on mat number {i}."}}\n'
                        for i, word in enumerate(["cat", "rat", "bat", "hat"] * 40))
        (folder / "corpus.jsonl").write_text(lines)
        for program, suffix in [("gzip", "gz"), ("zstd", "zst")]:
            if shutil.which(program):
                run([program, "-k", "-q", "corpus.jsonl"], folder)
        tool = f"{self.options.bin}/ott-tokenize"
        for corpus in sorted(folder.glob("corpus.*")):
            tokenizer = folder / f"tokenizer-{corpus.suffix[1:]}"
            made = run([tool, "train", "--vocabulary", "300", "--output", str(tokenizer),
                        str(corpus)], place.path)
            configured = run([tool, "configure", "--tokenizer", f"{tokenizer}/tokenizer.json",
                              "--output", "data/config/tokenize", str(corpus)], place.path)
            if made[0] != 0 or configured[0] != 0:
                self.table.note(f"skipped {corpus.name}: {made[2]}{configured[2]}")
                continue
            identity = configured[1].strip().splitlines()[-1]
            for path, title in [(corpus, f"corpus{corpus.suffix}"),
                                (tokenizer / "tokenizer.json", "tokenizer.json")]:
                whole = path.read_bytes()
                for _ in range(flips):
                    data = bytearray(whole)
                    position = self.random.randrange(len(whole))
                    data[position] ^= 1 << self.random.randrange(8)
                    path.write_bytes(data)
                    shutil.rmtree(place.path / "out", ignore_errors=True)
                    status, _, errors = place.stage("tokenize", identity, "out")
                    self.table.add(f"bit flip: {title}", "text", refusal(status, errors, path.name))
                path.write_bytes(whole)
        place.remove()
