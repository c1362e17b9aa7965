"""Errors over HTTP: each kind has a status, and a hint in terms of HTTP."""

import pytest

from orchestrator.core import errors
from orchestrator.interfaces.web.answers import problem


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.UsageError("x"), 400),
        (errors.BadName("x"), 400),
        (errors.BadInput("x"), 422),
        (errors.NotFound("x"), 404),
        (errors.Refused("x"), 409),
        (errors.NoBoard("x"), 503),
        (errors.Damage("x"), 503),
        (errors.TimedOut("x"), 503),
        (errors.InputOutputError("x"), 503),
        (errors.ArchiveMissing("x"), 503),
        (errors.OutcomeUnknown("x"), 503),
        (RuntimeError("x"), 500),
    ],
)
def test_every_kind_of_error_has_its_status(error: Exception, status: int):
    assert problem(error).status_code == status


def test_no_kind_of_error_is_missing_above():
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    (marked,) = test_every_kind_of_error_has_its_status.pytestmark
    tried = {type(error) for error, _ in marked.args[1]} | {errors.OrchestratorError}
    assert {kind for kind in kinds if issubclass(kind, errors.OrchestratorError)} <= tried


def test_an_unknown_outcome_is_repeated_with_the_same_key():
    answer = problem(errors.OutcomeUnknown("It is not known", hint="Repeat the command"))
    assert b"Idempotency-Key" in answer.body
    assert b'"retryable":true' in answer.body
