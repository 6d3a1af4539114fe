"""An event loop in a thread of its own, for the doors that are not asynchronous."""
