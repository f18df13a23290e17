"""Every setting of the project; what a deployment may change comes from the environment."""

import tomllib
from datetime import timedelta
from pathlib import Path

from csp.constants import NONE, SELF, UNSAFE_INLINE
from django.core.exceptions import ImproperlyConfigured
from environs import validate
from pythonjsonlogger.core import RESERVED_ATTRS

from eventmanagement.environment import env

BASE_DIR = Path(__file__).resolve().parent.parent
# The project's own name and version, wherever they are told.
PROJECT = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())["project"]

DEBUG = env.boolean("DEBUG", "false")
SECRET_KEY = env.str("SECRET_KEY", "for-development-only" if DEBUG else "").strip()
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set: give a long random one, or DEBUG=true for development.")
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", "localhost,127.0.0.1")
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS", "localhost,127.0.0.1")

INSTALLED_APPS = [
    "authentication",
    # Before the admin, whose first page event extends.
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
    # Outermost: it times all the others and sees what they answered.
    "eventmanagement.serving.logs.RequestLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "eventmanagement.serving.skip_for_api.PagePolicies",
    "eventmanagement.serving.middleware.RequestLimitMiddleware",
    # Outside all that can fail, so that whatever fails in there leaves /api/ as JSON.
    "eventmanagement.serving.middleware.JsonErrorMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "eventmanagement.serving.skip_for_api.AdminSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
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

DATABASES = {
    "default": env.database(
        "DATABASE_URL",
        f"sqlite:///{BASE_DIR / 'db.sqlite3'}",
        lock_timeout=env.postgres_duration("LOCK_TIMEOUT", "3s"),
        statement_timeout=env.postgres_duration("STATEMENT_TIMEOUT", "15s"),
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Bytes of a body of JSON, which the parser limits by the number of its values too; forms are limited further
# (eventmanagement/serving/middleware.py).
DATA_UPLOAD_MAX_MEMORY_SIZE = 2560 * 2**10

# scrypt is memory-hard and, for one sign-up, cheaper than Django's default; hashes made by
# PBKDF2 are still read, and rewritten at the next login.
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

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "eventmanagement" / "static"]
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
# Where nobody ran collectstatic, the assets are served from the packages that bring them.
WHITENOISE_USE_FINDERS = not STATIC_ROOT.is_dir()

# TLS ends at the reverse proxy. Where there is one, its X-Forwarded-* headers are believed, for
# as many proxies as there are; where there is none, a client could write them itself.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", 0, validate=validate.Range(min=0))
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
# The admin's forms carry the token: no script needs to read it from the cookie.
CSRF_COOKIE_HTTPONLY = True
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds())
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS speaks for this host alone: its subdomains are not ours to bind,
    "security.W021",  # nor is the domain ours to enter into the browsers' preload lists.
    "security.W003",  # CsrfViewMiddleware is there in a subclass, which leaves the API alone.
    "security.W008",  # The proxy that ends TLS redirects to it; /healthz is asked without.
]
# Pages use what this host serves and nothing else, and no page carries a script or a style in itself.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # Icons that Swagger UI's style sheet carries.
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        # The pages of the browsable API carry styles in themselves.
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
        # The pages of the browsable API are for development.
        *(["rest_framework.renderers.BrowsableAPIRenderer"] if DEBUG else []),
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "eventmanagement.api.negotiation.LenientNegotiation",
    "DEFAULT_PAGINATION_CLASS": "eventmanagement.api.pagination.PageNumberPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    # Routers read every view's schema at the start; describe() gives it one that can make a document.
    "DEFAULT_SCHEMA_CLASS": "rest_framework.schemas.inspectors.ViewInspector",
    "EXCEPTION_HANDLER": "eventmanagement.api.exceptions.exception_handler",
    # An unknown query parameter is ignored, ?format= too.
    "URL_FORMAT_OVERRIDE": None,
    "NUM_PROXIES": TRUSTED_PROXIES,
    # There is one version, and none to ask for: /schema/?version= would go into a header.
    "ALLOWED_VERSIONS": [PROJECT["version"]],
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Event management",
    "DESCRIPTION": (BASE_DIR / "eventmanagement" / "api" / "welcome.md").read_text(),
    "VERSION": PROJECT["version"],
    "TAGS": [
        {"name": "Authentication", "description": "Make an account, and get the token that speaks for it."},
        {"name": "Events", "description": "Find events, and run your own."},
        {"name": "Reservations", "description": "Book seats, and give them back."},
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        # The description and the errors speak of operations by these names.
        "displayOperationId": True,
        "displayRequestDuration": True,
        "filter": True,
        "persistAuthorization": True,
        "tryItOutEnabled": True,
        "defaultModelsExpandDepth": 0,
    },
    "PREPROCESSING_HOOKS": [
        "eventmanagement.api.openapi.read_descriptions",
        "eventmanagement.api.openapi.keep_long_paths",
    ],
    "POSTPROCESSING_HOOKS": ["eventmanagement.api.openapi.complete"],
    "COMPONENT_SPLIT_REQUEST": True,
    # Forms are read too, but a client is generated with one kind of body rather than three.
    "PARSER_WHITELIST": ["eventmanagement.api.parsers.JSONParser"],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
}

# Shorter than LOCK_TIMEOUT: of an event that somebody keeps locked, many want a seat at once.
BOOKING_LOCK_TIMEOUT = env.postgres_duration("BOOKING_LOCK_TIMEOUT", "1s")
# How long PostgreSQL may work on one statement of a list or a search.
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
            # Django's error records carry the whole request, with its headers.
            "reserved_attrs": [*RESERVED_ATTRS, "request", "server_time"],
        },
        "plain": {"format": "{asctime} {levelname} {message}", "style": "{"},
    },
    "handlers": {
        "stdout": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "filters": ["request_id"],
            "formatter": "plain" if DEBUG else "json",
        }
    },
    "root": {"handlers": ["stdout"], "level": "INFO"},
    "loggers": {
        # Its own handlers print plain text or write to administrators.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        # What is in the request's line already: refusals; a database that is away, which the
        # middleware has a line for too; and what Django calls suspicious.
        "django.request": {"level": "ERROR", "filters": ["not_unavailable"]},
        "django.security": {"level": "CRITICAL"},
        # Answers to HEAD carry their body as far as gunicorn, which drops it and says so each time.
        "gunicorn.http.wsgi": {"level": "ERROR"},
    },
}
