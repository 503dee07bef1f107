"""The error that says why a pod's work cannot be done. Light: record and rule readers raise it, wherever they run."""

from lore_core.jobs.report import Failure


class JobError(Exception):
    """Work that cannot be done, with the documented reason that ends in the resource's condition."""

    def __init__(
        self, reason: str, message: str, *, file: str | None = None, line: int | None = None, field: str | None = None
    ):
        super().__init__(message)
        self.failure = Failure(reason=reason, message=message[:4096], file=file, line=line, field=field)
