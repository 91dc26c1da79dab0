"""Rename that never replaces: the one step that decides who of many keeps something."""

import ctypes
import errno
import os

_NOREPLACE = 1
_AT_FDCWD = -100
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def _find() -> "ctypes._NamedFuncPointer | None":
    """Returns renameat2 of the C library; None where it has none."""
    try:
        found = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    found.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    found.restype = ctypes.c_int
    return found


_RENAMEAT2 = _find()


def rename_new(source: str, target: str, *, source_fd: int | None = None, target_fd: int) -> None:
    """Gives a file a new name in the directory ``target_fd``; of many at once exactly one succeeds.

    In one step where the file system can (renameat2(2) with RENAME_NOREPLACE), else by a link and the removal of the
    old name (NFS). Raises FileExistsError when the name is taken, and what rename(2) raises else.
    """
    if _RENAMEAT2 is not None:
        directory = _AT_FDCWD if source_fd is None else source_fd
        if _RENAMEAT2(directory, os.fsencode(source), target_fd, os.fsencode(target), _NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in _UNSUPPORTED:
            raise OSError(number, os.strerror(number), source)
    os.link(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)
    os.unlink(source, dir_fd=source_fd)
