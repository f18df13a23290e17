from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from eventmanagement.exceptions import Refusal
from reservation.models import Reservation


class ReservationAdminForm(forms.ModelForm):
    """Books for somebody; what the booking rule refuses is an error of the form."""

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        if not self.errors:
            try:
                self.instance = Reservation.objects.book(user=data["user"], event_id=data["event"].pk)
            except Refusal as refusal:
                raise forms.ValidationError(str(refusal)) from None
        return data

    def _post_clean(self) -> None:
        """Leave the instance alone: it is booked, and a reservation is not edited."""


@admin.register(Reservation)
class ReservationAdmin(admin.ModelAdmin):
    form = ReservationAdminForm
    list_display = ["id", "event", "user", "created_at"]
    list_select_related = ["event", "user"]
    search_fields = ["event__title", "user__username"]
    autocomplete_fields = ["event", "user"]
    fields = ["event", "user"]

    def has_change_permission(self, request: HttpRequest, obj: Reservation | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Reservation, form: forms.ModelForm, change: bool) -> None:
        """Nothing is left to save: the form has booked."""
