"""The one error that bad input data ends in: it names file, line and field and says what to do."""

from pathlib import Path

from lore_core.jobs.errors import JobError

BAD_RECORD = "BadRecord"


class RecordError(JobError):
    """A record cannot be used. `failure` has the reason `BadRecord`, file, 1-based line and field."""

    def __init__(self, problem: str, remedy: str, *, file: Path | str, line: int, field: str | None = None) -> None:
        place = f"{file}:{line}" + (f": {field}" if field else "")
        super().__init__(BAD_RECORD, f"{place}: {problem}; {remedy}", file=str(file), line=line, field=field)

    def named(self, folder: Path, uri: str) -> JobError:
        """The same, with the artifact's uri in place of the local folder that its files were fetched into."""
        found = self.failure
        file = Path(found.file).name if found.file else None
        message = found.message.replace(str(folder), uri.rstrip("/"))
        return JobError(found.reason, message, file=file, line=found.line, field=found.field)
