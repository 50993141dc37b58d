"""Translations of a large language model behind OpenAI's chat API, requested in parallel and resumed by line."""

import asyncio
import json
import math
import os
import random
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from nmt.alignment.links import json_line
from nmt.core.errors import UserError, extra, shortened
from nmt.core.jsonlines import parse_object
from nmt.core.model_directory import ModelDirectory
from nmt.data.sources import digest
from nmt.recipe.options import Options
from nmt.translation.translator import Translator

PROMPT = "Translate this {source} text to {target}. Answer with the translation only.\n\n{text}"
MAX_RETRIES, FIRST_DELAY, MAX_DELAY = 6, 0.5, 60.0
"""Further attempts after a failed request; seconds before the first of them, doubled each time; maximum of these."""
RETRIED = (408, 409, 425, 429)
"""Status codes that are retried, as are all from 500 up."""
CUT_OFF = ("length", "content_filter")
"""Reasons to finish of answers that are incomplete."""
NO_SCORE = -100.0
"""Score of a candidate that is too long for the reverse model."""
_REASONING = re.compile(r"\A.*</think>|<think>.*", re.DOTALL)
"""Some servers leave out the beginning, which is the end of the prompt, and some answers never come to the end."""


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


@dataclass
class ChatTeacher:
    """Client of an endpoint with OpenAI's chat API, such as vLLM, llama.cpp, Ollama or ``transformers serve``."""

    options: TeacherOptions
    prompt: str
    """Template of the message, with ``{text}``; the names of the languages are filled in."""
    fields: dict[str, Any]
    """Further fields of each request, such as ``temperature`` and ``seed``."""
    num_samples: int = 1
    tokens: int = 0
    """Tokens used so far, as the endpoint counts them."""
    _has_answered: bool = False

    async def translations(self, client: Any, line: str) -> tuple[list[str], int]:
        """Returns the candidates for a line, and the number of tokens they took. An unfinished answer is empty.

        Raises:
            UserError: the budget is used up, or the endpoint refuses, fails repeatedly or answers nonsense.
        """
        texts: list[str] = []
        tokens = 0
        while len(texts) < self.num_samples and line.strip():  # some servers give one answer whatever ``n`` is
            message = {"role": "user", "content": self.prompt.replace("{text}", line)}
            body = {"model": self.options.model, "messages": [message], **self.fields}
            if self.num_samples > 1:
                body |= {"n": self.num_samples - len(texts), "seed": body["seed"] + len(texts)}
            found, used = await self._answer(client, body, line)
            texts, tokens = texts + found, tokens + used
        return texts[: self.num_samples] or [""], tokens

    async def _answer(self, client: Any, body: dict[str, Any], line: str) -> tuple[list[str], int]:
        """Returns the texts of one answer and its number of tokens; repeats requests that fail."""
        import httpx2

        for attempt in range(MAX_RETRIES + 1):
            if self.tokens >= (self.options.budget or math.inf):
                raise UserError(
                    f"The budget of {self.options.budget:,} tokens is used up: {self.tokens:,} were needed so far.",
                    "Resume with a larger --budget (--resume), or give the first lines of the text alone.",
                )
            delay = min(MAX_DELAY, FIRST_DELAY * 2**attempt) * random.uniform(0.5, 1)
            try:
                url = httpx2.URL(f"{str(self.options.teacher).rstrip('/')}/chat/completions")
                if (url.port or 0) >= 1 << 16:  # a connection would raise an OverflowError
                    raise httpx2.InvalidURL("port")
                response = await client.post(url, json=body)
            except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):  # whose text may quote a part of a password
                raise UserError("--teacher is not a URL.", "Write http://HOST:PORT/v1.") from None
            except httpx2.TransportError as error:
                failure = f"{type(error).__name__} {error}".strip()
                if isinstance(error, httpx2.ConnectError) and not self._has_answered:
                    break
            else:
                if response.status_code == 200:
                    self._has_answered = True
                    return self._parse(response.content)
                failure = f"status {response.status_code}: {shortened(' '.join(response.text.split()))}"
                if response.status_code not in RETRIED and response.status_code < 500:
                    break
                wanted = response.headers.get("retry-after", "")
                delay = min(float(wanted), 10 * MAX_DELAY) if wanted.isdecimal() else delay
            if attempt < MAX_RETRIES:
                await asyncio.sleep(delay)
        raise UserError(
            f"The teacher gave no translation of {shortened(line)!r} after {attempt + 1} attempts: {failure}.",
            "Check --teacher, --model, --timeout and the variable OPENAI_API_KEY, or empty this line if the server "
            "refuses it alone; then go on with --resume.",
        )

    def _parse(self, content: bytes) -> tuple[list[str], int]:
        """Returns the texts of an answer, each in one line, and its number of tokens."""
        try:
            answer = parse_object(content)
            choices = [(each["message"]["content"] or "", each.get("finish_reason")) for each in answer["choices"]]
            texts = ["" if end in CUT_OFF else " ".join(_REASONING.sub("", text).split()) for text, end in choices]
            tokens = int((answer.get("usage") or {}).get("total_tokens") or 0)
            if not texts:
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(
                f"The teacher answered with status 200, but not with a chat completion: "
                f"{shortened(content.decode('utf-8', 'replace'))!r}.",
                "Give --teacher the base URL of OpenAI's chat API, which often ends in /v1.",
            ) from None
        if self.options.budget and not tokens:
            raise UserError("The teacher doesn't report usage.total_tokens.", "Leave out --budget.")
        self.tokens += tokens
        return texts, tokens

    @cached_property
    def digest(self) -> str:
        """Returns a short hash of all inputs on which answers and their scores depend."""
        settings: list[Any] = [self.options.model, self.prompt, self.fields, self.num_samples]
        settings += [ModelDirectory(self.options.reverse).digest()] if self.options.reverse else []
        return digest(json.dumps(settings, sort_keys=True))


@dataclass(frozen=True)
class TeacherRecord:
    """Candidates for a line of text, best first."""

    source: str
    candidates: Sequence[tuple[str, float]]
    """Text and score of each."""
    tokens: int

    @property
    def text(self) -> str:
        return self.candidates[0][0]


@dataclass(frozen=True)
class TeacherJob:
    """Job of ``nmt distill --teacher``: a record of :mod:`nmt.extensions.synthesis.synthesis` for each line."""

    teacher: ChatTeacher
    reverse: Translator | None = None
    """Scores each candidate by the mean log p of a token of the source given the candidate; None: all scores are 0."""
    reports_degenerate: bool = field(default=True, init=False)

    def run(
        self,
        lines: Iterable[str],
        first_line: int = 1,
        on_progress: Callable[[int], None] = lambda lines: None,
        again: Sequence[str] = (),
    ) -> Iterator[TeacherRecord]:
        """Yields the record of each line, in order."""
        with extra("teacher"):
            import httpx2
        options, key = self.teacher.options, os.environ.get("OPENAI_API_KEY", "").strip()
        if not (key.isascii() and key.isprintable()):  # the client's own message would quote it
            raise UserError("The variable OPENAI_API_KEY has characters that are no part of a key.", "Copy it again.")
        headers, limits = {"Authorization": f"Bearer {key}"} if key else {}, httpx2.Limits(max_connections=None)
        with asyncio.Runner() as runner:
            client = httpx2.AsyncClient(headers=headers, timeout=options.timeout, limits=limits)
            loop, turns = runner.get_loop(), asyncio.Semaphore(options.parallel)

            async def ask(line: str) -> tuple[list[str], int]:
                async with turns:
                    return await self.teacher.translations(client, line)

            def first() -> TeacherRecord:
                line, task = waiting.popleft()
                texts, tokens = runner.run(asyncio.wait_for(task, None))
                on_progress(1)
                return TeacherRecord(line, self._scored(line, texts), tokens)

            waiting: deque[tuple[str, asyncio.Task[tuple[list[str], int]]]] = deque()
            for line in lines:
                task = loop.create_task(ask(line))
                task.add_done_callback(lambda done: done.cancelled() or done.exception())  # the first one is reported
                waiting.append((line, task))
                if len(waiting) >= 4 * options.parallel:
                    yield first()
            while waiting:
                yield first()
            runner.run(client.aclose())

    def _scored(self, line: str, texts: Sequence[str]) -> list[tuple[str, float]]:
        """Returns the different candidates, the likeliest first, with their scores."""
        different = list(dict.fromkeys(texts))
        if self.reverse is None:
            return [(text, 0.0) for text in different]
        # A line at a time: batches would change rounding.
        pairs = self.reverse.score((text, line) for text in different)
        scores = [NO_SCORE if p.log_probability is None else p.log_probability / len(p.tokens) for p in pairs]
        scored = ((text, round(score, 6) if text else 0.0) for text, score in zip(different, scores, strict=True))
        return sorted(scored, key=lambda candidate: (not candidate[0], -candidate[1]))

    def write(self, record: TeacherRecord, /) -> str:
        """Returns the record as a line of JSON."""
        values = {"source": record.source, "candidates": record.candidates, "tokens": record.tokens}
        return json_line(values | {"settings": self.teacher.digest})

    def skip(self, lines: Iterator[str], done: Iterable[str], name: str) -> tuple[int, list[str]]:
        """Passes over the lines that an earlier run has done, whose tokens count in the budget.

        Raises:
            UserError: that run had another text or other settings.
        """
        num_done = 0
        for num_done, text in enumerate(done, start=1):
            try:
                record = parse_object(text)
                if (record["settings"], record["source"]) != (self.teacher.digest, next(lines)):
                    raise ValueError
                self.teacher.tokens += int(record["tokens"])
            except (ValueError, KeyError, TypeError, StopIteration):
                raise UserError(
                    f"{name}, line {num_done:,} is not of this text, model, prompt, reverse model and options.",
                    "Give those of the run that was stopped, or delete the file to start again.",
                ) from None
        return num_done, []
