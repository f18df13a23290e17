from django.apps import AppConfig


class ReservationConfig(AppConfig):
    name = "reservation"
    verbose_name = "Reservations"

    def ready(self) -> None:
        from reservation import signals  # noqa: F401  (connects the signal receiver)
