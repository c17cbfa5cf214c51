"""Settings, from the environment or `.env`. `make up` needs none of them."""

import os
import secrets
from pathlib import Path

from celery.schedules import crontab

from chaosboard.where import BASE_DIR, STATE, env


def _secret_key(path: Path) -> str:
    """The key in `path`, made on first use; safe with several processes starting at once."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        file.write(key := secrets.token_urlsafe(50))
    return key


def _redis_url(state: Path) -> str:
    """REDIS_URL, or the address that the supervisor's bundled Redis left behind, or ""."""
    left = state / "redis" / "url"
    return env.str("REDIS_URL", default="") or (left.read_text().strip() if left.exists() else "")


# Where everything that chaosboard writes lives
CHAOSBOARD_STATE = STATE
CHAOSBOARD_STATE.mkdir(parents=True, exist_ok=True)
os.environ["CHAOSBOARD_STATE"] = str(CHAOSBOARD_STATE)  # the engine reads it there

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or _secret_key(CHAOSBOARD_STATE / "secret_key")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "django_htmx",
    "axes",
    "csp",
    "apps.accounts",
    "apps.targets",
    "apps.experiments",
    "apps.runs",
    "apps.schedules",
    "apps.monitors",
    "apps.histories",
    "apps.reports",
    "apps.weekly",
    "apps.live",
    "chaosboard",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "chaosboard.middleware.Packed",
    "chaosboard.middleware.ApiErrors",
    "chaosboard.middleware.UploadLimit",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "chaosboard.middleware.LoginRequired",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "chaosboard.urls"
ASGI_APPLICATION = "chaosboard.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "chaosboard.context.danger",
            ]
        },
    }
]

# Tables: SQLite with one writer at a time that waits its turn, or what DATABASE_URL names
DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{CHAOSBOARD_STATE / 'db.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    # a file, because threads cannot share an in-memory database; one for each process that tests
    DATABASES["default"]["TEST"] = {"NAME": str(CHAOSBOARD_STATE / f"test-{os.getpid()}.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Who may enter
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "accounts/locked.html"
AXES_VERBOSE = False

# What a page may load: its own files, nothing inline, nothing from elsewhere
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_NAME = "chaosboard_session"
CSRF_COOKIE_NAME = "chaosboard_csrf"
CSRF_FAILURE_VIEW = "chaosboard.views.csrf_failure"
if env.bool("CHAOSBOARD_HTTPS", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True

# No form of chaosboard is larger; chaosboard.middleware.UploadLimit answers in words
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000

# A history may be large: it goes to the disk as it comes, and some of the disk stays free
CHAOSBOARD_HISTORY_LIMIT = env.int("CHAOSBOARD_HISTORY_LIMIT", default=2_000_000_000)
CHAOSBOARD_FREE_DISK = 200_000_000
CHAOSBOARD_ATTACHMENT_LIMIT = 10_000_000
CHAOSBOARD_LARGE = {
    "/attachments/add/": CHAOSBOARD_ATTACHMENT_LIMIT + 100_000,  # the form around the file
    "/histories/add/": CHAOSBOARD_HISTORY_LIMIT,
    "/api/v1/histories": CHAOSBOARD_HISTORY_LIMIT,
}
FILE_UPLOAD_TEMP_DIR = str(CHAOSBOARD_STATE / "uploads")
Path(FILE_UPLOAD_TEMP_DIR).mkdir(mode=0o700, exist_ok=True)

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # static/ is served as it lies there: no collecting step
WHITENOISE_AUTOREFRESH = DEBUG
WHITENOISE_MAX_AGE = 0 if DEBUG else 60

USE_TZ = True
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
LANGUAGE_CODE = "en-gb"
USE_I18N = False

# The weekly summary: written to the log, unless EMAIL_URL says who carries it (smtp+tls://user:password@host:587)
CHAOSBOARD_URL = env.str("CHAOSBOARD_URL", default="http://localhost:8000")  # as the links in mails have it
vars().update(env.email_url("EMAIL_URL", default="consolemail://"))
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="chaosboard@localhost")

# Messages between processes. Without Redis the board still shows, halts and heals.
REDIS_URL = _redis_url(CHAOSBOARD_STATE)

# Two queues: `runs` for executions, which take as long as they take, `control` for the ticks
CELERY_BROKER_URL = REDIS_URL or "memory://"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 7 * 86400,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0.1, "interval_max": 0.5}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False  # a run is claimed in its table; a second delivery would be of no use
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "control"
CELERY_TASK_ROUTES = {
    "runs.execute": {"queue": "runs"},
    "runs.judge_again": {"queue": "runs"},
    "histories.judge": {"queue": "runs"},
}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(CHAOSBOARD_STATE / "beat")
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
# a tick that was not begun before the next ones are due is not worth doing
CELERY_BEAT_SCHEDULE = {
    "board": {"task": "board.tick", "schedule": 1.0, "options": {"expires": 5}},
    "retention": {"task": "runs.sweep", "schedule": crontab(hour=3, minute=30), "options": {"expires": 3600}},
    "weekly": {"task": "weekly.tick", "schedule": 300.0, "options": {"expires": 300}},
    "monitors": {"task": "monitors.tick", "schedule": 1.0, "options": {"expires": 3}},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.server": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"handlers": [], "propagate": False},  # the page says it
        "httpx": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},  # two lines for each tick of each second
        "celery.app.trace": {"level": "WARNING"},
        "asyncssh": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
    },
}
