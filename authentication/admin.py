from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import UsernameField
from django.core.exceptions import ValidationError
from rest_framework.authtoken import admin as authtoken_admin  # noqa: F401  (registers what is unregistered below)
from rest_framework.authtoken.models import TokenProxy
from rest_framework.exceptions import Throttled

from authentication.hashers import LONGEST_PASSWORD
from authentication.login import log_in
from authentication.serializers import LONGEST_USERNAME


class LimitedAuthenticationForm(AdminAuthenticationForm):
    """The admin's login, within the same limits as the API's."""

    # Django's own fields leave these lengths to the browser.
    username = UsernameField(max_length=LONGEST_USERNAME, widget=forms.TextInput(attrs={"autofocus": True}))
    password = forms.CharField(
        max_length=LONGEST_PASSWORD,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def clean(self) -> dict[str, Any]:
        credentials = {field: self.cleaned_data.get(field) for field in ("username", "password")}
        if all(credentials.values()):
            try:
                self.user_cache = log_in(self.request, **credentials)
            except Throttled as throttled:
                raise ValidationError(str(throttled.detail), code=throttled.default_code) from None
            if self.user_cache is None:
                raise self.get_invalid_login_error()
            self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data


admin.site.login_form = LimitedAuthenticationForm

# A token speaks for its user: nobody needs to read one, or to make one for somebody else.
admin.site.unregister(TokenProxy)
