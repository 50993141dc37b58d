"""Options of a teacher behind an API; a module of its own, so that the command line imports no models."""

from pathlib import Path

from pydantic import Field

from nmt.recipe.options import Options


class TeacherOptions(Options):
    """Options of ``nmt distill --teacher``."""

    teacher: str | None = Field(None, description="URL of OpenAI's chat API that translates in place of MODEL_DIR")
    model: str | None = Field(None, description="model of the teacher at the URL")
    languages: str | None = Field(None, description="languages of source and target at the URL, such as de,en")
    prompt: Path | None = Field(None, description="file with the message to the teacher, with {text}")
    parallel: int = Field(8, ge=1, le=1000, description="requests to the URL at a time")
    timeout: float = Field(300.0, gt=0, description="seconds after which a request to the URL is repeated")
    budget: int | None = Field(None, ge=1, description="tokens after which nothing is requested any more")
    reverse: Path | None = Field(None, description="model of the other direction, which scores the teacher's answers")
