from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth import admin as auth_admin
from django.contrib.auth.forms import (
    AdminPasswordChangeForm,
    AdminUserCreationForm,
    UserChangeForm,
    UsernameField,
)
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Field, QuerySet
from django.http import HttpRequest
from rest_framework.authtoken import admin as authtoken_admin  # noqa: F401  (registers TokenProxy, which is unregistered below)
from rest_framework.authtoken.models import TokenProxy

from authentication.hashers import MAX_PASSWORD_LENGTH
from authentication.login import log_in
from authentication.tokens import revoke_token, revoke_tokens
from authentication.usernames import (
    MAX_USERNAME_LENGTH,
    USERNAME_TAKEN,
    is_taken,
    lock_username,
    validate_visible,
)
from eventmanagement.refusals import TooManyAttempts
from eventmanagement.serving.admin import ModelAdmin

# Users per DELETE statement: each user id is one query parameter, and databases limit their number.
BATCH_SIZE = 500


class RateLimitedAuthenticationForm(AdminAuthenticationForm):
    """The admin's login form, with the same rate limits as the API's login.

    Unlike ``get_or_create_token``, it does not check the user a second time after the login. A session stores a
    hash of the password hash, and every request compares it and checks ``is_active``.
    """

    # Never None here: the login view always passes the request.
    request: HttpRequest

    # On the server, Django's own form limits the length of neither field.
    username = UsernameField(max_length=MAX_USERNAME_LENGTH, widget=forms.TextInput(attrs={"autofocus": True}))
    password = forms.CharField(
        max_length=MAX_PASSWORD_LENGTH,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def clean(self) -> dict[str, Any]:
        username, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if username and password:
            try:
                self.user_cache = log_in(self.request, username, password)
            except TooManyAttempts as refusal:
                raise ValidationError(str(refusal), code=refusal.code) from None
            if self.user_cache is None:
                raise self.get_invalid_login_error()
            self.confirm_login_allowed(self.user_cache)
        return self.cleaned_data


class AddUserForm(AdminUserCreationForm):
    """Django's form for a new user. It refuses a username that differs from another only by case."""

    def clean_username(self) -> str:
        # A concurrent sign-up with this username waits until the admin's transaction ends.
        lock_username(self.cleaned_data["username"])
        return super().clean_username()


class ChangeUserForm(UserChangeForm):
    """Django's form for an existing user. It refuses a new username that differs from another only by case."""

    def clean_username(self) -> str:
        username: str = self.cleaned_data["username"]
        # Accounts from before this rule keep their usernames.
        if "username" in self.changed_data:
            lock_username(username)
            if is_taken(username, except_by=self.instance):
                raise ValidationError(USERNAME_TAKEN, code="unique")
        return username


class TokenRevokingPasswordForm(AdminPasswordChangeForm):
    """Django's form for changing or disabling a password. Also revokes the token, in the same transaction.

    Django does not call ``password_changed`` when the form disables the password.
    """

    def save(self, commit: bool = True) -> User:
        # Hash before the transaction begins: hashing is slow, and on SQLite a transaction blocks all other writers.
        user: User = super().save(commit=False)
        if commit:
            with transaction.atomic():
                user.save()
                revoke_token(user)
        return user


admin.site.unregister(User)


@admin.register(User)
class UserAdmin(ModelAdmin, auth_admin.UserAdmin):
    """Django's user admin, with the rules for usernames and an action that revokes tokens."""

    add_form = AddUserForm
    form = ChangeUserForm
    change_password_form = TokenRevokingPasswordForm
    actions = ["revoke_tokens"]

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **options: Any) -> forms.Field | None:
        field: forms.Field | None = super().formfield_for_dbfield(db_field, request, **options)
        if field and db_field.name == "username":
            field.validators.append(validate_visible)
        return field

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Hide the password field from users who may not change it. Its button would lead them to a forbidden page."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return [
            (name, options | {"fields": [field for field in options["fields"] if field != "password"]})
            for name, options in fieldsets
        ]

    @admin.action(
        permissions=["change"],
        description="Revoke the tokens and calendar addresses of selected %(verbose_name_plural)s",
    )
    def revoke_tokens(self, request: HttpRequest, users: QuerySet[User]) -> None:
        """Revoke tokens and addresses, and log it in the admin history of each user who had one."""
        count = 0
        with transaction.atomic():
            ids = list(users.values_list("pk", flat=True))
            for start in range(0, len(ids), BATCH_SIZE):
                holders = list(User.objects.filter(pk__in=revoke_tokens(ids[start : start + BATCH_SIZE])))
                count += len(holders)
                LogEntry.objects.log_actions(
                    request.user.pk,  # type: ignore[arg-type]  # The id is never None here, because the admin rejects anonymous users.
                    holders,
                    CHANGE,
                    "Revoked the tokens and calendar addresses.",
                )
        if not count:
            self.message_user(request, "None of the selected users has a token or a calendar address.", messages.INFO)
            return
        number = "1 user" if count == 1 else f"{count} users"
        self.message_user(request, f"Revoked the tokens and calendar addresses of {number}.", messages.SUCCESS)


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(ModelAdmin, auth_admin.GroupAdmin):
    """Django's group admin, with the limits of all admin pages."""


admin.site.login_form = RateLimitedAuthenticationForm

# A token authenticates as its user, so the admin neither shows tokens nor creates them.
admin.site.unregister(TokenProxy)
