"""Processes, mailboxes, links, monitors, timers: the actor model on gevent."""
