"""Signals between apps that don't import each other."""

from django.dispatch import Signal

# Sent after the tokens of users were deleted, for example because of a new password or a deactivation, in the same
# transaction. Arguments: ``user_ids``, a list. Receivers must delete everything else that gives access without a
# password, and return the ids of the users for whom they deleted something.
credentials_revoked = Signal()
