"""One process at a time in the directory of a run.

The lock is one of the kernel on the file `.lock`: it ends with the process, however that ends, so a kill leaves
nothing behind that keeps others out. It holds between the processes of one machine. On NFS it holds between
machines too where the server has locks (NFSv4; Linux clients of NFSv3 with lockd), and a machine that is lost
gives it up after the server's grace period; on file systems without locks, and on Windows, nothing is locked.
Two runs that are at work there all the same do no harm to what is written, as both write the same files; the
first to finish takes the cells away from the other, which then stops with an error.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from recsim_env.errors import InputError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@dataclass
class Lock:
    """Held until it is released, or this process ends."""

    path: Path
    descriptor: int  # of the open file; -1 = nothing is locked
    process: int = field(default_factory=os.getpid)

    @classmethod
    def take(cls, directory: Path) -> "Lock":
        """Lock a directory that exists.

        Raises:
            InputError: another process holds it.
        """
        path = directory / ".lock"
        while fcntl is not None:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError:  # nothing may be written here: a finished run can be shown all the same
                break
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return cls(path, descriptor)
                os.close(descriptor)  # the last holder removed the file between the two lines: once more
            except BlockingIOError:
                os.close(descriptor)
                raise InputError(
                    f"another process is at work in {directory}: wait until it ends, or choose another --out"
                ) from None
            except FileNotFoundError:  # likewise
                os.close(descriptor)
            except OSError:  # a file system without locks
                os.close(descriptor)
                break
        return cls(path, -1)

    def release(self) -> None:
        """Let others in; a second call does nothing."""
        if self.descriptor >= 0 and self.process == os.getpid():  # a forked child holds nothing
            self.path.unlink(missing_ok=True)
            os.close(self.descriptor)
        self.descriptor = -1

    def __del__(self) -> None:
        """A run that ended with an error lets go with the last that refers to it."""
        self.release()
