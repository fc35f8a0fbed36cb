"""Where annotation files and photographs lie, and complaints that say what was found instead.

A location is a local path or an fsspec URL (``gs://bucket/refcoco``), as text.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit.config.schema import DatasetConfig
from evalkit.errors import ConfigError, DataError, nearest

SHOWN_ENTRIES = 8
"""How many names of a folder an error message lists."""


def is_url(location: str) -> bool:
    """Tell whether a location is an fsspec URL rather than a local path."""
    return "://" in location


def place(directory: Path | str, location: str) -> str:
    """Return ``location`` as it is where absolute or a URL, else inside ``directory``."""
    local = str(Path(location).expanduser()) if location.startswith("~") else location
    return local if is_url(local) or Path(local).is_absolute() else join(str(directory), local)


def join(folder: str, *parts: str) -> str:
    """Return a location inside ``folder``; an absolute last part stands for itself."""
    if is_url(folder):
        return "/".join([folder.rstrip("/"), *(part for part in parts if part != ".")])
    return os.path.normpath(os.path.join(folder, *parts))  # noqa: PTH118  (pathlib is 20 times slower here)


def is_file(location: str) -> bool:
    """Tell whether a file lies at ``location``."""
    if not is_url(location):
        try:
            return os.path.isfile(location)  # noqa: PTH113  (pathlib is 5 times slower here)
        except (OSError, ValueError):  # a name that no file can have: too long, a NUL, half a character
            return False
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(location)
        return bool(filesystem.isfile(path))
    except (OSError, ValueError, NotImplementedError, ImportError) as error:
        raise DataError(
            f"{location!r:.200} cannot be opened: {error}. A file inside an archive is written "
            "zip://MEMBER::/full/path/of/archive.zip; or unpack the archive"
        ) from error


def names_in(folder: str) -> list[str] | None:
    """Return the sorted names inside a folder, or None where there is no such folder."""
    if not is_url(folder):
        local = Path(folder)
        return sorted(entry.name for entry in local.iterdir()) if local.is_dir() else None
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(folder)
    if not filesystem.isdir(path):
        return None
    return sorted(name.rstrip("/").rsplit("/", 1)[-1] for name in filesystem.ls(path, detail=False))


def what_is_in(folder: str) -> str:
    """Return words for an error: what a folder holds, or that it does not exist."""
    names = names_in(folder)
    if names is None:
        return f"there is no folder {folder}"
    if not names:
        return f"{folder} is empty"
    more = f" and {len(names) - SHOWN_ENTRIES} more" if len(names) > SHOWN_ENTRIES else ""
    return f"{folder} holds {', '.join(names[:SHOWN_ENTRIES])}{more}"


def read_bytes(location: str) -> bytes:
    """Return a file's bytes. Raises ``DataError`` where it cannot be read."""
    try:
        if not is_url(location):
            return Path(location).read_bytes()
        import fsspec

        with fsspec.open(location, "rb") as stream:
            data: bytes = stream.read()
    except FileNotFoundError as error:
        raise DataError(f"{location} does not exist") from error
    except (OSError, ValueError, NotImplementedError, ImportError) as error:
        raise DataError(f"{location!r:.200} cannot be read: {error}") from error
    return data


def read_head(location: str, size: int = 512) -> bytes:
    """Return the first bytes of a file that exists."""
    import fsspec

    with fsspec.open(location, "rb") as stream:
        head: bytes = stream.read(size)
    return head


def read_json(location: str, encodings: Sequence[str] = ("utf-8-sig",)) -> Any:
    """Return the parsed JSON of a file, in the first encoding that fits.

    Raises ``DataError`` with the line where it is damaged, as half a download is.
    """
    data = read_bytes(location)
    text = decode_text(data, location, encodings)
    try:
        with collector_paused():
            return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{location}:{error.lineno}: not valid JSON ({error.msg}) in a file of {len(data):,} bytes: "
            "the download is probably incomplete, fetch the file again"
        ) from error
    except RecursionError as error:
        raise DataError(f"{location}: is nested too deeply to be an annotation file") from error


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's collector of cycles while millions of records that have none are built: a third faster."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def decode_text(data: bytes, location: str, encodings: Sequence[str]) -> str:
    """Return bytes as text in the first encoding that fits. Raises ``DataError`` where none does."""
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    names = " or ".join(encoding.removesuffix("-sig").upper() for encoding in encodings)
    raise DataError(f"{location}: is not {names} text. Save the file in that encoding")


def read_lines(location: str) -> Iterator[tuple[int, str]]:
    """Yield ``(line number from 1, text)`` of every line that is not blank, one at a time."""
    import fsspec

    if not is_file(location):
        folder = location.replace("\\", "/").rpartition("/")[0] or "."
        raise DataError(f"{location} does not exist: {what_is_in(folder)}. Check `path:`")
    with fsspec.open(location, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            text = decode_text(line, f"{location}:{number}", ("utf-8-sig",)).strip()
            if text:
                yield number, text


def need_file(folders: Sequence[str], names: Sequence[str], what: str, advice: str) -> str:
    """Return the first of ``names`` that lies in the first of ``folders`` that has one.

    Raises ``DataError``: what was looked for, where, what was found there, and ``advice``.
    """
    for folder in folders:
        for name in names:
            if is_file(join(folder, name)):
                return join(folder, name)
    raise DataError(
        f"{what}: looked for {' or '.join(names)} in {' and in '.join(folders)}, but "
        f"{'; '.join(what_is_in(folder) for folder in folders)}. {advice}"
    )


def first_folder(candidates: Sequence[str]) -> str:
    """Return the first folder that exists, else the first candidate: photographs may be absent."""
    return next((folder for folder in candidates if names_in(folder) is not None), candidates[0])


def root_of(dataset: DatasetConfig, layout: str) -> str:
    """Return the dataset's ``root:``. Raises ``ConfigError`` saying what that folder must hold."""
    if dataset.root is None:
        raise ConfigError(
            f"dataset '{dataset.name}' (format {dataset.format}) needs `root:`, the folder that holds {layout}"
        )
    return dataset.root


def given_file(dataset: DatasetConfig, directory: Path) -> tuple[str, str] | None:
    """Return (folder, file name) of the dataset's ``path:``, or None where it has none.

    Raises ``DataError`` where there is no such file.
    """
    if dataset.path is None:
        return None
    folder, _, name = place(directory, dataset.path).replace("\\", "/").rpartition("/")
    need_file([folder], [name], f"dataset '{dataset.name}'", "Check `path:`")
    return folder, name


def choose_splits(dataset: DatasetConfig, found: Sequence[str], where: str) -> list[str]:
    """Return the asked split, or every one ``found`` for ``all``. Raises ``ConfigError`` where it is not there."""
    wanted = list(found) if (dataset.split or "all") == "all" else [dataset.split or ""]
    if not wanted or not set(wanted) <= set(found):
        raise unknown_split(dataset, found, where)
    return wanted


def path_of(dataset: DatasetConfig, what: str) -> str:
    """Return the dataset's ``path:``. Raises ``ConfigError`` saying which file that must be."""
    if dataset.path is None:
        raise ConfigError(f"dataset '{dataset.name}' (format {dataset.format}) needs `path:`, {what}")
    return dataset.path


def check_options(dataset: DatasetConfig, known: Sequence[str] = ()) -> Mapping[str, Any]:
    """Return the format's own settings. Raises ``ConfigError`` on one that the format does not have."""
    for name in dataset.options:
        if name not in known:
            raise ConfigError(
                f"dataset '{dataset.name}': format {dataset.format} has no option '{name}'.{nearest(name, known)}"
            )
    return dataset.options


def unknown_split(
    dataset: DatasetConfig, found: Mapping[str, int] | Sequence[str], where: str
) -> ConfigError:
    """Return the error for a split that the annotations do not have; ``found`` counts those they have."""
    if isinstance(found, Mapping):
        listed = ", ".join(f"{name} ({count:,})" for name, count in sorted(found.items()))
    else:
        listed = ", ".join(sorted(found))
    return ConfigError(
        f"dataset '{dataset.name}': split '{dataset.split}' is not in {where}, which has "
        f"{listed or 'no split at all'}. Set `split:` to one of them or to `all`"
    )


def tags_of(**values: object) -> dict[str, str]:
    """Return tags as text, without those that are None or empty; truth values become yes and no."""
    words = {True: "yes", False: "no"}
    texts = {
        name: words[value] if isinstance(value, bool) else str(value).strip()
        for name, value in values.items()
        if value is not None
    }
    return {name: text for name, text in texts.items() if text}


def count_word(instances: int) -> str:
    """Return the value of the tag ``targets``: none, one or many."""
    return "none" if instances == 0 else "one" if instances == 1 else "many"
