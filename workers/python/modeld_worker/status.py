"""What the daemon and a worker agree on beside the messages (docs/protocol.md)."""
CHANNEL_FD = 3
# A handoff connection, where it is a socket.
HANDOFF_FD = 4
# Exit statuses: after Bye, or the daemon is gone; something went wrong inside; the device failed this process, and a new
# one can go on; it can never work as configured.
EXIT_OK, EXIT_INTERNAL, EXIT_DEVICE_LOST, EXIT_CONFIG = 0, 70, 76, 78
