"""Options of a server; a module of its own, so that the command line imports no web framework."""

from pydantic import Field

from nmt.recipe.options import Options


class ServeOptions(Options):
    """Options of ``nmt serve`` that limit requests."""

    char_limit: int = Field(20_000, ge=-1, description="most characters of one text; -1 is no limit")
    batch_limit: int = Field(200, ge=-1, description="most texts in one request; -1 is no limit")
    queue_size: int = Field(256, ge=1, description="requests that are accepted at a time; others get status 503")
    rate_limit: int | None = Field(
        None, ge=1, description="most requests of one client a minute; further ones get status 429"
    )
    time_limit: float = Field(
        60.0, ge=0.1, le=1_000_000, description="longest seconds of a request; then it gets status 504"
    )
    inspect_limit: int = Field(
        60, ge=0, le=100, description="longest sentence to inspect, in pieces; 0 switches that off"
    )
