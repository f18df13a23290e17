"""The settings of the project. Settings that differ between deployments come from environment variables."""

import tomllib
from datetime import timedelta
from pathlib import Path

from corsheaders.defaults import default_headers
from csp.constants import NONE, SELF, UNSAFE_INLINE
from django.core.exceptions import ImproperlyConfigured
from pythonjsonlogger.core import RESERVED_ATTRS

from eventmanagement.environment import MAX_TIMEOUT_MS, env, milliseconds

BASE_DIR = Path(__file__).resolve().parent.parent
# The project's metadata; its version is used in the OpenAPI document and in ETags.
PROJECT = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]

DEBUG = env.boolean("DEBUG", "false")
SECRET_KEY = env.str("SECRET_KEY", "for-development-only" if DEBUG else "").strip()
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set. Set it to a long random string, or DEBUG=true for development.")
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", "localhost,127.0.0.1")
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS", "localhost,127.0.0.1")

# Origins whose pages may call the API from a browser. The browser sends no cookies, because the API uses tokens.
CORS_ALLOWED_ORIGINS = env.exact_origins("CORS_ALLOWED_ORIGINS", "")
CORS_URLS_REGEX = "^/api/"
CORS_ALLOW_HEADERS = [*default_headers, "if-match", "if-none-match", "x-request-id"]
CORS_EXPOSE_HEADERS = ["Content-Disposition", "ETag", "Retry-After", "X-Request-ID"]

INSTALLED_APPS = [
    "authentication",
    # Before the admin, because event overrides the admin's index template.
    "event",
    "reservation",
    "eventmanagement.serving.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    # Before staticfiles, so that WhiteNoise serves the assets under runserver as well.
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "csp",
]

MIDDLEWARE = [
    # First, so that it measures and logs all other middleware too.
    "eventmanagement.serving.logs.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "eventmanagement.serving.middleware.ContentPolicyMiddleware",
    # Before all middleware that may return a response, so that errors have the CORS headers too. The responses that the
    # worker sends without Django (such as 408, or 503 if a queue is full) don't have them. To a script they look like a
    # lost connection.
    *(["corsheaders.middleware.CorsMiddleware"] if CORS_ALLOWED_ORIGINS else []),
    "eventmanagement.serving.middleware.RequestLimitMiddleware",
    # Before all middleware that may return HTML errors, so that errors under /api/ are JSON.
    "eventmanagement.serving.middleware.JsonErrorMiddleware",
    "eventmanagement.serving.static.StaticFilesMiddleware",
    "eventmanagement.serving.skip_for_api.AdminSessionMiddleware",
    "eventmanagement.serving.middleware.HostCheckMiddleware",
    "eventmanagement.serving.skip_for_api.AdminCsrfMiddleware",
    "eventmanagement.serving.skip_for_api.AdminAuthenticationMiddleware",
    "eventmanagement.serving.skip_for_api.AdminMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "eventmanagement.urls"
WSGI_APPLICATION = "eventmanagement.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "eventmanagement" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Two seconds below PostgreSQL's maximum, so that the default of DATABASE_WAIT is valid too.
STATEMENT_TIMEOUT = env.postgres_duration("STATEMENT_TIMEOUT", "15s", highest=MAX_TIMEOUT_MS - 2000)
DATABASES = {
    "default": env.database(
        "DATABASE_URL",
        f"sqlite:///{BASE_DIR / 'db.sqlite3'}",
        lock_timeout=env.postgres_duration("LOCK_TIMEOUT", "3s"),
        statement_timeout=STATEMENT_TIMEOUT,
        # gunicorn.conf.py sets a default for the service. Without one, management commands use no pool.
        pool_size=env.number("DATABASE_POOL_SIZE", "0", lowest=0, highest=1000),
        is_pooled=env.boolean("DATABASE_POOLED", "false"),
    )
}
# In seconds: how long the service waits for a database server that sends nothing, for example a frozen one. Longer than
# STATEMENT_TIMEOUT, so that a working server ends the statement first.
DATABASE_WAIT = env.database_wait(
    "DATABASE_WAIT", f"{milliseconds(STATEMENT_TIMEOUT) + 2000}ms", statement_timeout=STATEMENT_TIMEOUT
)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# In bytes: the maximum size of a JSON body. The JSON parser also limits the number of values, and forms have lower
# limits (eventmanagement/serving/middleware.py).
DATA_UPLOAD_MAX_MEMORY_SIZE = 2560 * 2**10
# The admin's confirmation page has one field for each of MAX_SELECTED rows (eventmanagement/serving/admin.py).
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2100

# scrypt is memory-hard, and one hash takes less CPU time than with Django's default. Existing PBKDF2 hashes
# still work and are upgraded at the next login.
PASSWORD_HASHERS = [
    "authentication.hashers.ScryptPasswordHasher",
    "authentication.hashers.PBKDF2PasswordHasher",
]
AUTHENTICATION_BACKENDS = ["authentication.backends.PasswordBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": name}
    for name in (
        "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "django.contrib.auth.password_validation.MinimumLengthValidator",
        "authentication.validators.MaximumLengthValidator",
        "django.contrib.auth.password_validation.CommonPasswordValidator",
        "django.contrib.auth.password_validation.NumericPasswordValidator",
        "authentication.validators.TokenRevokingValidator",
    )
]

# After a login to the admin from a page that is not part of it.
LOGIN_REDIRECT_URL = "admin:index"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True
FORMAT_MODULE_PATH = "eventmanagement.formats"

# The path under which the site is served, such as /booking, or "". gunicorn reads SCRIPT_NAME too, and removes it from
# the path of each request.
MOUNT_PATH = env.mount_path("SCRIPT_NAME", "")
# Other sites of the same host don't get the cookies.
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = MOUNT_PATH or "/"

STATIC_URL = f"{MOUNT_PATH}/static/"
WHITENOISE_STATIC_PREFIX = "/static/"
STATICFILES_DIRS = [BASE_DIR / "eventmanagement" / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
# Without collectstatic, static files are served directly from the packages.
WHITENOISE_USE_FINDERS = not STATIC_ROOT.is_dir()

# A reverse proxy terminates TLS. X-Forwarded-* headers are trusted only from this many proxies, because a client
# could forge them.
TRUSTED_PROXIES = env.number("TRUSTED_PROXIES", "0", lowest=0, highest=20)
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
# The admin's forms contain the CSRF token, so no script needs to read the cookie.
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "eventmanagement.serving.error_pages.csrf_failure"
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds())
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS is for this host only: the subdomains may belong to others.
    "security.W021",  # No HSTS preload, for the same reason.
    "security.W003",  # CsrfViewMiddleware is installed as a subclass (serving/skip_for_api.py).
    "security.W008",  # The reverse proxy redirects to HTTPS; health checks use plain HTTP.
]
# Pages load resources from this host only, and contain no inline scripts or styles. JSON has a policy of its own
# (eventmanagement/serving/middleware.py).
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # Swagger UI's stylesheet contains icons as data: URLs.
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        # The browsable API has inline styles.
        **({"style-src": [SELF, UNSAFE_INLINE]} if DEBUG else {}),
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["authentication.tokens.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": [
        "eventmanagement.api.parsers.JSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_RENDERER_CLASSES": [
        "rest_framework.renderers.JSONRenderer",
        # The browsable API is only for development.
        *(["rest_framework.renderers.BrowsableAPIRenderer"] if DEBUG else []),
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "eventmanagement.api.negotiation.LenientNegotiation",
    "DEFAULT_PAGINATION_CLASS": "eventmanagement.api.pagination.PageNumberPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "eventmanagement.api.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "eventmanagement.api.exceptions.exception_handler",
    # Ignore ?format=, like every unknown query parameter.
    "URL_FORMAT_OVERRIDE": None,
    "NUM_PROXIES": TRUSTED_PROXIES,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Event management",
    "DESCRIPTION": (BASE_DIR / "eventmanagement" / "api" / "welcome.md").read_text(),
    "VERSION": PROJECT["version"],
    "OAS_VERSION": "3.1.1",
    "SERVERS": [{"url": MOUNT_PATH or "/", "description": "The server of this document."}],
    "TAGS": [
        {"name": "Authentication", "description": "Create and manage an account, log in and log out."},
        {"name": "Events", "description": "Find events, and manage your own."},
        {"name": "Reservations", "description": "Book seats, and cancel reservations."},
        {"name": "Waiting lists", "description": "Wait for a seat at a full event."},
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        "displayRequestDuration": True,
        "filter": True,
        "persistAuthorization": True,
        "tryItOutEnabled": True,
        "defaultModelsExpandDepth": 0,
    },
    "PREPROCESSING_HOOKS": [
        "eventmanagement.api.openapi.import_schema_modules",
        "eventmanagement.api.openapi.keep_long_paths",
    ],
    "POSTPROCESSING_HOOKS": ["eventmanagement.api.openapi.complete"],
    "SORT_OPERATION_PARAMETERS": "eventmanagement.api.openapi.parameter_position",
    "COMPONENT_SPLIT_REQUEST": True,
    # Docstrings are for programmers of this project, not for users of the API.
    "DISABLE_DOCSTRING_DESCRIPTIONS": True,
    # Forms are accepted too, but the document lists only JSON, so that generated clients have one body type.
    "PARSER_WHITELIST": ["eventmanagement.api.parsers.JSONParser"],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
}

# Shorter than LOCK_TIMEOUT, because many requests may wait for the lock of the same event at once.
BOOKING_LOCK_TIMEOUT = env.postgres_duration("BOOKING_LOCK_TIMEOUT", "1s")
# PostgreSQL's statement timeout for lists with query parameters, and for admin requests except POST.
READ_TIMEOUT = env.postgres_duration("READ_TIMEOUT", "1500ms")
EVENTS_PUBLIC = env.boolean("EVENTS_PUBLIC", "true")
THROTTLE_EVENTS = env.rate("THROTTLE_EVENTS", "100/day")
THROTTLE_LOGIN = env.rate("THROTTLE_LOGIN", "10/min")
THROTTLE_LOGIN_ADDRESS = env.rate("THROTTLE_LOGIN_ADDRESS", "100/hour")
THROTTLE_SIGNUP = env.rate("THROTTLE_SIGNUP", "1000/day")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {"()": "eventmanagement.serving.logs.RequestIdFilter"},
        "secret_paths": {"()": "eventmanagement.serving.logs.SecretPathFilter"},
        "not_unavailable": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", None) != 503,
        },
    },
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": "{asctime}{levelname}{name}{message}{request_id}",
            "style": "{",
            "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
            # Django adds the request object to its error records. It has headers with tokens, so it is not logged.
            "reserved_attrs": [*RESERVED_ATTRS, "request", "server_time"],
        },
        "plain": {
            "()": "eventmanagement.serving.logs.PlainFormatter",
            "format": "{asctime} {levelname} {message}",
            "style": "{",
        },
    },
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "filters": ["request_id", "secret_paths"],
            "formatter": "plain" if DEBUG else "json",
        }
    },
    "root": {"handlers": ["stdout"], "level": "INFO"},
    "loggers": {
        # Replaces Django's own handlers, which print plain text and send emails.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        # Drops records that repeat the request's own log line: 4xx responses, 503 responses (which the middleware logs)
        # and Django's "suspicious operations".
        "django.request": {"level": "ERROR", "filters": ["not_unavailable", "secret_paths"]},
        "django.security": {"level": "CRITICAL"},
        # gunicorn logs a warning whenever it drops the body of a response to HEAD.
        "gunicorn.http.wsgi": {"level": "ERROR"},
    },
}
