"""The board's settings over a state directory of the tests' own, so that no real one is touched."""

import atexit
import importlib
import os
import shutil
import tempfile

if "CHAOSBOARD_TEST_STATE" not in os.environ:
    _state = tempfile.mkdtemp(prefix="chaosboard-test-")
    os.environ["CHAOSBOARD_TEST_STATE"] = os.environ["CHAOSBOARD_STATE"] = _state
    os.environ["REDIS_URL"] = os.environ.get("CHAOSBOARD_TEST_REDIS_URL", "")
    atexit.register(shutil.rmtree, _state, ignore_errors=True)

_board = importlib.import_module("chaosboard.settings")
globals().update({name: value for name, value in vars(_board).items() if name.isupper()})

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
