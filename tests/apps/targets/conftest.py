from tests.apps.addresses import another, answering, gone, links, silent, state, victim

__all__ = ["another", "answering", "gone", "links", "silent", "state", "victim"]
