"""How work is spread over the cores: threads, or processes for what may run only once in each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Job = Callable[[], Any]


@contextmanager
def undisturbed_solvers() -> Iterator[None]:
    """Give each fold one core, and keep quiet about solvers that stop at their iteration limit.

    One linear-algebra thread per fold is several times faster than all threads on one fold, and makes
    the result the same for any number of workers. A head stopped early is a valid head: it is judged
    on documents it has not seen.
    """
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)  # few documents per label
        yield


def in_threads(jobs: Sequence[Job]) -> list[Any]:
    """Run jobs on all cores; results follow `jobs`."""
    from joblib import Parallel, delayed

    results: list[Any] = Parallel(n_jobs=-1, prefer="threads")(delayed(job)() for job in jobs)
    return results


def in_processes(jobs: Sequence[Job]) -> list[Any]:
    """Run jobs on all cores, each in a process of its own; results follow `jobs`.

    LIBLINEAR has one stream of random numbers for a process, so that its fits wait for each other there. A process
    takes about two seconds to begin, which only long jobs are worth. What a job needs is handed over in memory, never
    by a file.

    Parameters
    ----------
    jobs : sequence of callable
        Functions of modules with their arguments, as `functools.partial` joins them; the longest first.

    Returns
    -------
    list
        The same to the last bit as without processes: each job runs with `undisturbed_solvers`.
    """
    from joblib import Parallel, cpu_count, delayed

    workers = Parallel(n_jobs=max(1, min(len(jobs), cpu_count())), backend="loky", max_nbytes=None)
    results: list[Any] = workers(delayed(_undisturbed)(job) for job in jobs)
    return results


def _undisturbed(job: Job) -> Any:
    """Run one job as the training process would."""
    with undisturbed_solvers():
        return job()
