"""Send/Receive: messages on outbound, delivered each to the one system that it is for."""
