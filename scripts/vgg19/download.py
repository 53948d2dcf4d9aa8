"""Downloads that resume and are checked. A file is under its own name only when it is whole and right."""

import hashlib
import pathlib
import sys
import time
import urllib.error
import urllib.request

ATTEMPTS = 4
CHUNK = 1 << 20


class DownloadError(Exception):
    """A download failed or what came is not what was expected; says how to go on."""


def digest(path: pathlib.Path, checksum: str) -> str:
    """The file's MD5 where `checksum` begins with 'md5:', otherwise its SHA-256."""
    sum_ = hashlib.md5(usedforsecurity=False) if checksum.startswith("md5:") else hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            sum_.update(chunk)
    return sum_.hexdigest()


def matches(path: pathlib.Path, checksum: str) -> bool:
    """`checksum` is a SHA-256 or its beginning, or 'md5:' and an MD5; an empty one matches every file."""
    return digest(path, checksum).startswith(checksum.removeprefix("md5:").lower())


def verify(path: pathlib.Path, checksum: str) -> None:
    if checksum and not matches(path, checksum):
        raise DownloadError(
            f"{path} is damaged or another file: its checksum is {digest(path, checksum)}, expected {checksum}"
        )


def fetch(url: str, checksum: str, folder: pathlib.Path) -> pathlib.Path:
    """The path of the downloaded file. What a broken download left (`NAME.part`) is continued, not fetched again."""
    name = url.rsplit("/", 1)[1].split("?")[0] or "vgg19"
    target = folder / name
    if target.is_file():
        try:
            verify(target, checksum)
            print(f"fetch-vgg19: {target} is already here")
            return target
        except DownloadError as error:
            print(f"fetch-vgg19: {error}; downloading it again", file=sys.stderr)
            target.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / (name + ".part")
    print(f"fetch-vgg19: downloading {url}")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _continue(url, part)
            break
        except urllib.error.HTTPError as error:
            raise DownloadError(f"{url}: the server says {error.code} {error.reason}") from error
        except (urllib.error.URLError, ConnectionError, TimeoutError, OSError) as error:
            if attempt == ATTEMPTS or not part.exists() or part.stat().st_size == 0:
                reason = getattr(error, "reason", error)
                raise DownloadError(f"{url}: {reason} (what came so far is kept; run this again to go on)") from error
            print(f"fetch-vgg19: interrupted ({error}); going on", file=sys.stderr)
            time.sleep(min(2**attempt, 10) / 4)
    try:
        verify(part, checksum)
    except DownloadError:
        # Nothing to continue from: the next run starts afresh.
        part.unlink()
        raise
    part.replace(target)
    return target


def _continue(url: str, part: pathlib.Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "stylize-video"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        # "Range not satisfiable": everything had come before.
        if error.code == 416 and have:
            return
        raise
    with answer:
        # A server that ignores ranges answers 200 and sends everything: start over.
        resumed = have > 0 and answer.status == 206
        begin = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = begin + int(length) if length else None
        done = begin
        with open(part, "ab" if resumed else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                _progress(done, total)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if total is not None and done < total:
        raise ConnectionError(f"the connection closed after {done} of {total} bytes")


def _progress(done: int, total: int | None) -> None:
    if sys.stderr.isatty():
        share = f" of {total / 1e6:.0f} MB ({100 * done / total:.0f} %)" if total else " MB"
        print(f"\rfetch-vgg19: {done / 1e6:.0f}{share}", end="", file=sys.stderr, flush=True)
