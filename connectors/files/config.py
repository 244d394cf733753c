"""Settings of one folder source. Must not live here: defaults of anything else."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator


class After(StrEnum):
    """What becomes of a file once its message is permanent in Kafka."""

    KEEP = "keep"
    DELETE = "delete"
    MOVE = "move"


class FilesConfig(BaseModel):
    """Settings of one folder source."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    folder: Annotated[Path, Field(strict=False, description="Folder to watch, with all below it.")]
    interface: Annotated[
        str,
        StringConstraints(pattern=r"^I([1-9]|1[01])$"),
        Field(description="Business interface that the messages belong to, I1 to I11."),
    ]
    after: Annotated[
        After,
        Field(strict=False, description="What becomes of a file after its commit."),
    ] = After.KEEP
    done_folder: Annotated[
        Path | None,
        Field(
            strict=False,
            description="Where `move` puts files; default `.done` in the folder.",
        ),
    ] = None
    settle_s: Annotated[
        float,
        Field(ge=0, le=3600, description="Seconds a file must have been left alone to be read."),
    ] = 1.0
    scan_interval_s: Annotated[
        float,
        Field(ge=0.05, le=3600, description="Seconds from the end of one walk to the next."),
    ] = 1.0
    batch_bytes_max: Annotated[
        int,
        Field(ge=1, le=1 << 30, description="Bytes after which a batch takes no further file."),
    ] = 16 * 1024 * 1024

    @model_validator(mode="after")
    def _done_folder_is_not_watched(self) -> Self:
        if self.done_folder is None:
            return self
        done, folder = self.done_folder.absolute(), self.folder.absolute()
        if done.is_relative_to(folder):
            parts = done.relative_to(folder).parts
            if not any(part.startswith(".") for part in parts):
                raise ValueError(
                    "done_folder lies in the watched folder; begin its name with a dot"
                )
        return self

    @property
    def done(self) -> Path:
        """Where `move` puts files."""
        return self.done_folder or self.folder / ".done"
