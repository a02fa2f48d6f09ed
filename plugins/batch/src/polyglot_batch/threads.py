"""Many calls at once in threads. The results are a generator; closing it ends the calls that are in progress."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from polyglot_batch.results import Result, Sequencer
from polyglot_core import PolyglotError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from polyglot_batch.progress import Progress
    from polyglot_batch.results import Job
    from polyglot_core import Inference, InferenceStream

__all__ = ["results_of"]

_PATIENCE = 10.0  # seconds for the calls to end once they are closed


def results_of(
    inference: Inference,
    jobs: Iterator[Job],
    concurrency: int,
    progress: Progress,
    *,
    ordered: bool,
    unread: Callable[[Result], object] | None = None,
) -> Generator[Result]:
    """Yield the results of jobs. Twice as many jobs as run at once are taken before a result is.

    If it is closed before its end, `unread` is called with the responses that were complete and had not been yielded.
    """
    workers = _Workers(inference, jobs, concurrency)
    sequence = Sequencer(ordered=ordered)
    try:
        for result in workers.results():
            progress.add(result)
            sequence.put(result)
            while (ready := sequence.pop()) is not None:
                workers.slots.release()
                yield ready
    finally:
        progress.close()
        workers.stop()
        if unread is not None:
            for result in workers.finished():
                unread(result)


class _Workers:
    """Threads that take jobs one by one.

    Attributes:
        slots: Held by each job from its start until its result is taken.
    """

    def __init__(self, inference: Inference, jobs: Iterator[Job], concurrency: int) -> None:
        self.slots = threading.Semaphore(2 * concurrency)
        self._inference = inference
        self._jobs = jobs
        self._lock = threading.Lock()  # of the jobs, and of what is open
        self._open: set[InferenceStream] = set()
        self._stopped = False
        self._done = SimpleQueue[Result | BaseException | None]()
        self._threads = [self._thread() for _ in range(concurrency)]

    def results(self) -> Iterator[Result]:
        """Yield the results as they come, until there are no more jobs.

        Raises:
            BaseException: What the iterator of jobs has raised, or a call that is no `PolyglotError`.
        """
        for thread in self._threads:
            thread.start()
        running = len(self._threads)
        while running:
            done = self._done.get()
            if isinstance(done, Result):
                yield done
            elif done is None:
                running -= 1
            else:
                raise done

    def stop(self) -> None:
        """Take no more jobs, end those in progress, and wait for them."""
        with self._lock:
            self._stopped, streams = True, list(self._open)
        self.slots.release(len(self._threads))  # some may wait for results to be taken
        for stream in streams:
            stream.close()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(_PATIENCE)

    def finished(self) -> Iterator[Result]:
        """Yield the results with a complete response that were not taken; after `stop`."""
        while not self._done.empty():
            done = self._done.get()
            if isinstance(done, Result) and done.is_complete:
                yield done

    def _thread(self) -> threading.Thread:
        run = contextvars.copy_context().run
        return threading.Thread(target=run, args=(self._run,), name="polyglot-map", daemon=True)

    def _run(self) -> None:
        try:
            while (job := self._next_job()) is not None:
                self._done.put(self._result_of(job))
            self._done.put(None)
        except BaseException as error:  # noqa: BLE001 (raised where the results are taken)
            self._done.put(error)

    def _next_job(self) -> Job | None:
        self.slots.acquire()
        with self._lock:
            job = None if self._stopped else next(self._jobs, None)
        if job is None:
            self.slots.release()  # another thread that waits ends too
        return job

    def _result_of(self, job: Job) -> Result:
        request = None
        try:
            pending = self._inference.create(job.prompt, **job.arguments)
            request = pending.request
            if job.arguments.get("stream") is False:
                response = pending.response()
            else:
                with self._opened(pending.stream()) as stream:
                    response = stream.response()
        except PolyglotError as error:
            return Result(job.index, job.prompt, error=error, request=request)
        return Result(job.index, job.prompt, response, request=request)

    @contextlib.contextmanager
    def _opened(self, stream: InferenceStream) -> Iterator[InferenceStream]:
        with stream:
            with self._lock:
                self._open.add(stream)
                stopped = self._stopped
            try:
                if stopped:
                    stream.close()
                yield stream
            finally:
                with self._lock:
                    self._open.discard(stream)
