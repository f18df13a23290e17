"""What the OpenAPI document says."""

LONG_PATHS = ("/api/authentication/", "/api/event/", "/api/reservation/")


def keep_long_paths(endpoints: list[tuple], **kwargs: object) -> list[tuple]:
    """Leave the short paths out of the document: they are second names of the same views."""
    return [endpoint for endpoint in endpoints if endpoint[0].startswith(LONG_PATHS)]
