"""Text out of the forms of packages, and what held-out text shares with training text: tools/corpus_text.py."""

import struct
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import corpus_text


class CorpusTextTests(unittest.TestCase):
    def test_pages_lose_all_but_prose(self):
        markup = """<html><head><title>no</title></head><body><nav>menu</nav>
            <h1>A <em>short</em>&nbsp;story</h1><!-- <p>no --><p>It
            begins &amp; ends.</p><script>if (a < b) { no }</script>
            <table><tr><td>1<table><tr><td>2</td></tr></table></td></tr></table>
            <pre>code</pre><ul><li>one<li>two</ul></body></html>"""
        self.assertEqual(corpus_text.page(markup), "A short story\nIt begins & ends.\none\ntwo")

    def test_boilerplate_is_left_out(self):
        pages = [f"A line on every page\nLine number {number} is unlike all\nMenu" for number in range(9)]
        self.assertEqual(list(corpus_text.without_boilerplate(pages)),
                         [f"Line number {number} is unlike all" for number in range(9)])

    def test_manual_pages(self):
        source = ('.\\" comment\n.TH A 1\n.SH NAME\na \\- does\n.BR "a thing" (1)\n.PP\n.nf\ncode\n.fi\n'
                  "It\\(aqs \\fBbold\\fP\nand goes on.\n")
        self.assertEqual(corpus_text.man(source), "NAME\na - does a thing(1)\nIt's bold and goes on.")

    def test_accents_of_webster(self):
        self.assertEqual(corpus_text.accents("calorif[`e]re, [ae]on, 0[deg], k[u^]n, [L. calor]"),
                         "calorifère, æon, 0°, kŭn, [L. calor]")

    def test_chapters_of_a_sword_module(self):
        first = b'<chapter n="1" osisID="A.1" sID="A.1"/>'
        entries = [first, b"<p>one<note>no</note></p>", b"two &amp; three", first.replace(b"1", b"2"), b"four"]
        book = b"".join(entries)
        places, start = [], 0
        for entry in entries:
            places.append(struct.pack("<IIH", 0, start, len(entry)))
            start += len(entry)
        # The second entry stands for two verses; a verse without text has no size.
        places[2:2] = [places[1], struct.pack("<IIH", 0, 0, 0)]
        with tempfile.TemporaryDirectory() as folder:
            testament = Path(folder) / "ot"
            data = zlib.compress(book)
            testament.with_suffix(".bzz").write_bytes(data)
            testament.with_suffix(".bzs").write_bytes(struct.pack("<III", 0, len(data), len(book)))
            testament.with_suffix(".bzv").write_bytes(b"".join(places))
            chapters = [text for text in corpus_text.sword_chapters(testament) if text]
        self.assertEqual(chapters, ["one\ntwo & three", "four"])

    def test_entries_of_a_dictionary(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "d.dict.dz").write_bytes("ab\u00e4\ncd\n".encode())
            # Two words lead to one entry; words that begin with 00 are about the book.
            (Path(folder) / "d.index").write_text("00info\tA\tA\nb\tA\tF\na\tA\tF\nc\tF\tD\n")
            self.assertEqual(list(corpus_text.dictd_entries(Path(folder), "d", bytes)), ["abä\n", "cd\n"])

    def test_strings_of_r(self):
        words = ["", "naïve"]
        body = struct.pack(">ii", 16, len(words))
        for word in words:
            body += struct.pack(">ii", 9, len(word.encode())) + word.encode()
        self.assertEqual(corpus_text.r_strings(b"X\n" + struct.pack(">iii", 2, 0, 0) + body), words)
        self.assertEqual(
            corpus_text.r_strings(b"X\n" + struct.pack(">iiii", 3, 0, 0, 5) + b"UTF-8" + body), words)

    def test_overlaps(self):
        words = [f"w{number}" for number in range(40)]
        training = "Before it, " + " ".join(words[10:25]).upper()
        known = set(corpus_text.grams(training)[1])
        documents = [" ".join(words), "nothing of it " * 20, "short"]
        touched, covered = corpus_text.overlaps(documents, known)
        self.assertEqual(touched, 1 / 3)
        self.assertEqual(covered, 15 / (40 + 60 + 1))
        self.assertEqual(corpus_text.overlaps([" ".join(words[:22])], known), (0, 0))
        self.assertEqual(corpus_text.overlaps([" ".join(words[:23])], known), (1, 13 / 23))


if __name__ == "__main__":
    unittest.main()
