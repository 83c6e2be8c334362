"""The gevent edge: sockets, EPMD, dialling, listening, and the connection that joins a machine to a socket."""
