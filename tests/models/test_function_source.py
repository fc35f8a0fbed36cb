"""The digest of a function: its own file and what it imports beside it, wherever the folder lies."""

from __future__ import annotations

import importlib
import shutil

import pytest

from evalkit.models.function_source import source_digest

FILES = {
    "part_of_mine.py": "SIZE = 3\n",
    "inner_of_mine/__init__.py": "from . import deep\n",
    "inner_of_mine/deep.py": "VALUE = 1\n",
    "unused_by_mine.py": "X = 1\n",
    "mine_digested.py": (
        "import functools\n"
        "import numpy\n"
        "from inner_of_mine import deep\n\n\n"
        "def plain(image, expression):\n    import part_of_mine\n    return part_of_mine.SIZE\n\n\n"
        "class Callable:\n    def __call__(self, image, expression):\n        return None\n\n\n"
        "thing = Callable()\n"
        "partial = functools.partial(plain)\n"
    ),
}


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    """Return the digest of a name of the module above."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("mine_digested")
    yield lambda name: source_digest(getattr(module, name), tmp_path)
    for name in ("mine_digested", "inner_of_mine", "inner_of_mine.deep", "part_of_mine"):
        importlib.sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["plain", "thing", "partial", "Callable"])
@pytest.mark.parametrize("file", ["mine_digested.py", "part_of_mine.py", "inner_of_mine/deep.py"])
def test_every_file_counts(digest_of, tmp_path, name, file):
    """Also one that is imported inside the function, and one in a package; callable objects and partials too."""
    before = digest_of(name)
    (tmp_path / file).write_text(FILES[file] + "\n# edited\n")
    assert digest_of(name) != before


def test_what_is_not_imported_counts_nothing(digest_of, tmp_path):
    """A file beside it may change, and the whole folder may move."""
    before = digest_of("plain")
    (tmp_path / "unused_by_mine.py").write_text("X = 2\n")
    assert digest_of("plain") == before


def test_a_function_without_a_file_is_told_by_its_name(tmp_path):
    """Built-in ones and extension modules have no Python file."""
    assert source_digest(len, tmp_path) == "builtins:len"


def test_a_moved_folder_keeps_its_digest(tmp_path, monkeypatch):
    """Only contents count, not paths."""
    digests = []
    for home in ("a", "b"):
        folder = tmp_path / home
        folder.mkdir()
        (folder / "moved_of_mine.py").write_text("def f(image, expression):\n    return None\n")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            module = importlib.import_module("moved_of_mine")
            digests.append(source_digest(module.f, folder))
            del importlib.sys.modules["moved_of_mine"]
        shutil.rmtree(folder)
    assert digests[0] == digests[1]
