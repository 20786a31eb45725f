"""Files: what is written to, replaced and refused; nothing is left lying about."""

import errno
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from harness import files
from harness.files import exclusive_lock, file_to_fill, folder_to_fill, read_file, write_whole

posix = pytest.mark.skipif(os.name != "posix", reason="devices, FIFOs and links are POSIX's")


@posix
@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_device_stays_a_device(tmp_path, through_a_link):
    path = Path("/dev/null")
    if through_a_link:
        (tmp_path / "link").symlink_to(path)
        path = tmp_path / "link"
    write_whole(path, b"content")
    assert Path("/dev/null").is_char_device()
    assert path.is_symlink() is through_a_link


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has a device that is always full")
def test_a_full_device_is_an_error_and_stays(tmp_path):
    with pytest.raises(OSError, match=r"cannot write /dev/full \(No space left on device\)"):
        write_whole("/dev/full", b"content")
    assert Path("/dev/full").is_char_device()


@posix
def test_a_fifo_is_written_to_where_somebody_reads(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(OSError, match=r"cannot write .*fifo"):  # and does not wait for a reader
        write_whole(fifo, b"content")
    received = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_bytes()))
    content = b"content" * 100_000  # more than a pipe holds
    reader.start()
    while True:
        with suppress(OSError):  # the reader has not come yet
            write_whole(fifo, content)
            break
    reader.join()
    assert received == [content]
    assert fifo.is_fifo()


@posix
@pytest.mark.parametrize("there_before", [True, False])
def test_a_link_to_a_file_is_followed(tmp_path, there_before):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "file"
    if there_before:
        target.write_bytes(b"the old one")
    (tmp_path / "link").symlink_to(target)
    write_whole(tmp_path / "link", b"the new one")
    assert (tmp_path / "link").is_symlink()
    assert target.read_bytes() == b"the new one"
    assert [file.name for file in target.parent.iterdir()] == ["file"]


def test_a_read_only_file_is_refused_and_a_mode_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"the old one")
    path.chmod(0o640)
    write_whole(path, b"the new one")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"the new one", 0o640)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root, who may run this, could write anywhere
    with pytest.raises(PermissionError, match="it is read-only"):
        write_whole(path, b"the third")
    assert path.read_bytes() == b"the new one"


@posix
def test_what_the_shell_opened_for_stdout_is_added_to(tmp_path):
    program = (
        "import sys; from harness.files import write_whole\n"
        "print('before'); write_whole(sys.argv[1], b'written\\n'); print('after')\n"
    )
    out = tmp_path / "out.txt"
    for path in (out, "/dev/stdout"):
        with out.open("w") as file:
            subprocess.run([sys.executable, "-c", program, str(path)], stdout=file, check=True)
        assert out.read_text() == "before\nwritten\nafter\n"


@posix
def test_what_a_killed_process_left_is_removed_by_the_next_and_that_of_a_running_one_is_not(tmp_path):
    program = (
        "import os, sys; from harness import files; from pathlib import Path\n"
        "os.fsync = lambda _: os.kill(os.getpid(), 9)\n"
        "files.write_whole(sys.argv[1], b'content')\n"
    )
    path = tmp_path / "file"
    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert ended.returncode == -9
    (left,) = tmp_path.iterdir()
    running = tmp_path / f".harness-part-{os.getpid()}-0"
    running.write_bytes(b"")
    (tmp_path / ".harness-part-notes-0").write_bytes(b"")
    write_whole(path, b"content")
    assert not left.exists()
    assert {file.name for file in tmp_path.iterdir()} == {"file", running.name, ".harness-part-notes-0"}


def test_an_ordinary_file_is_read_up_to_the_limit_and_nothing_else_is(tmp_path):
    (tmp_path / "file").write_bytes(bytes(100))
    assert read_file(tmp_path / "file", "zeros", 100) == bytes(100)
    with pytest.raises(ValueError, match="file takes 100 bytes, more than 99 bytes; --max-size allows more"):
        read_file(tmp_path / "file", "zeros", 99)
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "fifo", "/dev/zero", "nowhere"):  # from two of them, reading would not end
        with pytest.raises(FileNotFoundError, match="is not an existing file; expected zeros"):
            read_file(path, "zeros")
    if Path("/proc/self/maps").exists():  # which states no size
        with pytest.raises(ValueError, match=r"/proc/self/maps takes .*, more than 1 byte"):
            read_file("/proc/self/maps", "maps", 1)


def test_a_directory_is_made_with_those_above_it(tmp_path):
    with folder_to_fill(tmp_path / "a" / "b") as folder:
        assert folder.is_dir()


def fail(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def interrupt(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(("error", "how"), [(OSError, fail), (KeyboardInterrupt, interrupt)])
@pytest.mark.parametrize("at", ["fsync", "rename"])
@pytest.mark.parametrize("before", [None, b"the old one"])
def test_a_failure_midway_leaves_no_half_of_a_file(error, how, at, before, tmp_path, monkeypatch):
    path = tmp_path / "file"
    if before:
        path.write_bytes(before)
    monkeypatch.setattr(*{"fsync": (os, "fsync"), "rename": (Path, "replace")}[at], how)
    with pytest.raises(error):
        write_whole(path, b"the new one")
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == ([before] if before else [])


def test_a_file_is_replaced_and_readable_as_others_are(tmp_path):
    (tmp_path / "other").write_bytes(b"")
    for content in (b"first", b"second"):
        write_whole(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == content
    assert {file.name for file in tmp_path.iterdir()} == {"file", "other"}
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


@posix
@pytest.mark.parametrize("fill", [file_to_fill, folder_to_fill])
def test_a_place_is_one_commands_and_nothing_is_left_of_the_lock(fill, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with fill(tmp_path / "place"):
        with pytest.raises(OSError, match="another command is writing to"), fill(tmp_path / "link" / "place"):
            pass
        with fill(tmp_path / "another place"):
            pass
    with fill(tmp_path / "place"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["link"]


def test_a_new_file_that_stayed_empty_is_removed_and_an_old_one_is_not(tmp_path):
    (tmp_path / "old").touch()
    for name in ("old", "new"):
        with suppress(OSError), exclusive_lock(tmp_path / name):
            (tmp_path / name).touch()
            fail()
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


@posix
def test_a_lock_whose_holder_was_killed_is_taken_and_removed(tmp_path):
    program = (
        "import os, sys; from harness.files import exclusive_lock\n"
        "with exclusive_lock(sys.argv[1]): os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "file")], check=False)
    assert list(tmp_path.iterdir())
    with exclusive_lock(tmp_path / "file"):
        pass
    assert not list(tmp_path.iterdir())


@posix
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_refused_in_a_sentence_and_left_clean(number, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", fail)
    with pytest.raises(OSError, match=r"place cannot be locked, .* has no locks"), file_to_fill(tmp_path / "place"):
        pass
    assert not list(tmp_path.iterdir())


@posix
@pytest.mark.parametrize("is_killed", [True, False])
def test_the_folder_of_a_killed_process_is_removed_by_the_next(is_killed, tmp_path, monkeypatch):
    end = "os.kill(os.getpid(), 9)" if is_killed else "files.remove_scratch_folders()"
    program = f"import os; from harness import files; folder = files.scratch_folder(); {end}; os._exit(0)"
    subprocess.run([sys.executable, "-c", program], check=False, env=os.environ | {"TMPDIR": str(tmp_path)})
    assert bool(list(tmp_path.iterdir())) == is_killed
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files._remove_stale_folders.cache_clear()
    with files.scratch_folder() as folder:
        assert list(tmp_path.iterdir()) == [Path(folder)]
    assert not list(tmp_path.iterdir())
