from tests.apps.addresses import answering, gone, silent, state, victim

__all__ = ["answering", "gone", "silent", "state", "victim"]
