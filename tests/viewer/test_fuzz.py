"""Requests made from the OpenAPI description: no answer is a defect, each is described.

SPATIOFORMER_FUZZ_VIEWER is the number of requests (`make soak`: 2,000).
"""

import os
import warnings

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from spatioformer.viewer.app import create_app
from spatioformer.viewer.routes import router
from spatioformer.viewer.security import Gate
from tests.viewer.conftest import client_of

schemathesis = pytest.importorskip("schemathesis")

REQUESTS = int(os.environ.get("SPATIOFORMER_FUZZ_VIEWER", "40"))


@pytest.mark.slow
def test_no_request_is_a_defect(run):
    app = create_app([router(run)], Gate())
    client = client_of(app)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schema = schemathesis.openapi.from_dict(app.openapi())
        operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 16
    cases = st.one_of([operation.as_strategy() for operation in operations])
    seen = set()

    @settings(
        max_examples=REQUESTS, database=None, derandomize=True, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases)
    def ask(case):
        method, path = case.operation.method.upper(), case.formatted_path
        given_body = {} if case.body is None or not _is_json(case) else {"json": case.body}
        query = {key: value for key, value in (case.query or {}).items() if value is not None}
        try:
            answer = client.request(method, path, params=query, **given_body)
        except (ValueError, UnicodeError):  # an address that no client can send
            return
        seen.add((case.operation.path, answer.status_code))
        assert answer.status_code < 500, (method, path, query, answer.text)
        described = case.operation.definition.raw["responses"]
        assert str(answer.status_code) in {*described, "400", "404", "405", "422"}
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error"}

    ask()
    assert len({path for path, _ in seen}) >= 5


def _is_json(case) -> bool:
    return type(case.body).__name__ != "NotSet"
