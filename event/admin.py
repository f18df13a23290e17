from django import forms
from django.contrib import admin
from django.http import HttpRequest

from event.exceptions import CapacityBelowReserved
from event.models import Event


class EventAdminForm(forms.ModelForm):
    def clean_capacity(self) -> int:
        """Refuse what the ledger would, with the event locked until it is saved."""
        capacity = self.cleaned_data["capacity"]
        if self.instance.pk:
            reserved = Event.objects.locked().get(pk=self.instance.pk).reserved
            if capacity < reserved:
                raise forms.ValidationError(str(CapacityBelowReserved(reserved)))
        return capacity


@admin.register(Event)
class EventAdmin(admin.ModelAdmin):
    form = EventAdminForm
    list_display = ["title", "organizer", "start_time", "seats_remaining", "capacity"]
    list_select_related = ["organizer"]
    search_fields = ["title", "description"]
    date_hierarchy = "start_time"
    autocomplete_fields = ["organizer"]
    readonly_fields = ["seats_remaining"]

    def save_model(self, request: HttpRequest, event: Event, form: forms.ModelForm, change: bool) -> None:
        """Write what was edited and nothing else: the rest may have changed since the page was opened."""
        event.save(update_fields=form.changed_data if change else None)
