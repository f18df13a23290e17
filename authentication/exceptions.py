"""The errors for requests that break a rule about accounts."""

from eventmanagement.refusals import Refusal


class OrganizesEvents(Refusal):
    code = "organizes_events"
    message = "This account organizes events. Delete them before you delete the account."
