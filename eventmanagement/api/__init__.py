"""The HTTP layer of the API: parsers, serializer fields, pagination, errors and the OpenAPI document."""
