"""Where the board's files are, from the environment or `.env`; known before Django is loaded."""

from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
env.read_env(BASE_DIR / ".env")

STATE = Path(env.str("CHAOSBOARD_STATE", default=str(BASE_DIR / "var"))).resolve()
