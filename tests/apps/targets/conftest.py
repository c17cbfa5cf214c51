from tests.apps.addresses import another, answering, gone, silent, state, victim

__all__ = ["another", "answering", "gone", "silent", "state", "victim"]
