"""Wraps the async facade as the plain one, so that the same suite tests both."""

from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from inspect import isasyncgen, iscoroutinefunction
from threading import local
from typing import Any

import anyio
from anyio.from_thread import BlockingPortal

from orchestrator import Orchestrator
from orchestrator.async_api import AsyncOrchestrator

Job = tuple[Callable[[], Awaitable[Any]], Future[Any]]


class Proxy:
    """A board whose commands run in an event loop; the calls of each thread run in a task of its own.

    Attributes that are not commands (``engine``, ``folder``) are those of the plain board.
    """

    def __init__(self, plain: Orchestrator, portal: BlockingPortal) -> None:
        self._plain = plain
        self._portal = portal
        self._lines = local()
        self._all: list[Any] = []
        self._async = portal.call(AsyncOrchestrator, plain)

    def __getattr__(self, name: str) -> Any:
        plain = getattr(self._plain, name)
        wrapped = getattr(self._async, name, plain)
        if iscoroutinefunction(wrapped):
            return partial(self._call, wrapped)
        return plain if wrapped is plain else Noun(self, plain, wrapped)

    def stop(self) -> None:
        """End the tasks."""
        for send in self._all:
            self._portal.call(send.close)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._inside(self._async.transaction()):
            yield

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        with self._inside(self._async.rehearsal()):
            yield

    @contextmanager
    def request(self, request_id: str) -> Iterator[None]:
        context = self._async.request(request_id)

        async def enter() -> None:
            context.__enter__()

        async def leave() -> None:
            context.__exit__(None, None, None)

        self._run(enter)
        try:
            yield
        finally:
            self._run(leave)

    @contextmanager
    def _inside(self, context: Any) -> Iterator[None]:
        self._run(context.__aenter__)
        try:
            yield
        except BaseException as error:
            self._run(partial(context.__aexit__, type(error), error, error.__traceback__))
            raise
        self._run(partial(context.__aexit__, None, None, None))

    def _call(self, call: Callable[..., Any], *args: object, **kwargs: object) -> Any:
        result = call(*args, **kwargs)
        if isasyncgen(result):
            return self._iterate(result)

        async def job() -> Any:
            return await result

        return self._run(job)

    def _iterate(self, result: Any) -> Iterator[Any]:
        while True:
            try:
                yield self._run(result.__anext__)
            except StopAsyncIteration:
                return

    def _run(self, job: Callable[[], Awaitable[Any]]) -> Any:
        """Run a job in the task of this thread."""
        if not hasattr(self._lines, "send"):
            self._lines.send, receive = self._portal.call(anyio.create_memory_object_stream[Job], 1)
            self._all.append(self._lines.send)
            self._portal.start_task_soon(serve, receive)
        future: Future[Any] = Future()
        self._portal.call(self._lines.send.send, (job, future))
        return future.result(60)


class Noun:
    """One noun of a :class:`Proxy`."""

    def __init__(self, proxy: Proxy, plain: object, wrapped: object) -> None:
        self._proxy = proxy
        self._plain = plain
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._wrapped, name, None)
        return getattr(self._plain, name) if call is None else partial(self._proxy._call, call)


async def serve(jobs: Any) -> None:
    """Run jobs one after another in the same task."""
    async for job, future in jobs:
        try:
            future.set_result(await job())
        except BaseException as error:
            future.set_exception(error)
