"""A service account that asks for a dangerous tool is one that the platform listed.

Why: controllers and GitOps accounts lend their rights to whoever feeds them manifests. Where the setting says listed,
only those may ask for tools above Medium.
"""

from toe.api.reasons import Reason
from toe.policy.access import at_least
from toe.policy.request import Request
from toe.policy.verdict import Violation


def check(request: Request) -> tuple[Violation, ...]:
    """Accepts people, tools up to Medium, another setting, or an account that is listed."""
    requester, settings = request.run.spec.requester, request.settings
    if requester is None or not requester.is_service_account or settings.service_accounts != "listed":
        return ()
    if len(request.configs) != 1 or not at_least(request.configs[0].readiness.tier, "High"):
        return ()
    if requester.username in settings.listed_service_accounts:
        return ()
    message = f"the service account {requester.username} is not listed as one that may ask for tools above Medium"
    return (Violation(Reason.SERVICE_ACCOUNT_NOT_LISTED, message),)
