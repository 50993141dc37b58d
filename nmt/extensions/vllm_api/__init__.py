"""The route ``/v1/translations`` of the server, in the form that vLLM proposes."""

REQUIRES: tuple[str, ...] = ("serving",)
