"""Tests of the stores: the contract for all, and faults that only files have."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.contract")
