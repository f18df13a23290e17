"""Every text that a client or a member of staff can write has a maximum length."""

import pytest
from django import forms
from django.contrib import admin
from django.contrib.auth.forms import ReadOnlyPasswordHashField
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import get_resolver
from django_filters import FilterSet
from rest_framework import serializers


@pytest.fixture(autouse=True)
def _modules():
    """Import all modules that the URLs need."""
    assert get_resolver().url_patterns


def subclasses(parent):
    """Return all subclasses that are defined in this project, apart from mixins and tests."""
    found = {child for direct in parent.__subclasses__() for child in {direct, *subclasses(direct)}}
    return {child for child in found if child.__module__.split(".")[0] in ("authentication", "event", "reservation")}


def test_texts_in_request_bodies_are_bounded():
    texts = {
        (serializer.__name__, name): field.max_length
        for serializer in subclasses(serializers.Serializer)
        for name, field in serializer().fields.items()
        if isinstance(field, serializers.CharField) and not field.read_only
    }

    assert texts[("EventSerializer", "title")] == 200
    assert texts[("EventSerializer", "description")] == 10_000
    assert texts[("SignupSerializer", "username")] == 150
    assert texts[("SignupSerializer", "email")] == 254
    # The response with a token is only written.
    texts.pop(("TokenSerializer", "token"))
    assert None not in texts.values(), texts


def test_texts_in_filters_are_bounded():
    texts = {
        (filters.__name__, name): field.max_length
        for filters in subclasses(FilterSet)
        for name, field in filters().form.fields.items()
        if isinstance(field, forms.CharField)
    }

    assert texts == {("EventFilter", "search"): 200}


@pytest.mark.parametrize("change", [True, False], ids=["change", "add"])
@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model.__name__)
def test_texts_in_the_admin_are_bounded(admin_user, model, change):
    request = RequestFactory().get("/admin/")
    request.user = admin_user
    options = {"change": True, "obj": User(username="eve")} if change and model is User else {"change": change}

    form = admin.site._registry[model].get_form(request, **options)

    unbounded = [
        name
        for name, field in form.base_fields.items()
        if isinstance(field, forms.CharField)
        and not isinstance(field, ReadOnlyPasswordHashField)
        # MaximumLengthValidator checks new passwords.
        and not isinstance(field.widget, forms.PasswordInput)
        and field.max_length is None
    ]
    assert unbounded == []
