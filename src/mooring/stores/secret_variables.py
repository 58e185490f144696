"""Secrets in variables of Mooring's own environment, which does not change while it runs."""

from collections.abc import Hashable, Iterable, Mapping

from mooring.core.secret_places import Found, SecretPlace, in_environment


class SecretVariables:
    """Satisfies `mooring.core.ports.SecretStore`."""

    def __init__(self, own: Mapping[str, str], prefix: str, pepper: bytes) -> None:
        """`own` is the environment; `pepper` keeps guesses from being tried on marks."""
        self._own = own
        self._prefix = prefix
        self._pepper = pepper

    async def read(self, place: SecretPlace) -> Found:
        """The value of the variable of a place, or why there is none."""
        return in_environment(place, self._own, self._prefix, self._pepper)

    async def stamps(self, asked: Iterable[SecretPlace]) -> Mapping[SecretPlace, Hashable]:
        """Nothing ever moves."""
        return dict.fromkeys(asked, "")
