import os
import stat
import sys
import tempfile
import threading
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))
from writing import write, write_csv


class Writing(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_a_file_is_replaced_and_its_directory_made(self):
        path = self.folder / "new" / "table.csv"
        write(path, "older")
        write_csv(path, [["a", "b"], [1, "x, y"]])
        self.assertEqual(path.read_bytes(), b'a,b\n1,"x, y"\n')
        self.assertEqual(os.listdir(path.parent), ["table.csv"])

    def test_a_link_stays(self):
        (self.folder / "link").symlink_to("real")
        for text in ("made", "replaced"):
            write(self.folder / "link", text)
            self.assertEqual((self.folder / "real").read_text(), text)
        self.assertTrue((self.folder / "link").is_symlink())

    def test_a_pipe_is_written_through(self):
        pipe, got = self.folder / "pipe", []
        os.mkfifo(pipe)
        reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
        reader.start()
        write(pipe, b"x" * 300_000)
        reader.join()
        self.assertEqual(got, [b"x" * 300_000])
        self.assertTrue(stat.S_ISFIFO(os.lstat(pipe).st_mode))

    def test_what_fails_leaves_nothing(self):
        write(self.folder / "file", "older")
        with self.assertRaises(IsADirectoryError):
            write(self.folder, "x")
        with self.assertRaises(TypeError):
            write(self.folder / "file", 7)
        self.assertEqual((self.folder / "file").read_text(), "older")
        self.assertEqual(os.listdir(self.folder), ["file"])


if __name__ == "__main__":
    unittest.main()
