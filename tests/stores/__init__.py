"""Tests of the stores: one contract that all keep, and what only files can suffer."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.contract")
