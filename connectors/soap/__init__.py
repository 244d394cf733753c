"""The SOAP door, and calls to systems that are SOAP servers themselves."""
